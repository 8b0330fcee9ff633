"""Splits a segment that holds several objects, by strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_scribseg.core import InputError, Stroke

__all__ = ["as_pixels", "split_mask"]

POSITIVE, NEGATIVE = 1, 2


def split_mask(
    gradient: NDArray[np.float32],
    mask: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    negative: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], int]:
    """Parts of a segment by the labelled watershed: the image foresting transform (Falcão et al. 2004) on the gradient.

    Parameters
    ----------
    gradient : ndarray of shape (h, w), float32
        Around the segment.
    mask : ndarray of shape (h, w), bool
        The segment; nothing outside takes part.
    positive, negative : ndarray of shape (h, w), bool
        Pixels of the strokes; what lies outside of the segment does not count.

    Returns
    -------
    parts : ndarray of shape (h, w), int32
        0 to k - 1, 4-connected, the positive ones first; -1 outside.
    n_positive : int
        How many of them grew from positive strokes.

    Raises
    ------
    InputError
        If no positive or no negative stroke lies in the segment.
    """
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[positive & mask] = POSITIVE
    seeds[negative & mask & ~positive] = NEGATIVE
    for value, name in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
        if not (seeds == value).any():
            raise InputError(f"no {name} stroke lies in the segment; one of each sign is expected")
    grown: NDArray[np.int32] = watershed(  # type: ignore[no-untyped-call]
        gradient, seeds, connectivity=1, mask=mask
    )
    first, n_positive = ndimage.label(grown == POSITIVE)
    second, _ = ndimage.label(mask & (grown != POSITIVE))
    parts = np.where(second > 0, second + n_positive, first).astype(np.int32) - 1
    return parts, n_positive


def as_pixels(strokes: ArrayLike | Stroke | list[Stroke], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Strokes as a mask.

    Parameters
    ----------
    strokes : ndarray of shape (H, W) of bool, array_like of shape (N, 2), Stroke, or list of Stroke
        A mask; or clicked pixels, row and column; or strokes of a brush.
    shape : tuple of 2 int
        Of the image.

    Raises
    ------
    InputError
        If they are neither, or a click lies outside of the image.
    """
    if isinstance(strokes, Stroke):
        strokes = [strokes]
    if isinstance(strokes, (list, tuple)) and strokes and all(isinstance(s, Stroke) for s in strokes):
        drawn: NDArray[np.bool_] = np.logical_or.reduce([s.rasterize(shape) for s in strokes])
        return drawn
    given = np.asarray(strokes)
    if given.dtype == bool and given.shape == shape:
        return given
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise InputError(
            f"strokes have shape {given.shape} and type {given.dtype}; a mask of shape {shape}, pixels of shape (N, 2) "
            "or Stroke objects are expected"
        )
    pixels = np.rint(given).astype(np.int64)
    if ((pixels < 0) | (pixels >= np.array(shape))).any():
        raise InputError(f"a click lies outside of the image of shape {shape}; pixels inside are expected")
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(pixels.T)] = True
    return mask
