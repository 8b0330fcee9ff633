"""Boxes and extreme points: the other prompts of paper 001 (section 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core import InputError, Stroke
from napari_scribseg.simulate.masks import as_mask

__all__ = ["bounding_box", "box_stroke", "extreme_points", "point_strokes"]

Box = tuple[int, int, int, int]


def bounding_box(label: ArrayLike) -> Box | None:
    """The bounding box of a label.

    Parameters
    ----------
    label : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.

    Returns
    -------
    tuple of 4 int or None
        First row, first column, last row, last column, inclusive; None for an empty label.

    Raises
    ------
    InputError
        If ``label`` is no image of labels.
    """
    mask = as_mask(label)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])) if rows.size else None


def extreme_points(label: ArrayLike, slack: int = 0, seed: int | np.random.Generator | None = None) -> NDArray[np.intp]:
    """The topmost, leftmost, lowest and rightmost pixel of a label.

    Parameters
    ----------
    label : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.
    slack : int
        Largest distance of a point from the extreme row or column, in pixels.
    seed : int or Generator, optional
        Of the choice among the pixels within that distance; a generator is advanced. None takes the middle one.

    Returns
    -------
    ndarray of shape (4, 2), intp
        Rows and columns in the order named. Shape (0, 2) for an empty label.

    Raises
    ------
    InputError
        If ``label`` is no image of labels, or ``slack`` is negative.

    References
    ----------
    Maninis et al., Deep Extreme Cut (2018), who draw points near the extremes.
    """
    if slack < 0:
        raise InputError(f"the slack is {slack}; a number of pixels of at least 0 is expected")
    rng = None if seed is None else np.random.default_rng(seed)
    pixels = np.argwhere(as_mask(label))
    if not len(pixels):
        return pixels.reshape(0, 2)
    found = []
    first, last = pixels.min(axis=0), pixels.max(axis=0)
    for axis, end in ((0, first[0]), (1, first[1]), (0, last[0]), (1, last[1])):
        as_far = pixels[np.abs(pixels[:, axis] - end) <= slack]
        found.append(as_far[len(as_far) // 2 if rng is None else rng.integers(len(as_far))])
    return np.asarray(found, dtype=np.intp)


def box_stroke(box: Box, class_index: int, radius: float = 2.0) -> Stroke:
    """The outline of a box as a stroke, as in the paper; ``radius`` is that of the pen, in pixels.

    Raises
    ------
    InputError
        If the last row or column lies before the first.
    """
    top, left, bottom, right = box
    if bottom < top or right < left:
        raise InputError(f"the box is {box}; first row, first column, last row, last column are expected")
    corners = [(top, left), (top, right), (bottom, right), (bottom, left), (top, left)]
    return Stroke(np.asarray(corners, dtype=np.float64), radius, class_index)


def point_strokes(points: ArrayLike, class_index: int, radius: float = 2.0) -> tuple[Stroke, ...]:
    """Points as dots of the pen, as in the paper.

    Parameters
    ----------
    points : array_like of shape (N, 2)
        Rows and columns.
    class_index : int
        Class that is painted.
    radius : float
        Radius of the pen, in pixels.

    Raises
    ------
    InputError
        If the points have another shape.
    """
    positions = np.asarray(points, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise InputError(f"the points have shape {positions.shape}; expected (N, 2)")
    return tuple(Stroke(position[np.newaxis], radius, class_index) for position in positions)
