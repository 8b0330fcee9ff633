"""Places for new segments in a plane that is there, without moving the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from napari_scribseg.core import Report, silent
from napari_scribseg.explore.neighbours import nearest

__all__ = ["add_to_embedding"]

NEIGHBOURS, MIN_DISTANCE = 15, 0.01  # those of the plane
_STEPS = 30
_HALVINGS = 40  # of the interval that holds the width of a neighbourhood
_BLOCK = 4096  # new segments placed at once

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def add_to_embedding(features: Float32, placed: Float32, xy: Float32, report: Report = silent) -> Float32:
    """Places for more segments, near those of the placed ones that look most like them.

    A new segment is tied to its 15 nearest neighbours as UMAP ties them, and is put where the attractive part of UMAP's
    cross entropy (McInnes et al. 2018), the sum of ``w * log(1 + a * d ** (2 * b))`` over the neighbours, is low: at
    the neighbour where it is lowest, then downhill by weighted means. UMAP's own transform adds a repulsion drawn by
    chance; it has to compile its loops in every process before.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
        Of the new ones.
    placed : ndarray of shape (m, D), float32
        Of those that have places; m at least 1.
    places : ndarray of shape (m, 2), float32
    report : Report

    Returns
    -------
    ndarray of shape (n, 2), float32
        Inside of the box around ``places``.
    """
    a, b = _falloff()
    count = min(NEIGHBOURS, len(placed))
    found = np.empty((len(features), 2), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        report(start / len(features))
        index, distance = nearest(features[start : start + _BLOCK], placed, count)
        found[start : start + _BLOCK] = _minimise(xy[index].astype(np.float64), _ties(distance), a, b)
    report(1.0)
    return found


def _falloff() -> tuple[float, float]:
    """The a and b of UMAP for its minimal distance: the curve that falls where exp(MIN_DISTANCE - d) does."""
    d = np.linspace(0, 3, 300)
    wanted = np.where(d < MIN_DISTANCE, 1.0, np.exp(MIN_DISTANCE - d))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), d, wanted)
    return float(a), float(b)


def _ties(distance: Float32) -> Float64:
    """UMAP's weights of nearest neighbours, shape (n, k), that of the nearest 1 and their sum log2(k)."""
    beyond = distance.astype(np.float64) - distance[:, :1]
    wanted = np.log2(max(distance.shape[1], 2))
    low, high = np.full(len(distance), 1e-6), np.full(len(distance), 1e3)
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        more = np.exp(-beyond / middle[:, np.newaxis]).sum(axis=1) > wanted
        high, low = np.where(more, middle, high), np.where(more, low, middle)
    weights: Float64 = np.exp(-beyond / np.sqrt(low * high)[:, np.newaxis])
    return weights


def _minimise(near: Float64, weight: Float64, a: float, b: float) -> Float64:
    """A low place for each, shape (n, 2), by the places of its neighbours, shape (n, k, 2), and their weights."""
    distance = np.linalg.norm(near[:, :, np.newaxis] - near[:, np.newaxis], axis=-1)  # (n, k, k)
    cost = (weight[:, np.newaxis] * np.log1p(a * distance ** (2 * b))).sum(axis=2)
    xy: Float64 = near[np.arange(len(near)), cost.argmin(axis=1)]
    for _ in range(_STEPS):
        d = np.maximum(np.linalg.norm(near - xy[:, np.newaxis], axis=-1), MIN_DISTANCE)
        pull = weight * d ** (2 * b - 2) / (1 + a * d ** (2 * b))
        xy = (pull[..., np.newaxis] * near).sum(axis=1) / pull.sum(axis=1, keepdims=True)
    return xy
