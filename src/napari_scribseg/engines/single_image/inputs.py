"""The input of a network: colour, position and semantic features of each pixel, all from 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image
from napari_scribseg.numerics.intensity import is_picture, scale_intensities
from napari_scribseg.prompting.semantic import semantic_features

__all__ = ["input_channels"]

Float32 = NDArray[np.float32]


def input_channels(image: Image, inputs: str, backbone: str, device: str) -> tuple[Float32, dict[str, slice]]:
    """The input of a network.

    Parameters
    ----------
    image : Image
        Two spatial axes, any number of channels.
    inputs : str
        Names joined by ``+``.
    backbone : str
        For semantic features, see :func:`~napari_scribseg.prompting.semantic.semantic_features`.
    device : str
        Where semantic features are computed.

    Returns
    -------
    channels : ndarray of shape (C, H, W), float32
    where : dict of str to slice
        The channels of each name.
    """
    make = {
        "colour": lambda: _colour(image.data),
        "position": lambda: _position(*image.data.shape[1:]),
        "semantic": lambda: semantic_features(image.data, backbone, device),
    }
    parts, where, count = [], {}, 0
    for name in inputs.split("+"):
        part = make[name]()
        where[name] = slice(count, count + len(part))
        parts.append(part)
        count += len(part)
    return np.concatenate(parts), where


def _colour(data: Float32) -> Float32:
    """Red, green and blue of a picture on one scale; channels of anything else each on its own."""
    if is_picture(data):
        return np.multiply(scale_intensities(data), np.float32(1 / 255))
    channels = [scale_intensities(channel[np.newaxis]) for channel in data]
    return np.multiply(np.concatenate(channels), np.float32(1 / 255))


def _position(height: int, width: int) -> Float32:
    """Row and column of each pixel, from 0 to 1 along each axis."""
    down = np.linspace(0, 1, height, dtype=np.float32) if height > 1 else np.zeros(1, dtype=np.float32)
    along = np.linspace(0, 1, width, dtype=np.float32) if width > 1 else np.zeros(1, dtype=np.float32)
    return np.stack(np.broadcast_arrays(down[:, None], along[None, :]))
