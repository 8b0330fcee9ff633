"""The terms of one label's cost, and when those of earlier strokes still hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.distance import FAR, euclidean_distance, geodesic_distance
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["LabelTerms", "recall", "trace_path", "trace_paths"]

_QUICK_SCANS = 3  # of the geodesic distance, for a first answer
_ALL_SCANS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class LabelTerms:
    """What the strokes of one label say of every pixel; all of shape (H, W), None where it was not asked for.

    Attributes
    ----------
    mask : ndarray of bool
        The label's stroke pixels.
    near : ndarray, float32
        Euclidean distance to the strokes.
    place, tone : ndarray, float32, or None
        Spatially varying density, and density of colours alone.
    path : ndarray, float32, or None
        Geodesic distance to the strokes.
    exact : bool
        Whether ``path`` is final, not only an upper bound near it.
    width : float
        Factor on the widths of the colour kernels of ``place`` and ``tone``.
    """

    mask: NDArray[np.bool_]
    near: NDArray[np.float32]
    place: NDArray[np.float32] | None = None
    tone: NDArray[np.float32] | None = None
    path: NDArray[np.float32] | None = None
    exact: bool = True
    width: float = 1.0

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> LabelTerms:
        """The terms of a label without strokes; they take no memory."""
        none, far = np.broadcast_to(np.float32(0), shape), np.broadcast_to(FAR, shape)
        return cls(np.broadcast_to(np.False_, shape), far, none, none, far)


def recall(mask: NDArray[np.bool_], memory: tuple[LabelTerms, ...]) -> LabelTerms | None:
    """The terms of a label that had just these strokes."""
    return next((t for t in memory if np.array_equal(t.mask, mask)), None)


def trace_path(
    mask: NDArray[np.bool_],
    cost: NDArray[np.float32],
    pixel: tuple[float, float],
    memory: tuple[LabelTerms, ...],
    quick: bool,
) -> tuple[NDArray[np.float32], bool]:
    """Geodesic distance to one label's strokes, and whether it is exact.

    If the label only gained strokes since an exact one was traced, that one is completed, and exact again.
    """
    seeds = np.where(mask, np.int32(0), np.int32(-1))
    paths = [
        (np.count_nonzero(t.mask), t.path)
        for t in memory
        if t.path is not None and t.exact and t.mask.any() and mask[t.mask].all()
    ]
    if paths:
        start = max(paths, key=lambda counted: counted[0])[1][np.newaxis]
        path = geodesic_distance(seeds, 1, cost, pixel, start=start, tolerance=0.0, max_scans=_ALL_SCANS)
        return path[0], True
    scans = _QUICK_SCANS if quick else _ALL_SCANS
    return geodesic_distance(seeds, 1, cost, pixel, tolerance=0.0, max_scans=scans)[0], not quick


def trace_paths(
    seeds: NDArray[np.int32],
    n_classes: int,
    cost: NDArray[np.float32],
    pixel: tuple[float, float],
    memory: tuple[LabelTerms, ...],
    quick: bool,
) -> tuple[LabelTerms, ...]:
    """The distances of every label, by themselves: what a backend that has its own densities needs of the CPU."""
    terms = [LabelTerms.empty(seeds.shape)] * n_classes

    def task(label: int) -> None:
        mask = seeds == label
        known = recall(mask, memory)
        if known is not None and (known.exact or quick):
            terms[label] = known
        elif mask.any():
            near = euclidean_distance(np.where(mask, np.int32(0), np.int32(-1)), 1, pixel)[0]
            path, exact = trace_path(mask, cost, pixel, memory, quick)
            terms[label] = LabelTerms(mask, near, path=path, exact=exact)

    in_parallel(task, n_classes)
    return tuple(terms)
