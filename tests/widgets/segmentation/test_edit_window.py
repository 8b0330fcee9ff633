"""The section Edit, with real mouse and keys: pens on the result, tools, preview and undo."""

import threading

import numpy as np
import pytest
from hands import Hands, drag, settle, until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy import ndimage

from napari_scribseg.numerics.editing import Grow, edit_labels
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

SPACING = (3.0, 2.0, 1.0)


def volume():
    array = np.random.default_rng(0).normal(0, 5, (5, 40, 60)).astype(np.float32)
    array[:, 10:30, 20:45] += 100
    return array


class Window(Hands):
    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))

    @property
    def front(self):
        return self.widget.annotators.front

    @property
    def edits(self):
        return self.widget.edits

    @property
    def labels(self):
        return self.front.session.finished_labels()

    @property
    def shown(self):
        return self.labels[self.front.layers.slice_index().slicer]

    def stroke(self, *points):
        """With positions (row, column) of pixels."""
        drag(self.canvas, self.pixels(*[(SPACING[1] * row, SPACING[2] * column) for row, column in points]))
        self.wait_idle()

    def wait_idle(self):
        settle()
        until(lambda: self.widget.annotators.is_idle and self.front.session.doing is None, "the end of all jobs")

    def click(self, button):
        self.widget.sections.ensureWidgetVisible(button)
        settle()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.wait_idle()

    def choose(self, tool, scope="slice"):
        self.edits.tool_combo.setCurrentIndex(self.edits.tool_combo.findData(tool))
        self.edits.scope_combo.setCurrentIndex(self.edits.scope_combo.findData(scope))
        settle()

    def pen(self, kind):
        self.click(self.widget.pens.buttons.button(["strokes", "result", "erase"].index(kind)))


