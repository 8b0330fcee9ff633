"""What a network of this package is given: an image, the strokes on it, and what was answered before."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.nets.guidance import guidance

__all__ = ["INPUT_CHANNELS", "network_input"]

INPUT_CHANNELS = (4, 6, 11)  # numbers of channels that network_input can fill


def network_input(image: Tensor, signal: Tensor, previous: Tensor | None, channels: int) -> Tensor:
    """What a network sees; the same in training and when it answers.

    Parameters
    ----------
    image : Tensor of shape (N, 3, H, W)
        From -1 to 1.
    signal : Tensor of shape (N, H, W)
        1 strokes on the object, -1 strokes off it, 0 not painted.
    previous : Tensor of shape (N, H, W) or None
        Probability of the object as the network gave it before the last stroke, 0 to 1; None where there was none.
    channels : int
        4: image and signal, as published. 6: image, strokes on and off the object as two channels, previous output.
        11: these, and the maps of :func:`~napari_scribseg.nets.guidance.guidance`.

    Returns
    -------
    Tensor of shape (N, channels, H, W), of the type of ``image``

    Raises
    ------
    InputError
        If ``channels`` is neither.
    """
    strokes = signal.to(image.dtype)
    if channels == 4:
        return torch.cat((image, strokes[:, None]), dim=1)
    if channels not in INPUT_CHANNELS:
        raise InputError(f"a network with {channels} input channels cannot be given strokes; 4, 6 or 11 are expected")
    before = torch.zeros_like(strokes) if previous is None else previous.to(image.dtype)
    parts = [image, torch.stack((strokes.clamp(min=0), (-strokes).clamp(min=0), before), dim=1)]
    if channels == 11:
        parts.append(guidance(image, signal).to(image.dtype))
    return torch.cat(parts, dim=1)
