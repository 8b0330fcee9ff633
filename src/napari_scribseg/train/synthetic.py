"""Synthetic pictures with their labels, for shapes and contrasts that no data set has.

Labels are regions of smooth random fields, cells, tubes or ellipses; each label gets its own intensity and texture, as
in Hoffmann et al., SynthMorph (2021), and Billot et al., SynthSeg (2023). In some pictures the objects have the
intensities of their surroundings and differ by their rims only, as cells in phase contrast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.numerics.augmentation.warps import smooth_noise
from napari_scribseg.simulate.human_error import half_pixels
from napari_scribseg.simulate.simulated_scribbles import paint

__all__ = ["draw_labels", "draw_picture", "paint_labels"]

_MOST_BRANCHES = 24
_OVERLAID = 0.3  # share of the pictures with thin lines over something else
_OUTLINED = 0.35  # share of the pictures whose objects differ by their rims


def draw_picture(size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A synthetic picture and its labels.

    Parameters
    ----------
    size : int
        Pixels along each side.
    rng : Generator
        Advanced.

    Returns
    -------
    channels : ndarray of shape (1, S, S) or (3, S, S), float32
        Intensities from 0 to 1.
    labels : ndarray of shape (S, S), int32
        Ids from 0, each of them an object.
    """
    if rng.random() < _OVERLAID:
        return _overlaid(size, rng)
    labels = draw_labels(size, rng)
    return paint_labels(labels, rng), labels


