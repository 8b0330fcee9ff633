"""Spatially varying densities on the CPU: one pass for each pixel, no matrix of pairs, negligible pairs skipped."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import inlined, kernel
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["NEGLIGIBLE", "GroupedSamples", "collect_samples", "exp_negative", "spatially_varying_density"]

NEGLIGIBLE = 18.0  # a pair whose exponent is certainly below minus this is skipped
_TILE = 16
_GROUP = 16  # samples that share a bounding box

GroupedSamples = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def collect_samples(
    image: NDArray[np.float32], seeds: NDArray[np.int32], n_classes: int, pixel: tuple[float, float] = (1.0, 1.0)
) -> list[GroupedSamples]:
    """The stroke pixels of each label, neighbours together.

    Returns
    -------
    list of (points, boxes, edges)
        For each label: ``points`` (n, 2 + C), row, column (times ``pixel``) and colour of each stroke pixel; ``boxes``
        (m, 2, 2 + C), least and largest values of each group; ``edges`` (m + 1,), where the groups begin.
    """
    flat = np.flatnonzero(seeds.reshape(-1) >= 0)
    labels = seeds.reshape(-1)[flat]
    rows, columns = np.divmod(flat, seeds.shape[1])
    block = (rows // _TILE) * (seeds.shape[1] // _TILE + 1) + columns // _TILE
    order = np.lexsort((block, labels))
    flat, labels, rows, columns = flat[order], labels[order], rows[order], columns[order]
    colours = image.reshape(image.shape[0], -1)[:, flat].T
    points = np.column_stack((rows * pixel[0], columns * pixel[1], colours)).astype(np.float32)
    bounds = np.searchsorted(labels, np.arange(n_classes + 1))
    return [_grouped(points[a:b]) for a, b in pairwise(bounds)]


def _grouped(points: NDArray[np.float32]) -> GroupedSamples:
    starts = np.arange(0, len(points), _GROUP)
    edges = np.append(starts, len(points)).astype(np.int64)
    if not len(points):
        return points, np.zeros((0, 2, points.shape[1]), dtype=np.float32), edges
    boxes = np.stack((np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)), axis=1)
    return np.ascontiguousarray(points), boxes, edges


def spatially_varying_density(
    image: NDArray[np.float32],
    seeds: NDArray[np.int32],
    rho: NDArray[np.float32],
    sigma: float,
    pixel: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.float32]:
    """Density of each label at each pixel, as that of :mod:`napari_scribseg.numerics.variational.reference`.

    Parameters
    ----------
    image : ndarray of shape (C, H, W), float32
        Intensities, on a scale of 0 to 255.
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    rho : ndarray of shape (K, H, W), float32
        Width of the spatial kernel, positive and finite; anything for a label without strokes.
    sigma : float
        Width of the colour kernel.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.

    Returns
    -------
    ndarray of shape (K, H, W), float32
        Less what pairs with an exponent below ``-NEGLIGIBLE`` would have added.
    """
    n_classes, height, _ = rho.shape
    samples = collect_samples(image, seeds, n_classes, pixel)
    density = np.zeros(rho.shape, dtype=np.float32)
    strips = -(-height // _TILE)
    precision = np.float32(0.5 / sigma**2)
    size = (np.float32(pixel[0]), np.float32(pixel[1]))
    jobs = [(k, strip) for k in range(n_classes) if len(samples[k][0]) for strip in range(strips)]
    chunk = max(len(jobs) // 32, 1)

    def task(part: int) -> None:
        for k, strip in jobs[part * chunk : (part + 1) * chunk]:
            top, bottom = strip * _TILE, min((strip + 1) * _TILE, height)
            _strip_density(image, *samples[k], rho[k], precision, size, top, bottom, density[k])

    in_parallel(task, -(-len(jobs) // chunk))
    return density


@intrinsic
def _float_from_bits(typing_context, bits):
    """The float32 whose bits are those of an int32."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@inlined
