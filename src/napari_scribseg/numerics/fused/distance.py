"""Distances to the strokes of each label on the CPU: Euclidean, exact; geodesic, by raster scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["FAR", "euclidean_distance", "geodesic_distance"]

FAR = np.float32(1e9)  # distance to a label without strokes


def euclidean_distance(
    seeds: NDArray[np.int32], n_classes: int, pixel: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float32]:
    """Distance from each pixel to the nearest stroke pixel of each label.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of labels K.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns.

    Returns
    -------
    ndarray of shape (K, H, W), float32
        Between the centres of pixels, in the units of ``pixel``; FAR for a label without strokes.

    Notes
    -----
    Columns by two scans, then rows by the lower envelope of parabolas (Felzenszwalb & Huttenlocher 2012).
    """
    height = seeds.shape[0]
    distance = np.full((n_classes, *seeds.shape), FAR, dtype=np.float32)
    present = [k for k in range(n_classes) if (seeds == k).any()]
    edges = band_edges(height, per_thread=2)

    def columns(i: int) -> None:
        _scan_columns(seeds, present[i], np.float32(pixel[0]), distance[present[i]])

    def rows(i: int) -> None:
        k, band = present[i // (len(edges) - 1)], i % (len(edges) - 1)
        _scan_rows(distance[k, edges[band] : edges[band + 1]], float(pixel[1]))

    if present:
        in_parallel(columns, len(present))
        in_parallel(rows, len(present) * (len(edges) - 1))
    return distance


@kernel
def _scan_columns(seeds, label, step, distance):
    """Distance along the column to the nearest stroke pixel of the label, into ``distance`` (H, W)."""
    height, width = seeds.shape
    for y in range(height):
        row, mark = distance[y], seeds[y]
        before = distance[y - 1] if y > 0 else row
        first = y == 0
        for x in range(width):
            passed = FAR if first else min(before[x] + step, FAR)
            row[x] = np.float32(0) if mark[x] == label else passed
    for y in range(height - 2, -1, -1):
        row, before = distance[y], distance[y + 1]
        for x in range(width):
            row[x] = min(row[x], before[x] + step)


@kernel
def _scan_rows(distance, step):
    """Turn distances along the column into Euclidean ones, row by row, in place."""
    height, width = distance.shape
    centre = np.empty(width, np.int64)
    base = np.empty(width, np.float64)
    start = np.empty(width + 1, np.float64)
    square = step * step
    for y in range(height):
        row = distance[y]
        n = 0
        for q in range(width):
            if row[q] >= FAR:
                continue
            value = np.float64(row[q]) ** 2 + square * q * q
            position = -1e30
            while n > 0:
                position = (value - base[n - 1]) / (2 * square * (q - centre[n - 1]))
                if position > start[n - 1]:
                    break
                n -= 1
                position = -1e30
            centre[n], base[n], start[n] = q, value, position
            n += 1
        if n == 0:
            continue
        start[n] = 1e30
        i = 0
        for x in range(width):
            while start[i + 1] < x:
                i += 1
            gap = x - centre[i]
            along = base[i] - square * centre[i] * centre[i]
            row[x] = np.sqrt(along + square * gap * gap)


def geodesic_distance(
    seeds: NDArray[np.int32],
    n_classes: int,
    speed_cost: NDArray[np.float32],
    pixel: tuple[float, float] = (1.0, 1.0),
    *,
    start: NDArray[np.float32] | None = None,
    tolerance: float = 1e-3,
    max_scans: int = 24,
) -> NDArray[np.float32]:
    """Length of the cheapest path from each pixel to a stroke of each label.

    A step between neighbours (of eight) costs its length times the mean of their costs.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of labels K.
    speed_cost : ndarray of shape (H, W), float32
        Cost of a unit of length at each pixel, positive.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns.
    start : ndarray of shape (K, H, W), float32, optional
        The distances to part of the strokes (the same ``speed_cost``, tolerance 0, enough scans): what is new is added
        to them. They are not changed.
    tolerance : float
        The scans end when none lowers a distance by more than this share of it.
    max_scans : int
        Most pairs of scans, down and up.

    Returns
    -------
    ndarray of shape (K, H, W), float32
        FAR for a label without strokes.

    Notes
    -----
    Raster scans (Toivanen 1996): down then up, each row by its neighbour row and then along itself in both directions.
    """
    size = (np.float32(pixel[0]), np.float32(pixel[1]), np.float32(np.hypot(*pixel)))
    distance = np.full((n_classes, *seeds.shape), FAR, dtype=np.float32) if start is None else start.copy()
    present = [k for k in range(n_classes) if (seeds == k).any()]
    half = np.multiply(speed_cost, np.float32(0.5), dtype=np.float32)

    def task(i: int) -> None:
        own = distance[present[i]]
        fresh = (seeds == present[i]) & (own > 0)
        own[fresh] = 0
        _scan_until_still(own, fresh, half, size, np.float32(tolerance), max_scans)

    if present:
        in_parallel(task, len(present))
    return distance


@kernel
def _scan_until_still(distance, fresh, half, size, tolerance, max_scans):
    """Scan down and up until nothing changes; only what changed in a row is passed on to its neighbours."""
    height, width = distance.shape
    below = np.empty((height, 2), np.int64)  # columns of a row that changed since the row below was updated from it
    above = np.empty((height, 2), np.int64)
    before = np.empty(width, np.float32)
    for y in range(height):
        first, last = 0, width
        while first < width and not fresh[y, first]:
            first += 1
        while last > first and not fresh[y, last - 1]:
            last -= 1
        if first < last:
            first, last = _lower_along(distance[y], half[y], size[1], first, last)
        below[y, 0], below[y, 1], above[y, 0], above[y, 1] = first, last, first, last
    for _ in range(max_scans):
        lowered = False
        for y in range(1, height):
            lowered |= _visit(distance, half, size, tolerance, y, y - 1, below, above, before)
        for y in range(height - 2, -1, -1):
            lowered |= _visit(distance, half, size, tolerance, y, y + 1, above, below, before)
        if not lowered:
            return


@kernel
def _visit(distance, half, size, tolerance, y, other, ahead, back, before):
    """Lower the row ``y`` where the row ``other`` changed, and along itself; whether anything changed.

    ``ahead`` holds the changed columns of every row for the next one in the direction of the scan, ``back`` for the
    other direction; an empty interval stands for no change.
    """
    width = distance.shape[1]
    first, last = ahead[other]
    if first >= last:
        return False
    ahead[other, 0], ahead[other, 1] = width, 0
    first, last = max(first - 1, 0), min(last + 1, width)
    row, cost = distance[y], half[y]
    before[:] = row
    _lower_across(row[first:last], distance[other, first:last], cost[first:last], half[other, first:last], size)
    first, last = _lower_along(row, cost, size[1], first, last)
    keep = np.float32(1) - tolerance
    while first < last and row[first] >= before[first] * keep:
        first += 1
    while first < last and row[last - 1] >= before[last - 1] * keep:
        last -= 1
    if first >= last:
        return False
    ahead[y, 0], ahead[y, 1] = min(ahead[y, 0], first), max(ahead[y, 1], last)
    back[y, 0], back[y, 1] = min(back[y, 0], first), max(back[y, 1], last)
    return True


@kernel
def _lower_across(row, near, cost, near_cost, size):
    """Lower a row by steps from the row beside it, straight and diagonal."""
    width = row.shape[0]
    for x in range(width):
        row[x] = min(row[x], near[x] + size[0] * (cost[x] + near_cost[x]))
    for x in range(1, width):
        row[x] = min(row[x], near[x - 1] + size[2] * (cost[x] + near_cost[x - 1]))
    for x in range(width - 1):
        row[x] = min(row[x], near[x + 1] + size[2] * (cost[x] + near_cost[x + 1]))


@kernel
def _lower_along(row, cost, step, first, last):
    """Lower a row by steps along itself, from the columns ``first`` to ``last`` outwards; the columns reached."""
    width = row.shape[0]
    x = first + 1
    value = row[first]
    while x < width:
        new = value + step * (cost[x] + cost[x - 1])
        if x >= last and new >= row[x]:
            break
        value = min(row[x], new)
        row[x] = value
        x += 1
    end = max(x, last)
    x = end - 2
    value = row[end - 1]
    while x >= 0:
        new = value + step * (cost[x] + cost[x + 1])
        if x < first and new >= row[x]:
            break
        value = min(row[x], new)
        row[x] = value
        x -= 1
    return min(x + 1, first), end
