"""The labels of the slices of a span, from those of its anchors; for any thread."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.annotate.span import Span
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core.engine import Report
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.patches import PackedBox, PackedRegion
from napari_scribseg.numerics.filling import FilledSlice, fill_span
from napari_scribseg.numerics.filling.shapes import borders
from napari_scribseg.numerics.volume_cut import cut_span

__all__ = ["SPAN_METHOD", "SPAN_METHODS", "KeptVoxels", "SolvedSlice", "SpanProblem", "band_of", "solve_span"]

Labels = NDArray[Any]
SpanMethod = Callable[..., Iterator[FilledSlice]]


def _from_both_sides(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[Any]],
    spacing: tuple[float, float, float],
    kept: Callable[[], NDArray[np.integer[Any]] | None],
    report: Report,
) -> Iterator[FilledSlice]:
    from napari_scribseg.prompting.between import shipped_fill_between  # loads torch

    return fill_span(first, last, images, spacing, refine=shipped_fill_between(), report=report)


def _in_three_dimensions(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[Any]],
    spacing: tuple[float, float, float],
    kept: Callable[[], NDArray[np.integer[Any]] | None],
    report: Report,
) -> Iterator[FilledSlice]:
    from napari_scribseg.prompting.between import shipped_fill_between  # loads torch

    return cut_span(
        first, last, images, spacing, strokes=kept(), refine=shipped_fill_between(), by_motion=False, report=report
    )


def _by_border_motion(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.float32]],
    spacing: tuple[float, float, float],
    kept: Callable[[], NDArray[np.integer[Any]] | None],
    report: Report,
) -> Iterator[FilledSlice]:
    from napari_scribseg.prompting.between import shipped_fill_between  # loads torch

    return cut_span(first, last, images, spacing, strokes=kept(), refine=shipped_fill_between(), report=report)


#: How spans are solved: ``method(first, last, images, spacing, kept, report)``, as
#: :func:`~napari_scribseg.numerics.filling.fill_span`; ``kept()`` gives the voxels of the span, (N, H, W), that keep
#: their labels, -1 elsewhere and on the anchors, or None. Those that are no longer the default
#: replay the sessions that used them.
SPAN_METHODS: dict[str, SpanMethod] = {
    "sides": _from_both_sides,
    "volume": _in_three_dimensions,
    "volume by motion": _by_border_motion,
}
SPAN_METHOD = "volume by motion"


@dataclass(frozen=True, slots=True, eq=False)
class KeptVoxels:
    """The voxels of a span that keep their labels: of strokes, edits by hand, and slices that cross the span.

    Attributes
    ----------
    strokes, fixed : StrokeStore
        What was painted, and edited by hand; nobody writes into them.
    background : int or None
        The id whose strokes mark the background.
    crossing : tuple of (SliceIndex, ndarray of shape (H, W))
        Anchors that lie along the span, with their labels.
    """

    strokes: StrokeStore
    fixed: StrokeStore
    background: int | None
    crossing: tuple[tuple[SliceIndex, Labels], ...]

    def on(self, slice_index: SliceIndex) -> NDArray[np.int32] | None:
        """The labels of a slice that stay, shape (H, W), -1 elsewhere; None where there are none."""
        painted = self.strokes.get(slice_index)
        kept = np.full(painted.shape, -1, np.int32)
        for ids in (self.fixed.get(slice_index), painted):
            kept = np.where(ids == 0, kept, np.where(ids == (self.background or 0), 0, ids)).astype(np.int32)
        for other, labels in self.crossing:
            here, there = slice_index.crossing(other), other.crossing(slice_index)
            if here is not None and there is not None:
                kept[here] = labels[there]
        return kept if (kept >= 0).any() else None


@dataclass(frozen=True, slots=True, eq=False)
class SpanProblem:
    """A span to be solved.

    Attributes
    ----------
    source : Source
        The image.
    span : Span
        The slices.
    first, last : ndarray of shape (H, W), or None
        The labels of the anchors; None where the span is open.
    kept : callable
        ``kept(slice_index)`` gives the labels of a slice that stay, as :meth:`KeptVoxels.on` does.
    method : str
        A name of :data:`SPAN_METHODS`.
    """

    source: Source
    span: Span
    first: Labels | None
    last: Labels | None
    kept: Callable[[SliceIndex], NDArray[np.int32] | None]
    method: str = field(default_factory=lambda: SPAN_METHOD)

    @property
    def ids(self) -> tuple[int, ...]:
        """The labels of the anchors, ascending."""
        ends = [end for end in (self.first, self.last) if end is not None]
        return tuple(sorted({int(i) for end in ends for i in np.flatnonzero(np.bincount(end.ravel()))}))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of the slices, size of a pixel along rows and columns; time counts as one pixel a step."""
        sizes = self.source.geometry.spacing
        rows, columns = (float(sizes[axis]) for axis in self.span.like.displayed)
        in_space = self.span.axis >= self.source.ndim - 3
        return float(sizes[self.span.axis]) if in_space else min(rows, columns), rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class SolvedSlice:
    """A slice of a span with its labels.

    Attributes
    ----------
    index : int
        Where it stands along the axis.
    labels : ndarray of shape (H, W), unsigned integer
        Its labels.
    kept : PackedRegion or None
        The labels that stay, -1 elsewhere; None where there are none.
    final : bool
        False for a preview.
    checksum, certainty, band : int, float, int
        As of the :class:`~napari_scribseg.annotate.entries.FillRecipe`.
    around : PackedBox or None
        The labels of all slices of the span that stay, -1 elsewhere, where the method made use of them.
    sure : ndarray of shape (H, W), float
        The certainty of each pixel.
    """

    index: int
    labels: Labels
    kept: PackedRegion | None
    final: bool
    checksum: int
    certainty: float
    band: int
    around: PackedBox | None
    sure: NDArray[np.floating]


