"""Masks of labels, their distance fields and parts, for all simulated users."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_scribseg.core import InputError

__all__ = ["as_mask", "distance_field", "one_part", "require_same_shape"]


def as_mask(label: ArrayLike, name: str = "label") -> NDArray[np.bool_]:
    """The label as a mask of shape (H, W): True where it is not 0.

    Raises
    ------
    InputError
        If ``label`` has not two axes of at least one pixel, or holds neither booleans nor integers.
    """
    mask = np.asarray(label)
    if mask.dtype.kind not in "biu":
        raise InputError(f"the {name} holds {mask.dtype} values; booleans or integers are expected")
    if mask.ndim != 2 or 0 in mask.shape:
        raise InputError(f"the {name} has shape {mask.shape}; expected (H, W) with at least one pixel")
    inside: NDArray[np.bool_] = mask != 0
    return inside


def require_same_shape(a: NDArray[np.generic], b: NDArray[np.generic], names: tuple[str, str]) -> None:
    """Check that two arrays lie on the same grid.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if a.shape != b.shape:
        raise InputError(f"the {names[0]} has shape {a.shape} and the {names[1]} {b.shape}; the same is expected")


def distance_field(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel of a mask to the nearest pixel outside it.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The label.

    Returns
    -------
    ndarray of shape (H, W), float64
        Euclidean, in pixels, between the centres of pixels: 1 at the rim, 0 outside. The outside of the image counts as
        outside, so that strokes also keep away from its border.
    """
    padded = np.pad(mask, 1)
    nearest = ndimage.distance_transform_edt(padded, return_distances=False, return_indices=True)
    down = nearest[0] - np.arange(padded.shape[0], dtype=np.int32)[:, np.newaxis]  # integers: a third faster
    right = nearest[1] - np.arange(padded.shape[1], dtype=np.int32)
    field: NDArray[np.float64] = np.sqrt((down * down + right * right)[1:-1, 1:-1], dtype=np.float64)
    return field


def one_part(mask: NDArray[np.bool_], seed: np.random.Generator, power: float = 1.0) -> NDArray[np.bool_]:
    """A connected part (four neighbours) of a mask, (H, W), drawn with its area to a power as weight."""
    parts, number = ndimage.label(mask)
    if number < 2:
        return mask
    weights = np.bincount(parts.reshape(-1))[1:] ** power
    chosen: NDArray[np.bool_] = parts == 1 + seed.choice(number, p=weights / weights.sum())
    return chosen
