"""The foot of the window: hints are seen at once, other notes behind a heading."""

import pytest

from napari_scribseg.core import Hint
from napari_scribseg.widgets.common.status import StatusPanel


@pytest.fixture
def panel(qtbot):
    made = StatusPanel()
    qtbot.addWidget(made)
    made.resize(250, 200)
    made.show()
    return made


def test_hints_are_shown_and_the_rest_is_behind_details(panel):
    panel.show_notes((Hint("labels stay"), "kernel width 8", "computed on cpu"))
    assert panel.hints.text() == "Labels stay"
    assert panel.hints.isVisible()
    assert panel.notes.text() == "kernel width 8\ncomputed on cpu"
    assert not panel.notes.isVisible()
    panel.details.click()
    assert panel.notes.isVisible()
    panel.show_notes((Hint("labels stay"),))
    assert not panel.details.isVisible()
    assert not panel.notes.isVisible()
    panel.show_notes(("computed on cpu",))
    assert not panel.hints.isVisible()
    assert panel.notes.isVisible()
    panel.show_notes(())
    assert not panel.details.isVisible()


def test_long_texts_get_the_height_that_they_need(panel):
    panel.show_message("a word " * 40)
    high = panel.line.height()
    assert high >= 4 * panel.line.fontMetrics().height()
    panel.show_message("short")
    assert panel.line.height() < high / 3
