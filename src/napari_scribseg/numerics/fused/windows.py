"""Sums and distances over windows of a mask, axis by axis: votes of a neighbourhood, and nearness in mm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Report, silent
from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["BEYOND", "squared_distance", "weighted_sum"]

BEYOND = np.float32(1e30)  # squared distance of a voxel that is farther than the radius
_BANDS = 16  # reports of progress for each of the two passes


def squared_distance(
    mask: NDArray[np.bool_], spacing: Sequence[float], radius: float, report: Report = silent
) -> NDArray[np.float32]:
    """Squared Euclidean distance from each voxel to the nearest one of a mask, exact up to a radius.

    Parameters
    ----------
    mask : ndarray of shape (\\*S), bool, of 2 or 3 axes
    spacing : sequence of float
        Size of a voxel along each axis.
    radius : float
        In the unit of ``spacing``; the work grows with it.
    report : Report
        Called with fractions from 0 to 1; what it raises ends the work.

    Returns
    -------
    ndarray of shape (\\*S), float32
        Between the centres of voxels, in the squared unit of ``spacing``; :data:`BEYOND` where it is larger than the
        radius allows.
    """
    volume = _volume(mask)
    sizes = [1.0] * (3 - mask.ndim) + [float(size) for size in spacing]
    reach = [math.floor(radius / size * (1 + 1e-6)) for size in sizes]
    limit = np.float32(radius * radius * (1 + 1e-5))
    found = np.empty(volume.shape, np.float32)
    costs = [
        np.asarray([(step * size) ** 2 for step in range(way + 1)], np.float32)
        for size, way in zip(sizes, reach, strict=True)
    ]

    def in_slice(z: int) -> None:
        _nearest_in_slice(volume[z], costs[1], costs[2], limit, found[z])

    def across(y: int) -> None:
        _nearest_across(found[:, y], costs[0], limit)

    _passes(in_slice, across, volume.shape, report)
    return found.reshape(mask.shape)


def weighted_sum(
    mask: NDArray[np.bool_], weights: Sequence[NDArray[np.float32]], report: Report = silent
) -> NDArray[np.float32]:
    """Weighted sum of a mask over a window around each voxel; beyond its border, a mask continues as at the border.

    Parameters
    ----------
    mask : ndarray of shape (\\*S), bool, of 2 or 3 axes
    weights : sequence of ndarray, float32
        Along each axis, of an odd length each; the weight of a voxel is their product.
    report : Report
        Called with fractions from 0 to 1; what it raises ends the work.

    Returns
    -------
    ndarray of shape (\\*S), float32
    """
    volume = _volume(mask)
    taps = [np.ones(1, np.float32)] * (3 - mask.ndim) + [np.ascontiguousarray(w, np.float32) for w in weights]
    found = np.empty(volume.shape, np.float32)

    def in_slice(z: int) -> None:
        _sum_in_slice(volume[z], taps[1], taps[2], found[z])

    def across(y: int) -> None:
        _sum_across(found[:, y], taps[0])

    _passes(in_slice, across, volume.shape, report)
    return found.reshape(mask.shape)


def _volume(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask as a volume of three axes."""
    return np.ascontiguousarray(mask).view(np.uint8).reshape((1,) * (3 - mask.ndim) + mask.shape)


def _passes(
    in_slice: Callable[[int], object], across: Callable[[int], object], shape: tuple[int, ...], report: Report
) -> None:
    """Call one function for each slice and then the other for each row, several at once, and report between bands."""
    for at, (task, count) in enumerate(((in_slice, shape[0]), (across, shape[1]))):
        for band in range(_BANDS):
            first, stop = count * band // _BANDS, count * (band + 1) // _BANDS
            report((at + band / _BANDS) / 2)
            if stop > first:
                in_parallel(partial(_call_from, task, first), stop - first)
    report(1.0)


def _call_from(task: Callable[[int], object], first: int, index: int) -> None:
    task(first + index)


@kernel
def _nearest_in_slice(mask, rows, columns, limit, found):
    """Squared distance within a slice, by windows: along the rows, then across them."""
    height, width = mask.shape
    along = np.full((height, width), BEYOND, np.float32)
    filled = np.zeros(height, np.bool_)
    for y in range(height):
        line, row = along[y], mask[y]
        last = -len(columns)
        for x in range(width):
            if row[x]:
                last = x
                filled[y] = True
            if x - last < len(columns):
                line[x] = columns[x - last]
        last = width - 1 + len(columns)
        for x in range(width - 1, -1, -1):
            if row[x]:
                last = x
            if last - x < len(columns):
                line[x] = min(line[x], columns[last - x])
    for y in range(height):
        line = found[y]
        for x in range(width):
            line[x] = along[y, x]
        for other in range(max(y - len(rows) + 1, 0), min(y + len(rows), height)):
            if filled[other] and other != y:
                cost, near = rows[abs(other - y)], along[other]
                for x in range(width):
                    line[x] = min(line[x], near[x] + cost)
        for x in range(width):
            line[x] = line[x] if line[x] <= limit else BEYOND


@kernel
def _nearest_across(found, costs, limit):
    """Squared distance across slices, by windows, in place: ``found`` is one row of each slice."""
    depth, width = found.shape
    former = found.copy()
    for z in range(depth):
        line = found[z]
        for other in range(max(z - len(costs) + 1, 0), min(z + len(costs), depth)):
            cost, near = costs[abs(other - z)], former[other]
            for x in range(width):
                line[x] = min(line[x], near[x] + cost)
        for x in range(width):
            line[x] = line[x] if line[x] <= limit else BEYOND


@kernel
def _sum_in_slice(mask, rows, columns, found):
    """Weighted sum within a slice: along the rows, then across them."""
    height, width = mask.shape
    half = len(columns) // 2
    along = np.empty((height, width), np.float32)
    padded = np.empty(width + 2 * half, np.float32)
    for y in range(height):
        for x in range(width):
            padded[half + x] = mask[y, x]
        padded[:half] = mask[y, 0]
        padded[half + width :] = mask[y, width - 1]
        line = along[y]
        line[:] = 0
        for tap in range(len(columns)):
            weight = columns[tap]
            for x in range(width):
                line[x] += weight * padded[x + tap]
    half = len(rows) // 2
    for y in range(height):
        line = found[y]
        line[:] = 0
        for tap in range(len(rows)):
            weight, other = rows[tap], along[min(max(y + tap - half, 0), height - 1)]
            for x in range(width):
                line[x] += weight * other[x]


@kernel
def _sum_across(found, weights):
    """Weighted sum across slices, in place: ``found`` is one row of each slice."""
    depth, width = found.shape
    half = len(weights) // 2
    former = found.copy()
    for z in range(depth):
        line = found[z]
        line[:] = 0
        for tap in range(len(weights)):
            weight, other = weights[tap], former[min(max(z + tap - half, 0), depth - 1)]
            for x in range(width):
                line[x] += weight * other[x]
