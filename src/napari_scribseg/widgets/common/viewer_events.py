"""Events of a viewer that concern the layers of one image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Later", "ViewerEvents"]

Later = Callable[[int, Callable[[], object]], None]

_LOOK_MS = 10  # the many events of one movement of a slider are one call


class ViewerEvents:
    """Listens for other slices and removed layers.

    Parameters
    ----------
    viewer : napari.Viewer
    later : callable
        ``later(milliseconds, function)`` calls a function of the window's thread soon.
    look : callable
        Called when another slice is displayed.
    removed : callable
        ``removed(layer)`` is called for a layer that left the viewer.

    Attributes
    ----------
    is_open : bool
        Whether events are passed on.
    is_waiting : bool
        Whether ``look`` will be called.
    """

    def __init__(self, viewer: Any, later: Later, look: Callable[[], object], removed: Callable[[Any], object]) -> None:
        self.is_open, self.is_waiting = True, False
        self._later, self._look = later, look
        dims, layers = viewer.dims.events, viewer.layers.events
        self._connections = (
            *((event, self._on_view) for event in (dims.current_step, dims.order, dims.ndisplay)),
            (layers.removed, lambda event: removed(event.value)),
        )
        for event, callback in self._connections:
            event.connect(callback)

    def look_soon(self) -> None:
        """Call ``look`` once for all the events of a short time."""
        if not self.is_waiting:
            self.is_waiting = True
            self._later(_LOOK_MS, self._call)

    def close(self) -> None:
        """Disconnect."""
        self.is_open = False
        for event, callback in self._connections:
            event.disconnect(callback)

    def _on_view(self, _event: Any) -> None:
        self.look_soon()

    def _call(self) -> None:
        self.is_waiting = False
        if self.is_open:
            self._look()
