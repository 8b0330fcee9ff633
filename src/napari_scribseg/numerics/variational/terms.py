"""The terms of one label's cost, and when those of earlier strokes are reused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.distance import FAR, euclidean_distance, geodesic_distance
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["LabelTerms", "distance_terms", "find_terms", "geodesic_term"]

_QUICK_SCANS = 3  # of the geodesic distance, for a preview
_ALL_SCANS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class LabelTerms:
    """Distances to the strokes of one label and its densities; all of shape (H, W), None where not needed.

    Attributes
    ----------
    mask : ndarray of bool
        The label's stroke pixels.
    euclidean : ndarray, float32
        Euclidean distance to the strokes.
    local_density, global_density : ndarray, float32, or None
        Spatially varying density, and density of colours alone.
    geodesic : ndarray, float32, or None
        Geodesic distance to the strokes.
    exact : bool
        Whether ``geodesic`` is final, not only an upper bound near it.
    width : float
        Factor on the widths of the densities' colour kernels.
    """

    mask: NDArray[np.bool_]
    euclidean: NDArray[np.float32]
    local_density: NDArray[np.float32] | None = None
    global_density: NDArray[np.float32] | None = None
    geodesic: NDArray[np.float32] | None = None
    exact: bool = True
    width: float = 1.0

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> LabelTerms:
        """The terms of a label without strokes; they take no memory."""
        none, far = np.broadcast_to(np.float32(0), shape), np.broadcast_to(FAR, shape)
        return cls(np.broadcast_to(np.False_, shape), far, none, none, far)


def find_terms(mask: NDArray[np.bool_], former: tuple[LabelTerms, ...]) -> LabelTerms | None:
    """The former terms of a label with the same strokes."""
    return next((t for t in former if np.array_equal(t.mask, mask)), None)


def geodesic_term(
    mask: NDArray[np.bool_],
    cost: NDArray[np.float32],
    pixel: tuple[float, float],
    former: tuple[LabelTerms, ...],
    quick: bool,
) -> tuple[NDArray[np.float32], bool]:
    """Geodesic distance to one label's strokes, and whether it is exact.

    If the label only gained strokes since an exact one was computed, that one is updated, and exact again.
    """
    seeds = np.where(mask, np.int32(0), np.int32(-1))
    exact = [
        (np.count_nonzero(t.mask), t.geodesic)
        for t in former
        if t.geodesic is not None and t.exact and t.mask.any() and mask[t.mask].all()
    ]
    if exact:
        start = max(exact, key=lambda counted: counted[0])[1][np.newaxis]
        distance = geodesic_distance(seeds, 1, cost, pixel, start=start, tolerance=0.0, max_scans=_ALL_SCANS)
        return distance[0], True
    scans = _QUICK_SCANS if quick else _ALL_SCANS
    return geodesic_distance(seeds, 1, cost, pixel, tolerance=0.0, max_scans=scans)[0], not quick


def distance_terms(
    seeds: NDArray[np.int32],
    n_classes: int,
    cost: NDArray[np.float32],
    pixel: tuple[float, float],
    former: tuple[LabelTerms, ...],
    quick: bool,
) -> tuple[LabelTerms, ...]:
    """The distances of every label without densities, for a backend that computes those elsewhere."""
    terms = [LabelTerms.empty(seeds.shape)] * n_classes

    def task(label: int) -> None:
        mask = seeds == label
        unchanged = find_terms(mask, former)
        if unchanged is not None and (unchanged.exact or quick):
            terms[label] = unchanged
        elif mask.any():
            euclidean = euclidean_distance(np.where(mask, np.int32(0), np.int32(-1)), 1, pixel)[0]
            geodesic, exact = geodesic_term(mask, cost, pixel, former, quick)
            terms[label] = LabelTerms(mask, euclidean, geodesic=geodesic, exact=exact)

    in_parallel(task, n_classes)
    return tuple(terms)
