"""Thinning of seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "thin_seeds"]

MOST = 64


def thin_seeds(seeds: NDArray[np.int32], n_classes: int, most: int = MOST) -> NDArray[np.int32]:
    """The seeds with at most a number of pixels of each label left, evenly taken in raster order.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of classes.
    most : int
        Stroke pixels of a label; the default is what a density is estimated from.
    """
    flat = seeds.reshape(-1)
    thin = np.full(flat.shape, -1, dtype=np.int32)
    painted = np.flatnonzero(flat >= 0)
    for label in range(n_classes):
        own = painted[flat[painted] == label]
        if len(own) > most:
            own = own[np.arange(most) * len(own) // most]
        thin[own] = label
    return thin.reshape(seeds.shape)
