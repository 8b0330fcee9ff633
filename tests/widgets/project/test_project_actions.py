"""The actions of Project: documentation, manifest, and what they need."""

import re
from pathlib import Path

import pytest
import yaml

from napari_scribseg.widgets.project import commands
from napari_scribseg.widgets.project.project_actions import ACTIONS, ProjectState

ROOT = Path(__file__).parents[3]


def test_the_documentation_shows_the_table_of_the_registry():
    page = (ROOT / "docs" / "projects.md").read_text(encoding="utf-8")
    assert re.search(r"<!-- ACTIONS.table\(\) -->\n(.*?)\n\n", page, re.DOTALL)[1] == ACTIONS.table()


def test_the_manifest_has_a_command_for_every_action():
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    start = "napari-scribseg.project."
    named = {c["id"].removeprefix(start): c for c in manifest["contributions"]["commands"] if c["id"].startswith(start)}
    assert list(named) == [action.name for action in ACTIONS]
    for action in ACTIONS:
        assert named[action.name]["title"] == f"{action.text.rstrip('…')} (Project)"
        assert named[action.name]["python_name"] == f"{commands.__name__}:{action.name}"
        assert callable(getattr(commands, action.name))
    with pytest.raises(AttributeError):
        commands.no_such_action  # noqa: B018


def enabled(**state):
    return {action.name for action in ACTIONS if action.enabled(ProjectState(**state))}


def test_buttons_can_be_pressed_when_they_do_something():
    assert enabled() == {"create", "open"}
    assert enabled(opened=True) == {"create", "open", "add_files", "add_folder", "merge"}
    some = {"opened": True, "cases": 3, "accepted": 5, "chosen": True}
    everything = {action.name for action in ACTIONS}
    assert enabled(**some) == everything - {"draft", "cancel_learning"}
    assert enabled(**some, learned=True, in_front=True) == everything - {"cancel_learning"}
    assert enabled(**some, learning=True) == everything - {"learn", "draft"}
    assert enabled(**some, working=True) == {"learn"}
    assert "next_case" not in enabled(**some, finished=3)
