"""Arbitrary intensities, such as Hounsfield units or 16-bit counts, on the 0 to 255 scale of the models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.padding import some_values, without_padding

__all__ = ["equalize_intensities", "is_picture", "percentiles", "scale_intensities", "to_unit"]

_SMALLEST, _LARGEST = 1e-30, 1e30  # span that 32 bits are used for; beyond, 64


def percentiles(values: NDArray[np.float32], shares: Sequence[float]) -> tuple[float, ...]:
    """Percentiles of some of the values, whatever their size."""
    sample = some_values(values)
    size = float(np.abs(sample).max(initial=0.0))
    if not _SMALLEST < size < _LARGEST:
        sample = sample.astype(np.float64)
    return tuple(float(v) for v in np.percentile(sample, shares))


def to_unit(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """A new array where ``low`` is 0 and ``high`` is 1, whatever their size; 0 everywhere if they are equal."""
    span = high - low
    if span == 0:
        return np.zeros_like(values)
    if _SMALLEST < span < _LARGEST and abs(low) < _LARGEST:
        unit = np.subtract(values, low, dtype=np.float32)
        with np.errstate(over="ignore"):  # of a few values far away
            return np.multiply(unit, np.float32(1 / span), out=unit)
    wide = (values.astype(np.float64) - low) / span
    return np.clip(wide, -_LARGEST, _LARGEST).astype(np.float32)


def scale_intensities(data: NDArray[np.float32], tail: float = 0.5) -> NDArray[np.float32]:
    """Bring intensities to the scale 0 to 255.

    Values that are an 8-bit picture already (integers from 0 to 255, the largest at least 64) are left as they are.
    Else padding is left out (:func:`~napari_scribseg.core.padding.without_padding`), the range between the ``tail``
    and the ``100 - tail`` percentile of all channels together becomes 0 to 255, and what lies beyond is compressed,
    not cut: beyond the range the distance grows with its logarithm, so that a few bright or metallic voxels neither
    compress the rest nor become equal.

    Parameters
    ----------
    data : ndarray of shape (C, ...), float32
        Finite values of any unit.
    tail : float
        Percentage of the values allowed beyond either end.

    Returns
    -------
    ndarray of shape (C, ...), float32
        0 everywhere for a constant image.
    """
    data = without_padding(data)
    flat = data.reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    if low >= 0 and 64 <= high <= 255 and _all_whole(flat):
        return data
    if low == high:
        return np.zeros_like(data)
    inner_low, inner_high = percentiles(flat, (tail, 100 - tail))
    if inner_high <= inner_low:
        inner_low, inner_high = low, high
    unit = to_unit(data, inner_low, inner_high)
    if low < inner_low or high > inner_high:
        np.add(np.clip(unit, 0, 1), _beyond(unit), out=unit)
    return np.multiply(unit, np.float32(255), out=unit)


def _beyond(unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part outside [0, 1], compressed: a tenth of log(1 + 10 distance), its sign kept."""
    outside = unit - np.clip(unit, 0, 1)
    size: NDArray[np.float32] = np.log1p(10 * np.minimum(np.abs(outside), np.float32(_LARGEST)))
    beyond: NDArray[np.float32] = np.copysign(np.float32(0.1) * size, outside)
    return beyond


def _all_whole(flat: NDArray[np.float32]) -> bool:
    """Whether every value is an integer; a few are checked first, which rules most images out."""
    some = flat[:: max(flat.size // 1024, 1)]
    return bool((some == np.rint(some)).all() and (flat == np.rint(flat)).all())


def is_picture(data: NDArray[np.float32]) -> bool:
    """Whether an image of shape (C, ...) looks like an RGB picture: three channels, 8 bits or reals in [0, 1]."""
    if data.shape[0] != 3:
        return False
    low, high = float(data.min()), float(data.max())
    return low >= 0 and (high <= 1 or (high <= 255 and _all_whole(data.reshape(-1))))


_BINS = 512
_CLIPPINGS = 5  # rounds of redistributing the clipped share


def equalize_intensities(scaled: NDArray[np.float32], limit: float = 4.0) -> NDArray[np.float32]:
    """Spread frequent intensities, so that a narrow range of tissues stays visible beside air and bone.

    Contrast-limited histogram equalisation (Pizer et al. 1987) of the whole image: a monotone map of 0..255 onto itself
    that enlarges a difference at most ``limit`` times.

    Parameters
    ----------
    scaled : ndarray of shape (...), float32
        One channel, as :func:`scale_intensities` gives it; values beyond 0..255 stay as they are.
    limit : float
        Largest slope of the map, at least 1.

    Returns
    -------
    ndarray of shape (...), float32
    """
    sample = some_values(scaled)
    inside = sample[(sample >= 0) & (sample <= 255)]
    if not inside.size:
        return scaled
    counts = np.bincount(np.minimum((inside * (_BINS / 255)).astype(np.intp), _BINS - 1), minlength=_BINS)
    slope = counts * (_BINS / inside.size)
    for _ in range(_CLIPPINGS):
        excess = np.clip(slope - limit, 0, None).mean()
        slope = np.minimum(slope, limit) + excess
    nodes = np.concatenate(([0.0], np.cumsum(slope)))
    nodes *= 255 / nodes[-1]
    place = np.clip(scaled * np.float32(_BINS / 255), 0, _BINS)
    whole = np.minimum(place.astype(np.intp), _BINS - 1)
    start, step = nodes[:-1].astype(np.float32), np.diff(nodes).astype(np.float32)
    mapped = start[whole] + step[whole] * (place - whole.astype(np.float32))
    return np.where((scaled < 0) | (scaled > 255), scaled, mapped)
