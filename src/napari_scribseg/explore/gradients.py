"""Gradient images from 0 to 1, which the borders of segments follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core import InputError
from napari_scribseg.numerics.fused.filters import gaussian_gradient
from napari_scribseg.prompting.channels import three_channels

__all__ = ["as_edge_map", "gaussian_edges", "to_unit"]

SCALES = (1.0, 2.0)  # pixels; at 4, small round things grow by a quarter and more
_CLEAR = 99.0  # the percentile of the gradient that counts as a full edge
_NONE = 1e-4  # of a range of 2: a smaller gradient is rounding

Float32 = NDArray[np.float32]


def gaussian_edges(data: Float32, scales: tuple[float, ...] = SCALES) -> Float32:
    """Multi-scale Gaussian gradient: the mean over scales of the gradient times the scale (Lindeberg 1998).

    Parameters
    ----------
    data : ndarray of shape (C, H, W), float32
        Finite values of any unit; brought to three channels first.
    scales : tuple of float
        Standard deviations in pixels.

    Returns
    -------
    ndarray of shape (H, W), float32
        0 to 1; 0 everywhere for a constant image.
    """
    channels = three_channels(data)
    total = np.zeros(channels.shape[1:], dtype=np.float32)
    for scale in scales:
        total += np.float32(scale) * gaussian_gradient(channels, scale)
    return to_unit(total)


def to_unit(edges: Float32) -> Float32:
    """The 99th percentile as 1, larger values are clipped; where it is 0, the maximum as 1."""
    clear = float(np.percentile(edges, _CLEAR)) or float(edges.max())
    if clear < _NONE:
        return np.zeros_like(edges)
    unit: Float32 = np.clip(edges / np.float32(clear), 0, 1)
    return unit


def as_edge_map(edges: ArrayLike, shape: tuple[int, int]) -> Float32:
    """A user's edge map as a gradient image.

    Parameters
    ----------
    edges : array_like of shape (H, W)
        Large where a border is likely; finite and not negative.
    shape : tuple of 2 int
        Of the image.

    Raises
    ------
    InputError
        If the shapes differ, or the values are no finite numbers from 0 on.
    """
    values = np.asarray(edges)
    if values.shape != shape:
        raise InputError(f"the edge map has shape {values.shape}; the image has {shape}")
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or values.min() < 0:
        raise InputError("the edge map holds negative or infinite values; finite values from 0 on are expected")
    largest = float(values.max())
    return (values / (largest or 1.0)).astype(np.float32)
