"""The highlighted row of the class table is the class that the pen paints, with real mouse events."""

import numpy as np
import pytest
from hands import Hands, drag, settle, until
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

NAME, ID, SHOW, LOCK, BG = 1, 2, 3, 4, 5
LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Window(Hands):
    """A window with a picture, three classes and an engine that is quick."""

    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1100, 800))

    @property
    def front(self):
        return self.widget.annotators.front

    @property
    def view(self):
        return self.widget.classes

    @property
    def pen(self):
        return self.front.layers.pen.selected_label

    @property
    def highlighted(self):
        """The id in the highlighted row; None where no row, or more than one, is highlighted."""
        rows = {index.row() for index in self.view.table.selectionModel().selectedIndexes()}
        return self.view.classes.ids[rows.pop()] if len(rows) == 1 else None

    def click(self, identity, column, modifier=PLAIN):
        """Click a cell of the table."""
        table = self.view.table
        self.widget.sections.ensureWidgetVisible(self.view)
        settle()
        where = table.visualItemRect(table.item(self.view.classes.ids.index(identity), column)).center()
        QTest.mouseClick(table.viewport(), LEFT, modifier, where)
        settle()

    def press(self, button):
        self.widget.sections.ensureWidgetVisible(button)
        settle()
        QTest.mouseClick(button, LEFT)
        settle()

    def stroke(self, *points):
        drag(self.canvas, self.pixels(*points))
        self.wait_idle()

    def wait_idle(self):
        settle()
        until(lambda: self.widget.annotators.is_idle, "the end of all jobs")

    def undo(self):
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        self.wait_idle()


@pytest.fixture
def window(make_napari_viewer, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).normal(0, 5, (40, 60)).astype(np.float32), name="scan")
    window = Window(viewer)
    window.widget.images.start.click()
    window.front.set_classes(ClassTable.from_ids([1, 2, 3], background=255))
    viewer.reset_view()
    window.wait_idle()
    window.view.select(1)
    window.front.paint_with(1)
    yield window
    window.widget.end_all()


@pytest.mark.parametrize(("removed", "left"), [(3, 2), (2, 3), (1, 2)])
def test_after_a_class_is_removed_the_highlighted_row_is_painted(window, removed, left):
    window.click(removed, NAME)
    remove = next(b for b in window.view.findChildren(type(window.view.add)) if b.text() == "- class")
    window.press(remove)
    assert removed not in window.view.classes
    assert window.highlighted == left
    assert window.pen == left
    window.stroke((10, 10), (10, 30), (14, 40))
    assert removed not in window.view.classes
    assert sorted(np.unique(window.front.layers.strokes.data)) == [0, left]


def test_a_class_whose_id_is_changed_is_still_the_one_that_is_painted(window):
    window.click(2, NAME)
    window.view.table.item(2, ID).setText("7")
    settle()
    assert (window.highlighted, window.pen) == (7, 7)
    window.stroke((10, 10), (10, 30))
    assert window.view.classes.ids == (255, 1, 7, 3)


@pytest.mark.parametrize("column", [SHOW, LOCK, BG])
def test_a_click_on_a_box_leaves_the_pen_and_the_highlighted_row(window, column):
    window.click(1, NAME)
    before = window.view.classes
    for _ in range(2):
        window.click(3, column)
        assert window.view.classes != before
        before = window.view.classes
        assert (window.highlighted, window.pen) == (1, 1)


def test_a_row_stays_highlighted_whatever_key_is_down_during_the_click(window):
    window.click(2, NAME)
    window.click(2, NAME, Qt.KeyboardModifier.ControlModifier)
    assert (window.highlighted, window.pen) == (2, 2)
    window.click(3, NAME, Qt.KeyboardModifier.ControlModifier)
    assert (window.highlighted, window.pen) == (3, 3)


def test_a_label_chosen_in_napari_s_controls_that_no_row_has_highlights_none(window):
    window.front.layers.strokes.selected_label = 9
    settle()
    assert window.highlighted is None
    window.stroke((10, 10), (10, 30), (14, 40))
    assert (window.highlighted, window.pen) == (9, 9)
    assert window.view.classes[9].name == "class 9"


def test_a_stroke_of_a_class_that_is_not_in_the_table_is_one_step(window):
    window.stroke((5, 5), (5, 50))
    before = window.front.session.finished_labels()
    drawn = window.front.layers.strokes.data.copy()
    window.front.layers.strokes.selected_label = 9
    window.stroke((30, 10), (30, 15), (30, 30), (34, 40))
    window.undo()
    np.testing.assert_array_equal(window.front.layers.strokes.data, drawn)
    np.testing.assert_array_equal(window.front.session.finished_labels(), before)


def test_what_redraws_the_layers_while_the_pen_is_down_makes_no_step(window):
    """A class that is renamed, or any other change of the layer, in the middle of a stroke."""
    window.stroke((5, 5), (5, 50))
    drawn, version = window.front.layers.strokes.data.copy(), window.front.session.version
    where = window.pixels((30, 10), (30, 20), (32, 30))
    QTest.mouseMove(window.canvas, where[0])
    QTest.mousePress(window.canvas, LEFT, PLAIN, where[0])
    QTest.mouseMove(window.canvas, where[1])
    settle()
    window.front.layers.strokes.refresh()
    window.wait_idle()
    assert window.front.session.version == version
    QTest.mouseMove(window.canvas, where[2])
    QTest.mouseRelease(window.canvas, LEFT, PLAIN, where[2])
    window.wait_idle()
    window.undo()
    np.testing.assert_array_equal(window.front.layers.strokes.data, drawn)


@pytest.mark.parametrize("kind", ["result", "erase"])
def test_the_pens_on_the_result_follow_the_table(window, kind):
    window.stroke((5, 5), (5, 50))
    window.widget.pens.choose(kind)
    window.click(3, NAME)
    assert window.highlighted == 3
    assert window.front.layers.strokes.selected_label == 3
    remove = next(b for b in window.view.findChildren(type(window.view.add)) if b.text() == "- class")
    window.press(remove)
    assert window.highlighted == window.front.layers.strokes.selected_label == 2
