"""What the energy sees of an image: intensities on one scale, smoothed, and the size of their gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.numerics.intensity import equalize_intensities, scale_intensities

__all__ = ["Grey", "GreyScale", "smooth_and_edges"]

_MOST_SAMPLES = 1 << 18
_TAIL = 1e-4  # share of the values beyond either end of the table
_NODES = 1 << 12
_SMOOTHING = 1.0  # finest voxels

Float32 = NDArray[np.float32]


class Grey(Protocol):
    """A volume of shape (Z, Y, X) of which slabs are read: an array, or what reads one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(Z, Y, X)."""

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Some slices, by a slice of the first axis or by one of each axis."""


@dataclass(frozen=True, slots=True, eq=False)
class GreyScale:
    """A monotone map of an image's values to 0..255 that makes narrow ranges of tissues wide.

    Attributes
    ----------
    low, step : float
        The first value of the table, and the distance of its values.
    mapped : ndarray of shape (n,), float32
        What they become; values beyond the table become what its ends do.
    """

    low: float
    step: float
    mapped: Float32

    @classmethod
    def of(cls, image: Grey) -> GreyScale:
        """From a sample of an image of any shape."""
        every = max(round((np.prod(image.shape) / _MOST_SAMPLES) ** (1 / len(image.shape))), 1)
        sample = np.sort(np.asarray(image[(slice(None, None, every),) * len(image.shape)], np.float32), axis=None)
        scaled = equalize_intensities(scale_intensities(sample[np.newaxis]))[0]
        low, high = np.quantile(sample, [_TAIL, 1 - _TAIL])
        if not high > low:
            low, high = sample[0], sample[-1]
        nodes = np.linspace(low, high, _NODES)
        step = float(nodes[1] - nodes[0]) or 1.0
        return cls(float(low), step, np.interp(nodes, sample, scaled).astype(np.float32))

    def apply(self, image: NDArray[np.generic]) -> Float32:
        """The image on this scale."""
        at = np.subtract(image, self.low, dtype=np.float32)
        at *= np.float32(1 / self.step)
        mapped: Float32 = self.mapped[np.clip(at, 0, _NODES - 1, out=at).astype(np.int32)]
        return mapped


def smooth_and_edges(grey: Float32, voxel: tuple[float, ...]) -> tuple[Float32, Float32]:
    """A grey image of shape (Z, Y, X), smoothed, and the size of its gradient.

    Parameters
    ----------
    grey : ndarray of shape (Z, Y, X), float32
    voxel : tuple of 3 float
        Size of a voxel, in finest voxels.
    """
    smooth = grey
    for axis, size in enumerate(voxel):
        smooth = ndimage.gaussian_filter1d(smooth, _SMOOTHING / size, axis, mode="nearest", truncate=3)
    square = np.zeros_like(smooth)
    for axis, size in enumerate(voxel):
        if smooth.shape[axis] > 1:
            square += np.square(np.gradient(smooth, axis=axis) / np.float32(size))
    return smooth, np.sqrt(square)
