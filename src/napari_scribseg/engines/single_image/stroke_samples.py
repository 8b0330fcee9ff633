"""The stroke pixels that a network is fitted to, and those that are held back for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Scribbles

__all__ = ["MOST", "StrokeSamples"]

MOST = 16384  # stroke pixels, above which classes are thinned
_TILE = 8  # pixels; strokes are held back in pieces of this size, because neighbouring pixels are alike
_LEAST = 24  # pixels that a class has at least, for some to be held back


@dataclass(frozen=True, slots=True, eq=False)
class StrokeSamples:
    """Stroke pixels.

    Attributes
    ----------
    pixels : ndarray of shape (N,)
        Flat indices, ascending.
    targets : ndarray of shape (N,), int64
        Position of each one's class in ``drawn``.
    fitted : ndarray of shape (N,), bool
        Which the network is fitted to: all that are not held back.
    validating : ndarray of shape (N,), bool
        Which decide when to stop: those held back, and all of a class without any, so that every class counts; none
        where no class has any.
    drawn : tuple of int
        Indices of the classes that have strokes.
    """

    pixels: NDArray[np.intp]
    targets: NDArray[np.int64]
    fitted: NDArray[np.bool_]
    validating: NDArray[np.bool_]
    drawn: tuple[int, ...]

    @classmethod
    def of(cls, scribbles: Scribbles, held_back: float, seed: int, most: int = MOST) -> StrokeSamples:
        """The stroke pixels of scribbles.

        The held-back pixels depend on position and seed alone, and stay held back when strokes are added.

        Parameters
        ----------
        scribbles : Scribbles
            With strokes.
        held_back : float
            Share that is held back, in squares of 8 x 8 pixels; none of a class with few pixels, and never more than
            half of a class.
        seed : int
        most : int
            Stroke pixels above which classes are thinned.
        """
        flat = scribbles.seeds.reshape(-1)
        pixels = np.flatnonzero(flat >= 0)
        drawn, targets = np.unique(flat[pixels], return_inverse=True)
        if len(pixels) > most:
            kept = _thinned(targets, len(drawn), most)
            pixels, targets = pixels[kept], targets[kept]
        chance = _chance(pixels, scribbles.shape[1], seed)
        fitted, validating = np.ones(len(pixels), dtype=bool), np.zeros(len(pixels), dtype=bool)
        for k in range(len(drawn)):
            own = targets == k
            held_out = own & (chance < held_back)
            if np.count_nonzero(own) >= _LEAST and 0 < 2 * np.count_nonzero(held_out) <= np.count_nonzero(own):
                fitted[held_out] = False
                validating |= held_out
            else:
                validating |= own
        if fitted.all():
            validating[:] = False
        return cls(pixels, targets.astype(np.int64), fitted, validating, tuple(int(k) for k in drawn))


def _thinned(targets: NDArray[np.intp], n_classes: int, most: int) -> NDArray[np.intp]:
    """Positions of at most about ``most`` pixels, small classes whole, large ones evenly taken in raster order."""
    counts = np.bincount(targets, minlength=n_classes)
    room, left = most, n_classes
    kept = []
    for k in np.argsort(counts):
        share = max(room // left, 1)
        own = np.flatnonzero(targets == k)
        if len(own) > share:
            own = own[np.arange(share) * len(own) // share]
        kept.append(own)
        room, left = room - len(own), left - 1
    return np.sort(np.concatenate(kept))


def _chance(pixels: NDArray[np.intp], width: int, seed: int) -> NDArray[np.float64]:
    """A pseudorandom number in [0, 1) for each pixel's tile."""
    rows, columns = np.divmod(pixels, width)
    tiles, index = np.unique((rows // _TILE) * (width // _TILE + 1) + columns // _TILE, return_inverse=True)
    drawn = [np.random.default_rng([seed, int(tile)]).random() for tile in tiles]
    return np.asarray(drawn)[index]
