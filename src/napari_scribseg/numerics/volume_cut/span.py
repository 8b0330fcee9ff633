"""The slices of a span: filled from both sides, then cut in three dimensions, with the strokes of every orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling import FilledSlice, Refine, fill_span
from napari_scribseg.numerics.filling.shapes import border_motion
from napari_scribseg.numerics.volume_cut.cut import CutVolume, cut_volume

__all__ = ["cut_span"]

MARGIN = 12  # pixels around the borders of the classes, and around the strokes, that the cut sees
MOST_VOXELS = 1 << 25  # of filled slices in the box; those of a larger span are not cut
CHANGED = 0.5  # certainty of a label that is another than the filled one
SLOW = 1.4  # finest pixels that borders may move from slice to slice where the spacing is believed, and
FARTHER = 8.0  # least distance of slices, in finest pixels, for each pixel more
_FILLING = 0.4  # share of the work

Labels = NDArray[np.integer]


def cut_span(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    strokes: NDArray[np.integer] | None = None,
    refine: Refine | None = None,
    by_motion: bool = True,
    report: Report = silent,
) -> Iterator[FilledSlice]:
    """Label the slices between two anchors, or beyond one, in three dimensions.

    What :func:`~napari_scribseg.numerics.filling.fill_span` finds is the prior of
    :func:`~napari_scribseg.numerics.volume_cut.cut.cut_volume`, whose seeds are the anchors and the strokes. Where
    labelled slices cross the span, seeds are on all sides: then there is no prior, and an open span is labelled to its
    end.

    Parameters
    ----------
    first, last, images, spacing, refine, report
        As of :func:`~napari_scribseg.numerics.filling.fill_span`.
    strokes : ndarray of shape (n, H, W), integer, optional
        In all slices of the span, the label of each voxel of a stroke, or of a labelled slice that crosses the span;
        -1 elsewhere. The voxels of the anchors do not count.
    by_motion : bool
        Whether slices between two anchors count as more distant than the spacing says where the borders move far from
        one to the next: the spacing of thick slices, or of time, is often not in the file.

    Yields
    ------
    FilledSlice
        Previews as of ``fill_span``; then the final slices, nearest to the anchors first.

    Raises
    ------
    InputError
        As of ``fill_span``, and if the strokes have another shape.
    """
    if strokes is not None and strokes.shape != (len(images), *np.shape(images[0])[1:]):
        raise InputError(
            f"the strokes have shape {strokes.shape}; {(len(images), *np.shape(images[0])[1:])} is expected"
        )
    return _slices(first, last, images, spacing, strokes, refine, by_motion, report)


def _slices(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float],
    strokes: Labels | None,
    refine: Refine | None,
    by_motion: bool,
    report: Report,
) -> Iterator[FilledSlice]:
    ends = {k: end for k, end in ((0, first), (len(images) - 1, last)) if end is not None}
    inner = [k for k in range(len(images)) if k not in ends]
    crossed = strokes is not None and bool(inner) and _crossed(strokes[inner[0] : inner[-1] + 1])
    work = _Work(images, ends, strokes, filled=not crossed)
    if not crossed:

        def first_part(fraction: float, preview: object = None) -> None:
            report(_FILLING * fraction)

        for found in fill_span(first, last, images, spacing, refine=refine, report=first_part):
            if not found.final:
                yield found
            else:
                work.add(found)
    offsets = inner if crossed else work.offsets
    if not offsets:
        return
    done = 0.0 if crossed else _FILLING
    if by_motion and not crossed and first is not None and last is not None:
        spacing = _with_motion(first, last, len(images) - 1, spacing)
    work.cut(offsets, spacing, lambda share, _none=None: report(done + (1 - done) * share))
    for k in sorted(offsets, key=lambda k: (min(abs(k - end) for end in ends), k)):
        yield work.slice(k)
    report(1.0)


def _with_motion(
    first: Labels, last: Labels, n: int, spacing: tuple[float, float, float]
) -> tuple[float, float, float]:
    """The spacing, with the distance of slices at which borders move less."""
    finest = min(spacing[1:])
    motion = border_motion(first, last, (spacing[1] / finest, spacing[2] / finest)) / n
    return max(spacing[0], finest * FARTHER * max(motion - SLOW, 0.0)), spacing[1], spacing[2]


def _crossed(strokes: Labels) -> bool:
    """Whether a labelled slice crosses the slices between the anchors: one that has labels throughout."""
    rows, columns = np.ones(strokes.shape[1], bool), np.ones(strokes.shape[2], bool)
    for slice_ in strokes:
        rows &= (slice_ >= 0).all(axis=1)
        columns &= (slice_ >= 0).all(axis=0)
        if not (rows.any() or columns.any()):
            return False
    return True


class _Work:
    """The slices of a span that are cut: filled ones, or where slices cross the span, all from their seeds alone.

    One byte a voxel each for the filled labels, their certainty, the seeds, and what is found.
    """

    def __init__(
        self, images: Sequence[NDArray[np.generic]], ends: dict[int, Labels], strokes: Labels | None, *, filled: bool
    ) -> None:
        self.images, self.ends, self.strokes = images, ends, strokes
        self.shape = (len(images), *next(iter(ends.values())).shape)
        given = [*ends.values(), *(() if strokes is None else strokes)]
        ids = np.unique(np.concatenate([_values(part) for part in given]))
        self.ids = ids[ids >= 0]
        self.index = np.full(int(ids[-1]) + 2, -1, np.int8 if len(ids) < 128 else np.int16)
        self.index[self.ids] = np.arange(len(self.ids))  # the last entry is for what has no label, -1
        self.prior = np.empty(self.shape, self.index.dtype) if filled else None
        self.certainty = np.empty(self.shape, np.uint8) if filled else None
        self.offsets: list[int] = []  # of the filled slices
        self.box: tuple[slice, slice] | None = None
        self.found: CutVolume | None = None  # in the box
        self.first = 0  # slice of what is found
        for k, end in ends.items():
            self._put(k, end, 255)

    def add(self, found: FilledSlice) -> None:
        """Take a filled slice."""
        self._put(found.offset, found.labels, np.rint(255 * found.certainty).astype(np.uint8))
        self.offsets.append(found.offset)

    def _put(self, k: int, labels: Labels, certainty: int | NDArray[np.uint8]) -> None:
        if self.prior is not None and self.certainty is not None:
            self.prior[k], self.certainty[k] = self.index[labels], certainty

    def _box(self, span: range) -> tuple[slice, slice] | None:
        """The rows and columns around all borders, and all strokes that contradict the filled labels."""
        if self.prior is None:
            return slice(None), slice(None)
        marked = np.zeros(self.shape[1:], bool)
        for k in span:
            here = self.prior[k]
            marked[1:] |= here[1:] != here[:-1]
            marked[:, 1:] |= here[:, 1:] != here[:, :-1]
            marked |= here != self.prior[max(k - 1, span[0])]
            if self.strokes is not None:
                marked |= (self.strokes[k] >= 0) & (self.index[self.strokes[k]] != here)
        if not marked.any():
            return None
        rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        around = [slice(max(int(at[0]) - MARGIN, 0), int(at[-1]) + MARGIN + 1) for at in (rows, columns)]
        return around[0], around[1]

    def cut(self, offsets: list[int], spacing: tuple[float, float, float], report: Report) -> None:
        """Label the box; where there is one class only, or too many voxels of filled slices, they stay as they are."""
        span = range(min([*offsets, *self.ends]), max([*offsets, *self.ends]) + 1)
        self.first, self.box = span[0], self._box(span)
        if self.box is None:
            return
        rows, columns = self.box
        shape = (len(span), *np.empty(self.shape[1:], bool)[self.box].shape)
        if len(self.ids) < 2 or (self.prior is not None and np.prod(shape) > MOST_VOXELS):
            return
        seeds = np.full(shape, -1, self.index.dtype)
        for i, k in enumerate(span):
            if k in self.ends:
                seeds[i] = self.index[self.ends[k][self.box]]
            elif self.strokes is not None:
                seeds[i] = self.index[self.strokes[k, rows, columns]]
        part = slice(span[0], span[-1] + 1), rows, columns
        self.found = cut_volume(
            _Grey(self.images, span, self.box), seeds, len(self.ids), spacing,
            prior=None if self.prior is None else self.prior[part],
            certainty=None if self.certainty is None else self.certainty[part], report=report,
        )  # fmt: skip

    def slice(self, k: int) -> FilledSlice:
        """A slice as it is after the cut."""
        i, kind = k - self.first, next(iter(self.ends.values())).dtype
        if self.prior is None or self.certainty is None:
            if self.found is None:
                index, certainty = np.zeros(self.shape[1:], np.uint8), np.ones(self.shape[1:], np.float32)
            else:
                index, certainty = self.found.labels[i], self.found.certainty_of(i)
            return FilledSlice(k, self.ids[index].astype(kind), certainty, True)
        index, certainty = self.prior[k].copy(), self.certainty[k] / np.float32(255)
        if self.found is not None and self.box is not None:
            certainty[self.box][self.found.labels[i] != index[self.box]] = CHANGED
            index[self.box] = self.found.labels[i]
        return FilledSlice(k, self.ids[index].astype(kind), certainty, True)


class _Grey:
    """The mean of the channels of a span's slices in a box, as a volume of which slabs are read."""

    def __init__(self, images: Sequence[NDArray[np.generic]], span: range, box: tuple[slice, slice]) -> None:
        self._images, self._span, self._box = images, span, box
        self.shape = (len(span), *np.empty(np.shape(images[0])[1:], bool)[box].shape)

    def __getitem__(self, index: slice | tuple[slice, ...]) -> NDArray[np.generic]:
        along, *within = index if isinstance(index, tuple) else (index,)
        return np.stack([self._slice(k)[tuple(within)] for k in self._span[along]])

    def _slice(self, k: int) -> NDArray[np.generic]:
        image = np.asarray(self._images[k])[:, self._box[0], self._box[1]]
        mean: NDArray[np.generic] = image[0] if len(image) == 1 else image.mean(axis=0, dtype=np.float32)
        return mean


def _values(labels: Labels) -> Labels:
    """The different values of an array."""
    low = int(labels.min())
    return np.flatnonzero(np.bincount(labels.ravel() - low)) + low
