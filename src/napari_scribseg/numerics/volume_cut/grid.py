"""A volume on a coarser grid, and what was found there brought back to single voxels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Factors", "block_means", "block_middles", "block_seeds", "coarsening", "interpolated", "nearest"]

Float32 = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)
Factors = tuple[int, int, int]


def coarsening(shape: tuple[int, ...], spacing: tuple[float, ...], most: int) -> Factors:
    """By how many voxels along each axis a grid is coarsened to hold at most so many; the finest axes first."""
    factors = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(shape, factors, strict=True)]) > most:
        sizes = [f * s if n > f else np.inf for n, f, s in zip(shape, factors, spacing, strict=True)]
        axis = int(np.argmin(sizes))
        if not np.isfinite(sizes[axis]):
            break
        factors[axis] *= 2
    return factors[0], factors[1], factors[2]


def block_means(volume: NDArray[np.generic], factors: Factors) -> Float32:
    """Means over blocks of a volume of shape (Z, Y, X); those at the far ends may hold fewer voxels."""
    found: NDArray[np.generic] = volume
    for axis, factor in enumerate(factors):
        if factor > 1:
            starts = np.arange(0, volume.shape[axis], factor)
            counts = np.diff(np.append(starts, volume.shape[axis])).astype(np.float32)
            sums = np.add.reduceat(found, starts, axis=axis, dtype=np.float32)
            found = sums / counts.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.ascontiguousarray(found, dtype=np.float32)


def block_middles(volume: NDArray[Value], factors: Factors) -> NDArray[Value]:
    """The values in the middle of the blocks."""
    middles = [np.minimum(np.arange(0, n, f) + f // 2, n - 1) for f, n in zip(factors, volume.shape, strict=True)]
    middle: NDArray[Value] = volume[np.ix_(*middles)]
    return middle


def block_seeds(seeds: NDArray[np.integer], factors: Factors, n_classes: int) -> NDArray[np.int32]:
    """The class with the most seeds in each block, -1 where there is none; a new array."""
    shape = tuple(-(-n // f) for n, f in zip(seeds.shape, factors, strict=True))
    found = np.full(int(np.prod(shape)), -1, np.int32)
    places = np.nonzero(seeds >= 0)
    block = np.ravel_multi_index([p // f for p, f in zip(places, factors, strict=True)], shape)
    pairs, counts = np.unique(block * n_classes + seeds[places], return_counts=True)
    order = np.argsort(counts, kind="stable")
    found[pairs[order] // n_classes] = pairs[order] % n_classes
    return found.reshape(shape)


def nearest(coarse: NDArray[Value], factors: Factors, shape: tuple[int, ...]) -> NDArray[Value]:
    """Each block's value at all of its voxels, shape ``shape``."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            coarse = np.repeat(coarse, factor, axis=axis)
    return coarse[tuple(slice(0, n) for n in shape)]


def interpolated(coarse: Float32, factors: Factors, places: tuple[NDArray[np.integer], ...]) -> Float32:
    """Values of fields of shape (K, z, y, x) between the middles of blocks, at N voxels: shape (N, K)."""
    at = np.stack([(p - (f - 1) / 2) / f for p, f in zip(places, factors, strict=True)])
    found = np.empty((at.shape[1], len(coarse)), np.float32)
    for k, field in enumerate(coarse):
        ndimage.map_coordinates(field, at, found[:, k], order=1, mode="nearest")
    return found