@pytest.fixture
def window(make_napari_viewer, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = make_napari_viewer(show=True)
    viewer.add_image(volume(), name="scan", scale=SPACING)
    window = Window(viewer)
    window.widget.images.start.click()
    settle()
    viewer.reset_view()
    settle()
    window.front.paint_with(1)
    window.stroke((20, 30), (20, 33), (21, 35))
    window.front.paint_with(255)
    window.stroke((5, 5), (5, 50))
    window.stroke((35, 5), (35, 50))
    window.front.paint_with(1)
    yield window
    window.widget.end_all()


def test_the_pen_on_the_result_paints_and_the_next_stroke_leaves_it(window):
    segmented = window.shown.copy()
    window.pen("result")
    assert window.viewer.layers.selection.active.name == "scan brush"
    window.stroke((33, 20), (33, 30))
    painted = (window.shown == 1) & (segmented == 0)
    assert painted[33, 20:31].all()
    assert "Painted class 1 on the result of z" in window.status
    assert not window.front.layers.pen_layer.data.any()
    window.pen("strokes")
    assert "scan brush" not in [layer.name for layer in window.viewer.layers]
    assert window.viewer.layers.selection.active is window.front.layers.strokes
    window.front.paint_with(255)
    window.stroke((37, 10), (37, 50))
    assert (window.shown[painted] == 1).all()
    for _ in range(2):
        window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        window.wait_idle()
    np.testing.assert_array_equal(window.shown, segmented)


def test_the_eraser_takes_the_strokes_with_it_and_undo_restores_both(window):
    segmented, index = window.shown.copy(), window.front.layers.slice_index()
    drawn = window.front.session.painted(index)
    window.pen("erase")
    window.stroke((20, 28), (20, 36))
    assert (window.shown[20, 28:37] == 0).all()
    assert (window.front.session.painted(index)[20, 28:37] != 1).all()
    assert (window.front.layers.painted(index)[20, 28:37] != 1).all()
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(window.shown, segmented)
    np.testing.assert_array_equal(window.front.layers.painted(index), drawn)


def test_a_key_goes_through_the_pens_and_a_deleted_layer_brings_strokes_back(window):
    kinds = []
    for _ in range(3):
        window.key(Qt.Key.Key_D)
        kinds.append(window.front.editor.brush.kind)
    assert kinds == ["result", "erase", "strokes"]
    window.key(Qt.Key.Key_D)
    window.viewer.layers.remove("scan brush")
    settle()
    assert window.front.editor.brush.kind == "strokes"
    assert window.widget.pens.brush.kind == "strokes"
    assert window.front.layers.pen is window.front.layers.strokes


def test_another_pen_keeps_the_class(window):
    window.front.paint_with(255)
    for kind in ("result", "erase", "result", "strokes"):
        window.pen(kind)
        assert window.front.layers.strokes.selected_label == window.widget.classes.current == 255, kind


@pytest.mark.parametrize("kind", ["strokes", "result"])
def test_the_pen_paints_only_values_in_the_range(window, kind):
    window.widget.pens.low.setValue(50)
    window.widget.pens.high.setValue(150)
    window.click(window.widget.pens.limited)
    index, image = window.front.layers.slice_index(), volume()[2]
    before, drawn = window.shown.copy(), window.front.session.painted(index)
    window.pen(kind)
    window.front.paint_with(1)
    window.stroke((25, 10), (25, 30))
    if kind == "result":
        new = (window.shown != before) | (window.front.session._document.annotation.fixed.get(index) != 0)
    else:
        new = window.front.session.painted(index) != drawn
        np.testing.assert_array_equal(window.front.layers.painted(index), window.front.session.painted(index))
    assert new[25, 22:30].all()
    assert not new[image < 50].any()


def test_a_tool_is_previewed_applied_and_undone_on_all_slices(window):
    before = window.labels
    window.choose("grow", "volume")
    window.edits.form["distance"].field.value = 4.0
    window.click(window.edits.buttons["preview_tool"])
    expected = edit_labels(before, Grow(4.0), 1, spacing=SPACING)
    marks = window.viewer.layers["scan preview"]
    np.testing.assert_array_equal(marks.data == 1, expected != before)
    np.testing.assert_array_equal(window.labels, before)
    assert "Grow of class 1 would change z 1 to z 3" in window.status
    window.click(window.edits.buttons["apply_tool"])
    np.testing.assert_array_equal(window.labels, expected)
    assert "scan preview" not in [layer.name for layer in window.viewer.layers]
    assert "Grow of class 1 changed z 1 to z 3; Undo restores it" in window.status
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(window.labels, before)


def test_a_range_of_slices_and_slice_by_slice(window):
    before = window.labels
    window.choose("grow", "range")
    assert (window.edits.first.value(), window.edits.last.value()) == (2, 2)
    window.edits.first.setValue(1)
    window.edits.last.setValue(3)
    window.click(window.edits.each_slice)
    window.click(window.edits.buttons["apply_tool"])
    expected = before.copy()
    expected[2] = edit_labels(before[2], Grow(2.0), 1, spacing=SPACING[1:])
    np.testing.assert_array_equal(window.labels, expected)


def test_two_classes_are_combined_by_name(window):
    window.widget.classes.add.click()
    settle()
    window.choose("combine")
    assert window.edits.other_combo.isVisible()
    assert not window.edits.form["other"].widget.native.isVisible()
    assert not window.edits.form["distance"].widget.native.isVisible()
    assert [window.edits.other_combo.itemText(i) for i in range(window.edits.other_combo.count())] == [
        "class 1",
        "class 2",
    ]
    window.front.paint_with(2)
    window.edits.other_combo.setCurrentIndex(0)
    window.click(window.edits.buttons["apply_tool"])
    assert not (window.shown == 1).any()
    assert (window.shown == 2).any()


def test_what_cannot_be_done_is_shown(window):
    window.front.paint_with(255)
    window.click(window.edits.buttons["apply_tool"])
    assert "Background is the background; choose the class that is edited" in window.status
    window.front.paint_with(1)
    window.key(Qt.Key.Key_A)
    window.click(window.edits.buttons["apply_tool"])
    assert "is accepted and therefore locked" in window.status


def test_a_preview_goes_when_the_labels_change(window):
    window.choose("shrink")
    window.click(window.edits.buttons["preview_tool"])
    assert (window.viewer.layers["scan preview"].data == 2).any()
    window.stroke((25, 25), (25, 28))
    assert "scan preview" not in [layer.name for layer in window.viewer.layers]


def test_the_window_works_while_a_tool_runs_and_cancel_ends_it(window, monkeypatch):
    began, apply = threading.Event(), Grow.apply

    def slow(self, part, report):
        began.set()
        while True:
            report(0.3)
            began.wait(0.001)

    monkeypatch.setattr(Grow, "apply", slow)
    before = window.labels
    window.choose("grow", "volume")
    window.edits.buttons["apply_tool"].click()
    until(began.is_set, "the tool")
    window.shows("Grow")
    until(lambda: window.widget.status.progress.isVisible(), "the progress bar")
    window.key(Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    window.wait_idle()
    np.testing.assert_array_equal(window.labels, before)
    monkeypatch.setattr(Grow, "apply", apply)
    window.click(window.edits.buttons["apply_tool"])
    assert (window.labels != before).any()


def test_smoothing_leaves_one_part_of_a_ragged_edge(window):
    window.front.layers.strokes.brush_size = 1
    window.pen("result")
    for column in range(20, 45, 6):
        window.stroke((8, column), (6, column))
    ragged = (window.shown == 1).sum()
    window.choose("smooth")
    window.click(window.edits.buttons["apply_tool"])
    assert 0 < (window.shown == 1).sum() < ragged
    assert ndimage.label(window.shown == 1)[1] == 1
