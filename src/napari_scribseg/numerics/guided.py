"""The guided filter, and the principal components of many channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_scribseg.core.padding import some_values

__all__ = ["guided_filter", "principal_components"]

Float32 = NDArray[np.float32]


def guided_filter(channels: Float32, guide: Float32, radius: int, epsilon: float) -> Float32:
    """Smooth channels along, but not across, the edges of a guide.

    In each window a channel is modelled as a linear function of the guide, ``a guide + b`` with the ridge ``epsilon``
    on ``a``; a pixel gets the mean over all windows around it.

    Parameters
    ----------
    channels : ndarray of shape (C, H, W), float32
    guide : ndarray of shape (H, W), float32
        Such as a grey image.
    radius : int
        Windows have the side ``2 radius + 1``, in pixels; the rim is repeated.
    epsilon : float
        Variance of the guide below which a window counts as flat.

    Returns
    -------
    ndarray of shape (C, H, W), float32

    References
    ----------
    He, Sun and Tang, Guided Image Filtering (TPAMI 2013), equations 5 to 8.
    """

    def mean(values: Float32) -> Float32:
        filtered: Float32 = uniform_filter(values, 2 * radius + 1, mode="nearest")
        return filtered

    middle = guide.mean(dtype=np.float64)
    guide = np.subtract(guide, middle, dtype=np.float32)  # against cancellation in small variances
    mean_guide = mean(guide)
    variance: Float32 = np.maximum(mean(guide * guide) - mean_guide * mean_guide, np.float32(0))
    filtered = np.empty_like(channels)
    for channel, out in zip(channels, filtered, strict=True):
        mean_channel = mean(channel)
        slope = np.divide(
            mean(guide * channel) - mean_guide * mean_channel, variance + np.float32(epsilon), dtype=np.float32
        )
        out[:] = mean(slope) * guide + mean(mean_channel - slope * mean_guide)
    return filtered


def principal_components(channels: Float32, count: int) -> Float32:
    """The linear combinations of channels that vary most.

    Parameters
    ----------
    channels : ndarray of shape (C, H, W), float32
    count : int
        At most C.

    Returns
    -------
    ndarray of shape (count, H, W), float32
        Of mean about 0, by falling variance; each with its largest coefficient positive.
    """
    sample = np.stack([some_values(channel) for channel in channels]).astype(np.float64)
    mean = sample.mean(axis=1, keepdims=True)
    covariance = (sample - mean) @ (sample - mean).T / sample.shape[1]
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, :count].T
    largest = np.abs(vectors).argmax(axis=1)
    vectors = vectors * np.sign(vectors[np.arange(count), largest])[:, np.newaxis]
    flat = channels.reshape(len(channels), -1) - mean.astype(np.float32)
    parts: Float32 = (vectors.astype(np.float32) @ flat).reshape(count, *channels.shape[1:])
    return parts
