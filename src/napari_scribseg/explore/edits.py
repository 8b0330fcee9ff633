"""Edits of the user that can be undone: cut, split, assign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_scribseg.core import InputError, Stroke
from napari_scribseg.explore.segments import SegmentTable, describe_regions
from napari_scribseg.kernel import ArrayDiff

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "Edit",
    "as_mask",
    "assign_edit",
    "box_of",
    "cut_edit",
    "split_edit",
    "split_mask",
]

POSITIVE, NEGATIVE = 1, 2  # strokes that split a segment

Ids = NDArray[np.int64]
_NO_IDS = np.zeros(0, dtype=np.int64)
_NO_LABELS = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of segments or of their classes.

    Attributes
    ----------
    kind : {"cut", "split", "assign"}
    maps : tuple of (int, ArrayDiff)
        Images, and how their maps of segments changed.
    ids : ndarray of int64
        Segments whose class changed.
    before, after : ndarray of int32
        Their classes before and after.
    """

    kind: str
    maps: tuple[tuple[int, ArrayDiff], ...]
    ids: Ids
    before: NDArray[np.int32]
    after: NDArray[np.int32]

    @property
    def images(self) -> tuple[int, ...]:
        """Images whose segments changed."""
        return tuple(image for image, _ in self.maps)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        maps = sum(diff.nbytes for _, diff in self.maps)
        return maps + self.ids.nbytes + self.before.nbytes + self.after.nbytes

    def apply(self, table: SegmentTable, *, after: bool) -> None:
        """Bring a table to the state after the edit, or before it."""
        for image, diff in self.maps:
            table.put(image, diff.region, diff.values(after=after))
        table.label[self.ids] = self.after if after else self.before


def cut_edit(table: SegmentTable, cuts: Mapping[int, NDArray[np.int32]]) -> Edit | None:
    """Make regions the segments of images; None where they are the segments already.

    Parameters
    ----------
    table : SegmentTable
        Gives ids to new segments.
    cuts : mapping of int to ndarray of shape (H, W), int32
        Regions 0 to k - 1 by image.
    """
    maps = []
    for image, regions in cuts.items():
        ids = table.identify(image, describe_regions(regions, (0, 0), regions.shape[1]))
        diff = ArrayDiff.between(table.map(image), ids.astype(np.int32)[regions])
        if diff is not None:
            maps.append((image, diff))
    return Edit("cut", tuple(maps), _NO_IDS, _NO_LABELS, _NO_LABELS) if maps else None


def box_of(table: SegmentTable, segment: int) -> tuple[slice, slice]:
    """The box around a segment, rows and columns."""
    top, left, bottom, right = (int(n) for n in table.box[segment])
    return slice(top, bottom), slice(left, right)


def split_edit(
    table: SegmentTable,
    segment: int,
    gradient: NDArray[np.float32],
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
) -> tuple[Edit, Ids, Ids]:
    """Split a segment by strokes, see :func:`split_mask`; all arrays have the shape of the box around it.

    Returns
    -------
    edit : Edit
    positives, negatives : ndarray of int64
        Ids of the parts. The positive ones have the class of the segment, the negative ones none; until they are
        embedded, all have its position in the embedding.
    """
    image, window = int(table.image[segment]), box_of(table, segment)
    before = table.map(image)
    mask = before[window] == segment
    parts, n_positive = split_mask(gradient, mask, positive, negative)
    origin = (window[0].start, window[1].start)
    ids = table.identify(image, describe_regions(parts, origin, before.shape[1]))
    new = ids[~table.has_embedding[ids]]
    table.xy[new] = table.xy[segment]
    after = before.copy()
    after[window][mask] = ids[parts[mask]]
    labels = np.where(np.arange(len(ids)) < n_positive, table.label[segment], 0).astype(np.int32)
    diff = ArrayDiff.between(before, after)
    maps = () if diff is None else ((image, diff),)
    return Edit("split", maps, ids, table.label[ids], labels), ids[:n_positive], ids[n_positive:]


