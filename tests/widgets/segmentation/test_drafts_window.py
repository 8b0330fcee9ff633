"""Drafts in the window: Shift+D writes them, strip and list show them, N and A go on, one Undo takes them back."""

import numpy as np
import pytest
from hands import Hands, settle, until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_scribseg.annotate.drafter import Draft
from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.segmentation.slice_list import state_of
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

SHAPE = (6, 40, 60)


def box():
    labels = np.zeros(SHAPE[1:], np.uint16)
    labels[10:30, 20:45] = 1
    return labels


class BoxDrafter:
    """Drafts a box on every slice, the less sure the further it is from the first."""

    checksum = "box"
    classes = ClassTable.from_ids([1], background=255)

    def draft(self, source, slices, report):
        for done, each in enumerate(slices):
            report(done / len(slices))
            certainty = np.full(SHAPE[1:], 0.95 - 0.05 * each.position[0], np.float32)
            yield Draft(each, box(), certainty)


class OneCase:
    """A project of one case."""

    drafter = None
    opened = 0

    def work_left(self, session):
        return f"{len(session.accepted)} of 36 slices accepted"

    def next_case(self):
        self.opened += 1


class Window(Hands):
    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))
        self.review = self.widget.review = OneCase()
        self.widget.start()
        settle()

    @property
    def session(self):
        return self.widget.annotators.front.session

    @property
    def draft(self):
        return self.widget.fills.buttons["draft"]

    def marks(self):
        strip = self.widget.fills.strip
        strip.refresh()
        return [mark.kind for mark in strip.marks]

    def learned(self):
        """There is a network now."""
        self.review.drafter = BoxDrafter()
        self.widget.annotators.front.refresh_state()
        settle()


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    image = np.random.default_rng(0).normal(0, 5, SHAPE).astype(np.float32)
    image[:, 10:30, 20:45] += 100
    viewer.add_image(image, name="scan")
    viewer.dims.set_current_step(0, 0)
    window = Window(viewer)
    yield window
    window.widget.end_all()


@pytest.mark.gui
def test_the_button_is_there_once_something_is_learned(window):
    assert not window.draft.isVisible()
    window.key(Qt.Key.Key_D, Qt.KeyboardModifier.ShiftModifier)
    assert "press Learn" in window.status
    assert not window.session.labels.any()
    window.learned()
    assert window.draft.isVisible()
    assert window.draft.isEnabled()
    assert window.draft.toolTip().endswith("(Shift+D)")


@pytest.mark.gui
def test_drafts_are_shown_corrected_accepted_and_taken_back_by_one_undo(window):
    window.learned()
    window.session.accept(window.session.slice_index(5))
    QTest.mouseClick(window.draft, Qt.MouseButton.LeftButton)
    window.shows("Drafted 5 slices")
    session = window.session
    assert window.marks() == ["drafted"] * 5 + ["accepted"]
    assert window.widget.fills.strip.text == "5 drafted, 1 accepted, of 6 slices"
    assert state_of(session, session.slice_index(0)) == f"◐ drafted, {session.drafted[session.slice_index(0)]:.0%} sure"
    np.testing.assert_array_equal(session.labels[3], box())
    assert not session.labels[5].any()
    np.testing.assert_array_equal(window.widget.annotators.front.layers.result.data[3], box())
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.shows("Undone: the draft of")
    assert window.marks() == ["empty"] * 5 + ["accepted"]
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert window.marks() == ["drafted"] * 5 + ["accepted"]


@pytest.mark.gui
def test_n_goes_through_the_drafts_and_opens_the_next_case_when_all_are_accepted(window):
    window.learned()
    window.key(Qt.Key.Key_D, Qt.KeyboardModifier.ShiftModifier)
    window.shows("Drafted 6 slices")
    session, seen = window.session, []
    for accepted in range(1, 7):
        window.key(Qt.Key.Key_N)
        until(
            lambda: (
                not window.widget.annotators.front.session.is_accepted(
                    window.widget.annotators.front.layers.slice_index()
                )
            )
        )
        seen.append(window.viewer.dims.current_step[0])
        assert window.review.opened == 0
        window.key(Qt.Key.Key_A)
        assert len(session.accepted) == accepted
        assert f"{accepted} of 36 slices accepted" in window.status
    assert sorted(seen) == list(range(6))
    assert "all slices are accepted" in window.status
    window.key(Qt.Key.Key_N)
    assert window.review.opened == 1
