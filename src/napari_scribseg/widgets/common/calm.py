"""Protects fields from a mouse wheel that scrolls past them, and from keys meant for the canvas."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QAbstractSpinBox, QComboBox, QSlider, QWidget

__all__ = ["Calm"]

_TURNED = (QComboBox, QAbstractSpinBox, QSlider)  # what Qt turns by the wheel
_SEARCHED = (QComboBox, QAbstractItemView)  # what Qt searches by letters
_NOT_TYPED = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class Calm(QObject):
    """Watches a widget and all that is ever put into it.

    A wheel turns a number or a slider only where it has the focus, and no chooser; it scrolls the panel instead. A
    letter pressed on a chooser or a table chooses nothing there: it goes on to the window, where it is a shortcut.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._watch(widget)

    def _watch(self, widget: QWidget) -> None:
        widget.installEventFilter(self)
        if isinstance(widget, _TURNED):
            if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            return  # its popup, or the line in it, works as ever
        for child in widget.children():
            if isinstance(child, QWidget):
                self._watch(child)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  Qt's name
        """Pass an event on to the parent in place of the field."""
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
            and event.text().strip().isprintable()
            and event.text().strip()
            and not event.modifiers() & _NOT_TYPED
        ):
            event.ignore()
            return True
        return False
