"""How much each pixel looks like a thin line, dark or bright, of a given width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["line_response"]

_ORIENTATIONS = 8
_ACROSS = 1 / 6  # standard deviation of the smoothing across a line, in its widths

Float32 = NDArray[np.float32]


def line_response(channel: Float32, width: float) -> tuple[Float32, Float32]:
    """Contrast of the darker, and of the brighter, line through each pixel to what lies on both its sides.

    A line is smoothed along its direction by as much as it is wide. Its contrast to the sides, ``width`` away, is the
    geometric mean of that to the more similar side and that to both on average: an edge, which has one such side only,
    has none. The largest over eight directions is taken.

    Parameters
    ----------
    channel : ndarray of shape (H, W), float32
    width : float
        Of the line, in pixels.

    Returns
    -------
    tuple of 2 ndarray of shape (H, W), float32
        Of dark and of bright lines, in the unit of ``channel``, at least 0.
    """
    height, columns = channel.shape
    reach = round(width) + 1
    half = _half(width)
    pad = half + reach
    padded = np.pad(channel, pad, mode="symmetric")
    shape = tuple(fft.next_fast_len(n + half, real=True) for n in padded.shape)
    spectrum = fft.rfft2(padded, shape)
    dark, bright = np.zeros_like(channel), np.zeros_like(channel)
    for angle in np.pi * np.arange(_ORIENTATIONS) / _ORIENTATIONS:
        sine, cosine = float(np.sin(angle)), float(np.cos(angle))
        smooth = fft.irfft2(spectrum * fft.rfft2(_segment(sine, cosine, width), shape), shape)
        down, right = round(width * sine), round(width * cosine)
        middle, one, other = (
            smooth[pad + half + i * down :, pad + half + i * right :][:height, :columns] for i in (0, 1, -1)
        )
        mean = (one + other) / 2 - middle
        for out, least in ((dark, np.minimum(one, other) - middle), (bright, middle - np.maximum(one, other))):
            contrast = np.sqrt(np.maximum(least, 0) * np.abs(mean))
            np.maximum(out, contrast, out=out)
    return dark, bright


def _half(width: float) -> int:
    """Pixels from the middle of a segment to its ends."""
    return int(np.ceil(3 * width))


def _segment(sine: float, cosine: float, width: float) -> Float32:
    """A smooth segment through the middle, at a right angle to a direction, of sum 1."""
    rows, columns = np.mgrid[-_half(width) : _half(width) + 1, -_half(width) : _half(width) + 1] / width
    across, along = sine * rows + cosine * columns, cosine * rows - sine * columns
    weights = np.exp(-0.5 * ((across / _ACROSS) ** 2 + along**2))
    segment: Float32 = (weights / weights.sum()).astype(np.float32)
    return segment
