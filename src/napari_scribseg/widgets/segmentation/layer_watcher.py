"""Turns events of the viewer and its layers into calls of an annotator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Labels, Layer

from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.viewer_events import Later, ViewerEvents
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

__all__ = ["LayerWatcher"]

Wait = Callable[[Callable[[], bool], float], bool]

_FRAME_MS = 8  # after a movement of the pen, when the window has begun to paint it
_HOLD = 0.08  # seconds that a frame waits for a result at most
_SLOW = 0.01  # seconds that the window paints, above which a frame waits for the result
_LATE = 0.04  # seconds without a result, after which a frame waits for one
_UNHELD = 5, 80  # movements that do not wait after a result came too late: at first, and at most


class LayerWatcher:
    """Connects the events of one image with its annotator.

    Parameters
    ----------
    annotator : Annotator
        Called for strokes, displayed slices, and classes chosen in napari's own controls.
    later : callable
        ``later(milliseconds, function)`` calls a function in the window's thread after a time.
    wait : callable
        ``wait(until, seconds)`` blocks the window's thread until results have made ``until()`` true.
    lost : callable
        ``lost(role)`` is called for a layer that was deleted (``"image"``, ``"strokes"``, ``"result"``,
        ``"overlay"``), and with ``"image data"`` when the image was replaced.
    turned_to : callable
        Called when the user paints on the strokes layer.
    """

    def __init__(
        self,
        annotator: Annotator,
        later: Later,
        wait: Wait,
        lost: Callable[[str], object],
        turned_to: Callable[[], object],
    ) -> None:
        self._annotator = annotator
        self._later = later
        self._wait = wait
        self._frame = 0.0  # seconds that the window needs to paint
        self._moved = 0.0  # when the pen moved last
        self._last_result = 0.0  # when a result last contained all its movements
        self._usual = _HOLD / 2  # seconds until a result comes while the window waits for it
        self._unheld, self._next_unheld = 0, _UNHELD[0]
        self._lost = lost
        self._turned_to = turned_to
        self._strokes: dict[SliceIndex | None, None] = {}  # slices with strokes that are not read yet, in their order
        self._is_down = self._postponed = False  # the pen on the strokes layer; a look, until it lifts
        self._viewer_events = ViewerEvents(self._layers.viewer, later, self._look, self._on_removed)
        self._layers.viewer.layers.selection.events.active.connect(self._on_active)
        self._layers.source.layer.events.data.connect(self._on_image_data)
        self._layers.pen_layer_made.connect(self._watch_pen_layer)
        self.watch_strokes()

    def _watch_pen_layer(self, layer: Labels) -> None:
        """Listen to the layer that the pen paints on where it edits the result."""
        layer.events.paint.connect(self._on_edit)
        layer.events.selected_label.connect(self._on_pen_class)

    def _on_edit(self, _event: Any) -> None:
        """Read a finished stroke on the result once the event is over."""
        self._turned_to()
        self._later(0, self._read_edit)

    def _read_edit(self) -> None:
        if self._viewer_events.is_open:
            self._annotator.result_painted()

    def _on_pen_class(self, _event: Any) -> None:
        """Napari's own controls chose a class for the pen on the result."""
        layers = self._layers
        if layers.pen_layer is not None and layers.strokes is not None and not layers.erasing:
            layers.strokes.selected_label = layers.pen_layer.selected_label

    @property
    def _layers(self) -> LayerSet:
        return self._annotator.layers

    @property
    def is_waiting(self) -> bool:
        """Whether a change of the displayed slice has not been passed on yet."""
        return self._viewer_events.is_waiting

    def watch_strokes(self) -> None:
        """Listen to the strokes layer; call again after it was replaced."""
        if self._layers.strokes is not None:
            for event, method in self._stroke_events(self._layers.strokes):
                event.connect(method)
            self._layers.strokes.mouse_drag_callbacks.append(self._on_drag)

    def close(self) -> None:
        """Disconnect."""
        self._viewer_events.close()
        self._layers.viewer.layers.selection.events.active.disconnect(self._on_active)
        self._layers.pen_layer_made.disconnect(self._watch_pen_layer)
        self._layers.source.layer.events.data.disconnect(self._on_image_data)
        if self._layers.strokes is not None:
            self._unwatch(self._layers.strokes)

    def _unwatch(self, strokes: Labels) -> None:
        for event, method in self._stroke_events(strokes):
            event.disconnect(method)
        if self._on_drag in strokes.mouse_drag_callbacks:
            strokes.mouse_drag_callbacks.remove(self._on_drag)

    def _on_drag(self, _layer: Labels, event: Any) -> Iterator[None]:
        """Know when the pen is down: what changes the layer meanwhile must not take half a stroke for a whole one."""
        self._is_down = True
        yield
        while event.type == "mouse_move":
            yield
        self._lift()

    def _on_active(self, _event: Any) -> None:
        """The release of the button goes to another layer."""
        self._lift()

    def _lift(self) -> None:
        self._is_down = False
        if self._postponed:
            self._postponed = False
            self._viewer_events.look_soon()

    def _look(self) -> None:
        if self._is_down:
            self._postponed = True
        else:
            self._annotator.look()

    def _stroke_events(self, strokes: Labels) -> tuple[tuple[Any, Callable[[Any], None]], ...]:
        return (
            (strokes.events.labels_update, self._on_pen),
            (strokes.events.paint, self._on_stroke),
            (strokes.events.set_data, self._on_set_data),
            (strokes.events.selected_label, self._on_brush),
            (strokes.events.data, self._on_set_data),
        )

    def _on_pen(self, _event: Any) -> None:
        """Request a result; the frame that shows the stroke waits for it if painting takes long or results are late.

        While Qt paints it holds Python's lock, and the engine stands still: a result that comes within the time of a
        frame is shown sooner, and costs one frame less, if the window paints after it. Short frames, too, can follow
        one another so closely that no result is ever finished.
        """
        if self._layers.writing:
            return
        now = time.monotonic()
        if self._annotator.has_result:
            self._last_result = now
        self._annotator.pen_moved()
        if self._unheld:
            self._unheld -= 1
        elif self._frame > _SLOW or now - self._last_result > _LATE:
            self._hold(now)
        self._moved = moved = time.monotonic()
        self._later(_FRAME_MS, lambda: self._measure(moved))

    def _hold(self, now: float) -> None:
        """Wait for the result, less and less often while results come too late."""
        if self._wait(lambda: self._annotator.has_result, min(2 * max(self._frame, self._usual), _HOLD)):
            self._usual = 0.8 * self._usual + 0.2 * (time.monotonic() - now)
            self._next_unheld = _UNHELD[0]
        else:
            self._unheld, self._next_unheld = self._next_unheld, min(2 * self._next_unheld, _UNHELD[1])

    def _measure(self, moved: float) -> None:
        """Estimate how long the window painted by the delay of this call, unless the pen moved since."""
        if moved == self._moved:
            self._frame = max(time.monotonic() - moved - 1e-3 * _FRAME_MS, 0.9 * self._frame)

    def _on_stroke(self, _event: Any) -> None:
        """Read a finished stroke once the event is over: napari's polygon tool emits it before it writes the voxels."""
        if self._layers.writing:
            return
        waits = bool(self._strokes)
        self._strokes[self._layers.slice_index()] = None
        self._turned_to()
        if not waits:
            self._later(0, self._read_strokes)

    def _read_strokes(self) -> None:
        """Segment the slices with new strokes."""
        strokes, self._strokes = self._strokes, {}
        for slice_index in strokes if self._viewer_events.is_open else ():
            self._annotator.pen_lifted(slice_index)

    def _on_set_data(self, _event: Any) -> None:
        if not self._layers.writing:
            self._viewer_events.look_soon()

    def _on_brush(self, _event: Any) -> None:
        strokes = self._layers.strokes
        if strokes is not None:
            self._annotator.view.show_brush(strokes.selected_label)

    def _on_removed(self, layer: Layer) -> None:
        strokes = self._layers.strokes
        role = self._layers.release_layer(layer)
        if role == "strokes" and strokes is not None:
            self._unwatch(strokes)
        if role is not None:
            self._lost(role)

    def _on_image_data(self, _event: Any) -> None:
        self._lost("image data")
