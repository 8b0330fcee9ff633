"""Image layers from the pictures of a workspace, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import dask
import dask.array as da
import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from numpy.typing import NDArray

from napari_scribseg.core import Source
from napari_scribseg.explore import Picture
from napari_scribseg.io.layer_geometry import display_placement, reader_geometry
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.widgets.common.layer_source import LayerSource

_stack: Any = da.stack  # dask has no types
_delayed: Any = dask.delayed  # type: ignore[attr-defined]
_from_delayed: Any = da.from_delayed

__all__ = ["Group", "as_images", "pictures_layer", "runs"]


@dataclass(eq=False)
class Group:
    """Pictures that are the slices of one layer.

    Attributes
    ----------
    first, count : int
        Which pictures of the workspace.
    source : LayerSource or None
        The image layer; None once it left the viewer.
    made : bool
        Whether the layer was made for the pictures, and not the other way round.
    segments, strokes : Labels or None
        The classes of the segments, and the strokes that split them.
    """

    first: int
    count: int
    source: LayerSource | None
    made: bool
    segments: Labels | None = None
    strokes: Labels | None = None

    def at(self, index: int, values: NDArray[Any] | None = None) -> tuple[int | slice, ...]:
        """Index of a picture in the data of a labels layer; only the pixels of ``values`` where it is smaller."""
        assert self.source is not None
        sides = (slice(None),) * 2 if values is None else tuple(slice(0, n) for n in values.shape)
        ahead = [index - self.first] if len(self.source.shape) == 3 else []
        where: list[int | slice] = [*ahead, *sides]
        if self.source.channel_axis is not None:
            where.insert(self.source.channel_axis, 0)
        return tuple(where)


def as_images(source: LayerSource) -> str | Source:
    """A layer as :meth:`Workspace.add_images` takes it: its file where our reader read it, else its pixels.

    A layer that was moved or scaled since differs from its file.
    """
    layer = source.layer
    kept = reader_geometry(layer.metadata)
    unmoved = kept is not None and source.geometry() is kept
    if unmoved and not source.others and layer.source.path and Path(layer.source.path).is_file():
        return str(layer.source.path)
    return source.volume()


def runs(pictures: Sequence[Picture], first: int) -> Iterator[tuple[int, list[Picture]]]:
    """Pictures that belong in one layer: the slices of a volume, or images one after the other."""
    numbered = enumerate(pictures, first)
    for _, run in groupby(numbered, lambda pair: -1 if pair[1].z_index is None else pair[1].volume):
        found = list(run)
        yield found[0][0], [picture for _, picture in found]


def pictures_layer(pictures: Sequence[Picture]) -> ImageLayer:
    """A layer whose slices are these pictures; smaller ones lie at the top left, on black.

    Pictures of one size and kind are shown as they are, others in red, green and blue of equal brightness.
    """
    volume = pictures[0].z_index is not None
    name = pictures[0].name.rpartition(" [")[0] if volume else _common_name(pictures)
    kinds = {(p.array.shape, p.array.dtype) for p in pictures}
    placement: dict[str, Any] = {}
    if volume and len(pictures[0].geometry.shape) == 3:
        geometry = pictures[0].geometry
        placement = {"metadata": {"scribseg": {"geometry": geometry}}, **display_placement(geometry)}
    if len(kinds) == 1 and _shown_as_is(pictures[0]):
        data = np.stack([p.array for p in pictures])
        rgb = pictures[0].array.ndim == 3
        return ImageLayer(data[..., 0] if rgb and data.shape[-1] == 1 else data, name=name, rgb=rgb, **placement)
    shape = tuple(int(n) for n in np.max([p.shape for p in pictures], axis=0))
    lazy = [_from_delayed(_delayed(_as_rgb)(p, shape), (*shape, 3), dtype=np.uint8) for p in pictures]
    return ImageLayer(_stack(lazy), name=name, rgb=True, **placement)


def _shown_as_is(picture: Picture) -> bool:
    array = picture.array
    return array.ndim == 2 or (array.shape[-1] == 3 and array.dtype == np.uint8)


def _as_rgb(picture: Picture, shape: tuple[int, int]) -> NDArray[np.uint8]:
    shown = np.zeros((*shape, 3), dtype=np.uint8)
    channels = (three_channels(picture.data) + 1) * 127.5
    height, width = picture.shape
    shown[:height, :width] = np.moveaxis(np.clip(channels, 0, 255), 0, -1)
    return cast("NDArray[np.uint8]", shown)


def _common_name(pictures: Sequence[Picture]) -> str:
    path = pictures[0].path
    return Path(path).parent.name if path and len(pictures) > 1 else pictures[0].name
