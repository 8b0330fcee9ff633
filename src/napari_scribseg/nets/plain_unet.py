"""A plain U-Net for CPUs, where few layers are fast, not few parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.nets.any_size import crop_to, pad_to_multiple

__all__ = ["PlainUNet", "PlainUNetConfig"]

Activation = Literal["silu", "relu"]


@dataclass(frozen=True, slots=True)
class PlainUNetConfig:
    """The shape of a :class:`PlainUNet`; the defaults were the fastest to train on a CPU of those tried.

    Attributes
    ----------
    in_channels : int
        Red, green, blue, strokes on the object, strokes on others, the previous output, and the five maps of
        :func:`~napari_scribseg.prompting.guidance.guidance`.
    channels : tuple of int
        Feature channels at each scale, the finest first; each scale has half the size of the one before.
    convolutions : int
        3x3 convolutions at each scale, on the way down and again on the way up.
    patch : int
        Side of the squares of pixels that become one pixel with the channels of all, before the first scale, so that no
        wide layer has the full resolution; 1 for none.
    detail : int
        With patches, feature channels of the last two layers, at full resolution.
    activation : {"silu", "relu"}
        ``relu`` is the faster one on a CPU.
    out_channels : int
        1 for one object against all others; the number of classes where it has several.
    """

    in_channels: int = 11
    channels: tuple[int, ...] = (24, 48, 96, 128, 160)
    convolutions: int = 2
    patch: int = 2
    detail: int = 10
    activation: Activation = "relu"
    out_channels: int = 1

    def __post_init__(self) -> None:
        if not self.channels or min(
            self.in_channels, self.convolutions, self.patch, self.detail, self.out_channels, *self.channels
        ) < 1:  # fmt: skip
            counts = f"{self.in_channels}, {self.channels}, {self.convolutions}, {self.patch}, {self.detail}"
            raise InputError(
                f"in_channels, channels, convolutions, patch, detail and out_channels are {counts} and "
                f"{self.out_channels}; at least one scale and counts of at least 1 are expected"
            )
        if self.activation not in get_args(Activation):
            raise InputError(f"the activation is {self.activation!r}; one of {get_args(Activation)} is expected")

    @property
    def stride(self) -> int:
        """Pixels of the image along an axis for one of the coarsest scale."""
        return int(self.patch * 2 ** (len(self.channels) - 1))


class PlainUNet(nn.Module):
    """Logits of one object from an image and the strokes on it, or of several classes from an image.

    3x3 convolutions with batch norm, max pooling on the way down, bilinear upsampling on the way up, skips by
    concatenation. On a CPU full 3x3 convolutions are fast, while the depthwise ones and the many small layers of
    :class:`EfficientUNet` are limited by memory, as are wide layers at full resolution, which patches avoid.

    Parameters
    ----------
    config : PlainUNetConfig, optional

    References
    ----------
    Ronneberger et al., U-Net (2015).
    """

    def __init__(self, config: PlainUNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PlainUNetConfig()
        c = config.channels
        sizes = (config.in_channels * config.patch**2, *c[:-1])
        self.down = nn.ModuleList(self._stage(inside, outside) for inside, outside in zip(sizes, c, strict=True))
        self.up = nn.ModuleList(self._stage(c[i] + c[i + 1], c[i]) for i in range(len(c) - 1))
        if config.patch > 1:
            self.spread = nn.Conv2d(c[0], config.detail * config.patch**2, 1)
            self.refine = nn.Conv2d(config.detail + config.in_channels, config.detail, 3, padding=1)
        self.head = nn.Conv2d(config.detail if config.patch > 1 else c[0], config.out_channels, 1)

    def _stage(self, inside: int, outside: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(self.config.convolutions):
            layers += [nn.Conv2d(outside if i else inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside)]
            layers.append(nn.SiLU(inplace=True) if self.config.activation == "silu" else nn.ReLU(inplace=True))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the object, or of the classes.

        Parameters
        ----------
        x : Tensor of shape (N, in_channels, H, W)
            Image channels in -1..1, strokes and previous output in 0..1. Any H and W: the rim is repeated up to a
            multiple of ``config.stride``, and cut off again.

        Returns
        -------
        Tensor of shape (N, out_channels, H, W)
        """
        patch, whole = self.config.patch, pad_to_multiple(x, self.config.stride)  # (N, in, H', W')
        y = nn.functional.pixel_unshuffle(whole, patch) if patch > 1 else whole  # (N, in p^2, H'/p, W'/p)
        skips = []
        for i, stage in enumerate(self.down):
            y = stage(nn.functional.max_pool2d(y, 2) if i else y)  # (N, ci, H'/2^i, W'/2^i)
            skips.append(y)
        for i in reversed(range(len(self.up))):
            y = nn.functional.interpolate(y, scale_factor=2.0, mode="bilinear")  # (N, c(i+1), H'/2^i, W'/2^i)
            y = self.up[i](torch.cat((skips[i], y), dim=1))  # (N, ci + c(i+1), ...) to (N, ci, H'/2^i, W'/2^i)
        if patch > 1:
            y = nn.functional.pixel_shuffle(self.spread(y), patch)  # (N, detail, H', W')
            y = nn.functional.relu(
                self.refine(torch.cat((whole, y), dim=1))
            )  # (N, in + detail, ...) to (N, detail, ...)
        return crop_to(self.head(y), x)  # (N, out, H, W)
