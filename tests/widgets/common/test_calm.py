"""A wheel that passes over a form, and keys pressed after a click, change nothing: in every form of both widgets."""

import pytest
from hands import until
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QSlider,
    QToolButton,
)

from napari_scribseg.core.registry import engine_infos
from napari_scribseg.widgets.explore.explorer import ExploreWidget
from napari_scribseg.widgets.segmentation.model_page import CardDialog
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

KINDS = (QComboBox, QAbstractSpinBox, QSlider)


@pytest.fixture
def widget(qtbot, request):
    """A widget of one of the two kinds on the screen, too low for its forms."""
    widget = request.param(ViewerModel())
    qtbot.addWidget(widget)
    widget.resize(420, 300)
    widget.show()
    qtbot.waitExposed(widget)
    yield widget
    widget.end_all()


both = pytest.mark.parametrize("widget", [SegmentationWidget, ExploreWidget], indirect=True)
segmentation = pytest.mark.parametrize("widget", [SegmentationWidget], indirect=True)


def fields(widget):
    """Every chooser, number and slider that a person may meet."""
    return [field for kind in KINDS for field in widget.findChildren(kind)]


def value(field):
    return field.currentIndex() if isinstance(field, QComboBox) else field.value()


def turn_wheel(field, clicks=-1):
    """Turn a mouse wheel over a field: what it ignores goes on to its parents, as Qt does it with a real wheel."""
    at, none = QPointF(field.rect().center()), Qt.KeyboardModifier.NoModifier
    while field is not None:
        event = QWheelEvent(
            at, field.mapToGlobal(at), QPoint(), QPoint(0, 120 * clicks), Qt.MouseButton.NoButton, none,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(field, event)
        if event.isAccepted():
            return
        field = field.parentWidget()


def set_to_the_middle(field):
    """A value that a wheel could change in both directions."""
    if isinstance(field, QComboBox):
        field.setCurrentIndex(field.count() // 2)
    else:
        field.setValue(type(field.value())((field.minimum() + field.maximum()) / 2))


@both
def test_a_wheel_over_a_field_without_focus_changes_nothing(widget):
    widget.setFocus()
    for fold in widget.findChildren(QToolButton):
        fold.setChecked(True)
    assert len(fields(widget)) > 10
    for field in fields(widget):
        set_to_the_middle(field)
    QApplication.processEvents()  # another engine was chosen, and its form built
    for field in fields(widget):
        before = value(field)
        for clicks in (-1, 1):
            turn_wheel(field, clicks)
            assert value(field) == before, field.toolTip()
        assert field.focusPolicy() != Qt.FocusPolicy.WheelFocus, field.toolTip()


@segmentation
@pytest.mark.parametrize("engine", sorted(engine_infos()))
def test_a_wheel_over_the_form_of_any_engine_changes_nothing(widget, engine):
    chooser = widget.engines.engine_combo
    chooser.setCurrentIndex(chooser.findData(engine))
    widget.engines.fold.setChecked(True)
    widget.setFocus()
    QApplication.processEvents()
    for name in widget.engines.form:
        field = widget.engines.form[name].field.native
        if isinstance(field, KINDS):
            before = widget.engines.form[name].value
            turn_wheel(field)
            turn_wheel(field, 1)
            assert widget.engines.form[name].value == before, name
    assert widget.engines.engine == engine


@segmentation
def test_a_wheel_over_a_field_scrolls_the_panel(widget):
    area = widget.sections
    bar = area.verticalScrollBar()
    seen = [field for field in fields(area) if field.isVisible()]
    assert len(seen) > 5
    for field in seen:
        bar.setValue(0)
        turn_wheel(field)
        assert bar.value() > 0, field.toolTip()


@segmentation
@pytest.mark.skipif(not hasattr(QTest, "wheelEvent"), reason="this binding of Qt has no wheel for tests")
def test_a_real_wheel_scrolls_the_panel_and_gives_no_focus(widget):
    area = widget.sections
    chooser, engine = widget.images.image_combo, widget.engines.engine
    for field in (chooser, widget.slices.count_box, widget.engines.engine_combo):
        area.reveal(field)
        QApplication.processEvents()
        former = area.verticalScrollBar().value()
        where = QPointF(field.mapTo(widget, field.rect().center()))
        QTest.wheelEvent(widget.windowHandle(), where, QPoint(0, -120 if former == 0 else 120))
        QApplication.processEvents()
        assert area.verticalScrollBar().value() != former
        assert not field.hasFocus()
    assert (widget.engines.engine, widget.slices.count_box.value()) == (engine, 5)


@segmentation
def test_a_chooser_that_kept_the_focus_is_not_turned_by_wheel_or_letters(widget):
    chooser = widget.engines.engine_combo
    chooser.setFocus()
    before = chooser.currentIndex()
    turn_wheel(chooser)
    for letter in "SAGWBCF":
        QTest.keyClick(chooser, letter)
    assert chooser.currentIndex() == before
    QTest.keyClick(chooser, Qt.Key.Key_Down)
    assert chooser.currentIndex() == before + 1


@segmentation
def test_a_number_with_the_focus_is_turned_by_the_wheel(widget):
    number = widget.slices.count_box
    widget.activateWindow()
    number.setFocus()
    until(number.hasFocus, "the focus")
    before = number.value()
    turn_wheel(number, 1)
    assert number.value() == before + 1


@both
def test_letters_after_a_click_on_a_class_rename_and_choose_nothing(widget):
    for name in ("aorta", "spleen", "gland", "white matter"):
        widget.classes.add_class()
        table = widget.classes.table
        table.item(table.rowCount() - 1, 1).setText(name)
    rect = table.visualItemRect(table.item(1, 1))
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, rect.center())
    before, row = widget.classes.classes, table.currentRow()
    for letter in "SAGWLQM1":
        QTest.keyClick(table, letter)
        assert not table.findChildren(QLineEdit)
    assert widget.classes.classes == before
    assert table.currentRow() == row


@both
@pytest.mark.parametrize("how", ["F2", "double click"])
def test_edits_begin_by_double_click_or_f2(widget, how):
    table = widget.classes.table
    where = table.visualItemRect(table.item(1, 1)).center()
    left = table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where
    QTest.mouseClick(*left)
    if how == "F2":
        QTest.keyClick(table, Qt.Key.Key_F2)
    else:
        QTest.mouseDClick(*left)
    (editor,) = table.findChildren(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "saggw")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()
    assert widget.classes.classes.classes[1].name == "saggw"


@segmentation
def test_the_popup_of_a_chooser_and_a_dialog_work_as_ever(widget, tmp_path):
    chooser = widget.engines.engine_combo
    chooser.showPopup()
    popup = chooser.view()
    QTest.keyClick(popup, Qt.Key.Key_Down)
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert chooser.currentIndex() != chooser.findData("svcd") or chooser.count() == 1
    dialog = CardDialog(str(tmp_path / "net.pt2"), widget.engines.models)
    assert isinstance(dialog, QDialog)
    dialog.show()
    combos = dialog.findChildren(QComboBox)
    assert combos
    for combo in combos:
        before = combo.currentIndex()
        turn_wheel(combo)
        turn_wheel(combo, 1)
        assert combo.currentIndex() == before
    dialog.close()
