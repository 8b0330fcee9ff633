"""Which texts of a window are cut off, because their widget is too small for them."""

from qtpy.QtCore import QRect
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QScrollArea, QStyle, QStyleOptionComboBox, QWidget


def cut_texts(window):
    """The texts of visible buttons, labels and choosers that do not fit, each with the pixels it has and needs."""
    found = []
    for widget in window.findChildren(QWidget):
        if not isinstance(widget, QAbstractButton | QLabel | QComboBox) or not widget.isVisible() or not widget.width():
            continue
        text = widget.currentText() if isinstance(widget, QComboBox) else widget.text()
        if not text.strip():
            continue
        has, needs = _room(widget, text)
        if has < needs:
            found.append(f"{type(widget).__name__} {text!r}: {has} of {needs} pixels")
        if _leaves(widget):
            found.append(f"{type(widget).__name__} {text!r} is not inside its window")
    return found


def _room(widget, text):
    """Pixels that a text has in its widget, and needs."""
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        control, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        return widget.style().subControlRect(control, option, part, widget).width(), widget.fontMetrics().boundingRect(
            text
        ).width()
    if isinstance(widget, QLabel) and widget.wordWrap():
        return widget.height(), widget.heightForWidth(widget.width())
    return widget.width(), widget.minimumSizeHint().width()


def _leaves(widget):
    """Whether a widget reaches out of a parent to the side, or out of one that does not scroll at the bottom."""
    parent, shape = widget.parentWidget(), QRect(widget.rect())
    here = widget
    while parent is not None and not here.isWindow():
        shape.translate(here.pos())
        if isinstance(parent.parentWidget(), QScrollArea):
            return shape.right() > parent.width()
        if not parent.rect().contains(shape):
            return True
        here, parent = parent, parent.parentWidget()
    return False
