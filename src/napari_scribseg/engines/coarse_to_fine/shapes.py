"""Masks for training: rectangles, circles and random smooth shapes, or these moved to edges of the image."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Regions", "draw_shape", "find_regions", "sloppy_cells", "snap"]

Mask = NDArray[np.bool_]
Regions = tuple[NDArray[np.intp], ...]

_SMALLEST, _LARGEST = 0.12, 0.5  # half the width of a shape, in shorter sides of the image
_WAVES = 6  # a smooth shape's radius is a circle's and so many waves
_SCALES = 3  # segmentations of the image into regions, from fine to coarse
_ALIKE = 0.5  # overlap with its regions below which a shape stays as it was drawn


def draw_shape(shape: tuple[int, int], kind: str, random: np.random.Generator) -> Mask:
    """A shape somewhere in the image, not so small that most of the image is hidden.

    Parameters
    ----------
    shape : tuple of 2 int
        Of the image.
    kind : {"rectangle", "circle", "smooth"}
        ``smooth``: the radius varies with the angle as a sum of waves.
    random : Generator
        Draws place, size and form.

    Returns
    -------
    ndarray of shape (H, W), bool
    """
    side = min(shape)
    y = np.arange(shape[0])[:, np.newaxis] - random.uniform(0, shape[0])
    x = np.arange(shape[1])[np.newaxis] - random.uniform(0, shape[1])
    if kind == "rectangle":
        high, wide = random.uniform(_SMALLEST, _LARGEST, 2) * side
        box: Mask = (np.abs(y) <= high) & (np.abs(x) <= wide)
        return box
    radius = random.uniform(_SMALLEST, _LARGEST) * side
    if kind == "circle":
        disc: Mask = y**2 + x**2 <= radius**2
        return disc
    stretch = np.exp(random.normal(0, 0.25))
    y, x = y * stretch, x / stretch
    angle = np.arctan2(y, x)
    waves = np.zeros(shape)
    for number in range(2, _WAVES + 2):
        size, phase = random.normal(0, 0.35 / number), random.uniform(0, 2 * np.pi)
        waves += size * np.cos(number * angle + phase)
    smooth: Mask = np.hypot(y, x) <= radius * np.clip(1 + waves, 0.2, None)
    return smooth


def find_regions(picture: NDArray[np.float32]) -> Regions:
    """The image's own regions at several scales (Felzenszwalb and Huttenlocher 2004).

    Parameters
    ----------
    picture : ndarray of shape (H, W, C), float32
        From 0 to 1.

    Returns
    -------
    tuple of ndarray of shape (H, W)
        The number of its region for each pixel, the finest scale first.
    """
    from skimage.segmentation import felzenszwalb

    area = picture.shape[0] * picture.shape[1]
    found = []
    for scale in np.geomspace(150, 450, _SCALES) * (area / 256**2) ** 0.5:
        smallest = max(int(area * scale / 4e6), 8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a warning about many channels
            found.append(felzenszwalb(picture, scale=float(scale), sigma=0.8, min_size=smallest, channel_axis=-1))
    return tuple(found)


def snap(mask: Mask, regions: Regions) -> Mask:
    """A mask moved to the borders of regions: the union of those that lie mostly in it, by a vote of the scales.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        Rough.
    regions : tuple of ndarray of shape (H, W), integer
        Numbers of regions from 0; an odd number of scales.

    Returns
    -------
    ndarray of shape (H, W), bool
        The mask itself where the union would be another shape.
    """
    votes = np.zeros(mask.shape, dtype=np.intp)
    for scale in regions:
        sizes = np.bincount(scale.reshape(-1))
        inside = np.bincount(scale[mask], minlength=sizes.size)
        votes += (inside > 0.5 * sizes)[scale]
    most = (votes > len(regions) // 2).astype(np.float32)
    snapped: Mask = ndimage.uniform_filter(most, 3) > 0.5  # without regions that are only lines along an edge
    common, both = np.count_nonzero(snapped & mask), np.count_nonzero(snapped | mask)
    return snapped if common > _ALIKE * both else mask


def sloppy_cells(mask: Mask, grid: tuple[int, int], error: float, random: np.random.Generator) -> Mask:
    """The cells of a grid that a rough outline of a mask covers.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The true one.
    grid : tuple of 2 int
        Rows and columns of cells.
    error : float
        Root mean square of the distance between the true and the drawn outline, in cells.
    random : Generator
        Draws the errors, which are smooth, as a hand drifts.

    Returns
    -------
    ndarray of shape (h, w), bool
        Cells of which half or more is covered.
    """
    points = [(np.arange(3 * n) + 0.5) * (size / (3 * n)) - 0.5 for n, size in zip(grid, mask.shape, strict=True)]
    rows, columns = np.meshgrid(*points, indexing="ij")
    if error > 0:
        cell = (mask.shape[0] / grid[0], mask.shape[1] / grid[1])
        for place, size in zip((rows, columns), cell, strict=True):
            drift = ndimage.gaussian_filter(random.standard_normal(rows.shape), random.uniform(3, 9), mode="wrap")
            drift += random.normal(0, 0.5) * drift.std()
            place += drift * (error * size / np.sqrt((drift**2).mean()))
    at = [np.clip(np.rint(p), 0, n - 1).astype(np.intp) for p, n in zip((rows, columns), mask.shape, strict=True)]
    seen = mask[at[0], at[1]].reshape(grid[0], 3, grid[1], 3)
    covered: Mask = seen.mean(axis=(1, 3)) >= 0.5
    return covered
