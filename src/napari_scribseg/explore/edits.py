"""Steps of the user that change segments and can be undone: cut, split, assign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.explore.correction import split_mask
from napari_scribseg.explore.segments import SegmentTable, describe_regions
from napari_scribseg.kernel import ArrayDiff

__all__ = ["Step", "assign_step", "cut_step", "split_step", "window_of"]

Ids = NDArray[np.int64]
_NO_IDS = np.zeros(0, dtype=np.int64)
_NO_LABELS = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one command changed.

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
        """Bring a table to the state after the step, or before it."""
        for image, diff in self.maps:
            table.put(image, diff.region, diff.values(after=after))
        table.label[self.ids] = self.after if after else self.before


def cut_step(table: SegmentTable, cuts: Mapping[int, NDArray[np.int32]]) -> Step | None:
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
    return Step("cut", tuple(maps), _NO_IDS, _NO_LABELS, _NO_LABELS) if maps else None


def window_of(table: SegmentTable, segment: int) -> tuple[slice, slice]:
    """The box around a segment, rows and columns."""
    top, left, bottom, right = (int(n) for n in table.box[segment])
    return slice(top, bottom), slice(left, right)


def split_step(
    table: SegmentTable,
    segment: int,
    gradient: NDArray[np.float32],
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
) -> tuple[Step, Ids, Ids]:
    """Split a segment by strokes; all arrays have the shape of the box around it.

    Returns
    -------
    step : Step
    positives, negatives : ndarray of int64
        Ids of the parts. The positive ones have the class of the segment, the negative ones none; until they are
        embedded, all have its place in the embedding.

    Raises
    ------
    InputError
        If no positive or no negative stroke lies in the segment.
    """
    image, window = int(table.image[segment]), window_of(table, segment)
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
    return Step("split", maps, ids, table.label[ids], labels), ids[:n_positive], ids[n_positive:]


def assign_step(table: SegmentTable, ids: Any, label: int) -> Step | None:
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
    return Step("assign", (), changed, table.label[changed], np.full(len(changed), label, dtype=np.int32))
