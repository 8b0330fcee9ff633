"""Strokes as inputs of a network, and the inputs that are corrected, also of networks trained without strokes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist
from torch import Tensor

from napari_scribseg.core import InputError
from napari_scribseg.prompting import interaction_maps, network_input

__all__ = ["Converted", "Prompt", "Trained", "as_clicks", "prompt_of"]

_LEAST_DISTANCE = 6.0  # least distance of two clicks on one stroke, in pixels
_WIDTHS = 2.0  # the same in widths of the stroke: a dot becomes a single click
_CORE = 0.5  # clicks lie so deep in the stroke, as a share of the depth of its deepest pixel


def as_clicks(seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Clicks spread along strokes.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        1 on strokes of the object, 0 on those of the rest, -1 elsewhere.

    Returns
    -------
    ndarray of shape (H, W), int32
        Some of these pixels: of each connected stroke the one nearest to its centre, then again and again the one
        farthest from those chosen, while it is not near them. Every other pixel is -1.
    """
    clicks = np.full_like(seeds, -1)
    for sign in (0, 1):
        parts, _ = ndimage.label(seeds == sign, np.ones((3, 3)))
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            chosen = _spread(np.pad(parts[rows, columns] == number, 1))
            clicks[chosen[:, 0] + rows.start - 1, chosen[:, 1] + columns.start - 1] = sign
    return clicks


def _spread(part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions on one stroke, shape (n, 2), of at least one pixel."""
    depth = ndimage.distance_transform_edt(part)
    core = np.argwhere(depth >= _CORE * depth.max())
    least = max(_LEAST_DISTANCE, _WIDTHS * 2 * float(depth.max()))
    first = int(cdist(core, np.argwhere(part).mean(axis=0)[None]).argmin())
    chosen, away = [first], np.full(len(core), np.inf)
    while True:
        np.minimum(away, cdist(core, core[chosen[-1:]])[:, 0], out=away)
        farthest = int(away.argmax())
        if away[farthest] < least:
            return np.asarray(core[chosen], dtype=np.intp)
        chosen.append(farthest)


def _stroke_map(seeds: NDArray[np.int32]) -> Tensor:
    """Strokes as networks take them, shape (1, H, W): 1 on the object, -1 on the rest, 0 elsewhere."""
    stroke_map = np.select((seeds == 1, seeds == 0), (np.float32(1), np.float32(-1)), np.float32(0))
    return torch.from_numpy(stroke_map)[None]


class Prompt(Protocol):
    """Strokes as inputs of a network, and the inputs that may be changed."""

    def base(self, image: Tensor, seeds: NDArray[np.int32], previous: Tensor | None = None) -> Tensor:
        """The network's input before anything is changed, for strokes on the network's grid.

        ``previous``, of shape (1, h, w), is the probability of the object by the last result, if the network takes it.
        """
        ...

    def zero(self, image: Tensor) -> Tensor:
        """No change."""
        ...

    def changed(self, base: Tensor, change: Tensor) -> Tensor:
        """The input with a change."""
        ...


class Converted:
    """A network that takes images only, given one map: that of the object less that of the rest.

    Section 3.3 of the paper concatenates image and maps and lets them share the weights of the first convolution. A
    convolution is linear: ``conv(image) + conv(map) = conv(image + map)``, with the bias once. So the map is added to
    every channel of the image, and the network is not changed, which exported programs and TorchScript would not allow.
    While the map is zero, the output is the network's own, bit for bit.

    Parameters
    ----------
    contrast : float
        Of the image as the network takes it: a change of 1 is one standard deviation.
    """

    def __init__(self, contrast: float) -> None:
        self._contrast = contrast

    def base(self, image: Tensor, seeds: NDArray[np.int32], previous: Tensor | None = None) -> Tensor:
        """The image."""
        return image

    def zero(self, image: Tensor) -> Tensor:
        """One map, for all channels."""
        return torch.zeros_like(image[:, :1])

    def changed(self, base: Tensor, change: Tensor) -> Tensor:
        """The image with the map added to it."""
        return base + change * self._contrast


class Trained:
    """A network that was trained with strokes; the channels of the strokes are changed.

    Parameters
    ----------
    kind : {"distance", "scribbles", "clicks"}
        Of the maps: the two of the paper, or those of :func:`~napari_scribseg.prompting.network_input`.
    channels : int
        Of its whole input.
    """

    def __init__(self, kind: str, channels: int) -> None:
        self._kind, self._channels = kind, channels

    def base(self, image: Tensor, seeds: NDArray[np.int32], previous: Tensor | None = None) -> Tensor:
        """The image, followed by the maps."""
        if self._kind == "distance":
            return torch.cat((image, interaction_maps(_stroke_map(seeds)).to(image)), dim=1)
        seeds = as_clicks(seeds) if self._kind == "clicks" else seeds
        return network_input(image, _stroke_map(seeds).to(image), previous, self._channels)

    def zero(self, image: Tensor) -> Tensor:
        """As many maps as the network has."""
        return image.new_zeros((1, self._channels - image.shape[1], *image.shape[2:]))

    def changed(self, base: Tensor, change: Tensor) -> Tensor:
        """The input with changed maps."""
        first = base.shape[1] - change.shape[1]
        return torch.cat((base[:, :first], base[:, first:] + change), dim=1)


def prompt_of(kind: str, image: Tensor, channels: int) -> Prompt:
    """The prompt of a network.

    Parameters
    ----------
    kind : {"none", "distance", "scribbles", "clicks"}
        As :attr:`ModelCard.prompt <napari_scribseg.engines.brs.ModelCard>` has it.
    image : Tensor of shape (1, C, h, w)
        As the network takes it.
    channels : int
        Of the network's whole input.
    """
    if kind == "none":
        contrast = float(image.std()) if image.numel() > 1 else 0.0
        return Converted(contrast if contrast > 0 else 1.0)
    if channels <= image.shape[1]:
        raise InputError(
            f"the network takes {channels} channels and the image has {image.shape[1]}: none are left for maps"
        )
    return Trained(kind, channels)
