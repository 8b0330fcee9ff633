"""Contours of segments: arithmetic on maps of ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BORDER", "CHOSEN", "contours"]

BORDER, CHOSEN = 1, 2

_SMALL = 300  # pixels of an image whose contours are thin


def contours(regions: NDArray[np.integer], chosen: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Lines where one region ends and the next begins.

    Parameters
    ----------
    regions : ndarray of shape (H, W), integer
        An id for each pixel.
    chosen : ndarray of int64, optional
        Ids of regions whose contour is another one, inside, thicker in large images.

    Returns
    -------
    ndarray of shape (H, W), uint8
        0 inside of regions, :data:`BORDER` on the last pixels before another region, :data:`CHOSEN` on the contours of
        those chosen.
    """
    found = np.zeros(regions.shape, dtype=np.uint8)
    found[:-1] |= regions[:-1] != regions[1:]
    found[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    if chosen is not None and len(chosen):
        mask = np.isin(regions, chosen)
        near = np.zeros_like(mask)
        for away in range(1, 1 + (2 if max(regions.shape) > _SMALL else 1)):  # pixels
            near[away:] |= regions[away:] != regions[:-away]
            near[:-away] |= regions[:-away] != regions[away:]
            near[:, away:] |= regions[:, away:] != regions[:, :-away]
            near[:, :-away] |= regions[:, :-away] != regions[:, away:]
        near[[0, -1]] = near[:, [0, -1]] = True
        found[mask & near] = CHOSEN
    return found
