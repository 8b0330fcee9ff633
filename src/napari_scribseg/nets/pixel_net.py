"""A small network that sees the features of one pixel at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError

__all__ = ["PixelNet", "PixelNetConfig"]


@dataclass(frozen=True, slots=True)
class PixelNetConfig:
    """The shape of a :class:`PixelNet`.

    Attributes
    ----------
    in_channels : int
        Numbers that describe a pixel.
    hidden : tuple of int
        Units of each layer.
    """

    in_channels: int = 30
    hidden: tuple[int, ...] = (48, 48)

    def __post_init__(self) -> None:
        if not self.hidden or min(self.in_channels, *self.hidden) < 1:
            raise InputError(
                f"in_channels and hidden are {self.in_channels} and {self.hidden}; counts of at least 1 are expected"
            )


class PixelNet(nn.Module):
    """One logit of each pixel, from its features scaled by their mean and standard deviation.

    Parameters
    ----------
    config : PixelNetConfig, optional
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: PixelNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PixelNetConfig()
        self.register_buffer("mean", torch.zeros(config.in_channels))
        self.register_buffer("scale", torch.ones(config.in_channels))
        sizes = (config.in_channels, *config.hidden)
        layers: list[nn.Module] = []
        for inside, outside in zip(sizes, config.hidden, strict=False):
            layers += [nn.Linear(inside, outside), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N,) from features of shape (N, F)."""
        logits: Tensor = self.layers((x - self.mean) * self.scale)[:, 0]
        return logits
