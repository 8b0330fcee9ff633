"""The slices of a span: filled from both sides, then cut in three dimensions, with the strokes of every orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling import FilledSlice, fill_span
from napari_scribseg.numerics.volume_cut.cut import cut_volume

__all__ = ["cut_span"]

MARGIN = 12  # pixels around the borders of the classes, and around the strokes, that the cut sees
CHANGED = 0.5  # certainty of a label that is another than the filled one
_FILLING = 0.4  # share of the work

Labels = NDArray[np.integer]
Certainty = NDArray[np.float16]


def cut_span(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    strokes: NDArray[np.integer] | None = None,
    report: Report = silent,
) -> Iterator[FilledSlice]:
    """Label the slices between two anchors, or beyond one, in three dimensions.

    What :func:`~napari_scribseg.numerics.filling.fill_span` finds is the prior of
    :func:`~napari_scribseg.numerics.volume_cut.cut.cut_volume`, whose seeds are the anchors and the strokes. Where
    labelled slices cross the span, seeds are on all sides: then there is no prior, and an open span is labelled to its
    end.

    Parameters
    ----------
    first, last, images, spacing, report
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
    return _slices(first, last, images, spacing, strokes, report)


def _slices(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float],
    strokes: NDArray[np.integer] | None,
    report: Report,
) -> Iterator[FilledSlice]:
    ends = {k: end for k, end in ((0, first), (len(images) - 1, last)) if end is not None}
    filled: dict[int, FilledSlice] = {}
    if strokes is not None and ends and _crossed(strokes):
        offsets = [k for k in range(len(images)) if k not in ends]
    else:
        for found in fill_span(
            first, last, images, spacing, report=lambda share, _preview=None: report(_FILLING * share)
        ):
            if found.final:
                filled[found.offset] = found
            else:
                yield found
        offsets = list(filled)
    if not offsets:
        return
    low, high = min([*offsets, *ends]), max([*offsets, *ends])
    kind = next(iter(ends.values())).dtype
    seeds = np.full((high + 1 - low, *np.shape(images[0])[1:]), -1, np.int32)
    if strokes is not None:
        seeds[:] = strokes[low : high + 1]
    for k, end in ends.items():
        seeds[k - low] = end
    part = [images[k] for k in range(low, high + 1)]
    share = _FILLING if filled else 0.0
    work = _Work(part, seeds, spacing, lambda done, _preview=None: report(share + (1 - share) * done))
    labels, certainty = work.cut_filled({k - low: each for k, each in filled.items()}) if filled else work.cut()
    for k in sorted(offsets, key=lambda k: (min(abs(k - end) for end in ends), k)):
        yield FilledSlice(k, labels[k - low].astype(kind), certainty[k - low].astype(np.float32), True)
    report(1.0)


def _crossed(strokes: NDArray[np.integer]) -> bool:
    """Whether a labelled slice crosses the span: one that has labels throughout."""
    labelled = strokes >= 0
    return bool(labelled.all(axis=(0, 1)).any() or labelled.all(axis=(0, 2)).any())


class _Work:
    """The slices of a span, their seeds as labels with those of the anchors, and what is made of them."""

    def __init__(
        self,
        images: Sequence[NDArray[np.generic]],
        seeds: NDArray[np.int32],
        spacing: tuple[float, float, float],
        report: Report,
    ) -> None:
        self.images, self.seeds, self.spacing, self.report = images, seeds, spacing, report

    def cut(self) -> tuple[Labels, Certainty]:
        """Labels and certainty from the seeds alone."""
        return self._cut((slice(None), slice(None)), None, None)

    def cut_filled(self, filled: dict[int, FilledSlice]) -> tuple[Labels, Certainty]:
        """Labels and certainty from filled slices; near their borders and the strokes the labels may change."""
        prior, certainty = self.seeds.copy(), np.ones(self.seeds.shape, np.float16)
        for k, found in filled.items():
            prior[k], certainty[k] = found.labels, found.certainty
        box = self._box(prior)
        if box is not None:
            area = (slice(None), *box)
            labels, _ = self._cut(box, prior[area], certainty[area])
            certainty[area][labels != prior[area]] = CHANGED
            prior[area] = labels
        return prior, certainty

    def _box(self, labels: Labels) -> tuple[slice, slice] | None:
        """The rows and columns around all borders, and all seeds that contradict the labels; None without any."""
        marked = ((self.seeds >= 0) & (self.seeds != labels)).any(axis=0)
        for k, here in enumerate(labels):
            marked[1:] |= here[1:] != here[:-1]
            marked[:, 1:] |= here[:, 1:] != here[:, :-1]
            marked |= here != labels[max(k - 1, 0)]
        if not marked.any():
            return None
        rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
        around = [slice(max(int(at[0]) - MARGIN, 0), int(at[-1]) + MARGIN + 1) for at in (rows, columns)]
        return around[0], around[1]

    def _cut(
        self, box: tuple[slice, slice], prior: Labels | None, certainty: Certainty | None
    ) -> tuple[Labels, Certainty]:
        """Labels and certainty in a box of rows and columns."""
        seeds = self.seeds[:, box[0], box[1]]
        present = np.bincount(seeds[seeds >= 0])
        if prior is not None:
            present = present + np.bincount(prior.reshape(-1), minlength=len(present))[: len(present)]
        ids = np.flatnonzero(present)
        if len(ids) < 2:
            return np.full(seeds.shape, ids[0]), np.ones(seeds.shape, np.float16)
        index = np.full(int(ids[-1]) + 2, -1, np.int32)  # the last entry is for what has no label, -1
        index[ids] = np.arange(len(ids))
        grey = [np.asarray(image)[:, box[0], box[1]].mean(axis=0, dtype=np.float32) for image in self.images]
        found = cut_volume(
            np.stack(grey), index[seeds], len(ids), self.spacing, prior=None if prior is None else index[prior],
            certainty=certainty, report=self.report,
        )  # fmt: skip
        labels: Labels = ids[found.labels]
        return labels, found.certainty
