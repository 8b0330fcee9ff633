"""What the network looks at: square crops of the image in isotropic pixels, and the way back to the image's own grid.

Places and lengths are in units of the finest side of the image's pixels, from the outer corner of the first pixel: on
an axis of coarser pixels, one pixel is several units long. So the network never sees an image squashed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Box", "Level", "View", "covered", "fit_views", "levels_of", "look", "paint", "stroke_signal"]

_STRIDE = 32  # sides of views are multiples of it, as networks want them
_MOST_SHRINKING = 64

Box = tuple[float, float, float, float]  # top, left, bottom, right


@dataclass(frozen=True, slots=True)
class View:
    """A crop, sampled.

    Attributes
    ----------
    top, left : float
        Outer corner of its first pixel.
    scale : float
        Side of its pixels.
    shape : tuple of 2 int
        Number of pixels along rows and columns.
    """

    top: float
    left: float
    scale: float
    shape: tuple[int, int]

    @property
    def box(self) -> Box:
        """Its outer borders."""
        return self.top, self.left, self.top + self.shape[0] * self.scale, self.left + self.shape[1] * self.scale

    def centres(self, axis: int) -> NDArray[np.float64]:
        """Where the centres of its pixels lie along an axis."""
        return np.float64((self.top, self.left)[axis]) + (np.arange(self.shape[axis]) + 0.5) * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The image's planes, averaged over a number of pixels along each axis.

    Attributes
    ----------
    planes : Tensor of shape (3, h, w)
    step : tuple of 2 float
        Length of a pixel along rows and columns.
    """

    planes: Tensor
    step: tuple[float, float]


def levels_of(planes: Tensor, pixel: tuple[float, float]) -> tuple[Level, ...]:
    """The planes of shape (3, H, W) for views of scale 1 and below, about 2, about 4, and so on."""
    levels = [Level(planes, pixel)]
    for doubling in range(1, _MOST_SHRINKING.bit_length()):
        factor = [min(max(round(2**doubling / p), 1), n) for p, n in zip(pixel, planes.shape[1:], strict=True)]
        if factor == [*planes.shape[1:]]:
            break
        mean = functional.avg_pool2d(planes[None], factor, ceil_mode=True, count_include_pad=False)[0]
        levels.append(Level(mean, (pixel[0] * factor[0], pixel[1] * factor[1])))
    return tuple(levels)


