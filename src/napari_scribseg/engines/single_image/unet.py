"""A U-Net without batch norm, whose outputs depend on their surroundings only, and the rectangles to train it in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from napari_scribseg.nets.any_size import crop_to, pad_to_multiple

__all__ = ["SingleUNet", "rectangles_around"]

Rectangle = tuple[slice, slice]


class SingleUNet(nn.Module):
    """A U-Net of two 3x3 convolutions a scale (Ronneberger et al. 2015), whose convolutions see zeros outside.

    Parameters
    ----------
    in_channels, n_classes : int
    width : int
        Channels of the finest scale; twice as many at each coarser one.
    levels : int
        Downscalings, 0 or more.
    """

    def __init__(self, in_channels: int, n_classes: int, width: int, levels: int) -> None:
        super().__init__()
        sizes = [width * 2**i for i in range(levels + 1)]
        self.down = nn.ModuleList(_stage(a, b) for a, b in zip([in_channels, *sizes[:-1]], sizes, strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(sizes[i + 1], sizes[i], 2, stride=2) for i in range(levels))
        self.up = nn.ModuleList(_stage(2 * sizes[i], sizes[i]) for i in range(levels))
        self.head = nn.Conv2d(width, n_classes, 1)

    @property
    def stride(self) -> int:
        """Pixels of the image below one of the coarsest scale, along an axis."""
        return int(2 ** len(self.up))

    @property
    def reach(self) -> int:
        """How far from a pixel its output is influenced, at most, in multiples of the stride."""
        return _reach(len(self.up))

    def set_classes(self, class_map: Sequence[int | None]) -> None:
        """Give the last layer other classes; see :meth:`.pixel_net.PixelNet.set_classes`."""
        before = self.head
        self.head = nn.Conv2d(before.in_channels, len(class_map), 1).to(before.weight.device)
        with torch.no_grad():
            for new, old in enumerate(class_map):
                if old is not None:
                    self.head.weight[new], self.head.bias[new] = before.weight[old], before.bias[old]  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (N, K, H, W) for an input of shape (N, C, H, W), of any size."""
        y = pad_to_multiple(x, self.stride)  # (N, C, H', W')
        skips = []
        for i, stage in enumerate(self.down):
            y = stage(functional.max_pool2d(y, 2) if i else y)  # (N, 2^i width, H'/2^i, W'/2^i)
            skips.append(y)
        for i in reversed(range(len(self.up))):
            y = self.up[i](torch.cat((skips[i], self.grow[i](y)), dim=1))  # (N, 2^i width, H'/2^i, W'/2^i)
        return crop_to(self.head(y), x)  # (N, K, H, W)


def _stage(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.LeakyReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.LeakyReLU(inplace=True),
    )


def _reach(levels: int) -> int:
    """Reach of two convolutions a scale, down and up, and of a pixel of the coarsest scale."""
    pixels = sum(4 * 2**i for i in range(levels)) + 3 * 2**levels
    return int(-(-pixels // 2**levels) * 2**levels)


def rectangles_around(pixels: NDArray[np.intp], shape: tuple[int, int], reach: int, stride: int) -> list[Rectangle]:
    """Rectangles around all pixels that the outputs at some pixels depend on.

    Parameters
    ----------
    pixels : ndarray of shape (N,)
        Flat indices.
    shape : tuple of 2 int
        Of the image.
    reach : int
        How far from a pixel its output is influenced.
    stride : int
        Corners lie on multiples of it, or at the image's far ends, so that pooling meets the same pixels.

    Returns
    -------
    list of tuple of 2 slice
        One for each group of pixels whose surroundings touch; a single one where several would not be smaller.
    """
    rows, columns = np.divmod(pixels, shape[1])
    cells = np.zeros((-(-shape[0] // stride), -(-shape[1] // stride)), dtype=bool)
    cells[rows // stride, columns // stride] = True
    steps = -(-reach // stride)
    near = ndimage.maximum_filter(cells, 2 * steps + 1, mode="constant")
    groups, _ = ndimage.label(near)
    boxes = [_rectangle(box, shape, stride) for box in ndimage.find_objects(groups)]
    one = _rectangle(ndimage.find_objects(near.astype(np.int8))[0], shape, stride)
    return boxes if sum(_area(box) for box in boxes) < _area(one) else [one]


def _rectangle(box: tuple[slice, ...], shape: tuple[int, int], stride: int) -> Rectangle:
    rows, columns = (slice(s.start * stride, min(s.stop * stride, n)) for s, n in zip(box, shape, strict=True))
    return rows, columns


def _area(box: Rectangle) -> int:
    return int((box[0].stop - box[0].start) * (box[1].stop - box[1].start))
