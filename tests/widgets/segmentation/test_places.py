"""What is needed at every step is in sight on a laptop's screen, and buttons stay where they are."""

import numpy as np
import pytest
from cut_text import cut_texts
from hands import Hands, settle, until
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest

from napari_scribseg.core import ClassTable, Hint
from napari_scribseg.numerics.editing import TOOLS
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

pytestmark = pytest.mark.gui

SHORT, LONG = "Done", "A long message of many words" + 15 * " and many more"


class Window(Hands):
    def __init__(self, viewer):
        super().__init__(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))

    def places(self, *widgets):
        """Where the corners of widgets are on the screen."""
        settle()
        return [widget.mapToGlobal(QPoint(0, 0)) for widget in widgets]

    def in_sight(self, widget):
        """Whether a whole widget is seen."""
        return widget.visibleRegion().boundingRect() == widget.rect()


@pytest.fixture
def window(make_napari_viewer, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).normal(0, 5, (30, 40, 60)).astype(np.float32), name="scan")
    window = Window(viewer)
    window.widget.images.start.click()
    window.widget.annotators.front.set_classes(ClassTable.from_ids([1, 2], background=255))
    settle()
    until(lambda: window.widget.annotators.is_idle, "the end of all jobs")
    yield window
    window.widget.end_all()


def test_no_message_moves_a_button(window):
    widget = window.widget
    widget.show_message(SHORT)
    fixed = (*widget.bar.buttons.values(), widget.sections.viewport(), *widget.edits.buttons.values())
    before, height = window.places(*fixed), widget.sections.viewport().height()
    for show in (
        lambda: widget.show_message(LONG),
        lambda: widget.show_message(LONG, error=True),
        lambda: widget.show_notes((Hint("paint a stroke of the background"),)),
        lambda: widget.show_notes((Hint(LONG), "computed on cpu")),
        lambda: widget.status.progress.show() or widget.status.show_status(widget.status._message),
        lambda: widget.show_busy(False),
        lambda: widget.show_notes(()),
        lambda: widget.show_message(SHORT),
    ):
        show()
        assert window.places(*fixed) == before
        assert widget.sections.viewport().height() == height


def test_a_long_message_ends_with_an_ellipsis_and_is_whole_in_the_details(window):
    status = window.widget.status
    window.widget.show_message(SHORT)
    assert not status.details.isVisible()
    window.widget.show_message(LONG)
    settle()
    assert status.line.text() == LONG
    assert status.line.is_cut
    assert status.line.toolTip() == status.line.text()
    before = window.places(*window.widget.bar.buttons.values())
    QTest.mouseClick(status.details, Qt.MouseButton.LeftButton)
    settle()
    assert status.notes.isVisible()
    assert status.notes.text() == status.line.text()
    assert window.places(*window.widget.bar.buttons.values()) == before


def test_another_tool_or_scope_moves_nothing(window):
    edits = window.widget.edits
    for panel in (edits, window.widget.slices):
        window.widget.sections.reveal(panel)
    fixed = (edits.scope_combo, edits.each_slice, *edits.buttons.values(), *window.widget.slices.buttons.values())
    before = window.places(*fixed)
    for index in range(len(TOOLS)):
        edits.tool_combo.setCurrentIndex(index)
        for scope in range(edits.scope_combo.count()):
            edits.scope_combo.setCurrentIndex(scope)
            assert window.places(*fixed) == before, (edits.tool_combo.currentText(), edits.scope_combo.currentText())
            assert cut_texts(edits) == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pens_tools_and_measures_are_in_sight_on_a_laptop(window, theme):
    window.viewer.theme = theme
    settle()
    widget = window.widget
    assert widget.sections.verticalScrollBar().value() == 0
    for needed in (
        widget.classes.table,
        *widget.pens.buttons.buttons(),
        widget.edits.tool_combo,
        *widget.edits.buttons.values(),
        widget.measure,
        widget.status.line,
        *widget.bar.buttons.values(),
    ):
        assert window.in_sight(needed), needed.toolTip()


def test_the_heading_names_the_chosen_engine(window):
    chooser = window.widget.engines.engine_combo
    for name in ("svcd", "cnn"):
        chooser.setCurrentIndex(chooser.findData(name))
        settle()
        assert window.widget.engine_section.fold.text() == f"Engine: {chooser.currentText()}"


def turn(window, widget, clicks=-1):
    where = QPointF(widget.mapTo(window.viewer.window._qt_window, widget.rect().center()))
    QTest.wheelEvent(window.viewer.window._qt_window.windowHandle(), where, QPoint(0, 120 * clicks))
    settle()


@pytest.mark.skipif(not hasattr(QTest, "wheelEvent"), reason="this binding of Qt has no wheel for tests")
def test_a_wheel_over_a_list_scrolls_the_panel_until_the_list_is_clicked(window):
    widget, bar = window.widget, window.widget.sections.verticalScrollBar()
    ids = range(1, 20)
    widget.annotators.front.set_classes(ClassTable.from_ids(ids, background=255))
    for view in (widget.slice_list.view, widget.classes.table):
        widget.sections.ensureWidgetVisible(view)
        settle()
        own = view.verticalScrollBar()
        assert own.maximum() > 0
        own.setValue(0)
        former = bar.value()
        turn(window, view.viewport(), -1 if former < bar.maximum() else 1)
        assert bar.value() != former
        assert own.value() == 0
        widget.sections.ensureWidgetVisible(view)
        settle()
        former = bar.value()
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(40, 30))
        settle()
        own.setValue(0)
        turn(window, view.viewport())
        assert own.value() > 0
        assert bar.value() == former
