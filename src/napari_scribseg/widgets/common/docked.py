"""A widget in a dock of napari that ends its threads and connections when it is closed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_scribseg.widgets.common.action import Action
from napari_scribseg.widgets.common.calm import Calm

__all__ = ["Docked"]


class Docked(QWidget):
    """Ends once: when it is closed, or removed from its dock, which is how napari closes a widget.

    Attributes
    ----------
    title : str
        Of the dock.
    key_actions : iterable of Action
        Whose keys it knows.
    """

    title: str = ""
    key_actions: Iterable[Action[Any, Any]] = ()
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
        column = self._column()
        shared = sum(dock.height() for dock in column.values()) // max(len(column), 1)
        self._resize(column, dict.fromkeys(column, shared))

    def take_height(self) -> None:
        """Take the height that our other docks above or below can spare."""
        column = self._column()
        whole = sum(dock.height() for dock in column.values())
        self._resize(column, {own: whole if own is self else 1 for own in column})

    def _column(self) -> dict[QWidget, QDockWidget]:
        """The docks above each other that this one is one of; none where it is alone."""
        docks: dict[QWidget, QDockWidget] = {}
        if not self.is_ended:
            docks = {own: dock for dock in _docks(self) for own in dock.findChildren(Docked)}
        if self not in docks:
            return {}
        left = docks[self].geometry().left()
        column = {own: dock for own, dock in docks.items() if dock.geometry().left() == left}
        return column if len(column) > 1 else {}

    def _resize(self, column: dict[QWidget, QDockWidget], heights: dict[QWidget, int]) -> None:
        if column:
            main = self.window()
            assert isinstance(main, QMainWindow)
            main.resizeDocks(list(column.values()), [heights[own] for own in column], Qt.Orientation.Vertical)

    def all_key_actions(self) -> dict[str, Iterable[Action[Any, Any]]]:
        """The actions of this dock and then of the window's others, by their titles."""
        others = (own for dock in _docks(self) for own in dock.findChildren(Docked))
        return {own.title: own.key_actions for own in (self, *others)}

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
