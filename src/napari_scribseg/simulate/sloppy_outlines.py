"""Rough outlines, as a person draws them in a hurry around an object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError
from napari_scribseg.simulate.human_error import shake

__all__ = ["enclosed", "sloppy_outline"]

_TURN = 0.04  # of the length of the outline, over which the error changes


def sloppy_outline(label: NDArray[np.bool_], error: float, seed: int | np.random.Generator) -> NDArray[np.float64]:
    """A freehand outline of the largest piece of a label, with errors of a given size.

    Half of the squared error is a shift of the whole outline, half a sideways displacement that changes slowly along
    it. The line is kept inside the image.

    Parameters
    ----------
    label : ndarray of shape (H, W), bool
        The intended object.
    error : float
        Root mean square distance of the line from the border, in pixels.
    seed : int or Generator
        The same seed gives the same outline.

    Returns
    -------
    ndarray of shape (L, 2), float64
        Row and column of positions on a closed line, the first also at the end.

    Raises
    ------
    InputError
        If the label is empty, or the error is negative or not finite.
    """
    from skimage.measure import find_contours

    if not label.any():
        raise InputError("the label to be outlined is empty; at least one pixel is expected")
    if not (np.isfinite(error) and error >= 0):
        raise InputError(f"the error is {error}; a finite number of pixels of at least 0 is expected")
    random = np.random.default_rng(seed)
    contours = find_contours(np.pad(label, 1).astype(np.float64), 0.5)  # type: ignore[no-untyped-call]
    points: NDArray[np.float64] = max(contours, key=_area) - 1
    if error > 0:
        moved = shake(points[:-1], error / np.sqrt(2), _TURN * len(points), random)
        moved = moved + random.normal(0, error / np.sqrt(2), 2)  # half of this shift lies along the line
        points = np.concatenate([moved, moved[:1]])
    inside: NDArray[np.float64] = np.clip(points, -0.49, np.asarray(label.shape) - 0.51)
    return inside


def enclosed(outline: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels inside a closed line, as a mask of shape ``shape``.

    Parameters
    ----------
    outline : ndarray of shape (L, 2), float64
        Row and column of positions.
    shape : tuple of 2 int
        Of the image.
    """
    from skimage.draw import polygon2mask

    inside: NDArray[np.bool_] = polygon2mask(shape, outline)  # type: ignore[no-untyped-call]
    return inside


def _area(points: NDArray[np.float64]) -> float:
    """Area inside a closed line."""
    y, x = points.T
    return float(abs((y[:-1] * x[1:] - y[1:] * x[:-1]).sum()) / 2)
