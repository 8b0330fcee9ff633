"""Random changes of the intensities of a picture: contrast, noise, blur, shading and colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.numerics.augmentation.warps import smooth_noise

__all__ = ["change_slightly", "unchanged", "vary_intensities"]

Channels = NDArray[np.float32]
_LOWEST_SPREAD = 1e-3


def vary_intensities(channels: Channels, rng: np.random.Generator) -> Channels:
    """A picture as another scanner, microscope or camera might have recorded it.

    Parameters
    ----------
    channels : ndarray of shape (1, S, S) or (3, S, S), float32
        Intensities from 0 to 1.
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (3, S, S), float32
        From -1 to 1.
    """
    channels = _channels(channels, rng)
    for share, change in _CHANGES:
        if rng.random() < share:
            channels = np.clip(change(channels, rng), -1, 2)
    if rng.random() < 0.5:  # by percentiles, as an image is scaled for the network
        low, high = np.percentile(channels[:, ::2, ::2], (0.5, 99.5))
        if high - low > _LOWEST_SPREAD:
            channels = (channels - low) / (high - low)
    return np.clip(channels * 2 - 1, -1, 1).astype(np.float32)


def change_slightly(channels: Channels, rng: np.random.Generator) -> Channels:
    """A picture as the same kind of scanner or microscope might have recorded it of another person or sample.

    Contrast, brightness, shading, sharpness and noise change; colours are not exchanged, and light stays light.

    Parameters
    ----------
    channels : ndarray of shape (C, S, S), float32
        Intensities from 0 to 1.
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (C, S, S), float32
        About from 0 to 1.
    """
    for share, change in _SLIGHT_CHANGES:
        if rng.random() < share:
            channels = np.clip(change(channels, rng), -1, 2)
    return channels.astype(np.float32)


def unchanged(channels: Channels) -> Channels:
    """A picture of shape (1, S, S) or (3, S, S) from 0 to 1 as (3, S, S) from -1 to 1, without a change."""
    return np.clip(np.broadcast_to(channels, (3, *channels.shape[1:])) * 2 - 1, -1, 1).astype(np.float32)


def _channels(channels: Channels, rng: np.random.Generator) -> Channels:
    """Three channels: copies of a single one; three as they are, as grey, permuted or mixed."""
    if channels.shape[0] == 1:
        return np.repeat(channels, 3, axis=0)
    kind = rng.random()
    if kind < 0.35:
        weight = rng.dirichlet((1.0, 1.0, 1.0)).astype(np.float32)
        return np.repeat(np.tensordot(weight, channels, 1)[None], 3, axis=0)
    if kind < 0.5:
        return channels[rng.permutation(3)]
    if kind < 0.6:
        mixing = rng.dirichlet((1.0, 1.0, 1.0), size=3).astype(np.float32)
        return np.tensordot(mixing, channels, 1)
    return channels


def _window(channels: Channels, rng: np.random.Generator) -> Channels:
    low, high = np.percentile(channels[:, ::2, ::2], (rng.uniform(0, 12), rng.uniform(88, 100)))
    windowed: Channels = np.clip((channels - low) / max(high - low, 0.05), 0, 1)
    return windowed


def _gamma(channels: Channels, rng: np.random.Generator) -> Channels:
    return np.clip(channels, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.4)))


def _curve(channels: Channels, rng: np.random.Generator) -> Channels:
    """A random map of the intensities, monotone or not: contrasts are exchanged as between MR sequences."""
    nodes = rng.random(int(rng.integers(4, 8)))
    return np.interp(channels, np.linspace(0, 1, nodes.size), nodes).astype(np.float32)


def _invert(channels: Channels, rng: np.random.Generator) -> Channels:
    return np.float32(1) - channels


def _bias(channels: Channels, rng: np.random.Generator) -> Channels:
    field = smooth_noise(channels.shape[-1], int(rng.integers(2, 5)), rng)
    shaded: Channels = channels * np.exp(rng.uniform(0.1, 0.4) * field)
    return shaded


def _level(channels: Channels, rng: np.random.Generator) -> Channels:
    return (channels - 0.5) * np.float32(rng.uniform(0.5, 1.4)) + np.float32(0.5 + rng.uniform(-0.2, 0.2))


def _blur(channels: Channels, rng: np.random.Generator) -> Channels:
    sigma = rng.uniform(0.4, 1.6)
    return np.stack([ndimage.gaussian_filter(channel, sigma, truncate=3) for channel in channels])


def _coarsen(channels: Channels, rng: np.random.Generator) -> Channels:
    """A lower resolution along one or both axes, as of thick slices."""
    size = channels.shape[-1]
    at = [np.arange(size) // step * step for step in rng.choice((1, 2, 3), 2)]
    return channels[:, at[0][:, None], at[1]]


def _noise(channels: Channels, rng: np.random.Generator) -> Channels:
    noise = rng.standard_normal(channels.shape, dtype=np.float32)
    if rng.random() < 0.6:  # the same in all channels
        noise[:] = noise[0]
    if rng.random() < 0.3:  # grains larger than a pixel
        noise = ndimage.uniform_filter(noise, (0, 2, 2)) * 2
    size = np.float32(rng.uniform(0.005, 0.1))
    return channels + size * noise * (np.sqrt(np.clip(channels, 0, 1)) if rng.random() < 0.4 else 1)


_CHANGES: tuple[tuple[float, Callable[[Channels, np.random.Generator], Channels]], ...] = (
    (0.3, _window),
    (0.4, _gamma),
    (0.1, _curve),
    (0.2, _invert),
    (0.25, _bias),
    (0.4, _level),
    (0.2, _blur),
    (0.1, _coarsen),
    (0.4, _noise),
)

_SLIGHT_CHANGES: tuple[tuple[float, Callable[[Channels, np.random.Generator], Channels]], ...] = (
    (0.3, _gamma),
    (0.25, _bias),
    (0.4, _level),
    (0.15, _blur),
    (0.1, _coarsen),
    (0.4, _noise),
)
