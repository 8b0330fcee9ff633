"""A widget in a dock of napari that ends its threads and connections when it is closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_scribseg.widgets.common.calm import Calm

__all__ = ["Docked"]


class Docked(QWidget):
    """Ends once: when it is closed, or removed from its dock, which is how napari closes a widget."""

    _docked = False
    is_ended = False

    def event(self, event: Any) -> bool:
        """Notice the first display, and the removal from the dock."""
        if event.type() == QEvent.Type.Polish:
            Calm(self)
        elif event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.end_all()
        return bool(super().event(event))

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
