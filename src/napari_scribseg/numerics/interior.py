"""The inside of labelled regions: how deep a pixel lies in one, and seeds that stand for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["depth_in", "interior"]

RIM = 1.5  # width, in finest pixels, of the line of seeds along an eroded border
GRID = 8  # one seed in this many rows and columns inside of it


def interior(region: NDArray[np.bool_], spacing: tuple[float, ...], margin: float) -> NDArray[np.bool_]:
    """The line along the border eroded by ``margin``, and a loose grid inside of it, for each part of a region.

    Parameters
    ----------
    region : ndarray of shape (H, W), bool
    spacing : tuple of 2 float
        Size of a pixel.
    margin : float
        In the unit of ``spacing``; of a part that is thinner, half of its own thickness.

    Returns
    -------
    ndarray of shape (H, W), bool
    """
    chosen = np.zeros(region.shape, bool)
    if not region.any():
        return chosen
    rows, columns = _span(np.any(region, axis=1)), _span(np.any(region, axis=0))
    part = region[rows, columns]
    depth = depth_in(part, spacing)
    parts, n_parts = ndimage.label(part)
    deepest = np.zeros(n_parts + 1)
    np.maximum.at(deepest, parts.reshape(-1), depth.reshape(-1))
    limit = np.minimum(margin, deepest / 2)[parts]
    grid = np.zeros(region.shape, bool)
    grid[::GRID, ::GRID] = True
    line = depth < limit + RIM * min(spacing)
    chosen[rows, columns] = part & (depth >= limit) & (line | grid[rows, columns])
    return chosen


def depth_in(region: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Distance of the pixels of a region to its border, which the border of the image is not.

    Parameters
    ----------
    region : ndarray of shape (H, W), bool
    spacing : tuple of 2 float
        Size of a pixel.

    Returns
    -------
    ndarray of shape (H, W), float64
        In the unit of ``spacing``; 0 outside.
    """
    padded = np.pad(region, 1, mode="edge")
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1]
    return depth


def _span(marked: NDArray[np.bool_]) -> slice:
    """From the first to the last marked entry, and one more on both sides."""
    at = np.flatnonzero(marked)
    return slice(max(int(at[0]) - 1, 0), int(at[-1]) + 2)
