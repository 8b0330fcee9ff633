"""Crops of examples as training sees them: warped, in other intensities, around regions of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.network import LearnedNetwork, as_channels, on_grid, working_size
from napari_scribseg.learn.slices import N_SLICES
from napari_scribseg.numerics.augmentation.intensity_changes import change_slightly
from napari_scribseg.numerics.augmentation.warps import Warp, WarpOptions, draw_warp

__all__ = ["IGNORED", "CropSource", "Prepared", "prepared"]

IGNORED = -1
_SCALE = (0.75, 1.35)
_AROUND_CLASS = 0.67  # share of the crops around a pixel of a class
_SWAPPED, _ALONE = 0.1, 0.1  # share of the crops with the neighbours exchanged, and with none


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An example at the resolution of a network.

    Attributes
    ----------
    image : Tensor of shape (C, h, w)
    targets : Tensor of shape (h, w), int8 or int16
        Outputs of the network, :data:`IGNORED` where nothing is known.
    """

    image: Tensor
    targets: Tensor


def prepared(example: Example, network: LearnedNetwork) -> Prepared:
    """An example at the resolution of a network; ids that it has no class for are not learned from."""
    image = torch.from_numpy(as_channels(example.image, network.model.config.in_channels))
    size = working_size(example.labels.shape, example.spacing, network.card.spacing)
    outputs = np.full(example.labels.shape, IGNORED, np.int16)
    for output, identity in enumerate(network.ids):
        outputs[example.labels == identity] = output
    targets = torch.from_numpy(outputs)[None, None].float()
    if example.accepted:
        targets = functional.interpolate(targets, size=size, mode="nearest-exact")
    else:
        targets = _strokes_on_grid(outputs, size)
    return Prepared(on_grid(image[None], size)[0], targets[0, 0].to(torch.int16))


def _strokes_on_grid(outputs: NDArray[np.int16], size: tuple[int, int]) -> Tensor:
    """Strokes on another grid, shape (1, 1, h, w): none is lost where there are fewer pixels."""
    targets = torch.from_numpy(outputs)[None, None].float()
    if size[0] < outputs.shape[0] or size[1] < outputs.shape[1]:
        return functional.adaptive_max_pool2d(targets, size)
    return functional.interpolate(targets, size=size, mode="nearest-exact")


class CropSource:
    """Draws crops.

    Parameters
    ----------
    examples : sequence of Prepared
    mirrored : bool
        Whether crops are mirrored, and rotated by any angle.
    side : int
        Pixels along each side of a crop.
    """

    def __init__(self, examples: Sequence[Prepared], *, mirrored: bool, side: int) -> None:
        self._examples = examples
        self._side = side
        self._options = WarpOptions(
            scale=_SCALE, smallest=8, largest=1e6, rim=0.5, shift=0.35, turned=0.5 if mirrored else 0.0, bent=0.4,
            bend=0.02, mirrored=(mirrored, mirrored),
        )  # fmt: skip
        self._pixels = [_by_class(example.targets) for example in examples]
        self._classes = sorted({k for pixels in self._pixels for k in pixels})
        self._holding = {k: [i for i, pixels in enumerate(self._pixels) if k in pixels] for k in self._classes}

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A crop.

        Returns
        -------
        image : Tensor of shape (C, S, S)
        targets : Tensor of shape (S, S), int64
        """
        if self._classes and rng.random() < _AROUND_CLASS:
            k = self._classes[rng.integers(len(self._classes))]
            index = self._holding[k][rng.integers(len(self._holding[k]))]
            pixels = self._pixels[index][k]
            row, column = pixels[rng.integers(len(pixels))]
        else:
            index = int(rng.integers(len(self._examples)))
            row, column = (int(rng.integers(n)) for n in self._examples[index].targets.shape)
        example = self._examples[index]
        shape = (int(example.targets.shape[0]), int(example.targets.shape[1]))
        warp = draw_warp((float(row), float(column), 1.0, 1.0), shape, self._side, self._options, rng)
        image, targets = _sampled(example, warp)
        channels = change_slightly(_neighbours_changed(image.numpy(), rng) * np.float32(0.5) + np.float32(0.5), rng)
        return torch.from_numpy(np.clip(channels * 2 - 1, -1, 1)), targets

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Several crops, shapes (N, C, S, S) and (N, S, S)."""
        images, targets = zip(*(self.draw(rng) for _ in range(size)), strict=True)
        return torch.stack(images), torch.stack(targets)


def _by_class(targets: Tensor) -> dict[int, NDArray[np.int64]]:
    """Rows and columns of the pixels of each class but the background, shape (n, 2)."""
    outputs = targets.numpy()
    return {int(k): np.argwhere(outputs == k) for k in np.unique(outputs[outputs > 0])}


def _sampled(example: Prepared, warp: Warp) -> tuple[Tensor, Tensor]:
    """An example at the positions of a warp; beyond its rim the image is mirrored, and nothing is known."""
    sides = torch.tensor(example.targets.shape, dtype=torch.float32)
    at = (torch.from_numpy(warp.at) + 0.5) / sides[:, None, None]
    grid = (2 * at - 1).flip(0).permute(1, 2, 0)[None]  # (1, S, S, 2): x, y in -1..1
    image = functional.grid_sample(example.image[None], grid, padding_mode="reflection", align_corners=False)[0]
    shifted = (example.targets + 1).float()[None, None]  # 0 where nothing is known
    found = functional.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return image, found[0, 0].long() - 1


def _neighbours_changed(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A slice with its neighbours exchanged, or the slice in their place, as at the ends of a volume."""
    chance = rng.random()
    slices = image.reshape(N_SLICES, -1, *image.shape[1:])
    if chance < _SWAPPED:
        slices = slices[::-1]
    elif chance < _SWAPPED + _ALONE:
        slices = np.repeat(slices[N_SLICES // 2][None], N_SLICES, axis=0)
    return np.ascontiguousarray(slices).reshape(image.shape)
