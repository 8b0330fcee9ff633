"""The primal-dual method on a set of voxels in three dimensions, compiled."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel
from napari_scribseg.numerics.volume_cut.band import Band

__all__ = ["BandRelaxation"]

_SMALLEST = 1 << 14  # voxels of a thread's part
_RELATIVE_ASCENT = 0.5  # dual step, in mean weights


class BandRelaxation:
    """``min over the simplex of sum u f + sum over pairs of neighbours w / 2 sum over labels |u - u'|``, by steps.

    The relaxed multi-label problem of Zach et al. (2008), by the method of Chambolle and Pock (2011).

    Parameters
    ----------
    band : Band
        N voxels.
    cost : ndarray of shape (N, K), float32
        Data term f; labels of a voxel lie together.
    weights : ndarray of shape (3, N), float32
        Price of a border between a voxel and the next one along each axis, at least 0.
    start : ndarray of shape (N,), integer, optional
        The label of each voxel in the beginning; by default the cheapest.
    """

    def __init__(
        self,
        band: Band,
        cost: NDArray[np.float32],
        weights: NDArray[np.float32],
        start: NDArray[np.integer] | None = None,
    ) -> None:
        self._band, self._cost = band, np.ascontiguousarray(cost, dtype=np.float32)
        self._half = np.ascontiguousarray(weights, dtype=np.float32) / np.float32(2)
        self._u = np.zeros(self._cost.shape, np.float32)
        start = self._cost.argmin(axis=1) if start is None else start
        np.put_along_axis(self._u, start[:, np.newaxis].astype(np.intp), np.float32(1), axis=1)
        self._bar = self._u.copy()
        self._flow = np.zeros((3, *self._cost.shape), np.float32)
        self._ascent = np.float32(max(_RELATIVE_ASCENT * float(weights.mean()), 1e-3))
        self._descent = np.float32(1 / (12 * self._ascent))
        self._edges = band_edges(len(band), smallest=_SMALLEST, per_thread=4)

    @property
    def primal(self) -> NDArray[np.float32]:
        """The relaxed labelling, shape (N, K); not a copy."""
        return self._u

    def advance(self, n_steps: int) -> float:
        """Take steps; returns the share of the voxels whose label changed in the last one by more than 0.05."""
        band, edges = self._band, self._edges
        moved = np.zeros(len(edges) - 1, np.int64)

        def ascend(part: int) -> None:
            _ascend(self._flow, self._bar, band.after, self._half, self._ascent, edges[part], edges[part + 1])

        def descend(part: int) -> None:
            moved[part] = _descend(
                self._u, self._bar, self._flow, self._cost, band.before, self._descent, edges[part], edges[part + 1]
            )

        for _ in range(n_steps):
            in_parallel(ascend, len(moved))
            in_parallel(descend, len(moved))
        return float(moved.sum()) / max(len(band), 1)


@kernel
def _ascend(flow, bar, after, half, ascent, start, stop):
    """Dual step of some voxels: ``flow + ascent * gradient(bar)``, no larger than half the weight."""
    n_labels = bar.shape[1]
    for d in range(3):
        for i in range(start, stop):
            j = after[d, i]
            if j < 0:
                continue
            most = half[d, i]
            for k in range(n_labels):
                value = flow[d, i, k] + ascent * (bar[j, k] - bar[i, k])
                flow[d, i, k] = min(max(value, -most), most)


@kernel
def _descend(u, bar, flow, cost, before, descent, start, stop):
    """Primal step of some voxels, projected onto the simplex (Michelot 1986), then ``bar``; how many moved."""
    n_labels = u.shape[1]
    value = np.empty(n_labels, np.float32)
    moved = 0
    for i in range(start, stop):
        a, b, c = before[0, i], before[1, i], before[2, i]
        total, largest = np.float32(-1), np.float32(-1e30)
        for k in range(n_labels):
            divergence = flow[0, i, k] + flow[1, i, k] + flow[2, i, k]
            if a >= 0:
                divergence -= flow[0, a, k]
            if b >= 0:
                divergence -= flow[1, b, k]
            if c >= 0:
                divergence -= flow[2, c, k]
            v = u[i, k] - descent * (cost[i, k] - divergence)
            value[k] = v
            total += v
            largest = max(largest, v)
        low = max(largest - np.float32(1), total / np.float32(n_labels))
        for _ in range(n_labels):
            excess, count = np.float32(-1), np.float32(0)
            for k in range(n_labels):
                over = value[k] - low
                if over > 0:
                    excess += over
                    count += np.float32(1)
            if excess <= np.float32(1e-6):
                break
            low += excess / count
        change = np.float32(0)
        for k in range(n_labels):
            new = max(value[k] - low, np.float32(0))
            change = max(change, abs(new - u[i, k]))
            bar[i, k] = new + new - u[i, k]
            u[i, k] = new
        moved += int(change > np.float32(0.05))
    return moved
