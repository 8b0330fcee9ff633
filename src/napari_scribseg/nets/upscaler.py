"""From a coarse grid to a whole image: transposed convolutions, built for the image's own size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import ceil, log, prod

import torch
from torch import Tensor, nn

from napari_scribseg.core import InputError

__all__ = ["Upscaler", "UpscalerConfig", "plan_grid"]

_KERNEL = 3
_NARROWEST = 8
_MOST_STAGES = 6


@dataclass(frozen=True, slots=True)
class UpscalerConfig:
    """The shape of an :class:`Upscaler`.

    Attributes
    ----------
    in_channels : int
        Of the coarse input.
    out_channels : int
        Of the output.
    size : tuple of 2 int
        Rows and columns of the image.
    ratio : float
        Width of a cell of the grid in pixels, about: the nearest that strides of 2 and 3 give.
    width : int
        Channels of the first layer, halved from layer to layer (paper 002: 256, for one image 512).
    image_channels : int
        Of the image that the encoder takes; 0 for no encoder.
    """

    in_channels: int
    out_channels: int
    size: tuple[int, int]
    ratio: float = 10.0
    width: int = 256
    image_channels: int = 0

    def __post_init__(self) -> None:
        counts = (self.in_channels, self.out_channels, self.width, *self.size)
        if min(counts) < 1 or self.image_channels < 0 or len(self.size) != 2:
            raise InputError(
                f"in_channels, out_channels, width and size are {counts[0]}, {counts[1]}, {counts[2]} and {self.size}; "
                "numbers of at least 1, and two sides, are expected"
            )
        if not 2 <= self.ratio <= 64:
            raise InputError(f"the ratio is {self.ratio}; 2 to 64 is expected")


def plan_grid(size: tuple[int, int], ratio: float) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The coarse grid for an image, and the strides that lead from it to the image's size.

    Each stage is a 3x3 transposed convolution of stride 1, which adds two pixels, and one of stride 2 or 3. The grid is
    the smallest that covers the image. The sequence of strides is that whose cells are nearest to ``ratio``; of
    several, that with the least to cut off. For 100x100 pixels and a ratio of 10 these are the sizes 10, 12, 23, 25,
    49, 51, 100 of paper 002.

    Parameters
    ----------
    size : tuple of 2 int
        Rows and columns of the image.
    ratio : float
        Wanted pixels per cell, at least 2.

    Returns
    -------
    grid : tuple of 2 int
        Rows and columns of cells.
    strides : tuple of int
        One for each stage.
    """
    best: tuple[tuple[float, int], tuple[int, int], tuple[int, ...]] | None = None
    for stages in range(1, _MOST_STAGES + 1):
        for first in combinations_with_replacement((3, 2), stages - 1):
            strides = (*first, 2)  # the last one overlaps its neighbours, or the image falls into blocks
            grid = (_cells(size[0], strides), _cells(size[1], strides))
            off = abs(log((size[0] * size[1] / (grid[0] * grid[1])) ** 0.5 / ratio))
            excess = sum(_grown(n, strides)[-1] - s for n, s in zip(grid, size, strict=True))
            if best is None or (round(off, 6), excess) < best[0]:
                best = (round(off, 6), excess), grid, strides
    assert best is not None
    return best[1], best[2]


def _grown(cells: int, strides: tuple[int, ...]) -> list[int]:
    """Sizes of an axis after each layer; nothing is cut off after the last."""
    sizes = [cells]
    for number, stride in enumerate(strides):
        wide = sizes[-1] + _KERNEL - 1
        last = number == len(strides) - 1
        sizes += [wide, (wide - 1) * stride + _KERNEL - (0 if last else 2)]
    return sizes


def _cells(pixels: int, strides: tuple[int, ...]) -> int:
    """The fewest cells that grow to at least so many pixels."""
    return max(ceil((pixels - _grown(0, strides)[-1]) / prod(strides)), 1)


