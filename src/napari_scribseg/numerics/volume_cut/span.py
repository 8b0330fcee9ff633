"""The slices of a span: filled from both sides, then cut in three dimensions, with the strokes of every orientation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling import FilledSlice, fill_span
from napari_scribseg.numerics.volume_cut.cut import cut_volume

__all__ = ["cut_span"]

MARGIN = 12  # pixels around the borders of the classes, and around the strokes, that are looked at
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
    report: Report = silent,
) -> Iterator[FilledSlice]:
    """Label the slices between two anchors, or beyond one, in three dimensions.

    What :func:`~napari_scribseg.numerics.filling.fill_span` finds is the prior of
    :func:`~napari_scribseg.numerics.volume_cut.cut.cut_volume`, whose seeds are the anchors and the strokes.

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
    filled: dict[int, FilledSlice] = {}
    for found in fill_span(first, last, images, spacing, report=lambda share: report(_FILLING * share)):
        if found.final:
            filled[found.offset] = found
        else:
            yield found
    ends = {} if first is None else {0: first}
    ends |= {} if last is None else {len(images) - 1: last}
    if not filled or not ends:
        return
    low, high = min([*filled, *ends]), max([*filled, *ends])
    prior = np.stack([ends[k] if k in ends else filled[k].labels for k in range(low, high + 1)])
    known = None if strokes is None else strokes[low : high + 1]
    box = _box(prior, known)
    if box is not None:
        seeds = np.full(prior.shape, -1, np.int32) if known is None else known.astype(np.int32)
        for k, labels in ends.items():
            if low <= k <= high:
                seeds[k - low] = labels
        certainty = np.stack([filled[k].certainty if k in filled else np.ones(prior.shape[1:]) for k in range(low, high + 1)])
        prior[box] = _cut(images, low, prior[box], seeds[box], certainty[box], box, spacing, report)
    for k, found in filled.items():
        labels = prior[k - low]
        certainty_here = np.where(labels == found.labels, found.certainty, np.float32(CHANGED))
        yield FilledSlice(k, labels, certainty_here, True)
    report(1.0)


def _box(prior: Labels, strokes: Labels | None) -> tuple[slice, slice, slice] | None:
    """Around all borders and strokes; None where there is one class only."""
    marked = np.zeros(prior.shape[1:], bool)
    for k, labels in enumerate(prior):
        marked[1:] |= labels[1:] != labels[:-1]
        marked[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        if k:
            marked |= labels != prior[k - 1]
        if strokes is not None:
            marked |= strokes[k] >= 0
    if not marked.any():
        return None
    sides = []
    for axis in (1, 0):
        at = np.flatnonzero(marked.any(axis=axis))
        sides.append(slice(max(int(at[0]) - MARGIN, 0), int(at[-1]) + MARGIN + 1))
    return slice(None), sides[0], sides[1]


def _cut(
    images: Sequence[NDArray[np.generic]],
    low: int,
    prior: Labels,
    seeds: NDArray[np.int32],
    certainty: NDArray[np.floating],
    box: tuple[slice, slice, slice],
    spacing: tuple[float, float, float],
    report: Report,
) -> Labels:
    """The labels of the box."""
    present = np.bincount(prior.reshape(-1)) > 0
    drawn = np.bincount(seeds[seeds >= 0]) > 0
    ids = np.union1d(np.flatnonzero(present), np.flatnonzero(drawn)).astype(prior.dtype)
    if len(ids) < 2:
        return prior
    index = np.full(int(ids[-1]) + 2, -1, np.int32)  # the last entry is for what has no label, -1
    index[ids] = np.arange(len(ids))
    grey = np.stack([np.asarray(images[low + k])[:, box[1], box[2]].mean(axis=0, dtype=np.float32) for k in range(len(prior))])
    found = cut_volume(
        grey, index[seeds], len(ids), spacing, prior=index[prior], certainty=certainty,
        report=lambda share, _preview=None: report(_FILLING + (1 - _FILLING) * share),
    )  # fmt: skip
    cut: Labels = ids[found]
    return cut
