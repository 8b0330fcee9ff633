"""The nearest neighbours of segments in feature space, exactly, by products of matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Report, silent

__all__ = ["nearest"]

_BLOCK = 1 << 24  # distances held at once, 64 MiB

Float32 = NDArray[np.float32]


def nearest(
    features: Float32, among: Float32, count: int, *, same: bool = False, report: Report = silent
) -> tuple[NDArray[np.int32], Float32]:
    """The nearest rows of one matrix for each row of another, nearest first.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
    among : ndarray of shape (m, D), float32
    count : int
        How many, 1 to m.
    same : bool
        Whether both are the same matrix: then each row is its own nearest, at distance 0.
    report : Report

    Returns
    -------
    index : ndarray of shape (n, count), int32
    distance : ndarray of shape (n, count), float32
        Euclidean.
    """
    index = np.empty((len(features), count), dtype=np.int32)
    distance = np.empty((len(features), count), dtype=np.float32)
    squares = (among**2).sum(axis=1)
    step = max(_BLOCK // max(len(among), 1), 1)
    for start in range(0, len(features), step):
        report(start / len(features))
        some = features[start : start + step]
        found = (some**2).sum(axis=1)[:, np.newaxis] + squares - 2 * (some @ among.T)
        if same:
            found[np.arange(len(some)), start + np.arange(len(some))] = -1
        chosen = np.argpartition(found, count - 1, axis=1)[:, :count] if count < len(among) else np.argsort(found)
        near = np.take_along_axis(found, chosen, axis=1)
        order = np.argsort(near, axis=1, kind="stable")
        index[start : start + step] = np.take_along_axis(chosen, order, axis=1)
        distance[start : start + step] = np.sqrt(np.maximum(np.take_along_axis(near, order, axis=1), 0))
    return index, distance
