"""Protects fields from a mouse wheel that scrolls past them, and from keys meant for the canvas."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QAbstractSpinBox, QComboBox, QSlider, QWidget

__all__ = ["Calm"]

_TURNED = (QComboBox, QAbstractSpinBox, QSlider)  # Qt changes them by the wheel
_SEARCHED = (QComboBox, QAbstractItemView)  # Qt searches them by letters
_NOT_TYPED = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class Calm(QObject):
    """Watches a widget and all its children, also those added later.

    The wheel changes a number or a slider only if that has the focus, and never a combo box; it scrolls the panel
    instead. A letter pressed on a combo box or a table selects nothing there: it goes to the window as a shortcut.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
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
