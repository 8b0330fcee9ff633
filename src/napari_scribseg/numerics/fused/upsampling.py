"""The gradient of bilinear upsampling, compiled for the CPU: each coarse pixel gathers from its fine ones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["upsampling_gradient"]

Float32 = NDArray[np.float32]
Given = tuple[
    NDArray[np.intp], NDArray[np.intp], Float32
]  # where the fine pixels of each coarse one begin, which they are, their weights


def upsampling_gradient(
    gradient: Float32, shape: tuple[int, int], steps: tuple[float, float], *, corners: bool = False
) -> Float32:
    """The transpose of bilinear upsampling.

    Parameters
    ----------
    gradient : ndarray of shape (N, H', W', C), float32
        Of the enlarged pixels; channels next to one another, any strides along the other axes.
    shape : tuple of 2 int
        Rows H and columns W before they were enlarged.
    steps : tuple of 2 float
        Coarse pixels for each step of one fine pixel along rows and columns, such as 0.5.
    corners : bool
        Whether the centres of the outermost pixels lie on one another, or the borders of the image do.

    Returns
    -------
    ndarray of shape (N, H, W, C), float32
    """
    down, along = (
        _given(n, fine, step, corners) for n, fine, step in zip(shape, gradient.shape[1:3], steps, strict=True)
    )
    found = np.empty((len(gradient), *shape, gradient.shape[3]), dtype=np.float32)
    edges = band_edges(shape[0], smallest=8, per_thread=2)
    bands = len(edges) - 1

    def task(i: int) -> None:
        _gather(gradient[i // bands], *down, *along, edges[i % bands], edges[i % bands + 1], found[i // bands])

    in_parallel(task, len(gradient) * bands)
    return found


@lru_cache(maxsize=64)
def _given(coarse: int, fine: int, step: float, corners: bool) -> Given:
    """The fine pixels of an axis that each coarse one contributes to, and the weights."""
    at = np.arange(fine, dtype=np.float32)
    place = at * np.float32(step) if corners else np.maximum((at + np.float32(0.5)) * np.float32(step) - 0.5, 0)
    first = np.minimum(place.astype(np.intp), coarse - 1)
    second = np.minimum(first + 1, coarse - 1)
    share = np.clip(place - first, 0, 1).astype(np.float32)
    owner, pixel = np.concatenate((first, second)), np.tile(np.arange(fine), 2)
    weight = np.concatenate((1 - share, share)).astype(np.float32)
    order = np.lexsort((pixel, owner))
    order = order[weight[order] > 0]
    starts = np.searchsorted(owner[order], np.arange(coarse + 1))
    return starts, pixel[order], weight[order]


@kernel
def _gather(gradient, row_starts, rows, row_weights, starts, columns, weights, first, stop, found):
    """Rows ``first`` to ``stop`` of one image, (H', W', C) to (H, W, C): along the columns, then along the rows."""
    _, width, channels = gradient.shape
    line = np.empty((width, channels), np.float32)
    for y in range(first, stop):
        line[:] = np.float32(0)
        for k in range(row_starts[y], row_starts[y + 1]):
            weight, row = row_weights[k], gradient[rows[k]]
            for x in range(width):
                for c in range(channels):
                    line[x, c] += weight * row[x, c]
        for x in range(found.shape[1]):
            pixel = found[y, x]
            pixel[:] = np.float32(0)
            for k in range(starts[x], starts[x + 1]):
                weight, given = weights[k], line[columns[k]]
                for c in range(channels):
                    pixel[c] += weight * given[c]
