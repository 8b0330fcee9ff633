"""Colour densities on the CPU: summed exactly at the nodes of a grid of colours, and interpolated at each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.density import spatially_varying_density
from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["colour_density", "nearest_colour"]

_CELL = 0.5  # size of a cell of the grid, in sigma
_MAX_VALUES = 1 << 22  # of a grid; above, and for more than three channels, the densities are summed directly
_RUN = 512  # pixels that are compared at once
_EVERYWHERE = 1e6  # width of a spatial kernel that makes no difference between places

Float32 = NDArray[np.float32]


def colour_density(image: Float32, seeds: NDArray[np.int32], n_classes: int, sigma: float) -> Float32:
    """How likely each label has a pixel's colour, wherever it lies.

    ``p_i(x) = 1/m_i sum_j exp(-|I(x) - I_ij|^2 / 2 sigma^2)``, in (0, 1].

    Parameters
    ----------
    image : ndarray of shape (C, H, W), float32
        Features of any number of channels, on a scale of about 0 to 255.
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of labels K.
    sigma : float
        Width of the colour kernel.

    Returns
    -------
    ndarray of shape (K, H, W), float32
        Zero for a label without strokes. Up to three channels are interpolated in a grid, with an error of up to
        three per cent for each channel; more are summed exactly.
    """
    n_channels, height, width = image.shape
    step = _CELL * sigma
    low = image.reshape(n_channels, -1).min(axis=1)
    sizes = np.ceil((image.reshape(n_channels, -1).max(axis=1) - low) / step).astype(np.int64) + 2
    if n_channels > 3 or float(np.prod(sizes, dtype=np.float64)) * n_classes > _MAX_VALUES:
        density = spatially_varying_density(
            image, seeds, np.full((n_classes, height, width), _EVERYWHERE, dtype=np.float32), sigma
        )
        return np.multiply(density, np.float32(_EVERYWHERE * np.sqrt(2 * np.pi)), out=density)
    bins = np.ones(3, dtype=np.int64)
    bins[3 - n_channels :] = sizes
    grid = np.zeros((n_classes, *bins), dtype=np.float32)
    rows, columns = np.nonzero(seeds >= 0)
    labels = seeds[rows, columns]
    places = ((image[:, rows, columns].T - low) / step).astype(np.float32)

    def task(k: int) -> None:
        chosen = labels == k
        if chosen.any():
            _splat(grid[k], places[chosen], np.float32(1 / np.count_nonzero(chosen)))

    in_parallel(task, n_classes)
    density = np.empty((n_classes, height, width), dtype=np.float32)
    edges = band_edges(height)
    low, inverse = low.astype(np.float32), np.float32(1 / step)
    if n_channels == 1:
        table = grid.reshape(n_classes, -1)
        in_parallel(
            lambda i: _look_up_grey(table, image[0], low[0], inverse, density, edges[i], edges[i + 1]), len(edges) - 1
        )
        return density
    grid = np.ascontiguousarray(np.moveaxis(grid, 0, -1))
    in_parallel(lambda i: _look_up(grid, image, low, inverse, density, edges[i], edges[i + 1]), len(edges) - 1)
    return density


@kernel
def _splat(grid, places, share):
    """Add the kernel of each sample, ``share`` high, to the nodes around it."""
    n_channels = places.shape[1]
    reach = int(np.ceil(4.0 / _CELL))
    weights = np.ones((3, 2 * reach + 2), np.float32)
    first, last = np.zeros(3, np.int64), np.ones(3, np.int64)
    for j in range(places.shape[0]):
        for c in range(n_channels):
            axis, place = 3 - n_channels + c, places[j, c]
            first[axis] = max(np.int64(place) - reach, 0)
            last[axis] = min(np.int64(place) + reach + 2, grid.shape[axis])
            for i in range(first[axis], last[axis]):
                gap = (i - place) * np.float32(_CELL)
                weights[axis, i - first[axis]] = np.exp(np.float32(-0.5) * gap * gap)
        for a in range(first[0], last[0]):
            for b in range(first[1], last[1]):
                outer = share * weights[0, a - first[0]] * weights[1, b - first[1]]
                row = grid[a, b]
                for c in range(first[2], last[2]):
                    row[c] += outer * weights[2, c - first[2]]


@kernel
def _look_up(grid, image, low, inverse, density, start, stop):
    """Interpolate the grid at the colour of every pixel."""
    n_channels, _, width = image.shape
    _, size_b, size_c, n_labels = grid.shape
    flat = grid.reshape(grid.size)
    place, part = np.zeros(3, np.int64), np.zeros(3, np.float32)
    total = np.empty(n_labels, np.float32)
    for y in range(start, stop):
        for x in range(width):
            for c in range(n_channels):
                axis = 3 - n_channels + c
                value = (image[c, y, x] - low[c]) * inverse
                place[axis] = np.int64(value)
                part[axis] = value - np.float32(place[axis])
            total[:] = 0
            for corner in range(1 << n_channels):
                weight = part[2] if corner & 1 else 1 - part[2]
                if n_channels > 1:
                    weight *= part[1] if corner & 2 else 1 - part[1]
                if n_channels > 2:
                    weight *= part[0] if corner & 4 else 1 - part[0]
                a, b = place[0] + ((corner >> 2) & 1), place[1] + ((corner >> 1) & 1)
                base = ((a * size_b + b) * size_c + place[2] + (corner & 1)) * n_labels
                for k in range(n_labels):
                    total[k] += weight * flat[np.uintp(base + k)]
            for k in range(n_labels):
                density[k, y, x] = total[k]


@kernel
def _look_up_grey(table, image, low, inverse, density, start, stop):
    """Interpolate each label's row of the table at the intensity of every pixel."""
    n_labels, last = table.shape[0], np.int32(table.shape[1] - 2)
    for k in range(n_labels):
        row = table[k]
        for y in range(start, stop):
            pixels, out = image[y], density[k, y]
            for x in range(out.shape[0]):
                value = (pixels[x] - low) * inverse
                i = min(np.int32(value), last)
                out[x] = row[i] + (value - np.float32(i)) * (row[i + 1] - row[i])


def nearest_colour(image: Float32, colours: Float32) -> Float32:
    """Distance of each pixel's colour from the nearest of some colours.

    Parameters
    ----------
    image : ndarray of shape (C, H, W), float32
    colours : ndarray of shape (C, M), float32
        At least one.

    Returns
    -------
    ndarray of shape (H, W), float32
        Euclidean, in the units of the image.
    """
    flat = np.ascontiguousarray(image).reshape(len(image), -1)
    squares = np.empty(flat.shape[1], dtype=np.float32)
    _nearest(flat, colours, squares)
    return np.sqrt(squares, out=squares).reshape(image.shape[1:])


@kernel
def _nearest(flat, colours, squares):
    """Square of the distance from the nearest column of ``colours`` (C, M), for every column of ``flat`` (C, P)."""
    n_channels, n_pixels = flat.shape
    away = np.empty(_RUN, np.float32)
    for first in range(0, n_pixels, _RUN):
        n = min(_RUN, n_pixels - first)
        own = squares[first : first + n]
        for j in range(colours.shape[1]):
            for x in range(n):
                away[x] = np.float32(0)
            for c in range(n_channels):
                colour, row = colours[c, j], flat[c, first : first + n]
                for x in range(n):
                    difference = row[x] - colour
                    away[x] += difference * difference
            if j == 0:
                for x in range(n):
                    own[x] = away[x]
            else:
                for x in range(n):
                    own[x] = min(own[x], away[x])
