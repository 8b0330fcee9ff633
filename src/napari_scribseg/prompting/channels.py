"""Images of any channels and units as three channels from -1 to 1, on which the networks were trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.padding import some_values, without_padding
from napari_scribseg.numerics.intensity import is_picture, percentiles, to_unit

__all__ = ["three_channels"]

TAIL = 0.5  # percentage of the intensities that may lie beyond either end of the scale, as in training
_RARE = 0.05  # the same for a small object on an even ground: where the range of these percentiles is
_FAR = 4.0  # so many times that of TAIL

Float32 = NDArray[np.float32]


def three_channels(data: Float32) -> Float32:
    """Three channels from -1 to 1.

    A picture in red, green and blue (a fourth channel that is the same everywhere is left out) keeps its colours: its
    channels are scaled together. Channels of anything else may have units of their own, and are scaled one by one: one
    is repeated, two get their mean as the third, and more than three are reduced to their three principal components.

    Parameters
    ----------
    data : ndarray of shape (C, H, W), float32
        Finite values of any unit.

    Returns
    -------
    ndarray of shape (3, H, W), float32
        The 0.5 and the 99.5 percentile become -1 and 1 (0.05 and 99.95 where that would flatten a small object on an
        even ground), what lies beyond is cut; -1 everywhere for a constant image.
    """
    if data.shape[0] == 4 and data[3].min() == data[3].max():
        data = data[:3]
    if is_picture(data):
        return _scaled(data)
    channels = np.stack([_scaled(channel) for channel in data])
    if len(channels) == 1:
        return np.repeat(channels, 3, axis=0)
    if len(channels) == 2:
        return np.concatenate((channels, channels.mean(axis=0, keepdims=True)))
    return channels if len(channels) == 3 else np.stack([_scaled(part) for part in _principal(channels)])


def _scaled(values: Float32) -> Float32:
    """The range between the percentiles as -1 to 1, in a new array; padding gets the darkest value."""
    values = without_padding(values)
    lowest, low, high, highest = percentiles(values, (_RARE, TAIL, 100 - TAIL, 100 - _RARE))
    if highest - lowest > _FAR * (high - low):
        low, high = lowest, highest
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.full_like(values, -1)
    scaled = to_unit(values, low, high)
    np.multiply(scaled, np.float32(2), out=scaled)
    return np.clip(np.subtract(scaled, np.float32(1), out=scaled), -1, 1, out=scaled)


def _principal(channels: Float32) -> Float32:
    """The three linear combinations that vary most, shape (3, H, W); each with its largest coefficient positive."""
    flat = channels.reshape(len(channels), -1)
    sample = np.stack([some_values(channel) for channel in flat]).astype(np.float64)
    vectors = np.linalg.eigh(np.cov(sample))[1][:, :-4:-1].T if sample.shape[1] > 1 else np.eye(3, len(channels))
    largest = np.abs(vectors).argmax(axis=1)
    vectors = vectors * np.sign(vectors[np.arange(3), largest])[:, np.newaxis]
    parts: Float32 = (vectors.astype(np.float32) @ flat).reshape(3, *channels.shape[1:])
    return parts
