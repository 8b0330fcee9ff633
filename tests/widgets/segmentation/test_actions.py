"""The actions of Scribble segmentation: documentation, the page that adds a button, napari's command palette."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from app_model import Application
from hands import Hands, settle
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_scribseg.widgets.segmentation import commands
from napari_scribseg.widgets.segmentation.actions import ACTIONS
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

DOCS = Path(__file__).parents[3] / "docs"
TAKEN = {*"1234567EPFLZXB-=[]V", "Escape", "Enter", "Space", *(f"Control-{key}" for key in "RETGY")}  # by napari


def test_the_documentation_shows_the_table_of_the_registry():
    page = (DOCS / "window.md").read_text(encoding="utf-8")
    assert re.search(r"<!-- ACTIONS.table\(\) -->\n(.*?)\n\n", page, re.DOTALL)[1] == ACTIONS.table()


def test_the_manifest_has_a_command_for_every_action():
    manifest = yaml.safe_load((DOCS.parent / "napari.yaml").read_text(encoding="utf-8"))
    start = "napari-scribseg.scribble-segmentation."
    named = {c["id"].removeprefix(start): c for c in manifest["contributions"]["commands"] if c["id"].startswith(start)}
    assert list(named) == [action.name for action in ACTIONS]
    for action in ACTIONS:
        assert named[action.name]["title"] == action.text.rstrip("…")
        assert named[action.name]["python_name"] == f"{commands.__name__}:{action.name}"
        assert callable(getattr(commands, action.name))
    with pytest.raises(AttributeError):
        commands.no_such_action  # noqa: B018


def test_no_key_is_napari_s_own():
    assert not TAKEN & {action.key for action in ACTIONS}


@pytest.fixture
def added():
    """The action that the documentation adds."""
    former = {action.name for action in ACTIONS}
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "add-a-button.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, "add-a-button.md", "exec"), {})
    (action,) = (action for action in ACTIONS if action.name not in former)
    yield action
    ACTIONS.remove(action.name)


def test_actions_of_other_packages_are_added_once_and_a_broken_one_is_left_out(installed):
    output, warned = installed(
        "[scribseg.actions]\nmine = others:MINE\nbroken = no_such_module:ACTION\nundo = others:UNDO\n",
        "from napari_scribseg.widgets.common.action import Action\n"
        "MINE = Action('mine', 'Mine', 'Does it', lambda window: None, panel='slice')\n"
        "UNDO = Action('undo', 'Undo', 'Undoes it', lambda window: None)\n",
        "from napari_scribseg.widgets.segmentation.actions import ACTIONS, add_installed_actions\n"
        "add_installed_actions()\n"
        "add_installed_actions()\n"
        "print([action.name for action in ACTIONS.on('slice')][-1], ACTIONS['undo'].text)\n",
    )
    assert output == "mine Undo\n"
    assert warned == [
        "'broken' of scribseg.actions (no_such_module:ACTION) is left out: No module named 'no_such_module'",
        "'undo' of scribseg.actions (others:UNDO) is left out: there is an action 'undo' already",
    ]


@pytest.mark.gui
def test_the_button_of_the_documentation_is_seen_and_pressed(added, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((5, 40, 60), np.float32), name="scan")
    window = Hands(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))
    button = window.widget.slices.buttons[added.name]
    assert button.isVisible()
    assert (button.text(), button.toolTip()) == ("Accept, next (H)", "Accept this slice and show the next one (H)")
    assert not button.isEnabled()
    window.widget.start()
    settle()
    session, z = window.widget.annotators.front.session, viewer.dims.current_step[0]
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle()
    assert [index.position for index in session.accepted] == [(z,)]
    assert viewer.dims.current_step[0] == z + 1
    window.key(Qt.Key.Key_H)
    assert sorted(index.position for index in session.accepted) == [(z,), (z + 1,)]
    window.widget.end_all()


@pytest.fixture
def palette():
    """napari's application, which the viewers of tests do not have."""
    app = Application("napari")
    yield app
    Application.destroy("napari")


@pytest.mark.gui
def test_commands_are_in_the_palette_and_open_the_window(palette, make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((5, 40, 60), np.float32), name="scan")
    widget = SegmentationWidget(viewer)
    again = SegmentationWidget(viewer)  # registers nothing twice
    viewer.window.add_dock_widget(widget, name="Scribble segmentation")
    named = {action.name: f"napari-scribseg.scribble-segmentation.{action.name}" for action in ACTIONS}
    assert all(command in palette.commands for command in named.values())
    assert palette.commands[named["save"]].title == "Save labels… (Scribble segmentation)"
    with palette.injection_store.register(providers=[(lambda: viewer, type(viewer))]):
        palette.commands.execute_command(named["start"]).result()
        front = widget.annotators.front
        assert front is not None
        palette.commands.execute_command(named["accept"]).result()
        assert len(front.session.accepted) == 1
        again.end_all()
        widget.end_all()
        viewer.window.remove_dock_widget(widget)
        palette.commands.execute_command(named["start"]).result()
    (opened,) = (each for each in viewer.window.dock_widgets.values() if isinstance(each, SegmentationWidget))
    assert opened is not widget
    assert opened.annotators.front is not None
    opened.end_all()
