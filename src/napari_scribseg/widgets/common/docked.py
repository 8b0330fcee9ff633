"""A widget in a dock of napari that ends its threads and connections when it is closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_scribseg.widgets.common.calm import Calm

__all__ = ["Docked"]


class Docked(QWidget):
    """Ends once: when it is closed, or removed from its dock, which is how napari closes a widget."""

    _docked = _painted = False
    is_ended = False

    def event(self, event: Any) -> bool:
        """Notice the first display, and the removal from the dock."""
        if event.type() == QEvent.Type.Polish:
            Calm(self)
        elif event.type() == QEvent.Type.Paint and not self._painted:
            self._painted = True
            QTimer.singleShot(0, self._share_height)
        elif event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.end_all()
        return bool(super().event(event))

    def _share_height(self) -> None:
        """Take as much height as each of our other docks above or below."""
        docks = {} if self.is_ended else {own: dock for dock in _docks(self) for own in dock.findChildren(Docked)}
        if self not in docks or len(docks) < 2:
            return
        main = docks[self].window()
        assert isinstance(main, QMainWindow)
        left = docks[self].geometry().left()
        column = [dock for dock in docks.values() if dock.geometry().left() == left]
        shared = sum(dock.height() for dock in column) // len(column)
        main.resizeDocks(column, [shared] * len(column), Qt.Orientation.Vertical)

    def closeEvent(self, event: Any) -> None:  # noqa: N802  Qt's name
        """End when the window closes."""
        self.end_all()
        super().closeEvent(event)

    def end_all(self) -> None:
        """Save, end the workers and release the viewer; once."""
        if not self.is_ended:
            self.is_ended = True
            self._end()

    def _end(self) -> None:
        """Save, end the workers and release the viewer."""
        raise NotImplementedError


def _docks(widget: QWidget) -> list[QDockWidget]:
    """The visible docks of a widget's window."""
    window = widget.window()
    found = window.findChildren(QDockWidget) if isinstance(window, QMainWindow) else []
    return [dock for dock in found if dock.isVisible() and not dock.isFloating()]
