"""Strokes of one class on several objects: each object is predicted by its own strokes.

The network is trained on strokes on one object. Shown strokes on three cells at once, in a crop that contains all
three, it sees each of them coarsely, and looks for what the three have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from napari_scribseg.prompting.crops import Box
from napari_scribseg.prompting.predictions import ClassLogits, Grid, Strokes, merge_logits

__all__ = ["Part", "joined_parts", "stroke_pieces", "whole_class"]

_MOST_PIECES = 12  # of a class that are predicted one by one
_LINKED = 0.3  # share of a piece's pixels that the prediction for another piece of the same object contains


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Strokes of a class that are predicted together.

    Attributes
    ----------
    label : int
        Index of the class.
    own : ndarray of shape (H, W), bool
        Its pixels.
    strokes : Strokes
        These, and all strokes of other classes; further strokes of this class are left out.
    """

    label: int
    own: NDArray[np.bool_]
    strokes: Strokes

    def box(self, pixel: tuple[float, float]) -> Box:
        """Borders of its pixels, whose size is ``pixel``."""
        return self.strokes.box(self.label, pixel)


def whole_class(strokes: Strokes, label: int) -> Part:
    """All strokes of a class."""
    return Part(label, strokes.seeds == label, strokes)


def stroke_pieces(strokes: Strokes, label: int) -> list[Part]:
    """The connected pieces of a class's strokes; all of them as one where they are too many."""
    numbers, n_pieces = ndimage.label(strokes.seeds == label, np.ones((3, 3)))
    if not 1 < n_pieces <= _MOST_PIECES:
        return [whole_class(strokes, label)]
    return [_part(strokes, label, numbers == number) for number in range(1, n_pieces + 1)]


def joined_parts(pieces: Sequence[Part], predictions: Sequence[ClassLogits], grid: Grid) -> list[Part]:
    """The parts of a class, each of the pieces that lie on one object; a part of one piece is that piece itself.

    Two pieces lie on one object if the prediction for one contains the other.
    """
    if len(pieces) < 2:
        return list(pieces)
    fields = merge_logits(dict(enumerate(predictions)), grid, None).cpu().numpy() > 0
    linked = np.asarray([[field[piece.own].mean() >= _LINKED for piece in pieces] for field in fields])
    n_objects, numbers = connected_components(linked, directed=False)
    members = [[p for p, n in zip(pieces, numbers, strict=True) if n == number] for number in range(n_objects)]
    return [m[0] if len(m) == 1 else _union(m) for m in members]


def _union(pieces: Sequence[Part]) -> Part:
    label, own = pieces[0].label, np.any([piece.own for piece in pieces], axis=0)
    return Part(label, own, Strokes.of(np.where(own, np.int32(label), pieces[0].strokes.seeds)))


def _part(strokes: Strokes, label: int, own: NDArray[np.bool_]) -> Part:
    others = (strokes.seeds == label) & ~own
    return Part(label, own, Strokes.of(np.where(others, np.int32(-1), strokes.seeds)))
