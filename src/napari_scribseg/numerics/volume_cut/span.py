"""The slices of a span: filled from both sides, then cut in three dimensions, with the strokes of every orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling import FilledSlice, Refine, fill_span
from napari_scribseg.numerics.volume_cut.cut import cut_volume

__all__ = ["cut_span"]

MARGIN = 12  # pixels around the borders of the classes, and around the strokes, that the cut sees
MOST_VOXELS = 1 << 25  # of filled slices in the box; those of a larger span are not cut
CHANGED = 0.5  # certainty of a label that is another than the filled one
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
    return _slices(first, last, images, spacing, strokes, refine, report)


def _slices(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float],
    strokes: Labels | None,
    refine: Refine | None,
    report: Report,
) -> Iterator[FilledSlice]:
    ends = {k: end for k, end in ((0, first), (len(images) - 1, last)) if end is not None}
    filled: dict[int, FilledSlice] = {}
    inner = [k for k in range(len(images)) if k not in ends]
    crossed = strokes is not None and bool(inner) and _crossed(strokes[inner[0] : inner[-1] + 1])
    if not crossed:

        def first_part(fraction: float, preview: object = None) -> None:
            report(_FILLING * fraction)

        for found in fill_span(first, last, images, spacing, refine=refine, report=first_part):
            if not found.final:
                yield found
            else:
                filled[found.offset] = found
    offsets = inner if crossed else list(filled)
    if not offsets:
        return
    span = range(min([*offsets, *ends]), max([*offsets, *ends]) + 1)
    work = _Work(images, span, ends, filled, strokes)
    done = 0.0 if crossed else _FILLING
    work.cut(spacing, lambda share, _none=None: report(done + (1 - done) * share))
    for k in sorted(offsets, key=lambda k: (min(abs(k - end) for end in ends), k)):
        yield work.slice(k)
    report(1.0)


def _crossed(strokes: Labels) -> bool:
    """Whether a labelled slice crosses the slices between the anchors: one that has labels throughout."""
    labelled = strokes >= 0
    return bool(labelled.all(axis=(0, 1)).any() or labelled.all(axis=(0, 2)).any())


class _Work:
    """The slices of a span that are cut: filled ones, or where slices cross the span, all from their seeds alone."""

    def __init__(
        self,
        images: Sequence[NDArray[np.generic]],
        span: range,
        ends: dict[int, Labels],
        filled: dict[int, FilledSlice],
        strokes: Labels | None,
    ) -> None:
        self.images, self.span, self.ends, self.filled, self.strokes = images, span, ends, filled, strokes
        self.box = self._box() if filled else (slice(None), slice(None))
        self.labels: Labels | None = None  # in the box
        self.certainty: NDArray[np.float16] | None = None

    def _prior(self, k: int) -> Labels:
        return self.ends[k] if k in self.ends else self.filled[k].labels

    def _box(self) -> tuple[slice, slice] | None:
        """The rows and columns around all borders, and all strokes that contradict the filled labels."""
        marked = np.zeros(np.shape(self.images[0])[1:], bool)
        for k in self.span:
            here, stroke = self._prior(k), None if self.strokes is None else self.strokes[k]
            marked[1:] |= here[1:] != here[:-1]
            marked[:, 1:] |= here[:, 1:] != here[:, :-1]
            marked |= here != self._prior(max(k - 1, self.span[0]))
            if stroke is not None:
                marked |= (stroke >= 0) & (stroke != here)
        if not marked.any():
            return None
        rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        around = [slice(max(int(at[0]) - MARGIN, 0), int(at[-1]) + MARGIN + 1) for at in (rows, columns)]
        return around[0], around[1]

    def cut(self, spacing: tuple[float, float, float], report: Report) -> None:
        """Label the box; where there is one class only, or too many voxels of filled slices, they stay as they are."""
        box, n = self.box, len(self.span)
        if box is None:
            return
        shape = (n, *np.empty(np.shape(self.images[0])[1:], bool)[box].shape)
        painted = [] if self.strokes is None else [self.strokes[self.span[0] : self.span[-1] + 1, box[0], box[1]]]
        ids = np.unique(
            np.concatenate([np.unique(part) for part in (*(end[box] for end in self.ends.values()), *painted)])
        )
        ids = ids[ids >= 0]
        if len(ids) < 2 and not self.filled:
            self.labels, self.certainty = np.full(shape, ids[0]), np.ones(shape, np.float16)
        if len(ids) < 2 or (self.filled and np.prod(shape) > MOST_VOXELS):
            return
        index = np.full(int(ids[-1]) + 2, -1, np.int8 if len(ids) < 128 else np.int16)
        index[ids] = np.arange(len(ids))  # the last entry is for what has no label, -1
        grey, seeds = np.empty(shape, np.float32), np.full(shape, -1, index.dtype)
        prior, certainty = (seeds.copy(), np.ones(shape, np.float16)) if self.filled else (None, None)
        for i, k in enumerate(self.span):
            np.asarray(self.images[k])[:, box[0], box[1]].mean(axis=0, dtype=np.float32, out=grey[i])
            if painted:
                seeds[i] = index[painted[0][i]]
            if k in self.ends:
                seeds[i] = index[self.ends[k][box]]
            if prior is not None and certainty is not None:
                prior[i] = index[self._prior(k)[box]]
                certainty[i] = 1 if k in self.ends else self.filled[k].certainty[box]
        found = cut_volume(grey, seeds, len(ids), spacing, prior=prior, certainty=certainty, report=report)
        self.labels, self.certainty = ids[found.labels], found.certainty

    def slice(self, k: int) -> FilledSlice:
        """A slice as it is after the cut."""
        i, kind = k - self.span[0], next(iter(self.ends.values())).dtype
        filled = self.filled.get(k)
        if filled is None:
            assert self.labels is not None
            assert self.certainty is not None
            return FilledSlice(k, self.labels[i].astype(kind), self.certainty[i].astype(np.float32), True)
        if self.labels is None or self.box is None:
            return filled
        labels, certainty = filled.labels.copy(), filled.certainty.copy()
        certainty[self.box][self.labels[i] != labels[self.box]] = CHANGED
        labels[self.box] = self.labels[i]
        return FilledSlice(k, labels, certainty, True)