def fit_views(boxes: Sequence[Box], size: int, extent: tuple[float, float]) -> list[View]:
    """Square views of the same number of pixels around boxes, as far as the image allows.

    Parameters
    ----------
    boxes : sequence of Box
        What each is to show; its longer side decides.
    size : int
        Pixels along a side, a multiple of 32.
    extent : tuple of 2 float
        Of the image. A view that is not larger lies within it; one that is larger is centred. If all would be larger
        along an axis, all are shortened.
    """
    middles = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    sides = [max(b[2] - b[0], b[3] - b[1]) for b in boxes]
    shape = [size, size]
    for axis in (0, 1):
        needed = max(min(side, extent[axis]) / side * size for side in sides)
        shape[axis] = min(-int(-(needed - 1e-6) // _STRIDE) * _STRIDE, size)
    views = []
    for middle, side in zip(middles, sides, strict=True):
        scale, corner = side / size, []
        for axis in (0, 1):
            length = shape[axis] * scale
            room = extent[axis] - length
            corner.append(room / 2 if room <= 0 else min(max(middle[axis] - length / 2, 0.0), room))
        views.append(View(corner[0], corner[1], scale, (shape[0], shape[1])))
    return views


def look(levels: Sequence[Level], view: View) -> Tensor:
    """What a view shows of the image, shape (3, h, w); beyond the rim the image is mirrored, as in training."""
    level = levels[min(max(round(float(np.log2(view.scale))), 0), len(levels) - 1)]
    height, width = level.planes.shape[1:]
    rows, columns = (view.centres(axis) / level.step[axis] for axis in (0, 1))
    grid = torch.empty((1, *view.shape, 2), dtype=torch.float32)
    grid[..., 0] = torch.from_numpy(2 * columns / width - 1)[None]
    grid[..., 1] = torch.from_numpy(2 * rows / height - 1)[:, None]
    grid = grid.to(level.planes.device)
    return functional.grid_sample(level.planes[None], grid, padding_mode="reflection", align_corners=False)[0]


def stroke_signal(
    seeds: NDArray[np.int32],
    painted: tuple[NDArray[np.intp], NDArray[np.intp]],
    label: int,
    view: View,
    pixel: tuple[float, float],
) -> NDArray[np.int8]:
    """The strokes in a view: 1 of a class, -1 of others, 0 elsewhere; no stroke is lost, however small the view.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
    painted : tuple of 2 ndarray
        Rows and columns of the stroke pixels.
    label : int
        The class.
    view : View
    pixel : tuple of 2 float
        Size of a pixel of the image.

    Returns
    -------
    ndarray of the view's shape, int8
    """
    at = [np.floor(view.centres(axis) / pixel[axis]).astype(np.intp) for axis in (0, 1)]
    inside = [(a >= 0) & (a < n) for a, n in zip(at, seeds.shape, strict=True)]
    found = np.full(view.shape, -1, dtype=np.int32)
    found[np.ix_(*inside)] = seeds[np.ix_(at[0][inside[0]], at[1][inside[1]])]
    signal = np.where(found == label, 1, np.where(found >= 0, -1, 0)).astype(np.int8)
    if view.scale <= min(pixel):
        return signal
    rows, columns = (
        np.floor(((p + 0.5) * pixel[axis] - (view.top, view.left)[axis]) / view.scale).astype(np.intp)
        for axis, p in enumerate(painted)
    )
    here = (rows >= 0) & (rows < view.shape[0]) & (columns >= 0) & (columns < view.shape[1])
    signs = np.where(seeds[painted[0][here], painted[1][here]] == label, 1.0, -1.0)
    flat = rows[here] * view.shape[1] + columns[here]
    size = view.shape[0] * view.shape[1]
    balance = np.bincount(flat, weights=signs, minlength=size).reshape(view.shape)
    drawn = np.bincount(flat, minlength=size).reshape(view.shape) > 0
    return np.where(drawn, np.where(balance >= 0, 1, -1), signal).astype(np.int8)


def covered(view: View, shape: tuple[int, ...], pixel: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of the image's grid whose centres lie in a view."""
    first = [max(math.ceil(view.box[axis] / pixel[axis] - 0.5), 0) for axis in (0, 1)]
    stop = [min(math.ceil(view.box[axis + 2] / pixel[axis] - 0.5), shape[axis]) for axis in (0, 1)]
    return slice(first[0], max(first[0], stop[0])), slice(first[1], max(first[1], stop[1]))


def paint(field: Tensor, values: Tensor, view: View, pixel: tuple[float, float]) -> tuple[slice, slice]:
    """Write what a view holds into the image's grid, bilinearly; pixels whose centre lies outside stay.

    Parameters
    ----------
    field : Tensor of shape (H, W)
        Changed.
    values : Tensor of the view's shape
    view : View
    pixel : tuple of 2 float
        Size of a pixel of the image.

    Returns
    -------
    tuple of 2 slice
        Rows and columns that were written.
    """
    spans = covered(view, field.shape, pixel)
    places = [
        ((np.arange(span.start, span.stop) + 0.5) * pixel[axis] - view.box[axis]) / view.scale - 0.5
        for axis, span in enumerate(spans)
    ]
    field[spans] = _between(_between(values, places[0], 0), places[1], 1)
    return spans


def _between(values: Tensor, places: NDArray[np.floating], axis: int) -> Tensor:
    """Values at places between the entries of an axis, linearly; the outermost ones go on beyond."""
    places = np.clip(places, 0, values.shape[axis] - 1)
    lower = np.minimum(places.astype(np.int64), max(values.shape[axis] - 2, 0))
    part = torch.from_numpy((places - lower).astype(np.float32)).to(values.device)
    at = torch.from_numpy(lower).to(values.device)
    low = values.index_select(axis, at)
    high = values.index_select(axis, (at + 1).clamp_(max=values.shape[axis] - 1))
    return torch.lerp(low, high, part[:, None] if axis == 0 else part)
