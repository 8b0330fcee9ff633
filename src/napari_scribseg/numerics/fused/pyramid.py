"""Halving a problem and doubling its solution: the coarse levels of the primal-dual method."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, assignment, call-arg"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["double_fields", "halve_cost", "halve_weights"]


def halve_weights(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over 2 x 2 pixels, shape (ceil(H / 2), ceil(W / 2)); fewer pixels at an odd border."""
    return halve_cost(weights[:, np.newaxis])[:, 0]


def halve_cost(cost: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over 2 x 2 pixels of a field of shape (H, K, W), to (ceil(H / 2), K, ceil(W / 2))."""
    height, n_labels, width = cost.shape
    half = np.empty((-(-height // 2), n_labels, -(-width // 2)), dtype=np.float32)
    edges = band_edges(half.shape[0])
    in_parallel(lambda i: _halve(cost, half, edges[i], edges[i + 1]), len(edges) - 1)
    return half


@kernel
def _halve(cost, half, start, stop):
    height, n_labels, width = cost.shape
    quarter = np.float32(0.25)
    for y in range(start, stop):
        below = min(2 * y + 1, height - 1)
        for k in range(n_labels):
            a, b, out = cost[2 * y, k], cost[below, k], half[y, k]
            for x in range(width // 2):
                out[x] = quarter * (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1])
            if width % 2:
                out[width // 2] = np.float32(0.5) * (a[width - 1] + b[width - 1])


def double_fields(fields: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The state of the next finer level, of spatial shape ``shape``, to go on from.

    The labelling is repeated; the dual field, which is per pixel of boundary, is repeated and doubled (its next
    projection brings it onto the finer level's ball).

    Parameters
    ----------
    fields : ndarray of shape (4, h, K, w), float32
        State of the coarse level, as :attr:`Relaxation.fields <.relaxation.Relaxation.fields>`.
    shape : tuple of 2 int
        Rows and columns of the finer level: h is half of them, rounded up, and so is w.
    """
    fine = np.empty((4, shape[0], fields.shape[2], shape[1]), dtype=np.float32)
    edges = band_edges(shape[0])
    in_parallel(lambda i: _double(fields, fine, edges[i], edges[i + 1]), len(edges) - 1)
    return fine


@kernel
def _double(fields, fine, start, stop):
    _, _, n_labels, width = fine.shape
    for f in range(4):
        source = 0 if f < 2 else f
        scale = np.float32(1 if f < 2 else 2)
        for y in range(start, stop):
            for k in range(n_labels):
                row, out = fields[source, y // 2, k], fine[f, y, k]
                for x in range(width // 2):
                    value = scale * row[x]
                    out[2 * x] = value
                    out[2 * x + 1] = value
                if width % 2:
                    out[width - 1] = scale * row[width // 2]
