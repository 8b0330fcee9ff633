"""Events of viewer and canvas that concern an exploration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_scribseg.widgets.explore.canvas import Canvas

__all__ = ["CanvasWatcher"]

_CLICK = 4  # pixels that the mouse may move in a click
_TURN_MS = 15  # many events of one movement of a slider count once


class CanvasWatcher:
    """Listens to the viewer for one canvas.

    Parameters
    ----------
    canvas : Canvas
    later : callable
        ``later(milliseconds, function)`` calls a function of the window's thread soon.
    turned : callable
        Called when another image comes into sight.
    picked : callable
        ``picked(row, column, how)`` is called for a click on the image in sight.
    lost : callable
        ``lost(role)`` is called for a layer that left the viewer.
    """

    def __init__(
        self,
        canvas: Canvas,
        later: Callable[[int, Callable[[], object]], None],
        turned: Callable[[], object],
        picked: Callable[[int, int, str], object],
        lost: Callable[[str], object],
    ) -> None:
        self._canvas, self._later = canvas, later
        self._turned, self._picked, self._lost = turned, picked, lost
        self._waiting = False
        self._open = True
        viewer: Any = canvas.viewer
        self._callback = self._on_mouse
        viewer.mouse_drag_callbacks.append(self._callback)
        for event in self._dims():
            event.connect(self._on_view)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Disconnect."""
        self._open = False
        viewer: Any = self._canvas.viewer
        if self._callback in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._callback)
        for event in self._dims():
            event.disconnect(self._on_view)
        viewer.layers.events.removed.disconnect(self._on_removed)

    def _dims(self) -> tuple[Any, ...]:
        events = self._canvas.viewer.dims.events
        return events.current_step, events.order, events.ndisplay

    def _on_view(self, _event: Any) -> None:
        if not self._waiting:
            self._waiting = True
            self._later(_TURN_MS, self._turn)

    def _turn(self) -> None:
        self._waiting = False
        if self._open:
            self._turned()

    def _on_mouse(self, _viewer: Any, event: Any) -> Iterator[None]:
        if event.button != 1 or self._canvas.is_painting:
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - start).max() <= _CLICK and self._canvas.index() is not None:
            modifiers = {str(getattr(m, "name", m)) for m in event.modifiers}
            how = "add" if "Shift" in modifiers else "remove" if "Control" in modifiers else "new"
            self._picked(*self._canvas.pixel(event.position), how)

    def _on_removed(self, event: Any) -> None:
        role = self._canvas.drop(event.value)
        if role is not None:
            self._lost(role)