def split_mask(
    gradient: NDArray[np.float32],
    mask: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], int]:
    """Parts of a segment by the labelled watershed: the image foresting transform (Falcão et al. 2004) on its graph.

    Each pixel belongs to the stroke that is reached over the lowest edges; an edge weighs the mean gradient of its two
    pixels (Bragantini et al., section 3.4).

    Parameters
    ----------
    gradient : ndarray of shape (h, w), float32
        Around the segment.
    mask : ndarray of shape (h, w), bool
        The segment; nothing outside takes part.
    positive, negative : ndarray of shape (h, w), bool
        Pixels of the strokes; what lies outside of the segment does not count.

    Returns
    -------
    parts : ndarray of shape (h, w), int32
        0 to k - 1, 4-connected, the positive ones first; -1 outside.
    n_positive : int
        How many of them grew from positive strokes.

    Raises
    ------
    InputError
        If no positive or no negative stroke lies in the segment.
    """
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[positive & mask] = POSITIVE
    seeds[negative & mask & ~positive] = NEGATIVE
    for value, name in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
        if not (seeds == value).any():
            raise InputError(f"no {name} stroke lies in the segment; one of each sign is expected")
    grown = _flooded_over_edges(gradient, seeds, mask)
    first, n_positive = ndimage.label(grown == POSITIVE)
    second, _ = ndimage.label(mask & (grown != POSITIVE))
    parts = np.where(second > 0, second + n_positive, first).astype(np.int32) - 1
    return parts, n_positive


def _flooded_over_edges(
    gradient: NDArray[np.float32], seeds: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """The watershed of the 4-adjacency graph, on a grid that has a place for each pixel and each edge.

    Pixels lie below all edges, so that they are flooded as soon as one of their edges is.
    """
    grid = 2 * np.asarray(mask.shape) - 1
    height, allowed, marks = np.zeros(grid), np.zeros(grid, dtype=bool), np.zeros(grid, dtype=np.int32)
    height[::2, ::2], allowed[::2, ::2], marks[::2, ::2] = float(gradient.min()) - 1, mask, seeds
    wide = gradient.astype(np.float64)
    height[1::2, ::2], allowed[1::2, ::2] = (wide[1:] + wide[:-1]) / 2, mask[1:] & mask[:-1]
    height[::2, 1::2], allowed[::2, 1::2] = (wide[:, 1:] + wide[:, :-1]) / 2, mask[:, 1:] & mask[:, :-1]
    grown: NDArray[np.int32] = watershed(height, marks, connectivity=1, mask=allowed)  # type: ignore[no-untyped-call]
    return grown[::2, ::2]


def as_mask(strokes: ArrayLike | Stroke | list[Stroke], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Strokes as a mask.

    Parameters
    ----------
    strokes : ndarray of shape (H, W) of bool, array_like of shape (N, 2), Stroke, or list of Stroke
        A mask; or clicked pixels, row and column; or strokes of a brush.
    shape : tuple of 2 int
        Of the image.

    Raises
    ------
    InputError
        If they are neither, or a click lies outside of the image.
    """
    if isinstance(strokes, Stroke):
        strokes = [strokes]
    if isinstance(strokes, (list, tuple)) and strokes and all(isinstance(s, Stroke) for s in strokes):
        drawn: NDArray[np.bool_] = np.logical_or.reduce([s.rasterize(shape) for s in strokes])
        return drawn
    given = np.asarray(strokes)
    if given.dtype == bool and given.shape == shape:
        return given
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise InputError(
            f"strokes have shape {given.shape} and type {given.dtype}; a mask of shape {shape}, pixels of shape (N, 2) "
            "or Stroke objects are expected"
        )
    pixels = np.rint(given).astype(np.int64)
    if ((pixels < 0) | (pixels >= np.array(shape))).any():
        raise InputError(f"a click lies outside of the image of shape {shape}; pixels inside are expected")
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(pixels.T)] = True
    return mask


def assign_edit(table: SegmentTable, ids: Any, label: int) -> Edit | None:
    """Give segments a class, 0 for none; None where they have it already.

    Raises
    ------
    InputError
        If one of the ids is no segment now.
    """
    given = table.require(ids)
    changed = given[table.label[given] != label]
    if not len(changed):
        return None
    return Edit("assign", (), changed, table.label[changed], np.full(len(changed), label, dtype=np.int32))
