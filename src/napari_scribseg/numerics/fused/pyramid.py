"""Halving a problem: the coarse levels of the primal-dual method."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["halve_cost", "halve_weights"]


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
