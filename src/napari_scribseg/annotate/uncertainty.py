"""Where the labels of a volume are most likely wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.annotate.engine_cache import PackedResult
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.numerics.uncertainty import error_probability

__all__ = ["PaintedResult", "UncertainPlace", "uncertain_places"]

_WIDTH = 0.02  # of a place that needs a look, in the square root of the image's area

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PaintedResult:
    """A slice's result, and the strokes it shows.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    result : PackedResult
        Of the engine.
    painted : ndarray of shape (H, W), unsigned integer
        Ids of the strokes, 0 where unpainted.
    background : int or None
        The id whose strokes mark the background.
    """

    slice_index: SliceIndex
    result: PackedResult
    painted: NDArray[Any]
    background: int | None

    def uncertainty(self) -> Float32:
        """The probability of each label to be wrong, shape (H, W); may run in any thread."""
        seeds = np.full(self.painted.shape, -1, dtype=np.int32)
        for k, identity in enumerate(self.result.ids):
            drawn = identity or self.background
            if drawn:
                seeds[self.painted == drawn] = k
        return error_probability(self.result.probabilities(), seeds)


@dataclass(frozen=True, slots=True)
class UncertainPlace:
    """Where labels are most likely wrong.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    row, column : int
        The middle of the place, in voxels of the slice.
    share : float
        Expected share of wrong labels there, 0 to 1.
    """

    slice_index: SliceIndex
    row: int
    column: int
    share: float


def uncertain_places(results: Iterable[PaintedResult]) -> list[UncertainPlace]:
    """Of each slice the place, about a fiftieth of it wide, where the largest share of the labels is likely wrong.

    Parameters
    ----------
    results : iterable of PaintedResult
        Of the slices to look at.

    Returns
    -------
    list of UncertainPlace
        One for each slice, the most uncertain first.
    """
    places = []
    for each in results:
        share = ndimage.gaussian_filter(each.uncertainty(), _WIDTH * np.sqrt(each.painted.size), mode="constant")
        row, column = np.unravel_index(int(share.argmax()), share.shape)
        places.append(UncertainPlace(each.slice_index, int(row), int(column), float(share[row, column])))
    return sorted(places, key=lambda place: -place.share)