def exp_negative(x):
    """``exp(x)`` for ``x <= 0`` in float32, relative error below 3e-7 + 6e-8 |x|; below -87 it stays at exp(-87).

    ``2^n 2^f`` with n the nearest integer: the first by its exponent bits, the second by a polynomial of degree 6. No
    step depends on the order of rounding, so that any compiler option is safe.
    """
    scaled = max(np.float32(x), np.float32(-87.0)) * np.float32(1.4426950408889634)
    whole = np.floor(scaled + np.float32(0.5))
    f = scaled - whole
    p = np.float32(1.535336188319500e-4)
    p = p * f + np.float32(1.339887440266574e-3)
    p = p * f + np.float32(9.618437357674640e-3)
    p = p * f + np.float32(5.550332471162809e-2)
    p = p * f + np.float32(2.402264791363012e-1)
    p = p * f + np.float32(6.931472028550421e-1)
    p = p * f + np.float32(1.0)
    return p * _float_from_bits(np.int32(whole + np.float32(127)) << np.int32(23))


@kernel
def _strip_density(image, points, boxes, edges, rho, precision, size, top, bottom, density):
    """The density of one label in the rows ``top`` to ``bottom``, tile by tile."""
    n_channels, _, width = image.shape
    room = (bottom - top) * _TILE
    pixels = np.empty((2 + n_channels, room), np.float32)
    near = np.empty(room, np.float32)
    total = np.empty(room, np.float32)
    exponent = np.empty(room, np.float32)
    low = np.empty(2 + n_channels, np.float32)
    high = np.empty(2 + n_channels, np.float32)
    norm = np.float32(1 / np.sqrt(2 * np.pi)) / np.float32(points.shape[0])
    for left in range(0, width, _TILE):
        right = min(left + _TILE, width)
        n = _load_tile(image, rho, size, top, bottom, left, right, pixels, near, total)
        least = near[:n].min()
        for d in range(2 + n_channels):
            low[d], high[d] = pixels[d, :n].min(), pixels[d, :n].max()
        for g in range(boxes.shape[0]):
            if _bound(boxes[g, 0], boxes[g, 1], low, high, least, precision) > NEGLIGIBLE:
                continue
            for j in range(edges[g], edges[g + 1]):
                if _bound(points[j], points[j], low, high, least, precision) <= NEGLIGIBLE:
                    _add_sample(pixels, near, points[j], precision, exponent, total, n)
        i = 0
        for y in range(top, bottom):
            for x in range(left, right):
                density[y, x] = total[i] * norm / rho[y, x]
                i += 1


@inlined
def _load_tile(image, rho, size, top, bottom, left, right, pixels, near, total):
    """Gather a tile's places, colours and spatial precisions; the number of its pixels."""
    i = 0
    for y in range(top, bottom):
        for x in range(left, right):
            pixels[0, i] = y * size[0]
            pixels[1, i] = x * size[1]
            for c in range(image.shape[0]):
                pixels[2 + c, i] = image[c, y, x]
            near[i] = np.float32(0.5) / (rho[y, x] * rho[y, x])
            total[i] = 0
            i += 1
    return i


@inlined
def _bound(first, last, low, high, near, precision):
    """A lower bound of minus the exponent between a box of samples and a box of pixels."""
    place, colour = np.float32(0), np.float32(0)
    for d in range(low.shape[0]):
        gap = max(max(low[d] - last[d], first[d] - high[d]), np.float32(0))
        if d < 2:
            place += gap * gap
        else:
            colour += gap * gap
    return place * near + colour * precision


@kernel
def _add_sample(pixels, near, point, precision, exponent, total, n):
    """Add one sample's kernel to ``total``."""
    row, column = pixels[0], pixels[1]
    y, x = point[0], point[1]
    for i in range(n):
        dy, dx = row[i] - y, column[i] - x
        exponent[i] = near[i] * (dy * dy + dx * dx)
    for d in range(2, pixels.shape[0]):
        channel, value = pixels[d], point[d]
        for i in range(n):
            difference = channel[i] - value
            exponent[i] += precision * difference * difference
    for i in range(n):
        total[i] += exp_negative(-exponent[i])
