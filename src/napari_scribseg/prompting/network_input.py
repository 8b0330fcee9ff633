"""The input of the networks of this package: an image, the strokes on it, and the previous output."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.numerics.fused.distance import euclidean_distance
from napari_scribseg.prompting.guidance import guidance

__all__ = ["INPUT_CHANNELS", "WITH_PREVIOUS", "WITH_STROKES", "interaction_maps", "network_input"]

_MEAN = (123.68, 116.779, 103.939)  # of ImageNet's red, green and blue
_SCALE = 0.017  # about one over their standard deviation
_FARTHEST = 255.0  # pixels, where an interaction map ends
_NEARBY = 4.0  # pixels, at which a map of what lies close by has fallen to 1 / e

WITH_PREVIOUS = (6, 8, 11)  # numbers of channels of inputs that hold the previous output
WITH_STROKES = tuple(sorted((4, 5, *WITH_PREVIOUS)))  # and of those that hold the strokes
INPUT_CHANNELS = (3, *WITH_STROKES)  # all that network_input can fill


def network_input(image: Tensor, stroke_map: Tensor, previous: Tensor | None, channels: int) -> Tensor:
    """The input of a network; the same in training and in use.

    Parameters
    ----------
    image : Tensor of shape (N, 3, H, W)
        From -1 to 1.
    stroke_map : Tensor of shape (N, H, W)
        1 strokes on the object, -1 strokes off it, 0 not painted.
    previous : Tensor of shape (N, H, W) or None
        The network's probability of the object before the last stroke, 0 to 1; None where there is none.
    channels : int
        3: the image alone. 4: image and stroke map, as published in paper 001. 5: image and the maps of
        :func:`interaction_maps`, as published in paper 003: ``(value - mean) * 0.017`` with values and ImageNet's means
        on the scale 0 to 255. 8: these, ``exp(-distance / 4)`` to the strokes on the object and to those off it, which
        differ more between nearby pixels than the published maps, and the previous output. 6: image, strokes on and off
        the object as two channels, previous output. 11: these six, and the maps of
        :func:`~napari_scribseg.prompting.guidance.guidance`.

    Returns
    -------
    Tensor of shape (N, channels, H, W), of the type of ``image``

    Raises
    ------
    InputError
        If ``channels`` is none of these.
    """
    if channels == 3:
        return image
    before = image.new_zeros(stroke_map.shape) if previous is None else previous.to(image.dtype)
    if channels in (5, 8):
        mean = torch.tensor(_MEAN, dtype=image.dtype, device=image.device)[:, None, None]
        away = _distances(stroke_map).to(image.device, image.dtype)
        parts = [((image + 1) * 127.5 - mean) * _SCALE, _falling(away)]
        if channels == 8:
            parts += [torch.exp(-away / _NEARBY), before[:, None]]
        return torch.cat(parts, dim=1)
    strokes = stroke_map.to(image.dtype)
    if channels == 4:
        return torch.cat((image, strokes[:, None]), dim=1)
    if channels not in INPUT_CHANNELS:
        expected = ", ".join(map(str, INPUT_CHANNELS))
        raise InputError(f"a network with {channels} input channels cannot be given strokes; {expected} are expected")
    parts = [image, torch.stack((strokes.clamp(min=0), (-strokes).clamp(min=0), before), dim=1)]
    if channels == 11:
        parts.append(guidance(image, stroke_map).to(image.dtype))
    return torch.cat(parts, dim=1)


def interaction_maps(stroke_map: Tensor) -> Tensor:
    """How near the strokes on an object and those off it are (Jang and Kim 2019, section 3.1).

    Parameters
    ----------
    stroke_map : Tensor of shape (N, H, W)
        1 strokes on the object, -1 strokes off it, 0 not painted.

    Returns
    -------
    Tensor of shape (N, 2, H, W), float32, on the CPU
        ``1 - min(distance, 255) / 255`` to the nearest stroke pixel on the object, and to the nearest off it; 0 where
        there are no strokes of that kind.
    """
    return _falling(_distances(stroke_map))


def _distances(stroke_map: Tensor) -> Tensor:
    """To the nearest stroke pixel on the object, and to the nearest off it, shape (N, 2, H, W), float32, on the CPU."""
    marks = stroke_map.detach().cpu().numpy()
    seeds = np.where(marks > 0, np.int32(0), np.where(marks < 0, np.int32(1), np.int32(-1)))
    return torch.from_numpy(np.stack([euclidean_distance(one, 2) for one in seeds]))


def _falling(distance: Tensor) -> Tensor:
    """From 1 at the strokes to 0, where the published maps end."""
    return 1 - distance.clamp(max=_FARTHEST) / _FARTHEST
