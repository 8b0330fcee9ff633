"""Guidance maps for a network: how near the strokes are to each pixel, and its equalised brightness."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.numerics.fused.colour import nearest_colour
from napari_scribseg.numerics.fused.distance import geodesic_distance
from napari_scribseg.numerics.fused.filters import gaussian_gradient
from napari_scribseg.numerics.seeds import thin_seeds
from napari_scribseg.numerics.threads import in_parallel

__all__ = ["guidance"]

_SIGNS = (1, -1)
_SCALE = 0.7  # of the gradient, in pixels
_LEAST_COST = 0.05  # of a pixel's length on even ground, where one on a clear edge costs 1
_REACH = 2.0  # length of a path at which its map is one half
_COLOURS = 24  # of the strokes of a sign
_WIDTH = 0.15  # distance between colours, from -1 to 1, at which their map is one half
_SCANS = 2
_LEVELS = 256  # of brightness

Float32 = NDArray[np.float32]


def guidance(image: Tensor, stroke_map: Tensor) -> Tensor:
    """How near the strokes on and off an object are to each pixel, and how bright it is.

    Parameters
    ----------
    image : Tensor of shape (N, 3, H, W)
        From -1 to 1.
    stroke_map : Tensor of shape (N, H, W)
        1 strokes on the object, -1 strokes off it, 0 not painted.

    Returns
    -------
    Tensor of shape (N, 5, H, W), float32, on the device of ``image``
        From 0 to 1. Two maps of nearness along the paths that cross the fewest edges (geodesic distance), to the
        strokes on the object and to those off it; two of how near a pixel's colour is to one of the strokes on the
        object, and of those off it: 1 at the strokes, 0 for a sign without strokes. Last, the share of the pixels that
        are darker, which no monotone change of the intensities alters (histogram equalisation).

    References
    ----------
    Wang et al., DeepIGeoS (2019), for geodesic distances as inputs of a network; their fall here is 1 / (1 + d), which
    still differs far from the strokes. Computed on the CPU.
    """
    channels = np.ascontiguousarray(image.detach().cpu().float().numpy())
    marks = stroke_map.detach().cpu().numpy()
    maps = np.zeros((len(channels), 2 * len(_SIGNS) + 1, *channels.shape[-2:]), dtype=np.float32)
    in_parallel(lambda i: _fill(channels[i], marks[i], maps[i]), len(channels))
    return torch.from_numpy(maps).to(image.device)


def _fill(channels: Float32, marks: NDArray[np.generic], maps: Float32) -> None:
    """The maps of one image, into ``maps`` of shape (5, H, W)."""
    maps[-1] = _equalised(channels.mean(axis=0))
    seeds = np.full(marks.shape, -1, dtype=np.int32)
    for k, sign in enumerate(_SIGNS):
        seeds[marks == sign] = k
    present = [k for k in range(len(_SIGNS)) if (seeds == k).any()]
    if not present:
        return
    gradient = gaussian_gradient(channels, _SCALE)
    clear = max(float(np.percentile(gradient[::2, ::2], 95)), 1e-3)
    cost = np.minimum(gradient / np.float32(clear), np.float32(1)) + np.float32(_LEAST_COST)
    paths = geodesic_distance(seeds, len(_SIGNS), cost, tolerance=0.01, max_scans=_SCANS)
    thin = thin_seeds(seeds, len(_SIGNS), _COLOURS)
    for k in present:
        maps[k] = 1 / (1 + paths[k] / np.float32(_REACH))
        away = nearest_colour(channels, np.ascontiguousarray(channels[:, thin == k]))
        maps[len(_SIGNS) + k] = 1 / (1 + away / np.float32(_WIDTH))


def _equalised(channel: Float32) -> Float32:
    """The share of darker pixels, half of the equal ones included; of a channel from -1 to 1."""
    level = ((channel + 1) * np.float32((_LEVELS - 1) / 2) + np.float32(0.5)).astype(np.intp)
    counts = np.bincount(level.reshape(-1), minlength=_LEVELS)
    shares: Float32 = ((np.cumsum(counts) - counts / 2) / channel.size).astype(np.float32)
    return shares[level]
