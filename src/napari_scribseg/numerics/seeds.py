"""Seeds, fewer of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["thin_seeds"]

_MOST = 64  # stroke pixels of a label that its densities are estimated from


def thin_seeds(seeds: NDArray[np.int32], n_classes: int) -> NDArray[np.int32]:
    """The seeds with at most a fixed number of pixels of each label left, evenly taken in raster order.

    Parameters
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of classes.
    """
    flat = seeds.reshape(-1)
    thin = np.full(flat.shape, -1, dtype=np.int32)
    known = np.flatnonzero(flat >= 0)
    for label in range(n_classes):
        own = known[flat[known] == label]
        if len(own) > _MOST:
            own = own[np.arange(_MOST) * len(own) // _MOST]
        thin[own] = label
    return thin.reshape(seeds.shape)
