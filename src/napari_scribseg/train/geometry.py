"""Random crops of a picture: crop, turn, mirror, stretch and bend, in one resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch.nn import functional

__all__ = ["Crop", "GeometryOptions", "draw_crop", "look", "part_seen", "smooth_noise"]


@dataclass(frozen=True, slots=True)
class GeometryOptions:
    """How far a crop may depart from the picture.

    Attributes
    ----------
    context : tuple of two float
        Side of the crop over that of the object's box, drawn evenly on a logarithmic scale; below 1 the object is cut.
    scale : tuple of two float, or None
        Pixels of the picture per pixel of the crop, drawn likewise, in place of ``context``: for networks that see
        whole pictures as they are.
    smallest : int
        Side of the crop at least, in pixels of the picture.
    largest : float
        Side of the crop at most, over the longest side of the picture; beyond the rim the picture is mirrored.
    rim : float
        Share of the side of the crop that may lie beyond the rim where the crop would fit into the picture.
    shift : float
        How far the object may lie off the middle, as a share of the side that is free around it.
    turned, angle : float
        Share of the crops that are turned by any angle; the others are turned by up to ``angle`` degrees.
    stretch : float
        Sides change their proportion up to this factor.
    bent, bend : float
        Share of the crops that are bent, and how far, as a share of the side (standard deviation).
    """

    context: tuple[float, float] = (0.8, 4.0)
    scale: tuple[float, float] | None = None
    smallest: int = 24
    largest: float = 1.15
    rim: float = 0.25
    shift: float = 0.9
    turned: float = 0.3
    angle: float = 15.0
    stretch: float = 1.25
    bent: float = 0.3
    bend: float = 0.015


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """Where each pixel of a crop lies in the picture.

    Attributes
    ----------
    at : ndarray of shape (2, S, S), float32
        Row and column in pixels of the picture.
    scale : float
        Pixels of the picture per pixel of the crop.
    """

    at: NDArray[np.float32]
    scale: float


def draw_crop(
    box: tuple[float, float, float, float],
    shape: tuple[int, int],
    size: int,
    options: GeometryOptions,
    rng: np.random.Generator,
) -> Crop:
    """A random crop of an object.

    Parameters
    ----------
    box : tuple of float
        First row, first column, height and width of the object, in pixels of the picture.
    shape : tuple of two int
        Height and width of the picture.
    size : int
        Pixels along each side of the crop.
    options : GeometryOptions
    rng : Generator
        Advanced.
    """
    extent = max(box[2], box[3])
    low, high = np.log(options.scale or options.context)
    wanted = (size if options.scale else extent) * np.exp(rng.uniform(low, high))
    side = max(min(wanted, options.largest * max(shape)), options.smallest)
    free = options.shift * abs(side - extent) / 2
    middle = np.asarray([box[0] + box[2] / 2, box[1] + box[3] / 2]) + rng.uniform(-free, free, 2)
    middle = _kept_inside(middle, shape, side * (0.5 - options.rim))
    whole = rng.random() < options.turned
    angle = rng.uniform(-np.pi, np.pi) if whole else np.deg2rad(rng.uniform(-options.angle, options.angle))
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.exp(rng.uniform(-1, 1) * np.log(options.stretch) / 2)
    mirror = rng.choice((-1.0, 1.0), 2)
    matrix = turn @ np.diag(mirror * (stretch, 1 / stretch)) * (side / size)
    axis = np.arange(size) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    at = np.einsum("ij,jhw->ihw", matrix, grid) + middle[:, None, None]
    if rng.random() < options.bent:
        at += side * options.bend * np.stack([smooth_noise(size, int(rng.integers(3, 7)), rng) for _ in range(2)])
    return Crop(at.astype(np.float32), side / size)


def _kept_inside(middle: NDArray[np.float64], shape: tuple[int, int], margin: float) -> NDArray[np.float64]:
    """The middle of a crop at least ``margin`` pixels off the rim of the picture; its middle where that is too much."""
    free = np.maximum(np.asarray(shape) / 2 - margin, 0)
    return np.clip(middle, np.asarray(shape) / 2 - free, np.asarray(shape) / 2 + free)


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of mean about 0 and standard deviation about 1 that varies over ``size / cells`` pixels; shape (S, S)."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, cells, cells), dtype=np.float32))
    fine = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise: NDArray[np.float32] = fine[0, 0].numpy()
    return noise


def part_seen(crop: Crop, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Crop]:
    """The smallest part of a picture that shows the same in a crop, and the crop of that part.

    Parameters
    ----------
    crop : Crop
    shape : tuple of two int
        Height and width of the picture.

    Returns
    -------
    part : tuple of two slice
        Rows and columns; what a crop mirrors beyond the rim is among them.
    crop : Crop
    """
    spans, first = [], []
    factor = _averaged(crop.scale)  # so that the same blocks are averaged
    margin = 2 * factor + 2
    for axis, length in enumerate(shape):
        low, high = float(crop.at[axis].min()) - margin, float(crop.at[axis].max()) + margin
        start, stop = min(low, 2 * length - high), max(high, -low)  # where the rim mirrors, as far inside as outside
        span = slice(
            int(np.clip(start // factor * factor, 0, length - 1)), int(np.clip(-(-stop // factor) * factor, 1, length))
        )
        spans.append(span)
        first.append(span.start)
    return (spans[0], spans[1]), Crop(crop.at - np.asarray(first, dtype=np.float32)[:, None, None], crop.scale)


def look(picture: NDArray[np.uint8], crop: Crop) -> NDArray[np.float32]:
    """What a crop shows; beyond the rim the picture is mirrored.

    Parameters
    ----------
    picture : ndarray of shape (H, W, C), uint8
        Averaged over the area of a pixel of the crop where that is larger than one of the picture.
    crop : Crop

    Returns
    -------
    ndarray of shape (C, S, S), float32
        From 0 to 255.
    """
    (rows, columns), crop = part_seen(crop, picture.shape[:2])
    seen, factor = picture[rows, columns], min(_averaged(crop.scale), *picture.shape[:2])
    if factor > 1:
        channels = [np.asarray(Picture.fromarray(seen[..., c]).reduce(factor)) for c in range(seen.shape[-1])]
        seen = np.stack(channels, axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1), dtype=np.float32))[None]  # (1, C, h, w)
    at = (torch.from_numpy(crop.at) + 0.5) / factor  # in pixels of `source`, their corners at whole numbers
    sides = torch.tensor(source.shape[-2:], dtype=torch.float32)
    grid = (2 * at / sides[:, None, None] - 1).flip(0).permute(1, 2, 0)[None]  # (1, S, S, 2): x, y in -1..1
    found: NDArray[np.float32] = functional.grid_sample(source, grid, padding_mode="reflection", align_corners=False)[
        0
    ].numpy()
    return found


def _averaged(scale: float) -> int:
    """Over how many pixels of a picture, along each axis, a crop of that scale averages before it is sampled."""
    return max(int(scale + 0.25), 1)
