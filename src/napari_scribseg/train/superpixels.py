"""Superpixels (Felzenszwalb and Huttenlocher, IJCV 2004), fast enough to be computed for every training sample."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["felzenszwalb_regions"]

_LEVELS = 8192.0  # differences are sorted as 16-bit numbers, on the 0..1 scale of the image times this


def felzenszwalb_regions(channels: NDArray[np.float32], scale: float, sigma: float, smallest: int) -> NDArray[np.int32]:
    """Superpixels of an image.

    Parameters
    ----------
    channels : ndarray of shape (C, H, W), float32
        From 0 to 1.
    scale : float
        Larger values give larger regions, as in ``skimage.segmentation.felzenszwalb``, which divides it by 255.
    sigma : float
        Of the Gaussian filter that is applied before, in pixels.
    smallest : int
        Regions of fewer pixels are merged with the most similar neighbour.

    Returns
    -------
    ndarray of shape (H, W), int32
        Number of the superpixel, from 0; each is connected (four neighbours).
    """
    if channels.shape[0] > 1 and (channels[1:] == channels[:1]).all():
        channels = channels[:1]
    smooth = ndimage.gaussian_filter(channels, (0, sigma, sigma), truncate=3)
    height, width = smooth.shape[1:]
    number = np.arange(height * width, dtype=np.int32).reshape(height, width)
    pairs = ((number[:, :-1], number[:, 1:]), (number[:-1], number[1:]))
    first = np.concatenate([a.ravel() for a, _ in pairs])
    second = np.concatenate([b.ravel() for _, b in pairs])
    steps = [np.diff(smooth, axis=2).reshape(len(smooth), -1), np.diff(smooth, axis=1).reshape(len(smooth), -1)]
    weight = np.sqrt(np.square(np.concatenate(steps, axis=1)).sum(axis=0))
    order = np.argsort(np.minimum(weight * _LEVELS, 65535).astype(np.uint16), kind="stable")  # a radix sort
    return _merge(first[order], second[order], weight[order], scale / 255, smallest, height * width).reshape(
        height, width
    )


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _merge(
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    weight: NDArray[np.float32],
    scale: float,
    smallest: int,
    n: int,
) -> NDArray[np.int32]:
    """Merge pixels along edges of ascending weight; shape (n,), numbers from 0."""
    parent = np.arange(n).astype(np.int32)
    size = np.ones(n, np.int32)
    limit = np.full(n, np.float32(scale))
    for e in range(first.size):
        a, b = _root(parent, first[e]), _root(parent, second[e])
        if a != b and weight[e] < min(limit[a], limit[b]):
            parent[b] = a
            size[a] += size[b]
            limit[a] = weight[e] + scale / size[a]
    for e in range(first.size):
        a, b = _root(parent, first[e]), _root(parent, second[e])
        if a != b and min(size[a], size[b]) < smallest:
            parent[b] = a
            size[a] += size[b]
    regions = np.empty(n, np.int32)
    names = np.full(n, -1, np.int32)
    count = 0
    for i in range(n):
        a = _root(parent, i)
        if names[a] < 0:
            names[a] = count
            count += 1
        regions[i] = names[a]
    return regions
