"""Strokes as the clicks that a network was trained on: single pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

__all__ = ["as_clicks"]

_APART = 6.0  # least distance of two clicks on one stroke, in pixels
_WIDTHS = 2.0  # the same in widths of the stroke: a dot becomes a single click
_CORE = 0.5  # clicks lie so deep in the stroke, as a share of the depth of its deepest pixel


def as_clicks(seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Clicks spread along strokes.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        1 on strokes of the object, 0 on those of the rest, -1 elsewhere.

    Returns
    -------
    ndarray of shape (H, W), int32
        Some of these pixels: of each connected stroke the one next to its centre, then the one farthest from those
        chosen, as long as it is not near them. Every other pixel is -1.
    """
    clicks = np.full_like(seeds, -1)
    for sign in (0, 1):
        parts, _ = ndimage.label(seeds == sign, np.ones((3, 3)))
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            chosen = _spread(np.pad(parts[rows, columns] == number, 1))
            clicks[chosen[:, 0] + rows.start - 1, chosen[:, 1] + columns.start - 1] = sign
    return clicks


def _spread(part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions on one stroke, shape (n, 2), of at least one pixel."""
    depth = ndimage.distance_transform_edt(part)
    core = np.argwhere(depth >= _CORE * depth.max())
    least = max(_APART, _WIDTHS * 2 * float(depth.max()))
    first = int(cdist(core, np.argwhere(part).mean(axis=0)[None]).argmin())
    chosen, away = [first], np.full(len(core), np.inf)
    while True:
        np.minimum(away, cdist(core, core[chosen[-1:]])[:, 0], out=away)
        farthest = int(away.argmax())
        if away[farthest] < least:
            return np.asarray(core[chosen], dtype=np.intp)
        chosen.append(farthest)
