"""Lengths of the cheapest paths from some voxels to all others, in three dimensions."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.device import n_threads
from napari_scribseg.numerics.fused.kernel import inlined, kernel
from napari_scribseg.numerics.threads import MAX_THREADS, in_parallel
from napari_scribseg.numerics.volume_cut.band import Band

__all__ = ["path_lengths"]


def path_lengths(
    band: Band,
    cost: NDArray[np.float32],
    starts: NDArray[np.integer],
    n_classes: int,
    voxel: tuple[float, float, float],
    done: Callable[[float], None] = lambda share: None,
) -> NDArray[np.float32]:
    """Length of the cheapest path, along the axes, from the voxels of each class (Dijkstra 1959).

    Parameters
    ----------
    band : Band
        N voxels; paths stay in them.
    cost : ndarray of shape (N,), float32
        Of a unit of length at each voxel, positive.
    starts : ndarray of shape (N,), integer
        Class of the voxels where paths begin, -1 elsewhere.
    n_classes : int
    voxel : tuple of 3 float
        Size of a voxel.
    done : callable
        Called with the share of the classes that are done, in this thread; what it raises ends the work.

    Returns
    -------
    ndarray of shape (n_classes, N), float32
        Infinite where no path leads.
    """
    lengths = np.full((n_classes, len(band)), np.inf, np.float32)
    size = np.asarray(voxel, np.float32)

    def task(label: int) -> None:
        sources = np.flatnonzero(starts == label)
        if sources.size:
            _dijkstra(band.after, band.before, cost, sources, size, lengths[label])

    together = min(n_threads(), MAX_THREADS)
    for first in range(0, n_classes, together):
        last = min(first + together, n_classes)
        in_parallel(partial(_shifted, task, first), last - first)
        done(last / n_classes)
    return lengths


def _shifted(task: Callable[[int], None], first: int, index: int) -> None:
    task(first + index)


@inlined
def _swap(keys, items, place, i, j):
    keys[i], keys[j] = keys[j], keys[i]
    items[i], items[j] = items[j], items[i]
    place[items[i]], place[items[j]] = i, j


@kernel
def _raise(keys, items, place, i):
    """Move an entry of the heap towards its top."""
    while i > 0:
        parent = (i - 1) >> 1
        if keys[parent] <= keys[i]:
            return
        _swap(keys, items, place, i, parent)
        i = parent


@kernel
def _sink(keys, items, place, n):
    """Move the top of a heap of n entries down."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            return
        if child + 1 < n and keys[child + 1] < keys[child]:
            child += 1
        if keys[i] <= keys[child]:
            return
        _swap(keys, items, place, i, child)
        i = child


@kernel
def _dijkstra(after, before, cost, sources, size, length):
    n_voxels = length.size
    keys = np.empty(n_voxels, np.float32)
    items = np.empty(n_voxels, np.int32)
    place = np.full(n_voxels, -1, np.int32)
    n = 0
    for i in range(sources.size):
        v = sources[i]
        length[v] = 0
        keys[n], items[n] = np.float32(0), v
        place[v] = n
        n += 1
    while n > 0:
        v, so_far = items[0], keys[0]
        n -= 1
        _swap(keys, items, place, 0, n)
        place[v] = -2
        _sink(keys, items, place, n)
        for d in range(6):
            axis = d >> 1
            other = after[axis, v] if d & 1 else before[axis, v]
            if other < 0 or place[other] == -2:
                continue
            new = so_far + np.float32(0.5) * (cost[v] + cost[other]) * size[axis]
            if new < length[other]:
                length[other] = new
                if place[other] < 0:
                    place[other] = n
                    items[n] = other
                    n += 1
                keys[place[other]] = new
                _raise(keys, items, place, place[other])
