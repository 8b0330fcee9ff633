"""Crops that a network is shown: square, of isotropic pixels; and resampling between crops and the image's own grid.

Positions and lengths are in units of the finest side of the image's pixels, from the outer corner of the first pixel:
on an axis of coarser pixels, one pixel is several units long. A network is never shown a distorted image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

__all__ = [
    "MOST_GROWTHS",
    "Box",
    "Crop",
    "CropLogits",
    "Level",
    "covered",
    "crop_image",
    "crop_strokes",
    "first_box",
    "fit_crops",
    "grown",
    "image_levels",
    "object_box",
    "paste",
    "resampled",
    "sampled",
    "square",
]

MOST_GROWTHS = 4  # of a crop, for one prediction
_STRIDE = 32  # sides of crops are multiples of it, as networks want them
_MOST_SHRINKING = 64
_CONTEXT = 3.0  # side of the first crop over the extent of the strokes
_FORMER_CONTEXT = 1.5  # the same where an earlier prediction gives the extent
_LEAST_SIDE = 48.0  # of a crop
_LEAST_SHARE = 0.15  # of the image's longer side, likewise
_DOT_SHARE = 0.25  # the same where strokes are a single dot, which does not show the extent of the object
_GROWTH = 0.75  # of its side, by which a crop grows where the object leaves it
_RIM = 3  # pixels of a rim that the object may cover

Box = tuple[float, float, float, float]  # top, left, bottom, right


@dataclass(frozen=True, slots=True)
class Crop:
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
        """Positions of the centres of its pixels along an axis."""
        return np.float64((self.top, self.left)[axis]) + (np.arange(self.shape[axis]) + 0.5) * self.scale


@dataclass(frozen=True, slots=True, eq=False)
class CropLogits:
    """Logits of an object on the pixels of a crop."""

    crop: Crop
    logits: Tensor

    def moved(self, crop: Crop) -> Crop:
        """Its crop in the coordinates of another one, whose pixels have a side of 1 there."""
        own = self.crop
        return Crop((own.top - crop.top) / crop.scale, (own.left - crop.left) / crop.scale,
                    own.scale / crop.scale, own.shape)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The image's channels, averaged over a number of pixels along each axis.

    Attributes
    ----------
    channels : Tensor of shape (3, h, w)
    step : tuple of 2 float
        Length of a pixel along rows and columns.
    """

    channels: Tensor
    step: tuple[float, float]


def image_levels(channels: Tensor, pixel: tuple[float, float]) -> tuple[Level, ...]:
    """The channels of shape (3, H, W) for crops of scale 1 and below, about 2, about 4, and so on."""
    levels = [Level(channels, pixel)]
    for doubling in range(1, _MOST_SHRINKING.bit_length()):
        factor = [min(max(round(2**doubling / p), 1), n) for p, n in zip(pixel, channels.shape[1:], strict=True)]
        if factor == [*channels.shape[1:]]:
            break
        mean = functional.avg_pool2d(channels[None], factor, ceil_mode=True, count_include_pad=False)[0]
        levels.append(Level(mean, (pixel[0] * factor[0], pixel[1] * factor[1])))
    return tuple(levels)


