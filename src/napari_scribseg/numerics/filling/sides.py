"""What an anchor says of another slice: its shapes, intensities and image, moved there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.filters import smooth
from napari_scribseg.numerics.fused.flow import move

__all__ = ["Side", "contrast"]

NEARBY = 4.0  # finest pixels over which the intensities of a class are averaged
LEAST = 1e-3  # weight below which no pixel of a class counts as nearby
NOISE = 0.02  # least standard deviation of intensities around those means, of 1

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Maps of one anchor, on its own grid or moved to another slice.

    Attributes
    ----------
    distances : ndarray of shape (K, H, W), float32
        To the border of each class, positive inside, in finest pixels.
    inside, outside : ndarray of shape (K, H, W), float32
        Mean intensity of the class, and of all others, nearby.
    image : ndarray of shape (H, W), float32
        Intensities from 0 to 1.
    noise : float
        Standard deviation of the intensities around the means of their class.
    """

    distances: Float32
    inside: Float32
    outside: Float32
    image: Float32
    noise: float

    @classmethod
    def of(cls, distances: Float32, own: NDArray[np.intp], image: Float32, pixel: tuple[float, float]) -> Side:
        """From the distances, the index of the class of each pixel, and the image of an anchor."""
        masks = np.stack([own == k for k in range(len(distances))]).astype(np.float32)
        weights = smooth(masks, NEARBY, pixel)
        sums = smooth(masks * image, NEARBY, pixel)
        whole, total = weights.sum(axis=0), sums.sum(axis=0)
        means = total / np.maximum(whole, LEAST)
        inside, outside = np.empty_like(sums), np.empty_like(sums)
        for k in range(len(masks)):
            valid, rest = weights[k] > LEAST, whole - weights[k] > LEAST
            fallback = image[own == k].mean() if (own == k).any() else means
            inside[k] = np.where(valid, sums[k] / np.maximum(weights[k], LEAST), fallback)
            outside[k] = np.where(rest, (total - sums[k]) / np.maximum(whole - weights[k], LEAST), means)
        spread = image - np.take_along_axis(inside, own[np.newaxis], axis=0)[0]
        return cls(distances, inside, outside, image, max(float(spread.std()), NOISE))

    def part(self, k: int, box: tuple[slice, slice]) -> Side:
        """Of one class, in a box."""
        at = (slice(k, k + 1), *box)
        return Side(self.distances[at], self.inside[at], self.outside[at], self.image[box], self.noise)

    def moved(self, flow: Float32) -> Side:
        """On the grid of a slice whose motion back to the anchor is ``flow`` (2, H, W)."""
        distances, inside, outside = (move(maps, flow) for maps in (self.distances, self.inside, self.outside))
        return Side(distances, inside, outside, move(self.image[np.newaxis], flow)[0], self.noise)


def contrast(side: Side, image: Float32, k: int) -> Float32:
    """How much more each pixel of another slice is like a class than like the others around it.

    Parameters
    ----------
    side : Side
        Moved to that slice.
    image : ndarray of shape (H, W), float32
    k : int
        Index of the class.

    Returns
    -------
    ndarray of shape (H, W), float32
        Logarithm of the ratio of two Gaussian densities, cut off at 4.
    """
    far, near = image - side.outside[k], image - side.inside[k]
    ratio: Float32 = (far * far - near * near) / np.float32(2 * side.noise**2)
    return np.clip(ratio, -4, 4, out=ratio)
