"""Where to look next: the slice whose strokes would take away most of the wrong pixels that a volume may have."""

from __future__ import annotations

from collections.abc import Container, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.anchors import FillRange, draft_certainty, filled_certainty
from napari_scribseg.annotate.document import Document
from napari_scribseg.core.source import SliceIndex

__all__ = ["expected_gain", "next_slice"]


# From 37 states of a robot's work on 5 hippocampi, and what the true labels of each slice would have changed there.
NEAR = 0.9  # wrong pixels over those that the certainty around the borders tells
FARTHER = 0.1  # and more of them for each slice of distance to an anchor
INHERITED = 0.25  # share of the wrong pixels of its anchors that a filled slice has, too
BEYOND = 0.3  # share of the pixels that an object as long as it is wide has beyond where filling ended


def next_slice(document: Document, within: FillRange, doubts: Mapping[int, float]) -> SliceIndex | None:
    """The slice of a range whose strokes would improve the volume most; see :meth:`Session.next_slice`.

    ``doubts`` has the expected number of wrong pixels of results, by their log entries.
    """
    ends = within.anchors(document)
    anchors = np.array([index for index, _ in ends], dtype=np.intp)
    chosen = np.setdiff1d(np.arange(within.start, within.stop + 1), anchors)
    filled = {
        index: (1 - recipe.certainty) * recipe.band
        for slice_index, recipe in filled_certainty(document)
        if within.holds(slice_index) and (index := within.index_of(slice_index)) is not None
    }
    drafted = {} if filled else _drafted(document, within)
    if drafted:
        return max(drafted, key=drafted.__getitem__)
    wrong, again = np.zeros(len(anchors)), []
    if filled:
        for at, (index, sequence) in enumerate(ends):
            slice_index = within.at(index)
            if sequence in doubts and within.holds(slice_index) and slice_index not in document.annotation.accepted:
                wrong[at] = doubts[sequence]
                again.append(index)
    candidates = np.concatenate([chosen, np.array(again, dtype=np.intp)])
    if not candidates.size:
        return None
    n = document.source.shape[within.axis]
    drift = _drift(document, within, anchors, filled) if filled else _distance(n, anchors)
    gain = expected_gain(drift, anchors, wrong, filled)[candidates]
    if chosen.size and not gain.any():
        candidates, gain = chosen, expected_gain(_distance(n, anchors), anchors, wrong, ())[chosen]
    best = candidates[gain >= gain.max() * (1 - 1e-9)]
    return within.at(int(best[len(best) // 2]))


def _drafted(document: Document, within: FillRange) -> dict[SliceIndex, float]:
    """The slices of a range that show a draft, with the wrong pixels that the certainty around their borders tells."""
    return {
        slice_index: (1 - recipe.certainty) * recipe.band
        for slice_index, recipe in draft_certainty(document)
        if within.holds(slice_index)
    }


def _drift(
    document: Document, within: FillRange, anchors: NDArray[np.intp], filled: Mapping[int, float]
) -> NDArray[np.float64]:
    """The expected number of wrong pixels of each slice that filling adds to those of its anchors."""
    distance = _distance(document.source.shape[within.axis], anchors)
    drift = np.zeros(len(distance))
    for index, unsure in filled.items():
        drift[index] = unsure * (NEAR + FARTHER * distance[index])
    rate = drift.sum() / max(float(distance[list(filled)].sum()), 1.0)
    for index in range(int(anchors.min()) + 1, int(anchors.max())):
        if index not in filled:
            drift[index] = rate * distance[index]  # as slices that far from an anchor have
    for outermost, way in ((int(anchors.min()), -1), (int(anchors.max()), 1)):
        _drift_beyond(drift, document, within, filled, outermost, way)
    return drift


def _drift_beyond(
    drift: NDArray[np.float64],
    document: Document,
    within: FillRange,
    filled: Container[int],
    outermost: int,
    way: int,
) -> None:
    """The expected number of pixels of an object beyond where filling ended.

    An object is taken to be as long as it is wide: the probability that it is still there falls to 0 over that length.
    """
    last = outermost
    while last + way in filled:
        last += way
    slice_index = within.at(last)
    area = int(np.count_nonzero(document.annotation.peek(slice_index)))
    sizes = document.source.geometry.spacing
    rows, columns = slice_index.displayed
    width = 2 * np.sqrt(area * sizes[rows] * sizes[columns] / np.pi) / sizes[within.axis]
    for step in range(1, int(width) + 1):
        index = last + way * step
        if not within.start <= index <= within.stop:
            break
        drift[index] = BEYOND * area * (1 - step / (int(width) + 1))


def expected_gain(
    drift: NDArray[np.float64], anchors: NDArray[np.intp], wrong: NDArray[np.float64], filled: Container[int]
) -> NDArray[np.float64]:
    """How many wrong pixels strokes on each slice would take away, of itself and of the slices filled from it.

    A filled slice has wrong pixels of two kinds. It inherits a share of those of its anchors, the more of the nearer
    one; and filling adds some, the more the farther the nearest anchor is. Where a slice becomes an anchor, or an
    anchor is corrected, a slice beside it inherits nothing from it, and one that is half as far from an anchor as
    before loses half of what filling added.

    Parameters
    ----------
    drift : ndarray of shape (N,)
        Expected number of wrong pixels of each slice that filling adds; 0 for anchors.
    anchors : ndarray of shape (A,), int
        Their indices, ascending.
    wrong : ndarray of shape (A,)
        Expected number of wrong pixels of each anchor.
    filled : container of int
        The slices that were filled.

    Returns
    -------
    ndarray of shape (N,)
    """
    n = len(drift)
    now, index = _distance(n, anchors), np.arange(n)
    after = np.minimum(now[None], np.abs(index[:, None] - index[None]))
    gain: NDArray[np.float64] = (drift[None] * (1 - after / np.maximum(now[None], 1))).sum(axis=1)
    if anchors.size:
        inside = np.array([i in filled for i in range(n)])
        before, behind = int(inside[: anchors[0]].sum()), int(inside[anchors[-1] :].sum())
        gain += INHERITED * _inherited(n, anchors, wrong, before, behind)
        gain[anchors] += wrong
    return gain


def _inherited(
    n: int, anchors: NDArray[np.intp], wrong: NDArray[np.float64], before: int, behind: int
) -> NDArray[np.float64]:
    """The sum, over all filled slices, of the wrong pixels of anchors that they would no longer inherit.

    Between two anchors a slice inherits from both, linearly by distance; the ``before`` and ``behind`` filled slices
    beyond the outermost ones inherit all of those. From a slice that is labelled now, nothing is inherited.
    """
    found = np.zeros(n)
    first, last, index = int(anchors[0]), int(anchors[-1]), np.arange(n)
    for low, high, of_low, of_high in zip(anchors, anchors[1:], wrong, wrong[1:], strict=False):
        at = index[low + 1 : high]
        found[at] = ((high - at) * of_low + (at - low) * of_high) / 2
    found[:first] = wrong[0] * (before - np.minimum(first - index[:first] - 1, before) / 2)
    found[last + 1 :] = wrong[-1] * (behind - np.minimum(index[last + 1 :] - last - 1, behind) / 2)
    gaps = (np.diff(anchors) - 1) / 2
    found[anchors] = wrong * (np.append(before, gaps) + np.append(gaps, behind))
    return found


def _distance(n: int, anchors: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of each slice to the nearest anchor; to the ends of the axis where there is none."""
    index = np.arange(n)
    ends = anchors if anchors.size else np.array([-1, n])
    distance: NDArray[np.float64] = np.abs(index[:, None] - ends[None]).min(axis=1).astype(np.float64)
    return distance