class Upscaler(nn.Module):
    """From a coarse grid to an image (paper 002, section "Network"), or the encoder-decoder that its outlook proposes.

    Without ``image_channels``, as published: transposed 3x3 convolutions with ReLU, and a sigmoid at the end; no
    normalisation. With them, strided 3x3 convolutions encode the whole image first. Their features describe each cell
    better than its mean: they are joined to the coarse input, masked and unmasked, and to each layer of their scale on
    the way up.

    Parameters
    ----------
    config : UpscalerConfig

    References
    ----------
    Ungarbayev, Interactive image segmentation using convolutional neural networks trained on a single image.
    """

    def __init__(self, config: UpscalerConfig) -> None:
        super().__init__()
        self.config = config
        self.grid, self.strides = plan_grid(config.size, config.ratio)
        widths = _widths(config.width, len(self.strides))
        stages = len(self.strides)
        found = [_NARROWEST << number for number in range(stages)] if config.image_channels else [0] * stages
        self.encoder = nn.ModuleList(
            nn.Conv2d(i, o, _KERNEL, 2, padding=1)
            for i, o in zip((config.image_channels, *found), found, strict=False)
            if o
        )
        self.wider, self.larger = nn.ModuleList(), nn.ModuleList()
        inside = config.in_channels + 2 * found[-1]
        for stage, stride in enumerate(self.strides):
            last = stage == stages - 1
            wide, out = widths[2 * stage], config.out_channels if last else widths[2 * stage + 1]
            self.wider.append(nn.ConvTranspose2d(inside, wide, _KERNEL))
            self.larger.append(nn.ConvTranspose2d(wide, out, _KERNEL, stride, padding=0 if last else 1))
            inside = out + found[stages - 2 - stage]
        self._start()

    def _start(self) -> None:
        """Initial weights that keep the variance of activations (He et al. 2015)."""
        strides = {id(layer): stride for layer, stride in zip(self.larger, self.strides, strict=True)}
        for layer in (*self.encoder, *self.wider, *self.larger):
            inside = layer.in_channels * (_KERNEL / strides.get(id(layer), 1)) ** 2
            nn.init.normal_(layer.weight, std=(2 / inside) ** 0.5)
            nn.init.zeros_(layer.bias)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Features of the encoder at each scale, the finest first; the coarsest are pooled to the cells of the grid.

        Parameters
        ----------
        image : Tensor of shape (1, image_channels, H, W)

        Returns
        -------
        list of Tensor of shape (1, E, H / 2^i, W / 2^i) for i from 1; empty without an encoder
        """
        found: list[Tensor] = []
        for layer in self.encoder:
            found.append(torch.relu(layer(found[-1] if found else image)))
        return [*found[:-1], nn.functional.adaptive_avg_pool2d(found[-1], self.grid)] if found else []

    def forward(
        self, coarse: Tensor, mask: Tensor | None = None, image: Tensor | None = None, start: float = 0.0
    ) -> Tensor:
        """The image of each coarse input.

        Parameters
        ----------
        coarse : Tensor of shape (N, in_channels, h, w)
        mask : Tensor of shape (N, 1, h, w), optional
            Cells that are shown; for an encoder, and for ``start``.
        image : Tensor of shape (1, image_channels, H, W), optional
            With an encoder: its input.
        start : float
            Weight of the enlarged mask before the sigmoid, so that the network learns the difference; 0 as published.

        Returns
        -------
        Tensor of shape (N, out_channels, H, W)
            From 0 to 1.
        """
        found = [] if image is None else self.encode(image)
        if found and mask is not None:
            cells = found.pop().expand(len(coarse), -1, -1, -1)
            coarse = torch.cat((coarse, cells, cells * mask), dim=1)  # (N, in + 2 E, h, w)
        y = self.larger[0](torch.relu(self.wider[0](coarse)))  # (N, c, h s, w s)
        for wider, larger in zip(self.wider[1:], self.larger[1:], strict=True):
            y = torch.relu(y)
            if found:
                same = nn.functional.interpolate(found.pop(), y.shape[-2:], mode="bilinear")
                y = torch.cat((y, same.expand(len(y), -1, -1, -1)), dim=1)  # (N, c + E, h s, w s)
            y = larger(torch.relu(wider(y)))
        y = self._cut(y)  # (N, out, H, W)
        if start and mask is not None:
            y = y + start * (2 * nn.functional.interpolate(mask, self.config.size, mode="bilinear") - 1)
        return torch.sigmoid(y)

    def _cut(self, y: Tensor) -> Tensor:
        """The centre; of 103 pixels, the paper cuts off 2 and 1."""
        rows, columns = self.config.size
        top, left = (y.shape[-2] - rows + 1) // 2, (y.shape[-1] - columns) // 2
        return y[..., top : top + rows, left : left + columns]


def _widths(first: int, stages: int) -> list[int]:
    """Channels of all layers but the last: halved each time, and once more before it (256, 128, 64, 32, 8)."""
    widths = [max(first >> number, _NARROWEST) for number in range(2 * stages - 1)]
    if stages > 1:
        widths[-1] = max(first >> (2 * stages - 1), _NARROWEST)
    return widths
