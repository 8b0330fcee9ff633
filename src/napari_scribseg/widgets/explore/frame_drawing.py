"""Points and thumbnails in a frame of pixels: compiled loops, as Qt's own painter takes ten times as long.

A frame has the shape (H, W) and holds 0xAARRGGBB in 32 bits, as ``QImage.Format_RGB32`` does.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel

__all__ = ["packed_colors", "paint_discs", "paint_tiles", "with_room"]

Frame = NDArray[np.uint32]
Float32 = NDArray[np.float32]


def packed_colors(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Colours of shape (..., 3), red green blue, in the words of a frame, shape (...)."""
    wide = colors.astype(np.uint32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2] | 0xFF000000, dtype=np.uint32)


@kernel
def paint_discs(frame, pixels, colors, radius):
    """Discs with soft rims at ``pixels`` (n, 2), across and down, in ``colors`` (n,), the last on top."""
    height, width = frame.shape
    reach = radius + 0.5
    for i in range(len(pixels)):
        x, y = pixels[i, 0], pixels[i, 1]
        if x < -reach or y < -reach or x > width + reach or y > height + reach:
            continue
        red, green, blue = (colors[i] >> 16) & 255, (colors[i] >> 8) & 255, colors[i] & 255
        for row in range(max(math.floor(y - reach), 0), min(math.ceil(y + reach) + 1, height)):
            for column in range(max(math.floor(x - reach), 0), min(math.ceil(x + reach) + 1, width)):
                away = math.sqrt((row - y) ** 2 + (column - x) ** 2)
                share = int(256 * min(max(reach - away, 0.0), 1.0))
                if share > 0:
                    old = frame[row, column]
                    rest = 256 - share
                    r = (share * red + rest * ((old >> 16) & 255)) >> 8
                    g = (share * green + rest * ((old >> 8) & 255)) >> 8
                    b = (share * blue + rest * (old & 255)) >> 8
                    frame[row, column] = 0xFF000000 | (r << 16) | (g << 8) | b


@kernel
def _resized(tile, side, small):
    """A thumbnail ``side`` pixels wide, written to ``small``: means of its pixels, or the nearest where it grows."""
    own = len(tile)
    for row in range(side):
        top, bottom = row * own // side, max((row + 1) * own // side, row * own // side + 1)
        for column in range(side):
            left, right = column * own // side, max((column + 1) * own // side, column * own // side + 1)
            red, green, blue = 0, 0, 0
            for y in range(top, bottom):
                for x in range(left, right):
                    red += (tile[y, x] >> 16) & 255
                    green += (tile[y, x] >> 8) & 255
                    blue += tile[y, x] & 255
            count = (bottom - top) * (right - left)
            small[row, column] = 0xFF000000 | ((red // count) << 16) | ((green // count) << 8) | (blue // count)


@kernel
def paint_tiles(frame, pixels, colors, rims, tiles, rows, side):
    """Thumbnails ``tiles[rows[i]]``, ``side`` wide, around ``pixels`` (n, 2), framed in ``colors`` by ``rims`` (n,)."""
    height, width = frame.shape
    small = np.empty((side, side), dtype=np.uint32)
    for i in range(len(pixels)):
        left, top = math.floor(pixels[i, 0]) - side // 2, math.floor(pixels[i, 1]) - side // 2
        rim = rims[i]
        if side == tiles.shape[1]:
            small[:] = tiles[rows[i]]
        else:
            _resized(tiles[rows[i]], side, small)
        for row in range(max(-rim, -top), min(side + rim, height - top)):
            for column in range(max(-rim, -left), min(side + rim, width - left)):
                if 0 <= row < side and 0 <= column < side:
                    frame[top + row, left + column] = small[row, column]
                else:
                    frame[top + row, left + column] = colors[i]


@kernel
def _first_in_cell(cells, counts, most, taken, chosen):
    for i in range(len(cells)):
        if not taken[cells[i]] and counts[cells[i]] <= most:
            taken[cells[i]] = True
            chosen[i] = True


def with_room(xy: Float32, cell: float, most: int = 1 << 30) -> NDArray[np.bool_]:
    """The first point of each cell of a grid: points whose thumbnails hardly overlap.

    Parameters
    ----------
    xy : ndarray of shape (n, 2), float32
        Finite. The grid is fixed in the embedding, so that moving the camera changes nothing.
    cell : float
        Side of a cell, in units of the embedding.
    most : int
        Points in a cell beyond which none of them is chosen: the thumbnail would hide the others.
    """
    chosen = np.zeros(len(xy), dtype=np.bool_)
    if not len(xy):
        return chosen
    cells = np.floor(xy / np.float32(cell)).astype(np.int64)
    cells -= cells.min(axis=0)
    columns, rows = (int(n) + 1 for n in cells.max(axis=0))
    if columns * rows > 1 << 24:  # far more than a canvas has room for: the points are spread wide
        _, first, counts = np.unique(cells, axis=0, return_index=True, return_counts=True)
        chosen[first[counts <= most]] = True
        return chosen
    numbers = cells[:, 1] * columns + cells[:, 0]
    _first_in_cell(numbers, np.bincount(numbers), most, np.zeros(columns * rows, dtype=np.bool_), chosen)
    return chosen
