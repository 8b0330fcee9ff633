"""The image and labels layers of a viewer, and the geometry of a labels layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_scribseg.core import Geometry
from napari_scribseg.io.layer_geometry import has_reader_geometry, same_world
from napari_scribseg.io.layer_geometry import layer_geometry as placed_geometry
from napari_scribseg.widgets.common.layer_source import LayerSource

__all__ = ["covers", "image_layers", "image_of", "in_one_place", "label_layers", "layer_geometry"]

_CLEAR = ("additive", "minimum", "multiplicative")  # ways of blending that let the image below be seen


def image_layers(viewer: ViewerModel) -> list[Image]:
    """The images that can be annotated, in the order of the list, without our own overlays."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not _is_overlay(layer)]


def label_layers(viewer: ViewerModel) -> list[Labels]:
    """The labels layers, in the order of the list."""
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def layer_geometry(viewer: ViewerModel, layer: Labels) -> Geometry:
    """The geometry to save a labels layer with: its own, or that of an image of its shape.

    napari's button for a new labels layer copies everything but the metadata, which are then taken from the image.
    """
    own, image = LayerSource(layer), image_of(viewer, layer)
    if image is None:
        return own.geometry()
    return placed_geometry(own.shape, replace(own.transform(), metadata=image.metadata))


def image_of(viewer: ViewerModel, layer: Labels) -> Image | None:
    """An image of the same shape with a geometry, for a labels layer without one; None if there is none.

    An image with the same transform comes first.
    """
    own = LayerSource(layer)
    if has_reader_geometry(own.shape, own.transform()):
        return None
    sources = [source for source in map(LayerSource, image_layers(viewer)) if source.shape == own.shape]
    placed = [source for source in sources if has_reader_geometry(source.shape, source.transform())]
    world = own.transform().world
    placed.sort(key=lambda source: not same_world(source.transform().world, world, own.shape))
    return placed[0].layer if placed else None


def covers(layer: Layer) -> bool:
    """Whether what is below a layer cannot be seen."""
    return bool(layer.opacity == 1 and str(layer.blending) not in _CLEAR)


def in_one_place(first: Layer, second: Layer) -> bool:
    """Whether two layers cover the same part of the world, to half a voxel."""
    n = min(first.ndim, second.ndim)
    ends = [np.asarray(layer.extent.world)[:, -n:] for layer in (first, second)]
    step = np.abs(np.asarray(first.extent.step)[-n:])
    return bool(np.all(np.abs(ends[0] - ends[1]) <= np.maximum(step, 1e-6)))


def _is_overlay(layer: Layer) -> bool:
    left = layer.metadata.get("scribseg")
    return isinstance(left, dict) and bool(left.get("overlay"))
