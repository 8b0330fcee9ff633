"""Protects fields from a mouse wheel that scrolls past them, and from keys meant for the canvas."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QAbstractSpinBox, QComboBox, QScrollArea, QSlider, QWidget

__all__ = ["Calm"]

_TURNED = (QComboBox, QAbstractSpinBox, QSlider)  # Qt changes them by the wheel
_SEARCHED = (QComboBox, QAbstractItemView)  # Qt searches them by letters
_NOT_TYPED = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class Calm(QObject):
    """Watches a widget and all its children, also those added later.

    The wheel changes a number or a slider only if that has the focus, and never a combo box; it scrolls the panel
    instead. So it does over a list or a table, until that is clicked and as long as the pointer is on it. A letter
    pressed on a combo box or a table selects nothing there: it goes to the window as a shortcut.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._clicked: QObject | None = None  # the list that the wheel scrolls
        self._watch(widget)

    def _watch(self, widget: QWidget) -> None:
        widget.installEventFilter(self)
        if isinstance(widget, _TURNED):
            if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            return  # its popup and its line edit are not changed
        for child in widget.children():
            if isinstance(child, QWidget):
                self._watch(child)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Pass an event to the parent instead of the field."""
        kind = event.type()
        if kind == QEvent.Type.ChildPolished:
            child = event.child()  # type: ignore[attr-defined]
            if isinstance(child, QWidget):
                self._watch(child)
        elif kind == QEvent.Type.Wheel and isinstance(watched, _TURNED):
            if isinstance(watched, QComboBox) or not watched.hasFocus():
                event.ignore()
                return True
        elif isinstance(watched, QWidget) and _is_list(watched):
            if kind == QEvent.Type.Wheel and self._clicked is not watched and _scrolls(watched.parentWidget()):
                event.ignore()
                return True
            if kind == QEvent.Type.MouseButtonPress:
                self._clicked = watched
            elif kind == QEvent.Type.Leave:
                self._clicked = None
        elif (
            kind == QEvent.Type.KeyPress
            and isinstance(event, QKeyEvent)
            and isinstance(watched, _SEARCHED)
            and (text := event.text().strip())
            and text.isprintable()
            and not event.modifiers() & _NOT_TYPED
        ):
            event.ignore()
            return True
        return False


def _is_list(widget: QWidget) -> bool:
    """Whether it is what a list or a table scrolls."""
    view = widget.parentWidget()
    return isinstance(view, QAbstractItemView) and view.viewport() is widget


def _scrolls(view: QWidget | None) -> bool:
    """Whether a list is in an area that can be scrolled."""
    around = None if view is None else view.parentWidget()
    while around is not None:
        if isinstance(around, QScrollArea):
            bar = around.verticalScrollBar()
            return bool(bar.maximum() > bar.minimum())
        around = around.parentWidget()
    return False
