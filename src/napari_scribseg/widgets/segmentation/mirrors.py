"""Viewer models that show the layers of an image from other sides, and its labels in 3D. No Qt.

They are napari's public models. Each has layers of its own on the same arrays, as a layer is sliced for one viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.patient_view import PatientView

__all__ = ["Mirror", "Preview"]

_ALIKE = ("visible", "opacity", "colormap")
_IMAGE_ALIKE = (*_ALIKE, "contrast_limits", "gamma")
_MOST = 128  # voxels of the 3D preview along an axis
_LETTERS = 9  # points
_CROSS = 0.06  # of the image's extent: the size of the cross


class Mirror:
    """The layers of an image, seen along another axis, with a cross where the main viewer stands.

    Attributes
    ----------
    model : napari.components.ViewerModel
        What is shown.
    view : PatientView
        Its axis, letters and radiological display.
    axis : int or None
        The axis of the volume that its slices cut.
    """

    def __init__(self) -> None:
        self.model = ViewerModel()
        self.view = PatientView(self.model, _LETTERS)
        self.axis: int | None = None
        self._pairs: list[tuple[Layer, Any]] = []
        self._cross: Points | None = None

    def show(self, source: LayerSource, layers: Sequence[Layer], axis: int) -> None:
        """Show layers, the lowest first, in slices that cut ``axis``; the image is among them."""
        if [original for original, _ in self._pairs] != list(layers):
            self._make(source, layers)
        if axis != self.axis and self.view.slice_axes():
            self.axis = axis
            self.view.show_slices(axis)
            self.model.reset_view()

    def follow(self, point: Sequence[float]) -> None:
        """Take over changes of data and looks, and stand at a point of the world."""
        for original, copy in self._pairs:
            if copy.data is not original.data:
                copy.data = original.data
            for name in _IMAGE_ALIKE if isinstance(original, Image) else _ALIKE:
                wanted = getattr(original, name)
                if not _same(getattr(copy, name), wanted):
                    setattr(copy, name, wanted)
            if isinstance(original, Labels):
                copy.refresh(extent=False, highlight=False, thumbnail=False)
        if len(point) != self.model.dims.ndim:
            return
        if tuple(self.model.dims.point) != tuple(point):
            self.model.dims.point = tuple(point)
        if self._cross is not None and tuple(self._cross.data[0]) != tuple(point):
            self._cross.data = np.array([point])

    def clear(self) -> None:
        """Show nothing."""
        self._pairs, self._cross, self.axis = [], None, None
        self.model.layers.clear()

    def close(self) -> None:
        """Show nothing any more."""
        self.view.close()
        self.clear()

    def _make(self, source: LayerSource, layers: Sequence[Layer]) -> None:
        self.clear()
        for original in layers:
            copy = Layer.create(*original.as_layer_data_tuple())
            copy.editable = False
            self.model.add_layer(copy)
            self._pairs.append((original, copy))
        image = next(copy for original, copy in self._pairs if original is source.layer)
        extent = image.extent.world
        size = float(_CROSS * np.max(extent[1] - extent[0]))
        self._cross = Points(
            np.array([self.model.dims.point]),
            symbol="cross",
            size=size,
            face_color="#ffd500",
            border_width=0,
            opacity=0.6,
            units=image.units,
            axis_labels=image.axis_labels,
        )
        self.model.add_layer(self._cross)
        self.view.follow(LayerSource(image, channel_axis=source.channel_axis))


class Preview:
    """The labels of a volume in 3D, every few voxels of it.

    Attributes
    ----------
    model : napari.components.ViewerModel
        What is shown.
    """

    def __init__(self) -> None:
        self.model = ViewerModel()
        self.view = PatientView(self.model)
        self._labels: Labels | None = None
        self._of: Labels | None = None

    def show(self, source: LayerSource, result: Labels) -> None:
        """Show the labels as they are now."""
        array = np.asarray(result.data)
        steps = tuple(max(-(-n // _MOST), 1) for n in array.shape)
        thinned = np.array(array[tuple(slice(None, None, step) for step in steps)])
        former, alike = self._labels, self._of is result
        if former is not None and alike and former.data.shape == thinned.shape:
            former.data, former.colormap = thinned, result.colormap
            return
        self.clear()
        labels = Labels(thinned, colormap=result.colormap, metadata=result.metadata, **source.placement(thinned.shape))
        self.model.add_layer(labels)
        self._of, self._labels = result, labels
        self.view.follow(LayerSource(labels, channel_axis=source.channel_axis))
        axes = self.view.slice_axes()
        if axes:
            self.view.show_slices(axes[1][1])
        self.model.dims.ndisplay = 3
        self.model.reset_view()

    def clear(self) -> None:
        """Show nothing."""
        self._labels = self._of = None
        self.model.layers.clear()

    def close(self) -> None:
        """Show nothing any more."""
        self.view.close()
        self.clear()


def _same(first: Any, second: Any) -> bool:
    """Whether a property has a value already; lists and tuples of numbers are compared as such."""
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return list(first) == list(second)
    return bool(first is second or (isinstance(first, (int, float, bool)) and first == second))