def fit_crops(boxes: Sequence[Box], size: int, extent: tuple[float, float], *, shorten: bool = True) -> list[Crop]:
    """Square crops of the same number of pixels around boxes, as far as the image allows.

    Parameters
    ----------
    boxes : sequence of Box
        One inside each crop; the longer side decides.
    size : int
        Pixels along a side, a multiple of 32.
    extent : tuple of 2 float
        Of the image. A crop that is not larger lies within it; one that is larger is centred.
    shorten : bool
        Whether all are shortened along an axis if all would be larger there.
    """
    middles = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    sides = [max(b[2] - b[0], b[3] - b[1]) for b in boxes]
    shape = [size, size]
    for axis in (0, 1) if shorten else ():
        needed = max(min(side, extent[axis]) / side * size for side in sides)
        shape[axis] = min(-int(-(needed - 1e-6) // _STRIDE) * _STRIDE, size)
    crops = []
    for middle, side in zip(middles, sides, strict=True):
        scale, corner = side / size, []
        for axis in (0, 1):
            length = shape[axis] * scale
            room = extent[axis] - length
            corner.append(room / 2 if room <= 0 else min(max(middle[axis] - length / 2, 0.0), room))
        crops.append(Crop(corner[0], corner[1], scale, (shape[0], shape[1])))
    return crops


def crop_image(levels: Sequence[Level], crop: Crop) -> Tensor:
    """The image in a crop, shape (3, h, w); mirrored beyond the rim, as in training."""
    level = levels[min(max(round(float(np.log2(crop.scale))), 0), len(levels) - 1)]
    height, width = level.channels.shape[1:]
    rows, columns = (crop.centres(axis) / level.step[axis] for axis in (0, 1))
    grid = torch.empty((1, *crop.shape, 2), dtype=torch.float32)
    grid[..., 0] = torch.from_numpy(2 * columns / width - 1)[None]
    grid[..., 1] = torch.from_numpy(2 * rows / height - 1)[:, None]
    grid = grid.to(level.channels.device)
    return functional.grid_sample(level.channels[None], grid, padding_mode="reflection", align_corners=False)[0]


def crop_strokes(
    seeds: NDArray[np.int32],
    painted: tuple[NDArray[np.intp], NDArray[np.intp]],
    label: int,
    crop: Crop,
    pixel: tuple[float, float],
) -> NDArray[np.int8]:
    """The strokes in a crop: 1 of a class, -1 of others, 0 elsewhere; no stroke is lost, however small the crop.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
    painted : tuple of 2 ndarray
        Rows and columns of the stroke pixels.
    label : int
        The class.
    crop : Crop
    pixel : tuple of 2 float
        Size of a pixel of the image.

    Returns
    -------
    ndarray of the crop's shape, int8
    """
    at = [np.floor(crop.centres(axis) / pixel[axis]).astype(np.intp) for axis in (0, 1)]
    inside = [(a >= 0) & (a < n) for a, n in zip(at, seeds.shape, strict=True)]
    found = np.full(crop.shape, -1, dtype=np.int32)
    found[np.ix_(*inside)] = seeds[np.ix_(at[0][inside[0]], at[1][inside[1]])]
    stroke_map = np.where(found == label, 1, np.where(found >= 0, -1, 0)).astype(np.int8)
    if crop.scale <= min(pixel):
        return stroke_map
    rows, columns = (
        np.floor(((p + 0.5) * pixel[axis] - (crop.top, crop.left)[axis]) / crop.scale).astype(np.intp)
        for axis, p in enumerate(painted)
    )
    here = (rows >= 0) & (rows < crop.shape[0]) & (columns >= 0) & (columns < crop.shape[1])
    signs = np.where(seeds[painted[0][here], painted[1][here]] == label, 1.0, -1.0)
    flat = rows[here] * crop.shape[1] + columns[here]
    size = crop.shape[0] * crop.shape[1]
    balance = np.bincount(flat, weights=signs, minlength=size).reshape(crop.shape)
    drawn = np.bincount(flat, minlength=size).reshape(crop.shape) > 0
    return np.where(drawn, np.where(balance >= 0, 1, -1), stroke_map).astype(np.int8)


def covered(crop: Crop, shape: tuple[int, ...], pixel: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of the image's grid whose centres lie in a crop."""
    first = [max(math.ceil(crop.box[axis] / pixel[axis] - 0.5), 0) for axis in (0, 1)]
    stop = [min(math.ceil(crop.box[axis + 2] / pixel[axis] - 0.5), shape[axis]) for axis in (0, 1)]
    return slice(first[0], max(first[0], stop[0])), slice(first[1], max(first[1], stop[1]))


def paste(field: Tensor, values: Tensor, crop: Crop, pixel: tuple[float, float]) -> tuple[slice, slice]:
    """Resample the values of a crop into the image's grid, bilinearly; pixels whose centre lies outside are kept.

    Parameters
    ----------
    field : Tensor of shape (H, W)
        Changed.
    values : Tensor of the crop's shape
    crop : Crop
    pixel : tuple of 2 float
        Size of a pixel of the image.

    Returns
    -------
    tuple of 2 slice
        Rows and columns that were written.
    """
    spans = covered(crop, field.shape, pixel)
    field[spans] = resampled(values, crop, spans, pixel)
    return spans


def resampled(values: Tensor, crop: Crop, spans: tuple[slice, slice], pixel: tuple[float, float]) -> Tensor:
    """The values of a crop on pixels of the image's grid, bilinearly; differentiable.

    Parameters
    ----------
    values : Tensor of shape (..., h, w)
        On the pixels of the crop.
    crop : Crop
    spans : tuple of 2 slice
        Rows and columns of the image.
    pixel : tuple of 2 float
        Size of a pixel of the image.

    Returns
    -------
    Tensor of shape (..., H, W), those of ``spans``
    """
    for axis, span in enumerate(spans):
        low, high, part = _between(values, crop, axis, np.arange(span.start, span.stop), pixel)
        along = axis - 2
        values = torch.lerp(
            values.index_select(along, low), values.index_select(along, high), part if axis else part[:, None]
        )
    return values


def sampled(
    values: Tensor, crop: Crop, at: tuple[NDArray[np.intp], NDArray[np.intp]], pixel: tuple[float, float]
) -> Tensor:
    """The same as :func:`resampled` at some pixels only: shape (..., n) for the n rows and columns in ``at``."""
    (top, bottom, down), (left, right, across) = (_between(values, crop, axis, at[axis], pixel) for axis in (0, 1))
    width, flat = values.shape[-1], values.flatten(-2)
    upper, under = (
        torch.lerp(flat.index_select(-1, row * width + left), flat.index_select(-1, row * width + right), across)
        for row in (top, bottom)
    )
    return torch.lerp(upper, under, down)


def _between(
    values: Tensor, crop: Crop, axis: int, pixels: NDArray[np.intp], pixel: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """The entries of a crop's axis on both sides of pixels of the image, and the fraction between; clamped."""
    size = values.shape[axis - 2]
    positions = np.clip(((pixels + 0.5) * pixel[axis] - crop.box[axis]) / crop.scale - 0.5, 0, size - 1)
    lower = np.minimum(positions.astype(np.int64), max(size - 2, 0))
    part = torch.from_numpy((positions - lower).astype(np.float32)).to(values.device)
    low = torch.from_numpy(lower).to(values.device)
    return low, (low + 1).clamp_(max=size - 1), part


def square(box: Box, factor: float, least: float, extent: tuple[float, float]) -> Box:
    """A square around a box, ``factor`` times its longer side, at least ``least`` and at most the image."""
    side = min(max(factor * max(box[2] - box[0], box[3] - box[1]), least), max(extent))
    row, column = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return row - side / 2, column - side / 2, row + side / 2, column + side / 2


def first_box(strokes: Box, dot: bool, former: Box | None, extent: tuple[float, float]) -> Box:
    """The box of the first crop of an object.

    Parameters
    ----------
    strokes : Box
        Borders of the strokes on it.
    dot : bool
        Whether they are a single dot.
    former : Box or None
        Borders of the object by an earlier prediction.
    extent : tuple of 2 float
        Of the image.
    """
    share = _DOT_SHARE if dot and former is None else _LEAST_SHARE
    least = max(_LEAST_SIDE, share * max(extent))
    if former is None:
        return square(strokes, _CONTEXT, least, extent)
    return square(_around(strokes, former), _FORMER_CONTEXT, least, extent)


def _around(one: Box, other: Box) -> Box:
    """Borders of two boxes."""
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def object_box(
    strokes: Box, crop: Crop, mask: NDArray[np.bool_], drawn: NDArray[np.bool_], extent: tuple[float, float]
) -> Box:
    """Borders of an object's strokes and of the parts connected to them.

    Parameters
    ----------
    strokes : Box
        Borders of the strokes on it.
    crop : Crop
    mask, drawn : ndarray of the crop's shape, bool
        Where the object was found, and the strokes on it.
    extent : tuple of 2 float
        Of the image.
    """
    parts, _ = ndimage.label(mask | drawn)
    touched = np.unique(parts[drawn])
    if not touched.size:
        return strokes
    own = np.isin(parts, touched)
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    found = (
        crop.top + int(rows[0]) * crop.scale,
        crop.left + int(columns[0]) * crop.scale,
        crop.top + (int(rows[-1]) + 1) * crop.scale,
        crop.left + (int(columns[-1]) + 1) * crop.scale,
    )
    top, left, bottom, right = _around(strokes, found)
    return max(top, 0.0), max(left, 0.0), min(bottom, extent[0]), min(right, extent[1])


def grown(patch: CropLogits, extent: tuple[float, float]) -> Box | None:
    """A larger box where the object reaches a rim of the crop that is not one of the image; else None."""
    inside = (patch.logits > 0).cpu().numpy()
    crop = patch.crop
    top, left, bottom, right = crop.box
    step = _GROWTH * max(bottom - top, right - left)
    slack = 0.5 * crop.scale
    rims = (inside[0], inside[:, 0], inside[-1], inside[:, -1])
    open_rims = (top > slack, left > slack, bottom < extent[0] - slack, right < extent[1] - slack)
    leaves = [is_open and int(np.count_nonzero(rim)) > _RIM for rim, is_open in zip(rims, open_rims, strict=True)]
    if not any(leaves):
        return None
    return (
        max(top - step * leaves[0], 0.0),
        max(left - step * leaves[1], 0.0),
        min(bottom + step * leaves[2], extent[0]),
        min(right + step * leaves[3], extent[1]),
    )
