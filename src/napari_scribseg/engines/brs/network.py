"""A network with its completed card: from an image to its input, and from its output to log-odds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.core import Image, InputError
from napari_scribseg.core.padding import without_padding
from napari_scribseg.engines.brs.card import ModelCard
from napari_scribseg.nets.any_size import crop_to, pad_to_multiple
from napari_scribseg.numerics.intensity import is_picture, percentiles, to_unit
from napari_scribseg.prompting.channels import three_channels
from napari_scribseg.prompting.predictions import Grid

__all__ = ["WrappedNetwork", "first_output", "normalised"]

Float32 = NDArray[np.float32]

_LONGEST = 192  # pixels along a side of the input of networks of this package, which were trained on 128
_EPSILON = 1e-6  # least distance of a probability from 0 and 1


@dataclass(frozen=True, slots=True, eq=False)
class WrappedNetwork:
    """A network that is ready for use.

    Attributes
    ----------
    module : nn.Module
        As it was loaded: its output is the network's own, bit for bit.
    fast : nn.Module
        The same up to rounding: batch norm folded, memory laid out for convolutions.
    card : ModelCard
        Complete.
    name : str
        For messages.
    device : str
    n_outputs, n_inputs : int
        Channels of its output, and of its input, maps included.
    """

    nbytes: ClassVar[int] = 0  # of an image's state: nothing, because all images share it

    module: nn.Module
    fast: nn.Module
    card: ModelCard
    name: str
    device: str
    n_outputs: int
    n_inputs: int

    @property
    def n_classes(self) -> int:
        """Classes that share each pixel among them: the outputs of a softmax; those of a sigmoid, and the rest."""
        return self.n_outputs + (self.card.head == "sigmoid")

    def channels(self, image: Image) -> Float32:
        """The image on the network's scale, shape (C, H, W), without strokes.

        A 2.5D network is given the image with the slices around it as further channels, all of the first slice first,
        or the slice alone, which is then repeated. A network of this package that takes strokes is given what it was
        trained on, whatever the image's channels: :func:`~napari_scribseg.prompting.channels.three_channels`.
        """
        if self.card.takes_prompt_maps and (self.card.channels, self.card.normalisation) == (3, "percentiles"):
            return three_channels(image.data)
        slices, n_channels = self.card.slices, self.card.channels
        if slices > 1 and image.n_channels == slices * n_channels:
            parts = [normalised(part, self.card) for part in np.split(image.data, slices)]
            return np.concatenate(parts)
        return np.tile(normalised(_as_channels(image.data, self), self.card), (slices, 1, 1))

    def input(self, channels: Float32, shape: tuple[int, int]) -> Tensor:
        """Image channels, or a part of them, on the network's device and a grid of ``shape``: (1, C, h, w)."""
        x = torch.from_numpy(np.ascontiguousarray(channels))[None].to(self.device)
        if shape != channels.shape[1:]:
            x = functional.interpolate(x, shape, mode="bilinear", antialias=True)
        return x

    def grid(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[int, int]:
        """Rows and columns of the network's input."""
        if self.card.size:
            return self.card.size[0], self.card.size[1]
        steps = (1.0, 1.0)
        if self.card.spacing:
            steps = (self.card.spacing[0] / spacing[0], self.card.spacing[1] / spacing[1])
        elif self.card.takes_prompt_maps:
            grid = Grid.of(shape, spacing)
            coarse = max(max(grid.extent) / _LONGEST, 1.0)
            steps = (coarse / grid.pixel[0], coarse / grid.pixel[1])
        rows, columns = (max(round(n / step), 1) for n, step in zip(shape, steps, strict=True))
        return rows, columns

    def raw(self, x: Tensor, *, exact: bool = False) -> Tensor:
        """The network's outputs, shape (1, n_outputs, h, w), for an input of any size (1, C, h, w)."""
        whole = pad_to_multiple(x, self.card.multiple)
        return crop_to(first_output((self.module if exact else self.fast)(whole)), x)

    def fields(self, raw: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Logarithms of the odds of each class up to a constant, shape (K, H, W), on the image's own grid.

        The softmax over the first axis are the probabilities. For a sigmoid, the first class is the rest, with 0.
        """
        if self.card.head == "softmax":
            fields = raw.clamp(_EPSILON, 1).log() if self.card.applied else raw
        else:
            logits = torch.logit(raw, _EPSILON) if self.card.applied else raw
            fields = torch.cat((torch.zeros_like(logits[:, :1]), logits), dim=1)
        if fields.shape[2:] != shape:
            fields = functional.interpolate(fields, shape, mode="bilinear")
        return fields[0]


def _as_channels(data: Float32, network: WrappedNetwork) -> Float32:
    """The image with as many channels as the network takes."""
    wanted = network.card.channels
    if len(data) == wanted:
        return data
    if len(data) == 1:
        return np.repeat(data, wanted, axis=0)
    if wanted == 1:
        return np.asarray(data.mean(axis=0, keepdims=True), dtype=np.float32)
    if len(data) == 4 and wanted == 3 and data[3].min() == data[3].max():  # a picture with a constant alpha
        return data[:3]
    raise InputError(f"the image has {len(data)} channels; {network.name} takes {wanted}")


def normalised(data: Float32, card: ModelCard) -> Float32:
    """Intensities on the scale of the network."""
    if card.normalisation == "none":
        return data
    data = without_padding(data)
    if card.normalisation == "mean-std":
        wide = data.astype(np.float64)
        spread = wide.std(axis=(1, 2))
        spread[spread <= 1e-6 * np.abs(wide).max(axis=(1, 2))] = 1  # a constant channel
        given = card.mean or wide.mean(axis=(1, 2)), card.std or spread
        mean, std = (np.asarray(v, dtype=np.float64).reshape(-1, 1, 1) for v in given)
        return np.asarray((wide - mean) / std, dtype=np.float32)
    if card.normalisation == "range":
        return _stretched(data, *card.intensities, *card.scale)
    parts = [data] if is_picture(data) else list(data[:, np.newaxis])
    ends = [percentiles(part, card.percentiles) for part in parts]
    scaled: Float32 = np.concatenate(
        [_stretched(p, low, high, *card.scale) for p, (low, high) in zip(parts, ends, strict=True)]
    )
    return scaled


def _stretched(data: Float32, low: float, high: float, bottom: float, top: float) -> Float32:
    if high <= low:
        low, high = float(data.min()), float(data.max())
    share = np.clip(to_unit(data, low, high), 0, 1)
    return np.asarray(bottom + (top - bottom) * share, dtype=np.float32)


def first_output(out: Any) -> Any:
    """The output of a network that may give several: ``out`` of a dict, else the first."""
    if isinstance(out, dict):
        out = out.get("out", next(iter(out.values()), None))
    if isinstance(out, list | tuple) and out:
        out = out[0]
    return out
