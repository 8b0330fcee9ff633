"""Random crops of a picture: cropped, rotated, mirrored, stretched and bent in one resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torch.nn import functional

__all__ = ["Warp", "WarpOptions", "draw_warp", "needed_part", "resample", "smooth_noise"]


@dataclass(frozen=True, slots=True)
class WarpOptions:
    """How far a crop may differ from the picture.

    Attributes
    ----------
    context : tuple of two float
        Side of the crop over that of the object's box, uniform on a logarithmic scale; below 1 the object is cut.
    scale : tuple of two float, or None
        Pixels of the picture per pixel of the crop, likewise, in place of ``context``: for networks that are given
        whole pictures.
    smallest : int
        Smallest side of the crop, in pixels of the picture.
    largest : float
        Largest side of the crop, over the longest side of the picture; beyond its rim the picture is mirrored.
    rim : float
        Share of the side of the crop that may lie beyond the rim of a picture that the crop would fit into.
    shift : float
        Largest distance of the object from the middle, as a share of the side that is free around it.
    turned, angle : float
        Share of the crops that are rotated by any angle; the others are rotated by up to ``angle`` degrees.
    stretch : float
        Largest factor by which the proportion of the sides changes.
    bent, bend : float
        Share of the crops that are bent, and by how much: standard deviation as a share of the side.
    mirrored : tuple of two bool
        Whether half of the crops are mirrored along rows, and along columns.
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
    mirrored: tuple[bool, bool] = (True, True)


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """The position in the picture of each pixel of a crop.

    Attributes
    ----------
    at : ndarray of shape (2, S, S), float32
        Row and column in pixels of the picture.
    scale : float
        Pixels of the picture per pixel of the crop.
    """

    at: NDArray[np.float32]
    scale: float


def draw_warp(
    box: tuple[float, float, float, float],
    shape: tuple[int, int],
    size: int,
    options: WarpOptions,
    rng: np.random.Generator,
) -> Warp:
    """A random crop of an object.

    Parameters
    ----------
    box : tuple of float
        First row, first column, height and width of the object, in pixels of the picture.
    shape : tuple of two int
        Height and width of the picture.
    size : int
        Pixels along each side of the crop.
    options : WarpOptions
    rng : Generator
        Advanced.
    """
    extent = max(box[2], box[3])
    low, high = np.log(options.scale or options.context)
    wanted = (size if options.scale else extent) * np.exp(rng.uniform(low, high))
    side = max(min(wanted, options.largest * max(shape)), options.smallest)
    free = options.shift * abs(side - extent) / 2
    middle = np.asarray([box[0] + box[2] / 2, box[1] + box[3] / 2]) + rng.uniform(-free, free, 2)
    half = np.asarray(shape) / 2
    room = np.maximum(half - side * (0.5 - options.rim), 0)  # of the middle of the crop around that of the picture
    middle = np.clip(middle, half - room, half + room)
    whole = rng.random() < options.turned
    angle = rng.uniform(-np.pi, np.pi) if whole else np.deg2rad(rng.uniform(-options.angle, options.angle))
    turn = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.exp(rng.uniform(-1, 1) * np.log(options.stretch) / 2)
    mirror = np.where(options.mirrored, rng.choice((-1.0, 1.0), 2), 1.0)
    matrix = turn @ np.diag(mirror * (stretch, 1 / stretch)) * (side / size)
    axis = np.arange(size) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    at = np.einsum("ij,jhw->ihw", matrix, grid) + middle[:, None, None]
    if rng.random() < options.bent:
        at += side * options.bend * np.stack([smooth_noise(size, int(rng.integers(3, 7)), rng) for _ in range(2)])
    return Warp(at.astype(np.float32), side / size)


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of mean about 0 and standard deviation about 1 that varies over ``size / cells`` pixels; shape (S, S)."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, cells, cells), dtype=np.float32))
    fine = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise: NDArray[np.float32] = fine[0, 0].numpy()
    return noise


def needed_part(warp: Warp, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Warp]:
    """The smallest part of a picture that a crop is made from.

    Parameters
    ----------
    warp : Warp
    shape : tuple of two int
        Height and width of the picture.

    Returns
    -------
    part : tuple of two slice
        Rows and columns, those that are mirrored beyond the rim included.
    warp : Warp
        The position of the same pixels in the part.
    """
    spans, first = [], []
    factor = _averaged(warp.scale)  # the part starts at a block that is averaged
    margin = 2 * factor + 2
    for axis, length in enumerate(shape):
        low, high = float(warp.at[axis].min()) - margin, float(warp.at[axis].max()) + margin
        start, stop = min(low, 2 * length - high), max(high, -low)  # what is mirrored lies as far inside
        span = slice(
            int(np.clip(start // factor * factor, 0, length - 1)), int(np.clip(-(-stop // factor) * factor, 1, length))
        )
        spans.append(span)
        first.append(span.start)
    return (spans[0], spans[1]), Warp(warp.at - np.asarray(first, dtype=np.float32)[:, None, None], warp.scale)


def resample(picture: NDArray[np.uint8], warp: Warp) -> NDArray[np.float32]:
    """The crop of a picture; beyond its rim the picture is mirrored.

    Parameters
    ----------
    picture : ndarray of shape (H, W, C), uint8
        It is averaged over the area of a pixel of the crop where that is larger than a pixel of the picture.
    warp : Warp

    Returns
    -------
    ndarray of shape (C, S, S), float32
        From 0 to 255.
    """
    (rows, columns), warp = needed_part(warp, picture.shape[:2])
    part, factor = picture[rows, columns], min(_averaged(warp.scale), *picture.shape[:2])
    if factor > 1:
        channels = [np.asarray(Picture.fromarray(part[..., c]).reduce(factor)) for c in range(part.shape[-1])]
        part = np.stack(channels, axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1), dtype=np.float32))[None]  # (1, C, h, w)
    at = (torch.from_numpy(warp.at) + 0.5) / factor  # in pixels of `source`, their corners at whole numbers
    sides = torch.tensor(source.shape[-2:], dtype=torch.float32)
    grid = (2 * at / sides[:, None, None] - 1).flip(0).permute(1, 2, 0)[None]  # (1, S, S, 2): x, y in -1..1
    sampled = functional.grid_sample(source, grid, padding_mode="reflection", align_corners=False)
    crop: NDArray[np.float32] = sampled[0].numpy()
    return crop


def _averaged(scale: float) -> int:
    """The side of the blocks of pixels that are averaged before a picture is sampled at that scale."""
    return max(int(scale + 0.25), 1)
