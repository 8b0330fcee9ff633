"""Zoom-in: once there is an answer, the network looks at the object from near (Sofiuk et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "frame_around", "next_frame"]

_MARGIN = 1.4  # sides of a frame, in those of the object
_ALIKE = 0.5  # overlap (intersection over union) of two frames that need not be told apart
_WHOLE = 0.7  # share of the image beyond which nothing is won


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of an image: its first pixels, and those behind its last ones.

    Attributes
    ----------
    rows, columns : tuple of 2 int
    """

    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def slicer(self) -> tuple[slice, slice]:
        """Index into an array of shape (H, W)."""
        return slice(*self.rows), slice(*self.columns)

    @property
    def area(self) -> int:
        """Pixels."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    def overlap(self, other: Frame) -> float:
        """Intersection over union."""
        sides = [
            max(min(a[1], b[1]) - max(a[0], b[0]), 0)
            for a, b in ((self.rows, other.rows), (self.columns, other.columns))
        ]
        common = sides[0] * sides[1]
        return common / (self.area + other.area - common)


def frame_around(mask: NDArray[np.bool_], spacing: tuple[float, ...], least: float) -> Frame | None:
    """A square 1.4 times as large as an object, moved into the image and cut at it.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The object.
    spacing : tuple of 2 float
        Pixel size: the frame is a square in it.
    least : float
        Side of the smallest frame, in the finer pixels.

    Returns
    -------
    Frame or None
        None where there is no object, or the frame would be most of the image.
    """
    places = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not places[0].size:
        return None
    side = max((int(p[-1]) - int(p[0]) + 1) * s for p, s in zip(places, spacing, strict=True))
    side = max(_MARGIN * side, least * min(spacing))
    ends = []
    for place, size, pixel in zip(places, mask.shape, spacing, strict=True):
        length = min(max(round(side / pixel), 1), size)
        first = round((int(place[0]) + int(place[-1]) + 1 - length) / 2)
        first = min(max(first, 0), size - length)
        ends.append((first, first + length))
    frame = Frame(*ends)
    return frame if frame.area < _WHOLE * mask.size else None


def next_frame(
    former: Frame | None, seen: NDArray[np.bool_], strokes: NDArray[np.bool_], spacing: tuple[float, ...], least: float
) -> Frame | None:
    """The frame for new strokes: the former one, while it holds the object's strokes and the object has not moved.

    Parameters
    ----------
    former : Frame or None
        Of the last answer.
    seen : ndarray of shape (H, W), bool
        The object as it was answered last.
    strokes : ndarray of shape (H, W), bool
        Strokes on the object.
    spacing, least
        As for :func:`frame_around`.
    """
    new = frame_around(seen | strokes, spacing, least)
    if former is None or new is None:
        return new
    inside = np.count_nonzero(strokes[former.slicer]) == np.count_nonzero(strokes)
    return former if inside and former.overlap(new) > _ALIKE else new
