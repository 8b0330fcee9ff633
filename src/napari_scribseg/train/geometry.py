"""Random views of a picture: crop, turn, mirror, stretch and bend, in one resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

__all__ = ["GeometryOptions", "View", "draw_view", "look", "smooth_noise"]


@dataclass(frozen=True, slots=True)
class GeometryOptions:
    """How far a view may depart from the picture.

    Attributes
    ----------
    context : tuple of two float
        Side of the view over that of the object's box, drawn evenly on a logarithmic scale; below 1 the object is cut.
    scale : tuple of two float, or None
        Pixels of the picture per pixel of the view, drawn likewise, in place of ``context``: for networks that see
        whole pictures as they are.
    smallest : int
        Side of the view at least, in pixels of the picture.
    largest : float
        Side of the view at most, over the longest side of the picture; beyond the rim the picture is mirrored.
    rim : float
        Share of the side of the view that may lie beyond the rim where the view would fit into the picture.
    shift : float
        How far the object may lie off the middle, as a share of the side that is free around it.
    turned, angle : float
        Share of the views that are turned by any angle; the others are turned by up to ``angle`` degrees.
    stretch : float
        Sides change their proportion up to this factor.
    bent, bend : float
        Share of the views that are bent, and how far, as a share of the side (standard deviation).
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
class View:
    """Where each pixel of a view lies in the picture.

    Attributes
    ----------
    at : ndarray of shape (2, S, S), float32
        Row and column in pixels of the picture.
    scale : float
        Pixels of the picture per pixel of the view.
    """

    at: NDArray[np.float32]
    scale: float


def draw_view(
    box: tuple[float, float, float, float],
    shape: tuple[int, int],
    size: int,
    options: GeometryOptions,
    rng: np.random.Generator,
) -> View:
    """A random view of an object.

    Parameters
    ----------
    box : tuple of float
        First row, first column, height and width of the object, in pixels of the picture.
    shape : tuple of two int
        Height and width of the picture.
    size : int
        Pixels along each side of the view.
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
    return View(at.astype(np.float32), side / size)


def _kept_inside(middle: NDArray[np.float64], shape: tuple[int, int], margin: float) -> NDArray[np.float64]:
    """The middle of a view at least ``margin`` pixels off the rim of the picture; its middle where that is too much."""
    free = np.maximum(np.asarray(shape) / 2 - margin, 0)
    return np.clip(middle, np.asarray(shape) / 2 - free, np.asarray(shape) / 2 + free)


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of mean about 0 and standard deviation about 1 that varies over ``size / cells`` pixels; shape (S, S)."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, cells, cells), dtype=np.float32))
    fine = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
    noise: NDArray[np.float32] = fine[0, 0].numpy()
    return noise


def look(planes: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """What a view shows; beyond the rim the picture is mirrored.

    Parameters
    ----------
    planes : ndarray of shape (C, H, W), float32
        Averaged over the area of a pixel of the view where that is larger than one of the picture.
    view : View

    Returns
    -------
    ndarray of shape (C, S, S), float32
    """
    factor = max(int(view.scale + 0.25), 1)
    source = torch.from_numpy(planes)[None]  # (1, C, H, W)
    factor = min(factor, *source.shape[-2:])
    if factor > 1:
        source = functional.avg_pool2d(source, factor, ceil_mode=True, count_include_pad=False)
    at = (torch.from_numpy(view.at) + 0.5) / factor  # in pixels of `source`, their corners at whole numbers
    sides = torch.tensor(source.shape[-2:], dtype=torch.float32)
    grid = (2 * at / sides[:, None, None] - 1).flip(0).permute(1, 2, 0)[None]  # (1, S, S, 2): x, y in -1..1
    seen = functional.grid_sample(source, grid, padding_mode="reflection", align_corners=False)
    result: NDArray[np.float32] = seen[0].numpy()
    return result
