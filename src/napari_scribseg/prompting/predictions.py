"""One-vs-rest logits of each class, merged on the image grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_scribseg.prompting.crops import Box, Crop, CropLogits, covered, paste

__all__ = ["LIMIT", "UNCLAIMED", "UNSEEN", "ClassLogits", "Grid", "Strokes", "merge_logits", "widest"]

LIMIT = 12.0  # of logits, by tanh
UNSEEN = -6.0  # logit of a class outside its crops
_COMPACT = 1.6  # longest side of a dot, over the square root of its area; 1.1 of a disc
UNCLAIMED = -2.0  # least logit of the background, which gets the pixels that no class claims


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The pixels of an image.

    Attributes
    ----------
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest side.
    shape : tuple of 2 int
        Pixels along rows and columns.
    """

    pixel: tuple[float, float]
    shape: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Grid:
        """From the number of pixels and their size, each along rows and columns."""
        (rows, columns), finest = shape, min(spacing)
        return Grid((spacing[0] / finest, spacing[1] / finest), (rows, columns))

    @property
    def extent(self) -> tuple[float, float]:
        """Lengths of the image's sides."""
        return self.shape[0] * self.pixel[0], self.shape[1] * self.pixel[1]


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """The stroke pixels of an image.

    Attributes
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index, -1 elsewhere.
    painted : tuple of 2 ndarray
        Rows and columns of the stroke pixels.
    """

    seeds: NDArray[np.int32]
    painted: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def of(cls, seeds: NDArray[np.int32]) -> Strokes:
        """From a seed map."""
        rows, columns = np.nonzero(seeds >= 0)
        return cls(seeds, (rows, columns))

    def box(self, label: int, pixel: tuple[float, float]) -> Box:
        """Borders of a class's strokes."""
        own = self.seeds[self.painted] == label
        rows, columns = self.painted[0][own], self.painted[1][own]
        return (
            float(rows.min()) * pixel[0],
            float(columns.min()) * pixel[1],
            float(rows.max() + 1) * pixel[0],
            float(columns.max() + 1) * pixel[1],
        )

    def n_dots(self, label: int, pixel: tuple[float, float]) -> int | None:
        """Number of dots, where the strokes of a class are nothing but dots; else None."""
        own = self.seeds[self.painted] == label
        rows, columns = self.painted[0][own], self.painted[1][own]
        corner = int(rows.min()), int(columns.min())
        drawn = np.zeros((int(rows.max()) - corner[0] + 1, int(columns.max()) - corner[1] + 1), dtype=bool)
        drawn[rows - corner[0], columns - corner[1]] = True
        parts, n_parts = ndimage.label(drawn, np.ones((3, 3)))
        areas = np.bincount(parts.reshape(-1))[1:] * (pixel[0] * pixel[1])
        for area, spans in zip(areas, ndimage.find_objects(parts), strict=True):
            longest = max((span.stop - span.start) * size for span, size in zip(spans, pixel, strict=True))
            if longest >= _COMPACT * math.sqrt(area):
                return None
        return int(n_parts)

    def changed(self, before: Strokes) -> tuple[NDArray[np.bool_], bool]:
        """Where these differ from earlier ones, and whether something was only added to those."""
        differs = self.seeds != before.seeds
        return differs, not (differs & (before.seeds >= 0)).any()


@dataclass(frozen=True, slots=True, eq=False)
class ClassLogits:
    """The network's logits of a class against all others.

    Attributes
    ----------
    patches : tuple of CropLogits
        In crops; later ones replace earlier ones where they overlap.
    box : Box
        Of the object with the strokes on it.
    """

    patches: tuple[CropLogits, ...]
    box: Box

    def on(self, crop: Crop) -> tuple[Tensor, Tensor]:
        """Logits on the pixels of a crop, and a mask of the pixels that have any."""
        field = torch.full(crop.shape, -torch.inf, device=self.patches[0].logits.device)
        for patch in self.patches:
            paste(field, patch.logits, patch.moved(crop), (1.0, 1.0))
        valid = torch.isfinite(field)
        return torch.where(valid, field, -LIMIT), valid

    def covers(self, where: NDArray[np.bool_], pixel: tuple[float, float]) -> bool:
        """Whether any marked pixel of the image lies in one of the crops."""
        for patch in self.patches:
            top, left, bottom, right = patch.crop.box
            rows = slice(max(int(top / pixel[0]), 0), max(int(np.ceil(bottom / pixel[0])), 0))
            columns = slice(max(int(left / pixel[1]), 0), max(int(np.ceil(right / pixel[1])), 0))
            if where[rows, columns].any():
                return True
        return False


def merge_logits(predictions: Mapping[int, ClassLogits], grid: Grid, wide: int | None) -> Tensor:
    """Logits of every class on the image's grid, shape (K, H, W), in the order of the mapping.

    Where two crops overlap, logits of the coarser one are divided by the ratio of their pixels: it cannot resolve what
    is smaller than its pixels. Outside its crops a class has negative logits, which fall with the distance. Pixels that
    no class claims go to the class ``wide`` from :func:`widest`.
    """
    device = next(p.logits.device for o in predictions.values() for p in o.patches)
    finest = torch.full(grid.shape, torch.inf, device=device)  # side of the pixels seen there, at least 1
    for patch in (p for prediction in predictions.values() for p in prediction.patches):
        finest[covered(patch.crop, grid.shape, grid.pixel)].clamp_(max=max(patch.crop.scale, 1.0))
    fields = torch.empty((len(predictions), *grid.shape), device=device)
    for field, (k, prediction) in zip(fields, predictions.items(), strict=True):
        field.copy_(_unseen(prediction, grid, device))
        for patch in prediction.patches:
            span = paste(field, patch.logits, patch.crop, grid.pixel)
            if patch.crop.scale > 1:
                field[span] *= finest[span] / patch.crop.scale
        if k == wide:
            field.clamp_(min=UNCLAIMED)
    return fields


def _unseen(prediction: ClassLogits, grid: Grid, device: torch.device) -> Tensor:
    """Logits of a class outside its crops, shape (H, W)."""
    away = []
    for axis in (0, 1):
        at = (np.arange(grid.shape[axis], dtype=np.float32) + 0.5) * grid.pixel[axis]
        gap = np.maximum(np.maximum(prediction.box[axis] - at, at - prediction.box[axis + 2]), 0)
        away.append(torch.from_numpy(gap.astype(np.float32)).to(device))
    distance = torch.hypot(away[0][:, None], away[1][None])
    return UNSEEN - distance / (distance + max(grid.extent))


def widest(strokes: Strokes, labels: Sequence[int], ids: Sequence[int], grid: Grid) -> int:
    """The class that is predicted on the whole image, so that every pixel has a prediction.

    The background, with the id 0; where it was not drawn, the class whose strokes reach farthest.
    """
    if 0 in ids and ids.index(0) in labels:
        return ids.index(0)
    boxes = {k: strokes.box(k, grid.pixel) for k in labels}
    return max(labels, key=lambda k: max(boxes[k][2] - boxes[k][0], boxes[k][3] - boxes[k][1]))