def _overlaid(size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Thin lines, label 1, brighter or darker than the picture below them, as vessels on a retina."""
    below = paint_labels(draw_labels(size, rng), rng)
    below = ndimage.gaussian_filter(below, (0, *[rng.uniform(0, 8)] * 2), truncate=3)
    tree = _tree(size, rng)
    contrast = rng.choice((-1.0, 1.0)) * rng.uniform(0.05, 0.4) * rng.uniform(0.4, 1, (len(below), 1, 1))
    fading = np.clip(1 + rng.uniform(0, 0.5) * smooth_noise(size, int(rng.integers(3, 10)), rng), 0.2, 2)
    soft = ndimage.gaussian_filter(tree.astype(np.float32), rng.uniform(0.2, 1.0))
    noise = rng.uniform(0, 0.06) * rng.standard_normal(below.shape)
    return np.clip(below + contrast * fading * soft + noise, 0, 1).astype(np.float32), tree


def draw_labels(size: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Labels of shape (S, S), int32, from 0: fields, cells, tubes or blobs."""
    kind = rng.random()
    if kind < 0.4:
        fields = [_field(size, rng) for _ in range(int(rng.integers(2, 8)))]
        regions: NDArray[np.int32] = np.argmax(fields, axis=0).astype(np.int32)
        return regions
    if kind < 0.65:
        return _cells(size, rng)
    if kind < 0.75:
        return _tree(size, rng)
    if kind < 0.83:
        width = rng.uniform(0.05, 0.35)
        return (np.abs(_field(size, rng)) < width).astype(np.int32) + 2 * (_field(size, rng) > 0.8)
    return _blobs(size, rng)


def _tree(size: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Branching lines that become thinner, as vessels and fibres: 1, on 0."""
    labels = np.zeros((size, size), dtype=bool)
    growing = [
        (rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 3.5))
        for _ in range(int(rng.integers(1, 6)))
    ]
    drawn = 0
    while growing and drawn < _MOST_BRANCHES:
        at, heading, radius = growing.pop()
        steps = int(rng.uniform(0.15, 0.8) * size)
        turns = heading + np.cumsum(rng.normal(0, 0.12, steps))
        line = at + np.cumsum(np.stack([np.sin(turns), np.cos(turns)], axis=1), axis=0) * 0.5 * rng.uniform(1, 2)
        line = line[((line > -8) & (line < size + 8)).all(axis=1)]
        labels |= paint(half_pixels(line)[0] if len(line) > 1 else line, round(4 * radius) / 4, labels.shape)
        drawn += 1
        if radius > 0.5 and len(line) > 4:
            for _ in range(int(rng.integers(0, 4))):
                k = int(rng.integers(len(line)))
                side = rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.2)
                growing.insert(0, (line[k], turns[min(k, steps - 1)] + side, radius * rng.uniform(0.5, 0.85)))
    return labels.astype(np.int32)


def _field(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of a coarse and a finer scale."""
    cells = int(rng.integers(3, 12))
    return smooth_noise(size, cells, rng) + np.float32(rng.uniform(0, 0.4)) * smooth_noise(size, 2 * cells, rng)


def _bent_grid(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rows and columns, shape (2, S, S), from 0 to 1, bent a little."""
    axis = np.linspace(0, 1, size, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    bend = np.float32(rng.uniform(0, 0.05))
    return grid + bend * np.stack([smooth_noise(size, int(rng.integers(4, 14)), rng) for _ in range(2)])


def _cells(size: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Cells around random points, some with walls between them, some with few classes of cells."""
    grid, points = _bent_grid(size, rng), rng.random((int(rng.integers(4, 40)), 2)).astype(np.float32)
    distance = np.hypot(*(grid[:, None] - points.T[:, :, None, None]))
    cells = np.argmin(distance, axis=0).astype(np.int32) + 1
    if rng.random() < 0.5:
        nearest = np.partition(distance, 1, axis=0)
        cells[nearest[1] - nearest[0] < rng.uniform(0.01, 0.06)] = 0
    if rng.random() < 0.4:
        cells = np.append(0, rng.integers(1, 5, len(points)))[cells].astype(np.int32)
    result: NDArray[np.int32] = cells
    return result


def _blobs(size: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Ellipses, later ones over earlier ones, some with a rim of another label."""
    grid, labels = _bent_grid(size, rng), np.zeros((size, size), dtype=np.int32)
    for index in range(1, int(rng.integers(2, 14))):
        angle, axes = rng.uniform(0, np.pi), rng.uniform(0.03, 0.35, 2)
        y, x = grid - rng.random(2).astype(np.float32)[:, None, None]
        radius = np.hypot(
            (np.cos(angle) * y + np.sin(angle) * x) / axes[0], (np.cos(angle) * x - np.sin(angle) * y) / axes[1]
        )
        labels[radius < 1] = 2 * index
        if rng.random() < 0.4:
            labels[radius < rng.uniform(0.5, 0.9)] = 2 * index + 1
    return labels


def paint_labels(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A picture in which each label has its own intensity and texture.

    Parameters
    ----------
    labels : ndarray of shape (S, S), int32
        From 0.
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (1, S, S) or (3, S, S), float32
        From 0 to 1.
    """
    n, size = int(labels.max()) + 1, labels.shape[0]
    n_channels = 3 if rng.random() < 0.3 else 1
    means = rng.random((n_channels, n)).astype(np.float32)
    grain = rng.uniform(0, 0.12, (1, n)).astype(np.float32) * rng.integers(0, 2)
    texture = smooth_noise(size, int(rng.integers(8, size // 2)), rng)
    outlined = rng.random() < _OUTLINED
    if outlined:
        common = means.mean(axis=1, keepdims=True)
        means = common + (means - common) * np.float32(rng.uniform(0, 0.3))
    channels = means[:, labels] + grain[:, labels] * texture
    if outlined:
        channels = channels + _rims(labels, rng)
    if rng.random() < 0.7:
        channels = ndimage.gaussian_filter(channels, (0, *[rng.uniform(0.3, 1.5)] * 2), truncate=3)
    return np.clip(channels, 0, 1).astype(np.float32)


def _rims(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.float32]:
    """What is added along the borders, shape (S, S): a random strength for each label, on its side."""
    border = np.zeros(labels.shape, dtype=bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    distance = ndimage.distance_transform_edt(~border)
    strength = rng.uniform(-0.5, 0.5, int(labels.max()) + 1)
    broken = np.clip(1 + rng.uniform(0, 1) * smooth_noise(len(labels), int(rng.integers(6, 20)), rng), 0, 2)
    fall = np.exp(-((distance / rng.uniform(0.8, 3.5)) ** 2))
    rims: NDArray[np.float32] = (strength[labels] * fall * broken).astype(np.float32)
    return rims
