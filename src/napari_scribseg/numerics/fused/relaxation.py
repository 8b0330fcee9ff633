"""The primal-dual method on the CPU, its tiles shared by threads; and the halving of a problem for coarse levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.device import n_threads
from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.fused.sweeps import advance_tiles
from napari_scribseg.numerics.threads import MAX_THREADS, band_edges, in_parallel

__all__ = ["HALO", "MOVED", "Relaxation", "default_steps", "halve_cost", "halve_weights"]

HALO = 8  # steps between two exchanges of the tiles' halos
MOVED = 0.05  # change of the labelling within HALO steps that counts as a move
_MOST_ROWS = 128
_ROW_VALUES = 2900  # labels times columns of a tile: HALO + 1 rows of its fields stay in a processor's own cache

Fields = NDArray[np.float32]


def default_steps(smoothness: float) -> tuple[float, float]:
    """Primal and dual step for a smoothness: dual ``0.1 smoothness``, primal ``1 / (8 dual step)``."""
    dual_step = max(0.1 * smoothness, 0.0125)
    return 1 / (8 * dual_step), dual_step


class Relaxation:
    """``min over the simplex of sum u f + smoothness sum g |grad u|``, advanced in place.

    The iterates are those of :func:`napari_scribseg.numerics.variational.primal_dual.solve`.

    Parameters
    ----------
    cost : ndarray of shape (H, K, W), float32
        Data term f; labels are the middle axis.
    weights : ndarray of shape (H, W), float32
        Edge weights g, positive.
    smoothness : float
        Weight lambda of the boundary length.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel (at least 1).
    fields : ndarray of shape (4, H, K, W), float32, optional
        State to go on from (:attr:`fields` of another relaxation), by default the cheapest label at each pixel and no
        flow; that of the halved problem, of shape (4, ceil(H / 2), K, ceil(W / 2)), is good too. It is not changed.
    """

    def __init__(
        self,
        cost: Fields,
        weights: NDArray[np.float32],
        smoothness: float,
        pixel: tuple[float, float] = (1.0, 1.0),
        fields: Fields | None = None,
    ) -> None:
        self._cost = np.ascontiguousarray(cost, dtype=np.float32)
        self._radius = np.maximum(np.multiply(weights, smoothness, dtype=np.float32), np.float32(1e-12))
        step, ascent = default_steps(smoothness)
        self._steps = (np.float32(step), np.float32(ascent))
        self._pixel = (np.float32(1 / pixel[0]), np.float32(1 / pixel[1]))
        self._fields = _cold_fields(self._cost) if fields is None else fields
        self._spare: Fields | None = None
        self._tiles = _tiling(*self._cost.shape)
        self.steps_taken = 0

    @property
    def fields(self) -> Fields:
        """Primal field, its extrapolation, and the dual field's two components, shape (4, H, K, W); not a copy."""
        return self._fields

    def primal(self) -> NDArray[np.float32]:
        """The relaxed labelling u, shape (K, H, W), a copy."""
        return np.ascontiguousarray(self._fields[0].transpose(1, 0, 2))

    def advance(self, n_steps: int, rest: float = MOVED) -> float:
        """Take ``n_steps`` steps; the share of the pixels' values that changed by more than ``rest`` in the last few.

        These are at most HALO.
        """
        moved = 0
        for done in range(0, n_steps, HALO):
            moved = self._round(min(HALO, n_steps - done), rest)
        self.steps_taken += n_steps
        return moved / self._cost.size

    def _round(self, n_steps: int, rest: float) -> int:
        """Steps of all tiles without an exchange of their halos; the number of values that moved."""
        tiles, moved = self._tiles, np.zeros(len(self._tiles), dtype=np.int64)
        area = (tiles[:, 1] - tiles[:, 0] + 2 * n_steps) * (tiles[:, 3] - tiles[:, 2] + 2 * n_steps)
        room = 4 * self._cost.shape[1] * int(area.max())
        source = self._fields
        target = np.empty((4, *self._cost.shape), dtype=np.float32) if self._spare is None else self._spare
        parts = min(4 * min(n_threads(), MAX_THREADS), len(tiles))
        edges = [len(tiles) * i // parts for i in range(parts + 1)]

        def task(part: int) -> None:
            span = slice(edges[part], edges[part + 1])
            given = self._cost, self._radius, tiles[span], moved[span], np.empty(room, dtype=np.float32)
            advance_tiles(source, target, *given, self._steps, self._pixel, np.float32(rest), n_steps)

        in_parallel(task, parts)
        self._spare = source if self._spare is not None else np.empty_like(target)
        self._fields = target
        return int(moved.sum())


def _cold_fields(cost: Fields) -> Fields:
    """The cheapest label at each pixel, no flow."""
    fields = np.zeros((4, *cost.shape), dtype=np.float32)
    np.put_along_axis(fields[0], cost.argmin(axis=1)[:, np.newaxis], np.float32(1), axis=1)
    fields[1] = fields[0]
    return fields


def _tiling(height: int, n_labels: int, width: int) -> NDArray[np.int64]:
    """Tiles that a processor's own cache can serve: first row, row behind the last, the same for columns."""
    down = max(min(2 * min(n_threads(), MAX_THREADS), height // (4 * HALO)), -(-height // _MOST_ROWS), 1)
    across = -(-width // max(_ROW_VALUES // n_labels, 8 * HALO))
    ys = np.linspace(0, height, down + 1).astype(np.int64)
    xs = np.linspace(0, width, across + 1).astype(np.int64)
    tiles = [(ys[i], ys[i + 1], xs[j], xs[j + 1]) for i in range(down) for j in range(across)]
    return np.asarray(tiles, dtype=np.int64)


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
