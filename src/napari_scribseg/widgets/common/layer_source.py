"""An image layer, or several as channels of one image, as a source for the session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
from napari.layers import Image
from napari.utils.transforms import Affine

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io.layer_geometry import LayerTransform, layer_geometry, layer_metadata, reader_geometry

_stack: Any = da.stack  # dask has no types
_from_array: Any = da.from_array

__all__ = ["MAX_SLICE", "LayerSource", "channel_choices"]

_CHANNELS = {"channel", "channels", "c", "ch"}
MAX_SLICE = 4096 * 4096  # voxels of a slice, above which a pyramid's next level is used


@dataclass(frozen=True)
class LayerSource:
    """An image layer, and which of its axes or which other layers are channels.

    Attributes
    ----------
    layer : napari.layers.Image
        The image.
    others : tuple of napari.layers.Image
        Further channels: layers of the same shape.
    channel_axis : int or None
        Axis of the layer that holds channels.

    Raises
    ------
    InputError
        If fewer than two axes of space remain.
    """

    layer: Image
    others: tuple[Image, ...] = ()
    channel_axis: int | None = None

    def __post_init__(self) -> None:
        if self.layer.ndim - (self.channel_axis is not None) < 2:
            raise InputError(
                f"the image {self.layer.name!r} has the shape {self.layer.data.shape}"
                f"{'' if self.channel_axis is None else ' with one axis of channels'}; at least two axes of space are "
                "expected"
            )

    @property
    def level(self) -> int:
        """Level of a pyramid that is annotated: the finest with slices of at most :data:`MAX_SLICE` voxels."""
        if not self.layer.multiscale:
            return 0
        slices = [int(np.prod(np.sort(level.shape[: self.layer.ndim])[-2:])) for level in self.layer.data]
        return next((number for number, size in enumerate(slices) if size <= MAX_SLICE), len(slices) - 1)

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape of the layer at its finest level, RGB left out."""
        finest = self.layer.data[0] if self.layer.multiscale else self.layer.data
        return tuple(int(n) for n in finest.shape[: self.layer.ndim])

    @property
    def layer_shape(self) -> tuple[int, ...]:
        """Shape of a labels layer for the image: one voxel along the channel axis."""
        shape = _array(self.layer, self.level).shape[: self.layer.ndim]
        return tuple(1 if axis == self.channel_axis else int(n) for axis, n in enumerate(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume, in space and time."""
        return tuple(n for axis, n in enumerate(self.layer_shape) if axis != self.channel_axis)

    def geometry(self) -> Geometry:
        """The geometry from the layer's metadata, moved as the layer was moved since it was read."""
        transform = self.transform()
        found = layer_geometry(self.shape, transform)
        names = [self.layer.axis_labels[axis] for axis in range(self.layer.ndim) if axis != self.channel_axis]
        if reader_geometry(transform.metadata) is not None or any(_is_default(name) for name in names):
            return found
        return replace(found, axis_names=tuple(names))

    def transform(self) -> LayerTransform:
        """Transform, units and metadata of the layer, without its channel axis."""
        transform = LayerTransform.of({**self.placement(), "metadata": self.layer.metadata}, self.layer.ndim)
        return transform if self.channel_axis is None else transform.without([self.channel_axis])

    def metadata(self) -> dict[str, Any]:
        """``metadata["scribseg"]`` for a layer with the same placement."""
        return layer_metadata(self.geometry(), self.transform())

    def placement(self, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
        """Keyword arguments for a layer of ``shape`` (:attr:`layer_shape` by default) that covers the image exactly.

        An axis of length one becomes one thick voxel, which the slider meets at every position: strokes drawn on any
        channel, and the overlay of one slice, stay in sight. Coarser levels of a pyramid are placed alike.
        """
        layer = self.layer
        factor = np.asarray(self.full_shape, dtype=float) / np.asarray(shape or self.layer_shape, dtype=float)
        linear = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim).linear_matrix
        return {
            "scale": layer.scale * factor,
            "translate": layer.translate + linear @ ((factor - 1) / 2),
            "rotate": layer.rotate,
            "shear": layer.shear,
            "affine": layer.affine,
            "units": layer.units,
            "axis_labels": layer.axis_labels,
        }

    def placement_of(self, slice_index: SliceIndex) -> dict[str, Any]:
        """Keyword arguments for a layer that covers one slice only.

        The layer has one voxel along every axis that is not displayed; along a channel axis it covers all channels.
        """
        placed = self.placement()
        axes = [axis for axis in range(self.layer.ndim) if axis != self.channel_axis]
        offset = np.zeros(self.layer.ndim)
        offset[[axes[axis] for axis in slice_index.others]] = slice_index.position
        own = {part: placed[part] for part in ("scale", "rotate", "shear")}
        moved = Affine(**own, ndim=self.layer.ndim).linear_matrix @ offset
        return {**placed, "translate": placed["translate"] + moved}

    def volume(self) -> Source:
        """The source for the session; nothing is read or copied here.

        Raises
        ------
        InputError
            If the values are not real numbers, or several layers do not have the same shape.
        """
        array = _array(self.layer, self.level)
        channels = bool(self.layer.rgb)
        if self.others:
            parts = [array, *(_array(other, self.level) for other in self.others)]
            shapes = {tuple(part.shape) for part in parts}
            if len(shapes) > 1:
                raise InputError(f"the layers have the shapes {sorted(shapes)}; channels of one image have the same")
            array, channels = _stack([_lazy(part) for part in parts], axis=-1), True
        elif self.channel_axis is not None:
            whole = array if isinstance(array, np.ndarray) else _lazy(array)
            array, channels = np.moveaxis(whole, self.channel_axis, -1), True
        return Source.from_array(array, self.geometry(), channels=channels, path=self.layer.source.path)


def channel_choices(layer: Image, images: list[Image]) -> list[tuple[str, LayerSource]]:
    """The ways to read a layer: as it is, with one of its axes as channels, or together with others of its shape.

    The most likely one comes first: an axis that is named as channels, else the layer as it is.
    """
    choices = [("RGB" if layer.rgb else "one channel", LayerSource(layer))]
    if layer.rgb:
        return choices
    shape = choices[0][1].full_shape
    for axis, n in enumerate(shape):
        if len(shape) > 2 and 2 <= n <= 16:
            label = layer.axis_labels[axis]
            text = f"axis {axis if _is_default(label) else label} ({n} channels)"
            at = 0 if label.lower() in _CHANNELS else len(choices)
            choices.insert(at, (text, LayerSource(layer, channel_axis=axis)))
    alike = tuple(
        other
        for other in images
        if other is not layer and not other.rgb and other.ndim == layer.ndim and LayerSource(other).full_shape == shape
    )
    if alike:
        choices.append((f"all {1 + len(alike)} images of this shape", LayerSource(layer, alike)))
    return choices


def _array(layer: Image, level: int) -> Any:
    return layer.data[level] if layer.multiscale else layer.data


def _lazy(array: Any) -> Any:
    """A dask array that reads only the parts that are used."""
    if isinstance(array, da.Array):
        return array
    chunks = getattr(array, "chunks", None) or "auto"  # zarr and HDF5 have chunks, other lazy arrays none
    return _from_array(array, chunks=chunks, name=False)


def _is_default(label: str) -> bool:
    """Whether napari named an axis, because nobody else did."""
    return label.lstrip("-").isdigit() or label.startswith("axis ")
