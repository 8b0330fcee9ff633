"""A grid for the thumbnails of an embedding, so that none hides another; no Qt."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["grid_positions"]

_SPARE = 1.2  # cells for each segment; those that stay empty keep unlike groups apart
_BLOCK = 4  # cells of a side below which a block is filled row by row

Points = NDArray[np.float32]


def grid_positions(xy: Points, aspect: float) -> Points:
    """A cell of a grid for each point, near ones in near cells: DGrid (Hilasaca et al. 2019, arXiv:1903.06262).

    Points, and as many others where the embedding is empty as there are spare cells, are halved along the longer side
    of the grid again and again, until each has a cell.

    Parameters
    ----------
    xy : ndarray of shape (n, 2), float32
        Finite.
    aspect : float
        Width of the grid for a height of 1.

    Returns
    -------
    ndarray of shape (n, 2), float32
        Whole numbers, one apart in neighbouring cells; the second axis upwards, as in the embedding.
    """
    n = len(xy)
    if not n:
        return np.zeros((0, 2), dtype=np.float32)
    columns = max(round(math.sqrt(_SPARE * n * aspect)), 1)
    rows = math.ceil(_SPARE * n / columns)
    low = xy.min(axis=0)
    unit = (xy - low) / np.maximum(xy.max(axis=0) - low, 1e-6)
    across, down = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    lattice = np.stack((across.ravel(), down.ravel()), axis=1)
    empty = np.argsort(-cKDTree(unit).query(lattice)[0], kind="stable")[: rows * columns - n]
    return _in_cells(np.concatenate((unit, lattice[empty])), rows, columns)[:n]


def _in_cells(points: NDArray[np.floating], rows: int, columns: int) -> Points:
    """A cell for each of rows * columns points."""
    cells = np.empty((len(points), 2), dtype=np.float32)
    blocks = [(np.arange(len(points)), 0, rows, 0, columns)]
    while blocks:
        some, bottom, top, left, right = blocks.pop()
        high, wide = top - bottom, right - left
        if max(high, wide) <= _BLOCK:
            row = np.empty(len(some), dtype=np.int64)
            row[np.argsort(points[some, 1], kind="stable")] = np.arange(len(some)) // wide
            order = np.lexsort((points[some, 0], row))
            cells[some[order]] = np.stack(
                (left + np.arange(len(some)) % wide, bottom + np.arange(len(some)) // wide), axis=1
            )
        elif wide >= high:
            middle = wide // 2
            some = some[np.argsort(points[some, 0], kind="stable")]
            blocks.append((some[: middle * high], bottom, top, left, left + middle))
            blocks.append((some[middle * high :], bottom, top, left + middle, right))
        else:
            middle = high // 2
            some = some[np.argsort(points[some, 1], kind="stable")]
            blocks.append((some[: middle * wide], bottom, bottom + middle, left, right))
            blocks.append((some[middle * wide :], bottom + middle, top, left, right))
    return cells
