"""Thumbnails of segments, ready to be painted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.widgets.explore.frame_drawing import packed_colors

__all__ = ["Tiles"]

SIDE = 40  # pixels
MAX_TILES = 12_000  # thumbnails; 77 MB

Ids = NDArray[np.int64]


class Tiles:
    """Thumbnails by segment. An id always stands for the same pixels, so that none becomes outdated.

    Attributes
    ----------
    pixels : ndarray of shape (m, side, side), uint32
        As :mod:`~napari_scribseg.widgets.explore.frame_drawing` paints them.
    """

    def __init__(self, side: int = SIDE) -> None:
        self.side = side
        self.pixels = np.zeros((0, side, side), dtype=np.uint32)
        self._row = np.full(0, -1, dtype=np.int32)
        self._count = 0

    def rows(self, ids: Ids) -> NDArray[np.int32]:
        """Index of the thumbnail of each segment; -1 where there is none yet."""
        rows = np.full(len(ids), -1, dtype=np.int32)
        valid = ids < len(self._row)
        rows[valid] = self._row[ids[valid]]
        return rows

    def put(self, ids: Ids, thumbnails: NDArray[np.uint8]) -> None:
        """Add thumbnails of shape (n, side, side, 3); beyond 12,000 the others are dropped."""
        if not len(ids):
            return
        if self._count + len(ids) > MAX_TILES:
            self._row[:] = -1
            self._count = 0
        end = self._count + len(ids)
        if end > len(self.pixels):
            grown = np.zeros((max(end, 2 * len(self.pixels), 64), self.side, self.side), dtype=np.uint32)
            grown[: self._count] = self.pixels[: self._count]
            self.pixels = grown
        if int(ids.max()) >= len(self._row):
            self._row = np.concatenate((self._row, np.full(int(ids.max()) + 1, -1, dtype=np.int32)))
        self.pixels[self._count : end] = packed_colors(thumbnails)
        self._row[ids] = np.arange(self._count, end)
        self._count = end

    def clear(self) -> None:
        """Drop all: another workspace has other segments."""
        self._row[:] = -1
        self._count = 0
