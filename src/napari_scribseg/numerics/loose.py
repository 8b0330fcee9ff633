"""Strokes that are wider than the structure they follow, distinguished from exact ones by the image under them.

People follow vessels and membranes with a pen that is wider than these. Half of such a stroke lies beside the
structure: its colours are those of a mixture, and to force its pixels makes half of them wrong. What is thin looks like
a line, dark or bright, so a line filter says where under the pen, and elsewhere in the image, the structure is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.numerics.intensity import scale_intensities
from napari_scribseg.numerics.lines import line_response
from napari_scribseg.numerics.variational.energy import background_label

__all__ = ["LooseClass", "find_loose"]

MOST_PIXELS = 1 << 20  # of an image whose lines are looked for
NARROWEST, WIDEST = 1.5, 16.0  # pixels, of a pen that strokes may be loose with
_SHORTEST = 60  # pixels of centre line that say anything, and
_ENOUGH = 200  # those that say enough without strokes of other classes,
_ENOUGH_OTHERS = 120  # or with such pixels of these, if
_CLEAR = 0.95  # is the least probability that a stroke of the class shows a clearer line than one of these
_WIDTHS = 2.0 * 1.5 ** np.arange(8)  # of lines, in pixels
_WIDEST_LINE = 3.0  # pixels that may be found under any pen: narrower ones have no sharp width
_FITS = 0.85  # share of the largest mean response that lines have whose width fits roughly, and
_FITS_BEST = 0.97  # those that fit as well as any
_DISTINCT = 0.74  # probability that a stroke shows a clearer line than a place beside it
_SIGNIFICANT = 3.0  # standard errors by which that exceeds chance
_INDEPENDENT = 5.0  # pixels of a centre line between independent places
_ERROR = 0.29  # standard deviation of a rank that is uniform from 0 to 1
_CONFUSED = 0.5  # share of such lines under other strokes, to that under its own, above which they are not the class's
_WEAK, _WEAK_SHARE = 0.3, 0.5  # quantile of the lines under a stroke, and the share of it that is a line elsewhere
_COMMON = 0.9  # quantile of the responses away from strokes, above which lines are rare
_STEEPNESS = 3.0  # of the log odds over the log response
_MOST_LOG_ODDS = 5.0

Mask = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class LooseClass:
    """A class whose strokes follow lines that are thinner than the pen.

    Attributes
    ----------
    index : int
        Of the class.
    log_odds : ndarray of shape (H, W), float32
        Of a pixel to lie on such a line.
    core : ndarray of shape (H, W), bool
        Stroke pixels that lie on it: of each stroke, those of positive log odds and its centre line, moved to the
        clearest line under the pen.
    """

    index: int
    log_odds: Float32
    core: Mask


def find_loose(image: Image, scribbles: Scribbles) -> tuple[LooseClass, ...]:
    """The classes whose strokes are loose.

    A stroke of such a class runs along a clearer line than the places beside it do, that line is not wider than the
    pen, and strokes of other classes have few such lines under them. A few short strokes in a lung or in cells, whose
    texture has lines, too, are not enough: either the strokes of the class are long, or those of other classes show
    clearly fewer lines. The background is never one of them, nor are all classes with strokes at once.

    Parameters
    ----------
    image : Image
        Of two axes.
    scribbles : Scribbles

    Returns
    -------
    tuple of LooseClass
        In the order of their indices.
    """
    if scribbles.seeds.size > MOST_PIXELS:
        return ()
    background = background_label(scribbles)
    drawn = np.flatnonzero(scribbles.counts)
    found = [_read(image, scribbles.seeds, int(k)) for k in drawn if k != background]
    loose = tuple(each for each in found if each is not None)
    return loose if len(loose) < len(drawn) or scribbles.n_classes > len(drawn) else ()


@dataclass(frozen=True, slots=True, eq=False)
class _Pen:
    """The strokes of one class: where their centre lines are, and how wide the pen is."""

    painted: Mask
    centres: Places
    width: float

    @classmethod
    def of(cls, painted: Mask) -> _Pen:
        from skimage.morphology import skeletonize

        (box,) = ndimage.find_objects(painted.astype(np.uint8))
        strokes = painted[box]
        depth = ndimage.distance_transform_edt(np.pad(strokes, 1))[1:-1, 1:-1]
        centres = np.argwhere(skeletonize(strokes))  # type: ignore[no-untyped-call]
        width = 2 * float(np.median(depth[tuple(centres.T)])) - 1 if len(centres) else 0.0
        return cls(painted, centres + [span.start for span in box], width)

    def around(self, places: Places) -> tuple[Places, Places]:
        """Rows and columns under the pen at each place, both of shape (N, D), within the image."""
        radius = max(round((self.width + 1) / 2), 1)
        offsets = np.argwhere(np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius + 0.3) - radius
        under = np.clip(places[:, np.newaxis] + offsets, 0, np.asarray(self.painted.shape) - 1)
        return under[..., 0], under[..., 1]

    def beside(self) -> Places:
        """The centre lines moved away in eight directions, shape (N, 2): no pen that follows the same structure."""
        distance = 1.5 * self.width + 5.5
        near = ndimage.distance_transform_edt(~self.painted) <= (self.width + 1) / 2 + 0.3
        moved = []
        for angle in np.pi / 4 * np.arange(8):
            at = self.centres + np.rint([distance * np.sin(angle), distance * np.cos(angle)]).astype(np.intp)
            at = at[((at >= 0) & (at < near.shape)).all(axis=1)]
            moved.append(at[~near[tuple(at.T)]])
        return np.concatenate(moved)


def _read(image: Image, seeds: NDArray[np.int32], index: int) -> LooseClass | None:
    """The class if its strokes are loose."""
    painted = seeds == index
    pen = _Pen.of(painted)
    if len(pen.centres) < _SHORTEST or not NARROWEST <= pen.width <= WIDEST:
        return None
    beside = pen.beside()
    if len(beside) < _SHORTEST:
        return None
    widths = _WIDTHS[: int(np.searchsorted(_WIDTHS, max(2 * pen.width, 2 * _WIDEST_LINE))) + 1]
    narrow = int(np.searchsorted(widths, max(pen.width, _WIDEST_LINE), side="right"))  # of those no wider than the pen
    on, off = pen.around(pen.centres), pen.around(beside)
    narrower = [_lines(image, float(width)) for width in widths[:narrow]]
    distinct = np.asarray([[_above(line[on].max(axis=1), line[off].max(axis=1)) for line in pair] for pair in narrower])
    least = max(_DISTINCT, 0.5 + _SIGNIFICANT * _ERROR / np.sqrt(len(pen.centres) / _INDEPENDENT))
    if distinct.max() < least:
        return None
    polarity = int(np.argmax(distinct.sum(axis=0)))
    lines = [_lines(image, float(width))[polarity] for width in widths]
    sizes = np.asarray([line[on].max(axis=1).mean() for line in lines])
    fits = int(np.argmax(sizes >= _FITS * sizes.max()))
    if sizes[:narrow].max() < _FITS_BEST * sizes.max() or distinct[fits, polarity] < least:
        return None
    response: Float32 = (lines[fits] + lines[fits + 1]) / np.float32(2)
    log_odds = _log_odds(response, response[on].max(axis=1), painted)
    others = (seeds >= 0) & ~painted
    if others.any() and (log_odds[others] > 0).mean() > _CONFUSED * (log_odds[painted] > 0).mean():
        return None
    if len(pen.centres) < _ENOUGH and not _differs(log_odds, pen, others):
        return None
    core = (painted & (log_odds > 0)) | _clearest(response, painted, on)
    return LooseClass(index, log_odds, core)


@lru_cache(maxsize=16)
def _lines(image: Image, width: float) -> tuple[Float32, Float32]:
    """Responses to dark and to bright lines; kept, for they do not depend on the strokes."""
    return line_response(_channel(image), width)


@lru_cache(maxsize=2)
def _channel(image: Image) -> Float32:
    """Mean of the scaled channels, shape (H, W)."""
    mean: Float32 = scale_intensities(image.data).mean(axis=0)
    return mean


def _differs(log_odds: Float32, pen: _Pen, others: Mask) -> bool:
    """Whether the strokes of other classes show so much less of the lines that a few strokes of the class suffice."""
    if not others.any():
        return False
    theirs = _Pen.of(others)
    if len(theirs.centres) < _ENOUGH_OTHERS:
        return False
    on, off = pen.around(pen.centres), theirs.around(theirs.centres)
    return _above(log_odds[on].max(axis=1), log_odds[off].max(axis=1)) >= _CLEAR


def _above(some: Float32, others: Float32) -> float:
    """Probability that one of some values is larger than one of the others; ties count half."""
    ordered = np.sort(others)
    below = (np.searchsorted(ordered, some, side="left") + np.searchsorted(ordered, some, side="right")) / 2
    return float(below.mean() / len(others))


def _log_odds(response: Float32, under: Float32, painted: Mask) -> Float32:
    """Even where a response is between that of weak lines ``under`` the pen and what is rare away from it."""
    away = response[~ndimage.binary_dilation(painted, iterations=2)]
    weak = _WEAK_SHARE * float(np.quantile(under, _WEAK))
    rare = float(np.quantile(away, _COMMON)) if away.size else weak
    tiny = float(np.finfo(np.float32).tiny)
    middle = 0.5 * (np.log(max(weak, tiny)) + np.log(max(rare, tiny)))
    odds = _STEEPNESS * (np.log(np.maximum(response, np.float32(tiny))) - np.float32(middle))
    clipped: Float32 = np.clip(odds, -_MOST_LOG_ODDS, _MOST_LOG_ODDS).astype(np.float32)
    return clipped


def _clearest(response: Float32, painted: Mask, on: tuple[Places, Places]) -> Mask:
    """For each place of the centre line, the painted pixel under the pen with the largest response."""
    chosen = np.zeros_like(painted)
    rows, columns = on
    best = np.where(painted, response, np.float32(-1))[rows, columns].argmax(axis=1)[:, np.newaxis]
    chosen[np.take_along_axis(rows, best, axis=1), np.take_along_axis(columns, best, axis=1)] = True
    return chosen
