"""The network of paper 001: a U-Net of Efficient-NetV2 blocks (Lowes et al. 2023, section 2.2 and figure 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError
from napari_scribseg.nets.any_size import crop_to, pad_to_multiple

__all__ = ["EfficientUNet", "EfficientUNetConfig"]

Activation = Literal["silu", "relu"]


@dataclass(frozen=True, slots=True)
class EfficientUNetConfig:
    """The shape of an :class:`EfficientUNet`; the defaults are the published one, 1,082,772 parameters.

    Attributes
    ----------
    in_channels : int
        Red, green, blue and the strokes.
    channels : tuple of int
        Feature channels at each scale, the finest first; each scale has half the size of the one before.
    repeats : tuple of int
        Blocks at each scale, on the way down and again on the way up.
    expansion : tuple of int
        How many times as many channels the inside of a block has as its input.
    fused : tuple of bool
        Whether the blocks of a scale are fused MB-convs (a whole 3x3 convolution) or MB-convs (a depthwise one).
    squeeze : tuple of bool
        Whether the MB-convs of a scale weigh their channels (squeeze and excite); a fused one never does.
    squeeze_ratio : int
        The squeezed vector has this many times fewer channels than the input of the block.
    activation : {"silu", "relu"}
    """

    in_channels: int = 4
    channels: tuple[int, ...] = (8, 16, 32, 48, 64)
    repeats: tuple[int, ...] = (1, 2, 2, 4, 4)
    expansion: tuple[int, ...] = (1, 4, 4, 6, 6)
    fused: tuple[bool, ...] = (True, True, False, False, False)
    squeeze: tuple[bool, ...] = (False, False, True, True, True)
    squeeze_ratio: int = 4
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in ("channels", "repeats", "expansion", "fused", "squeeze")}
        if len(lengths) != 1 or not self.channels:
            raise InputError(
                "channels, repeats, expansion, fused and squeeze have different lengths; one value for each scale is "
                "expected in all of them"
            )
        counts = (self.in_channels, self.squeeze_ratio, *self.channels, *self.repeats, *self.expansion)
        if min(counts) < 1:
            raise InputError(
                "a channel, repeat, expansion or ratio of the network is below 1; positive counts expected"
            )
        if self.activation not in get_args(Activation):
            raise InputError(f"the activation is {self.activation!r}; one of {get_args(Activation)} is expected")

    @property
    def stride(self) -> int:
        """Pixels of the image along an axis for one of the coarsest scale."""
        return int(2 ** (len(self.channels) - 1))


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole image holds (Hu et al. 2018)."""

    def __init__(self, channels: int, hidden: int, activation: Callable[[Tensor], Tensor] = nn.functional.silu) -> None:
        super().__init__()
        self.activation = activation
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale ``x`` of shape (N, C, H, W)."""
        weight = x.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        weight = self.activation(self.squeeze(weight))  # (N, hidden, 1, 1)
        return x * torch.sigmoid(self.excite(weight))  # (N, C, H, W)


class Block(nn.Module):
    """A fused MB-conv or MB-conv of Efficient-NetV2 (Tan and Le 2021, figure 2), without stride."""

    def __init__(self, config: EfficientUNetConfig, scale: int, inside: int, outside: int) -> None:
        super().__init__()
        hidden = inside * config.expansion[scale]
        nonlinearity = nn.SiLU if config.activation == "silu" else nn.ReLU
        layers: list[nn.Module]
        if config.fused[scale]:
            layers = [nn.Conv2d(inside, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden), nonlinearity()]
        else:
            layers = [nn.Conv2d(inside, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nonlinearity()]
            layers += [
                nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
                nn.BatchNorm2d(hidden),
                nonlinearity(),
            ]
            if config.squeeze[scale]:
                layers.append(SqueezeExcite(hidden, max(inside // config.squeeze_ratio, 1)))
        # The 1x1 convolution stays at an expansion of 1, too: the published number of parameters includes it.
        layers += [nn.Conv2d(hidden, outside, 1, bias=False), nn.BatchNorm2d(outside)]
        self.layers = nn.Sequential(*layers)
        self.residual = inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) to (N, outside, H, W)."""
        y: Tensor = self.layers(x)  # (N, outside, H, W)
        return x + y if self.residual else y


class EfficientUNet(nn.Module):
    """Logits of one object from an image and the strokes on it.

    Where the text leaves a choice, only one fits the published number of parameters: a convolution
    inside a block has no bias, batch norm follows it; the 1x1 convolutions between the scales have a bias and no batch
    norm, and they change the channels; the squeezed vector has a quarter of the block's input; the stem has neither
    bias nor batch norm. The first block on the way up takes the concatenation of skip and coarser scale.

    Parameters
    ----------
    config : EfficientUNetConfig, optional

    References
    ----------
    Lowes et al., Interactive Scribble Segmentation (2023), section 2.2; Tan and Le, EfficientNetV2 (2021).
    """

    def __init__(self, config: EfficientUNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EfficientUNetConfig()
        c, last = config.channels, len(config.channels) - 1
        self.stem = nn.Conv2d(config.in_channels, c[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(self._stage(i, c[i]) for i in range(last + 1))
        self.shrink = nn.ModuleList(nn.Conv2d(c[i], c[i + 1], 1) for i in range(last))
        self.bottom = self._stage(last, c[last])
        self.grow = nn.ModuleList(nn.Conv2d(c[i + 1], c[i], 1) for i in range(last))
        self.up = nn.ModuleList(self._stage(i, 2 * c[i]) for i in range(last))
        self.head = nn.Conv2d(c[0], 1, 3, padding=1, bias=False)

    def _stage(self, scale: int, inside: int) -> nn.Sequential:
        """The blocks of one scale; the first takes ``inside`` channels."""
        outside = self.config.channels[scale]
        sizes = [inside] + [outside] * (self.config.repeats[scale] - 1)
        return nn.Sequential(*(Block(self.config, scale, size, outside) for size in sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the object.

        Parameters
        ----------
        x : Tensor of shape (N, in_channels, H, W)
            Image channels in -1..1, strokes 1 (object), -1 (other), 0. Any H and W: the rim is repeated up to a
            multiple of ``config.stride``, and cut off again.

        Returns
        -------
        Tensor of shape (N, 1, H, W)
        """
        y = self.stem(pad_to_multiple(x, self.config.stride))  # (N, c0, H', W')
        skips = []
        for stage, shrink in zip(self.down, self.shrink, strict=False):
            y = stage(y)  # (N, ci, H'/2^i, W'/2^i)
            skips.append(y)
            y = shrink(nn.functional.avg_pool2d(y, 2))  # (N, c(i+1), H'/2^(i+1), W'/2^(i+1))
        y = self.bottom(self.down[-1](y))  # (N, c4, H'/16, W'/16)
        for i in reversed(range(len(skips))):
            y = nn.functional.interpolate(self.grow[i](y), scale_factor=2.0, mode="bilinear")  # (N, ci, H'/2^i, W'/2^i)
            y = self.up[i](torch.cat((skips[i], y), dim=1))  # (N, 2 ci, ...) to (N, ci, H'/2^i, W'/2^i)
        return crop_to(self.head(y), x)  # (N, 1, H, W)
