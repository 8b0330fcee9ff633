"""Edits by hand and by tools: the region that is edited, and what its slices become; for any thread."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.annotation import Annotation, pack_below
from napari_scribseg.annotate.steps import ArrayChange
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.editing import Box, Change

__all__ = ["EditRegion", "SliceEdit"]


@dataclass(frozen=True, slots=True, eq=False)
class SliceEdit:
    """New labels of a slice that no engine made.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    labels : ndarray of shape (H, W), unsigned integer
        Its labels afterwards.
    changed : ndarray of shape (H, W), bool
        Where they differ.
    change : ArrayChange or None
        The difference, compressed; None where there is none.
    original : bytes
        The labels before, compressed as those that clearing brings back.
    """

    slice_index: SliceIndex
    labels: NDArray[Any]
    changed: NDArray[np.bool_]
    change: ArrayChange | None
    original: bytes

    @classmethod
    def between(cls, slice_index: SliceIndex, before: NDArray[Any], after: NDArray[Any]) -> SliceEdit:
        """The edit from one array of shape (H, W) to another."""
        change = ArrayChange.between("labels", slice_index, before, after)
        return cls(slice_index, after, before != after, change, pack_below(before))


@dataclass(frozen=True, slots=True, eq=False)
class EditRegion:
    """Slices that stand one behind the other, with a copy of their labels.

    Attributes
    ----------
    source : Source
        The image.
    first : SliceIndex
        The first slice.
    axis : int or None
        The axis of the image along which they stand; None for an image of one slice.
    labels : ndarray of shape (D, H, W) in the order of the image's axes, or (H, W)
        The labels.
    accepted : frozenset of SliceIndex
        The slices that stay.
    """

    source: Source
    first: SliceIndex
    axis: int | None
    labels: NDArray[Any]
    accepted: frozenset[SliceIndex]

    @classmethod
    def of(
        cls, annotation: Annotation, source: Source, first: SliceIndex, axis: int | None, n_slices: int
    ) -> EditRegion:
        """A region of an annotation, copied."""
        slicer = list(first.slicer)
        if axis is not None:
            start = first.position[first.others.index(axis)]
            slicer[axis] = slice(start, start + n_slices)
        return cls(source, first, axis, annotation.copy_of(tuple(slicer)), frozenset(annotation.accepted))

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the image that the region has."""
        return tuple(sorted((*self.first.displayed, *(() if self.axis is None else (self.axis,)))))

    @property
    def along(self) -> int:
        """The axis of the region along which the slices stand."""
        return 0 if self.axis is None else self.axes.index(self.axis)

    @property
    def start(self) -> int:
        """Where the first slice stands."""
        return 0 if self.axis is None else self.first.position[self.first.others.index(self.axis)]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel along each axis of the region."""
        return tuple(self.source.geometry.spacing[axis] for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the labels, and so of the image's values, which ``region[box]`` reads."""
        return self.labels.shape

    def __getitem__(self, box: Box) -> NDArray[Any]:
        """Values of the image in a box of the region, of shape (\\*S) or (\\*S, C)."""
        return np.asarray(self.source.array[self._within(box)])

    def protected(self, box: Box) -> NDArray[np.bool_]:
        """The voxels of a box that lie in accepted slices."""
        mask = np.zeros([part.stop - part.start for part in box], bool)
        inside = dict(zip(self.axes, self._within(box, only=self.axes), strict=True))
        fixed = dict(zip(self.first.others, self.first.position, strict=True))
        for other in self.accepted:
            index: dict[int, int] = {}
            for axis, at in zip(other.others, other.position, strict=True):
                if axis in inside:
                    index[axis] = at - inside[axis].start if at in range(inside[axis].start, inside[axis].stop) else -1
                elif fixed[axis] != at:
                    index[axis] = -1
            if -1 not in index.values():
                mask[tuple(index.get(axis, slice(None)) for axis in self.axes)] = True
        return mask

    def _within(self, box: Box, only: Collection[int] = ()) -> tuple[Any, ...]:
        """A box of the region as an index into the image, or only the slices along some axes."""
        index: list[Any] = list(self.first.slicer)
        for axis, part in zip(self.axes, box, strict=True):
            shift = self.start if axis == self.axis else 0
            index[axis] = slice(part.start + shift, part.stop + shift)
        return tuple(index[axis] for axis in only) if only else tuple(index)

    def edits(self, change: Change) -> Iterator[SliceEdit]:
        """The edits of the slices that a change of the labels consists of."""
        along, labels, values, box = self.along, self.labels, change.labels, change.box
        if self.axis is None:
            labels, values, box = labels[np.newaxis], values[np.newaxis], (slice(0, 1), *box)
        rest = tuple(part for i, part in enumerate(box) if i != along)
        for at, new in enumerate(np.moveaxis(values, along, 0), start=box[along].start):
            before = np.take(labels, at, axis=along)
            if np.array_equal(before[rest], new):
                continue
            after = before.astype(np.promote_types(before.dtype, new.dtype))
            after[rest] = new
            slice_index = self.first if self.axis is None else self.first.at(self.axis, self.start + at)
            yield SliceEdit.between(slice_index, before, after)