def solve_span(problem: SpanProblem, report: Report) -> Iterator[SolvedSlice]:
    """Solve a span slice by slice; what ``report`` raises ends the work.

    Raises
    ------
    InputError
        If a voxel of the image is NaN or infinite.
    """
    images, kept = _Images(problem.source, problem.span), _Kept(problem)
    method = SPAN_METHODS[problem.method]
    for found in method(problem.first, problem.last, images, problem.spacing, kept.whole, report):
        index = problem.span.low + found.offset
        band = band_of(found.labels)
        size = int(np.count_nonzero(band))
        certainty = round(float(found.certainty[band].mean()), 6) if size else 1.0
        labels = np.ascontiguousarray(found.labels)
        yield SolvedSlice(
            index, labels, kept.packed(index), found.final, images.checksum(found.offset), certainty, size, kept.around,
            found.certainty,
        )  # fmt: skip


def band_of(labels: NDArray[Any], width: int = 2) -> NDArray[np.bool_]:
    """The pixels within ``width`` of a border between labels, shape (H, W), bool."""
    band: NDArray[np.bool_] = ndimage.binary_dilation(borders(labels), iterations=width - 1)
    return band


class _Kept:
    """The labels of a span that stay."""

    def __init__(self, problem: SpanProblem) -> None:
        self._problem = problem
        self._packed: dict[int, PackedRegion | None] = {}
        self.around: PackedBox | None = None  # what was asked for, of all slices

    def packed(self, index: int) -> PackedRegion | None:
        """Those of a slice."""
        if index not in self._packed:
            kept = self._problem.kept(self._problem.span.at(index))
            self._packed[index] = None if kept is None else PackedRegion.whole(kept)
        return self._packed[index]

    def whole(self) -> NDArray[np.signedinteger[Any]] | None:
        """Those of all slices, shape (N, H, W), -1 elsewhere and on the anchors; None where there are none."""
        span = self._problem.span
        each = {i: kept for i in span.indices if (kept := self.packed(i)) is not None}
        if not each:
            return None
        largest = max(int(kept.unpack().max()) for kept in each.values())
        shape = span.high - span.low + 1, *next(iter(each.values())).shape
        whole = np.full(shape, -1, np.int8 if largest < 128 else np.int32)
        for i, kept in each.items():
            whole[i - span.low] = kept.unpack()
        self.around = PackedBox.of(whole, -1)
        return whole


class _Images(Sequence[NDArray[Any]]):
    """The slices of a span, each of shape (C, H, W), read when they are needed; notes their checksums.

    Integers of at most 16 bits stay as they are stored; all other types become float32.
    """

    def __init__(self, source: Source, span: Span) -> None:
        self._source, self._span = source, span
        self._reader = source.reader(span.like, span.axis, span.low, span.high)
        dtype = np.dtype(source.array.dtype)
        self._is_small = dtype.kind in "iu" and dtype.itemsize <= 2
        self._checksums: dict[int, int] = {}

    def __len__(self) -> int:
        return self._span.high - self._span.low + 1

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | list[NDArray[Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        values = self._values(range(len(self))[index])
        if not self._is_small:
            return self._as_float(index, values)
        return np.moveaxis(values, -1, 0) if self._source.channels else values[np.newaxis]

    def checksum(self, at: int) -> int:
        """CRC-32 of a slice."""
        if at not in self._checksums:
            self._checksums[at] = zlib.crc32(self._as_float(at, self._values(at)).data.cast("B"))
        return self._checksums[at]

    def _values(self, at: int) -> NDArray[Any]:
        return self._reader[self._span.low + at]

    def _as_float(self, at: int, values: NDArray[Any]) -> NDArray[np.float32]:
        return self._source.image_of(self._span.at(self._span.low + at), values).data
