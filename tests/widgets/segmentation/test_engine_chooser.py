"""Engines in groups, with what they need and how long they took."""

import pytest
from qtpy.QtCore import Qt

from napari_scribseg.core import EngineInfo
from napari_scribseg.core.engine import ENGINE_GROUPS
from napari_scribseg.core.registry import DEFAULT_ENGINE, engine_infos
from napari_scribseg.widgets.common.fold import window_settings
from napari_scribseg.widgets.segmentation import engine_chooser
from napari_scribseg.widgets.segmentation.engine_chooser import EngineChooser


@pytest.fixture
def chooser(qtbot, monkeypatch):
    monkeypatch.setattr(engine_chooser, "DEFAULT_ENGINE", DEFAULT_ENGINE)
    infos = engine_infos() | {"other": EngineInfo("other", "Another (theirs)", "Does it differently.")}
    made = EngineChooser(infos)
    qtbot.addWidget(made)
    return made


def entries(chooser):
    """Headings with the engines below them."""
    found, combo = {}, chooser.combo
    for index in range(combo.count()):
        if combo.itemData(index) is None:
            found[combo.itemText(index)] = below = []
        else:
            below.append(combo.itemData(index))
    return found


def test_engines_are_listed_in_groups_and_the_default_is_the_first(chooser):
    found = entries(chooser)
    assert tuple(found) == (*ENGINE_GROUPS, "More engines")
    assert found["Start here"] == [DEFAULT_ENGINE, "svcd"]
    assert found["More engines"] == ["other"]
    assert sorted(name for below in found.values() for name in below) == sorted([*engine_infos(), "other"])
    assert chooser.engine == DEFAULT_ENGINE


def test_a_heading_cannot_be_chosen(chooser):
    model = chooser.combo.model()
    for index in range(chooser.combo.count()):
        enabled = bool(model.item(index).flags() & Qt.ItemFlag.ItemIsEnabled)
        assert enabled == (chooser.combo.itemData(index) is not None)


def test_an_engine_that_is_not_installed_gives_the_first(chooser):
    chooser.choose("gone")
    assert chooser.engine == DEFAULT_ENGINE


def test_what_an_engine_needs_is_shown_and_how_long_it_took(chooser):
    assert "Needs one stroke; not yet measured here." in chooser.about.text()
    for seconds in (0.25, 0.75, 4.0):
        chooser.show_duration(DEFAULT_ENGINE, seconds, (400, 500))
    assert "takes 0.75 s here at 500 x 400." in chooser.about.text()
    chooser.show_duration(DEFAULT_ENGINE, 9.0, (512, 512))  # another size begins anew
    assert "takes 9 s here at 512 x 512." in chooser.about.text()
    chooser.choose("svcd")
    assert "Needs strokes of two classes; not yet measured here." in chooser.about.text()


def test_durations_are_kept_for_the_next_window(chooser, qtbot):
    for seconds in (9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0):  # the newest five count
        chooser.show_duration("svcd", seconds, (30, 40))
    again = EngineChooser(engine_infos())
    qtbot.addWidget(again)
    again.choose("svcd")
    assert "takes 1 s here at 40 x 30" in again.about.text()


@pytest.mark.parametrize("text", ["0.5,0.6", "40 x 30,often", "40 x 30,", ","])
def test_durations_that_cannot_be_read_are_left_out(chooser, qtbot, text):
    window_settings().setValue("seconds/svcd", text)
    again = EngineChooser(engine_infos())
    qtbot.addWidget(again)
    again.choose("svcd")
    assert "not yet measured here" in again.about.text()


def test_the_list_shows_a_summary_below_each_name(chooser):
    about = chooser.combo.itemData(chooser.combo.findData("cnn"), engine_chooser._ABOUT)
    assert about.startswith(engine_infos()["cnn"].summary)
    view, delegate = chooser.combo.view(), chooser.combo.itemDelegate()
    heights = [
        delegate.sizeHint(view.viewOptions() if hasattr(view, "viewOptions") else _option(view), index).height()
        for index in (chooser.combo.model().index(row, 0) for row in (0, 1))
    ]
    assert heights[1] > 2 * heights[0]


def _option(view):
    from qtpy.QtWidgets import QStyleOptionViewItem

    option = QStyleOptionViewItem()
    view.initViewItemOption(option)
    return option
