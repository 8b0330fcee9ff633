"""Shows the image that is worked on: other images are hidden, and the viewer moves to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.camera import camera_of, fit_view
from napari_scribseg.widgets.common.layers import covers, image_layers, in_one_place
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

__all__ = ["ImageInView"]

_ROLES = ("strokes", "labels", "brush", "preview")  # after the name of an image in the names of our layers


class ImageInView:
    """Brings one image of a viewer into view.

    An image elsewhere is hidden, and so is one above, unless it is blended so that the image below is seen. Labels
    layers are hidden with their image. What was hidden here is visible again with its image, and the viewer then
    returns to the slice and the view that were left.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: WeakSet[Layer] = WeakSet()
        self._left: WeakKeyDictionary[Layer, tuple[Any, ...]] = WeakKeyDictionary()
        self._shown: Layer | None = None

    def show(self, layers: LayerSet, others: Iterable[LayerSet] = ()) -> None:
        """Show an image with its layers; ``others`` are the layers of other images."""
        image, former = layers.source.layer, self._shown
        if former is not None and former is not image and former in self._viewer.layers:
            self._left[former] = (tuple(self._viewer.dims.point), camera_of(self._viewer).center, self._zoom)
        hidden = self._hide(layers, [each for each in others if each is not layers])
        seen = image.visible
        for layer in (image, *layers.source.others):
            layer.visible = True
        for layer in (layers.strokes, layers.result, *self._named_after(image)):
            if layer in self._hidden:
                layer.visible = True
                self._hidden.discard(layer)
        elsewhere = any(not in_one_place(image, layer) for layer in hidden)
        if former is not None and former is not image:
            elsewhere = elsewhere or former not in self._viewer.layers or not in_one_place(image, former)
        self._shown = image
        if elsewhere or not seen or layers.slice_index() is None:
            self._move_to(layers)

    def go_to_strokes(self, layers: LayerSet) -> None:
        """Display the nearest slice with strokes if the displayed one has none, and others have."""
        here = layers.slice_index()
        if here is None or layers.strokes is None or layers.misfit() or layers.painted(here).any():
            return
        nearest = self._nearest_with_strokes(layers, here)
        if nearest is not None:
            layers.go_to(nearest)

    @property
    def _zoom(self) -> float:
        return float(camera_of(self._viewer).zoom)

    def _hide(self, layers: LayerSet, others: Sequence[LayerSet]) -> list[Layer]:
        """Hide what belongs to other images; returns it."""
        image = layers.source.layer
        own = {image, *layers.source.others, layers.strokes, layers.result, layers.overlay, layers.pen_layer}
        names, position = [layer for layer in image_layers(self._viewer) if layer not in own], list(self._viewer.layers)
        foreign = [layer for layer in names if covers(layer) and self._is_in_the_way(layer, image, position)]
        theirs = [part for each in others for part in (each.strokes, each.result, each.overlay, each.pen_layer) if part]
        named = [layer for other in names for layer in self._named_after(other)]
        found = [layer for layer in (*foreign, *theirs, *named) if layer.visible and layer not in own]
        for layer in found:
            layer.visible = False
            self._hidden.add(layer)
        return found

    @staticmethod
    def _is_in_the_way(layer: Layer, image: Image, layers: Sequence[Layer]) -> bool:
        return not in_one_place(layer, image) or layers.index(layer) > layers.index(image)

    def _named_after(self, image: Layer) -> list[Labels]:
        """The labels layers that have the name of an image and a role, such as those of sample data."""
        names = {f"{image.name} {role}" for role in _ROLES}
        return [layer for layer in self._viewer.layers if isinstance(layer, Labels) and layer.name in names]

    def _move_to(self, layers: LayerSet) -> None:
        """Display the slice and the view that were left, or a slice with strokes or the middle one, fitted."""
        left = self._left.get(layers.source.layer)
        dims = self._viewer.dims
        if left is not None and len(left[0]) == dims.ndim:
            dims.point = left[0]
            if layers.slice_index() is not None:
                camera_of(self._viewer).center, camera_of(self._viewer).zoom = left[1:]
                return
        middle = layers.middle_slice()
        if middle is not None:
            layers.go_to(self._nearest_with_strokes(layers, middle) or middle)
        fit_view(self._viewer, layers.source.layer)

    @staticmethod
    def _nearest_with_strokes(layers: LayerSet, to: SliceIndex) -> SliceIndex | None:
        """The slice with strokes that is nearest to another one, along the same axes; None if there is none."""
        if layers.strokes is None or layers.misfit():
            return None
        data = np.asarray(layers.strokes.data)
        if layers.source.channel_axis is not None:
            data = data.squeeze(layers.source.channel_axis)
        painted = np.argwhere(data.any(axis=to.displayed))
        if not len(painted):
            return None
        distance = np.abs(painted - np.asarray(to.position, dtype=int)).sum(axis=1)
        return SliceIndex(to.displayed, tuple(map(int, painted[np.argmin(distance)])))
