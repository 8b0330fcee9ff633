"""Gaussian smoothing and gradients, edge weights, and the CIELAB colours of a picture, compiled for the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel
from napari_scribseg.numerics.threads import band_edges, in_parallel

__all__ = ["edge_weights", "gaussian_gradient", "rgb_to_lab", "smooth"]

_STEPS = 4096  # entries of the tables that stand for power functions
_ABOVE = 1.2  # the tables' last argument

Float32 = NDArray[np.float32]


def smooth(image: Float32, sigma: float, pixel: tuple[float, float] = (1.0, 1.0)) -> Float32:
    """Gaussian smoothing of every channel; the border is mirrored.

    Parameters
    ----------
    image : ndarray of shape (C, H, W), float32
        Any values.
    sigma : float
        Standard deviation, in units of the finest pixel; cut off at 4 of them.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.

    Returns
    -------
    ndarray of shape (C, H, W), float32
    """
    return _filter(image, _taps(sigma / pixel[0], 0), _taps(sigma / pixel[1], 0))


def gaussian_gradient(image: Float32, sigma: float, pixel: tuple[float, float] = (1.0, 1.0)) -> Float32:
    """Size of the gradient at a scale: Gaussian derivatives, the Euclidean norm over directions and channels.

    Parameters
    ----------
    image, sigma, pixel
        As for :func:`smooth`.

    Returns
    -------
    ndarray of shape (H, W), float32
        In intensities for a step of one finest pixel.
    """
    y, x = sigma / pixel[0], sigma / pixel[1]
    squares = np.square(_filter(image, _taps(y, 1) / np.float32(pixel[0]), _taps(x, 0))).sum(axis=0)
    squares += np.square(_filter(image, _taps(y, 0), _taps(x, 1) / np.float32(pixel[1]))).sum(axis=0)
    size: Float32 = np.sqrt(squares, out=squares)
    return size


def _taps(sigma: float, order: int) -> Float32:
    """Weights of a Gaussian (order 0) or of its derivative (order 1, as a correlation), from left to right."""
    if sigma < 0.1:
        return np.asarray([[0, 1, 0], [-0.5, 0, 0.5]][order], dtype=np.float32)
    reach = max(int(4 * sigma + 0.5), 1)
    at = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (at / sigma) ** 2)
    weights /= weights.sum()
    if order == 0:
        return weights.astype(np.float32)
    # where few samples are left, the derivative is scaled so that a ramp still has its slope
    variance = sigma**2 if sigma >= 0.7 else float((weights * at**2).sum())
    return (weights * at / variance).astype(np.float32)


def _filter(image: Float32, down: Float32, along: Float32) -> Float32:
    """Correlate along columns, then along rows."""
    result = np.empty_like(image)
    channels, height, _ = image.shape
    edges = band_edges(height)
    bands = len(edges) - 1

    def task(i: int) -> None:
        c, band = divmod(i, bands)
        _filter_rows(image[c], down, along, result[c], edges[band], edges[band + 1])

    in_parallel(task, channels * bands)
    return result


@kernel
def _filter_rows(image, down, along, result, start, stop):
    height, width = image.shape
    reach_y, reach_x = down.shape[0] // 2, along.shape[0] // 2
    line = np.empty(width + 2 * reach_x, np.float32)
    for y in range(start, stop):
        line[:] = 0
        for t in range(down.shape[0]):
            row, weight = image[_mirrored(y + t - reach_y, height)], down[t]
            middle = line[reach_x : reach_x + width]
            for x in range(width):
                middle[x] += weight * row[x]
        for x in range(reach_x):
            line[x] = line[reach_x + _mirrored(x - reach_x, width)]
            line[reach_x + width + x] = line[reach_x + _mirrored(width + x, width)]
        out = result[y]
        out[:] = 0
        for t in range(along.shape[0]):
            shifted, weight = line[t : t + width], along[t]
            for x in range(width):
                out[x] += weight * shifted[x]


@kernel
def _mirrored(i, size):
    """The index inside that ``i`` stands for when the array is mirrored at its edges, again and again."""
    i = i % (2 * size)
    return i if i < size else 2 * size - 1 - i


def edge_weights(image: Float32, gamma: float, pixel: tuple[float, float] = (1.0, 1.0)) -> Float32:
    """Weight of the boundary length, as :func:`~napari_scribseg.numerics.variational.differences.edge_weights`."""
    components = np.zeros((2, *image.shape[1:]), dtype=np.float32)  # size of the differences along rows, along columns
    edges = band_edges(image.shape[1])
    in_parallel(lambda i: _differences(image, components, edges[i], edges[i + 1]), len(edges) - 1)
    down, right = components
    for component, size in ((down, pixel[0]), (right, pixel[1])):
        largest = float(component.max())
        np.multiply(component, np.float32(1 / (largest * size) if largest > 0 else 0), out=component)
    weights: Float32 = np.exp(np.float32(-gamma) * np.sqrt(down * down + right * right))
    return weights


@kernel
def _differences(image, components, start, stop):
    n_channels, height, width = image.shape
    for y in range(start, stop):
        down, right = components[0, y], components[1, y]
        for c in range(n_channels):
            row = image[c, y]
            below = image[c, y + 1] if y + 1 < height else row
            for x in range(width):
                difference = below[x] - row[x]
                down[x] += difference * difference
            for x in range(width - 1):
                difference = row[x + 1] - row[x]
                right[x] += difference * difference
        for x in range(width):
            down[x] = np.sqrt(down[x])
            right[x] = np.sqrt(right[x])


def rgb_to_lab(picture: Float32) -> Float32:
    """CIELAB (D65) of an sRGB picture.

    Parameters
    ----------
    picture : ndarray of shape (3, H, W), float32
        Red, green, blue on a scale of 0 to 255; values outside are cut.

    Returns
    -------
    ndarray of shape (3, H, W), float32
        L from 0 to 100, a and b about -100 to 100; the error is below 0.02.
    """
    values = np.linspace(0, _ABOVE, _STEPS + 1)
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92).astype(np.float32)
    root = np.where(values > 0.008856, np.cbrt(values), 7.787 * values + 16 / 116).astype(np.float32)
    lab = np.empty_like(picture)
    edges = band_edges(picture.shape[1])
    in_parallel(lambda i: _to_lab(picture, linear, root, lab, edges[i], edges[i + 1]), len(edges) - 1)
    return lab


@kernel
def _to_lab(picture, linear, root, lab, start, stop):
    # rows: X / Xn, Y / Yn, Z / Zn of linear red, green, blue (IEC 61966-2-1, white D65)
    weights = (
        (np.float32(0.412453 / 0.95047), np.float32(0.357580 / 0.95047), np.float32(0.180423 / 0.95047)),
        (np.float32(0.212671), np.float32(0.715160), np.float32(0.072169)),
        (np.float32(0.019334 / 1.08883), np.float32(0.119193 / 1.08883), np.float32(0.950227 / 1.08883)),
    )
    for y in range(start, stop):
        for x in range(picture.shape[2]):
            r = _entry(linear, picture[0, y, x] * np.float32(1 / 255))
            g = _entry(linear, picture[1, y, x] * np.float32(1 / 255))
            b = _entry(linear, picture[2, y, x] * np.float32(1 / 255))
            fx = _entry(root, weights[0][0] * r + weights[0][1] * g + weights[0][2] * b)
            fy = _entry(root, weights[1][0] * r + weights[1][1] * g + weights[1][2] * b)
            fz = _entry(root, weights[2][0] * r + weights[2][1] * g + weights[2][2] * b)
            lab[0, y, x] = np.float32(116) * fy - np.float32(16)
            lab[1, y, x] = np.float32(500) * (fx - fy)
            lab[2, y, x] = np.float32(200) * (fy - fz)


@kernel
def _entry(table, value):
    """The table at ``value`` in [0, 1], interpolated."""
    place = min(max(value, np.float32(0)), np.float32(1)) * np.float32(_STEPS / _ABOVE)
    i = np.int64(place)
    part = place - np.float32(i)
    return table[i] * (1 - part) + table[i + 1] * part
