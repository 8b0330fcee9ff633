"""The foot of the window: hints are seen at once, other notes behind a heading."""

import pytest
from hands import until

from napari_scribseg.core import Hint
from napari_scribseg.widgets.common import status
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


def test_a_long_text_is_cut_and_whole_in_its_tooltip_and_in_the_details(panel):
    height = panel.sizeHint().height()
    panel.show_message("a word " * 60)
    assert panel.line.is_cut
    assert panel.line.height() <= 3 * panel.line.fontMetrics().lineSpacing()
    assert panel.line.toolTip() == panel.line.text() == "a word " * 60
    assert panel.notes.text() == panel.line.text()
    assert panel.details.isVisible()
    assert panel.sizeHint().height() == height
    panel.show_message("short")
    assert not panel.line.is_cut
    assert panel.line.toolTip() == ""
    assert not panel.details.isVisible()
    panel.show_message("a word " * 60)
    panel.resize(1500, 200)
    assert not panel.line.is_cut


class Activity:
    """napari's bar, which handles events when it is made and when it moves: the job can end meanwhile."""

    n = 0

    def __init__(self, meanwhile):
        self.closed = False
        meanwhile["making"]()
        self.meanwhile = meanwhile["moving"]

    def update(self, by):
        self.n += by
        self.meanwhile()

    def close(self):
        self.closed = True


@pytest.mark.parametrize("when", ["making", "moving"])
def test_a_job_that_ends_while_napari_makes_its_bar_leaves_no_bar(panel, monkeypatch, when):
    made = []
    meanwhile = {"making": lambda: None, "moving": lambda: None, when: lambda: panel.show_busy(False)}

    def make(**_options):
        made.append(Activity(meanwhile))
        return made[-1]

    monkeypatch.setattr(status, "progress", make)
    panel.show_busy(True)
    panel.show_progress(0.5)
    until(lambda: made, "the bar")
    until(lambda: panel.progress.isHidden(), "the end")
    assert made[0].closed
    panel.show_busy(True)
    until(lambda: len(made) == 2, "the bar of the next job")
