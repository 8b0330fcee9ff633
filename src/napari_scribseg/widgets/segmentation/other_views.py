"""The dock *Other views*: two more slices through the displayed point, and the labels in 3D."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.qt import QtViewer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.docked import Docked
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.patient_view import PatientView
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.mirrors import Mirror, Preview

__all__ = ["OtherViews"]

_WAIT_MS = 200  # from a change to the other views, so that they take little time from painting
_PREVIEW_MS = 1500
_SMALLEST = 150, 120  # pixels of a view
_EVENTS = ("set_data", "data", "paint", "labels_update", "contrast_limits", "gamma", "colormap", "visible", "opacity")


class OtherViews(Docked):
    """Slices along the other two axes, linked with the viewer, and a 3D preview that follows finished slices.

    A click in a slice moves the viewer to that point.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The main viewer.
    main : PatientView
        Its axis, letters and radiological display, which the other views take over.

    Attributes
    ----------
    mirrors : tuple of Mirror
        The two slices.
    preview : Preview
        The labels in 3D.
    """

    def __init__(self, viewer: Any, main: PatientView) -> None:
        super().__init__()
        self._viewer, self._main = viewer, main
        self._source: LayerSource | None = None
        self._annotator: Annotator | None = None
        self._watched: list[Layer] = []
        self.mirrors = (Mirror(), Mirror())
        self.preview = Preview()
        self.titles: list[QLabel] = []
        self.canvases: list[QtViewer] = []
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 2, 2, 2)
        for model in (*(mirror.model for mirror in self.mirrors), self.preview.model):
            row.addWidget(self._make(model), 1)
        for mirror in self.mirrors:
            mirror.model.mouse_drag_callbacks.append(self._on_click)
        self._soon, self._later = self._timer(_WAIT_MS, self.sync), self._timer(_PREVIEW_MS, self.show_preview)
        for event in self._events():
            event.connect(self._on_change)

    def follow(self, source: LayerSource | None, annotator: Annotator | None) -> None:
        """Show this image, with the strokes and the result of its annotator if there is one."""
        if self._annotator is not None and self._annotator is not annotator:
            self._annotator.session.events.changed.disconnect(self._on_finished)
            self._annotator.session.events.updated.disconnect(self._on_finished)
        if annotator is not None and self._annotator is not annotator:
            annotator.session.events.changed.connect(self._on_finished)
            annotator.session.events.updated.connect(self._on_finished)
        self._source, self._annotator = source, annotator
        self._on_change()
        self._later.start()

    def sync(self) -> None:
        """Show the layers as they are now, at the point that the viewer shows."""
        source, layers = self._source, self._layers()
        self._watch(layers)
        axes = [axis for _, axis in self._main.slice_axes()]
        axis = self._main.slice_axis
        if source is None or len(axes) < 3 or not layers:
            for mirror in self.mirrors:
                mirror.clear()
            self._show_titles([])
            return
        others = [other for other in axes if other != axis] if axis is not None else [m.axis for m in self.mirrors]
        for mirror, other in zip(self.mirrors, others or axes, strict=False):
            mirror.view.letters, mirror.view.radiological = self._main.letters, self._main.radiological
            mirror.show(source, layers, axes[1] if other is None else other)
            mirror.follow(self._viewer.dims.point)
        names = {number: text for text, number in self._main.slice_axes()}
        self._show_titles([names[mirror.axis] if mirror.axis is not None else "" for mirror in self.mirrors])

    def show_preview(self) -> None:
        """Show the labels in 3D as they are now."""
        layers = None if self._annotator is None else self._annotator.layers
        if self._source is None or layers is None or layers.result is None or len(self._source.shape) != 3:
            self.preview.clear()
            return
        self.preview.view.radiological = self._main.radiological
        self.preview.show(self._source, layers.result)

    def _end(self) -> None:
        """Release the viewer, and close the canvases."""
        for timer in (self._soon, self._later):
            timer.stop()
        self.follow(None, None)
        for timer in (self._soon, self._later):
            timer.stop()
        for event in self._events():
            event.disconnect(self._on_change)
        self._watch([])
        for mirror in (*self.mirrors, self.preview):
            mirror.close()
        for mirror in self.mirrors:
            mirror.model.mouse_drag_callbacks.clear()
        while self.canvases:
            self.canvases.pop().close()

    def _make(self, model: Any) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        title, canvas = QLabel(), QtViewer(model)
        canvas.setMinimumSize(*_SMALLEST)
        column.addWidget(title)
        column.addWidget(canvas, 1)
        self.titles.append(title)
        self.canvases.append(canvas)
        return box

    def _timer(self, milliseconds: int, function: Callable[[], object]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(lambda: function())
        return timer

    def _events(self) -> tuple[Any, ...]:
        dims, layers = self._viewer.dims.events, self._viewer.layers.events
        camera = self._main.camera.events.orientation
        return dims.point, dims.order, dims.ndisplay, layers.inserted, layers.removed, camera

    def _layers(self) -> list[Layer]:
        """The image, the result and the strokes, if they are in the viewer."""
        if self._source is None:
            return []
        own = None if self._annotator is None else self._annotator.layers
        shown = [self._source.layer, *((own.result, own.strokes) if own is not None else ())]
        return [layer for layer in shown if layer is not None and layer in self._viewer.layers]

    def _watch(self, layers: list[Layer]) -> None:
        """Follow the changes of these layers and of no others."""
        for layer, name in itertools.product(self._watched, _EVENTS):
            if name in layer.events:
                getattr(layer.events, name).disconnect(self._on_change)
        self._watched = layers
        for layer, name in itertools.product(layers, _EVENTS):
            if name in layer.events:
                getattr(layer.events, name).connect(self._on_change)

    def _show_titles(self, titles: list[str]) -> None:
        for label, text in zip(self.titles, [*titles, "labels in 3D"] if titles else ("",) * 3, strict=True):
            label.setText(text)

    def _on_change(self, _event: Any = None) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def _on_finished(self, update: Any = None) -> None:
        if (update is None or update.final) and not self._later.isActive():
            self._later.start()

    def _on_click(self, model: Any, event: Any) -> None:
        """Move the viewer to the point under the mouse."""
        point = np.asarray(event.position, dtype=float)
        if len(point) == self._viewer.dims.ndim and event.button == 1:
            self._viewer.dims.set_point(range(len(point)), tuple(point))
