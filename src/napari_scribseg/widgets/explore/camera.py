"""The visible part of the embedding: arithmetic, no Qt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera"]

_MARGIN = 30  # pixels that stay free around all points: room for half a thumbnail
_FARTHEST, _NEAREST = 1e-3, 1e5  # pixels for a unit of the embedding

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Camera:
    """Maps the embedding to a canvas, the second axis upwards.

    Attributes
    ----------
    x, y : float
        The position in the middle of the canvas.
    scale : float
        Pixels for a unit of the embedding.
    """

    x: float = 0.0
    y: float = 0.0
    scale: float = 20.0

    def to_pixels(self, xy: Points, width: int, height: int) -> Points:
        """Pixels, across and down, of positions of shape (n, 2)."""
        pixels = np.empty(xy.shape, dtype=np.float32)
        pixels[:, 0] = (xy[:, 0] - self.x) * self.scale + width / 2
        pixels[:, 1] = (self.y - xy[:, 1]) * self.scale + height / 2
        return pixels

    def to_xy(self, across: float, down: float, width: int, height: int) -> tuple[float, float]:
        """The position under a pixel."""
        return self.x + (across - width / 2) / self.scale, self.y - (down - height / 2) / self.scale

    def moved(self, across: float, down: float) -> Camera:
        """Moved by a drag of the canvas by so many pixels."""
        return Camera(self.x - across / self.scale, self.y + down / self.scale, self.scale)

    def zoomed(self, factor: float, across: float, down: float, width: int, height: int) -> Camera:
        """Zoomed by a factor; the position under the pixel stays there."""
        x, y = self.to_xy(across, down, width, height)
        scale = min(max(self.scale * factor, _FARTHEST), _NEAREST)
        shrunk = self.scale / scale
        return Camera(x + (self.x - x) * shrunk, y + (self.y - y) * shrunk, scale)

    def between(self, other: Camera, fraction: float) -> Camera:
        """A fraction of the way to another camera."""
        x, y = (a + (b - a) * fraction for a, b in ((self.x, other.x), (self.y, other.y)))
        return Camera(x, y, self.scale * (other.scale / self.scale) ** fraction)

    @classmethod
    def around(cls, xy: Points, width: int, height: int, limit: float = _NEAREST, margin: int = _MARGIN) -> Camera:
        """Shows all positions (NaN ignored) inside a margin, no nearer than ``limit`` pixels a unit."""
        finite = xy[np.isfinite(xy).all(axis=1)]
        if not len(finite):
            return cls()
        low, high = finite.min(axis=0).astype(float), finite.max(axis=0).astype(float)
        room = np.maximum(np.array([width, height]) - 2 * margin, 20)
        scale = float((room / np.maximum(high - low, 1e-6)).min())
        middle = (low + high) / 2
        return cls(float(middle[0]), float(middle[1]), min(max(scale, _FARTHEST), limit))
