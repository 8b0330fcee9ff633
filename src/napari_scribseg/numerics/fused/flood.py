"""A watershed from markers over few levels, and votes of a window, of label volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Report, silent
from napari_scribseg.numerics.fused.kernel import kernel

__all__ = ["flood", "most_votes"]

_AT_ONCE = 1 << 21  # voxels that are flooded between two reports


def flood(levels: NDArray[np.uint8], markers: NDArray[np.int32], report: Report = silent) -> NDArray[np.int32]:
    """Give each voxel the number of a marker: a watershed by Meyer's flooding, without lines between the parts.

    Parameters
    ----------
    levels : ndarray of shape (\\*S), uint8, of 2 or 3 axes
        0 where nothing is flooded; the highest levels are flooded first, equal ones in the order of their discovery.
    markers : ndarray of shape (\\*S), int32
        Numbers above 0 where the parts begin.
    report : Report
        Called with fractions from 0 to 1; what it raises ends the work.

    Returns
    -------
    ndarray of shape (\\*S), int32
        0 outside, and where no marker leads to over the faces of voxels.

    Notes
    -----
    F. Meyer, "Topographic distance and watershed lines", Signal Processing 38 (1994) 113-125.
    """
    three = (1,) * (3 - levels.ndim) + levels.shape
    level = np.zeros([n + 2 for n in three], np.uint8)  # a border of 0, so that a neighbour is never outside
    out = np.zeros(level.shape, np.int32)
    inner = (slice(1, -1),) * 3
    level[inner] = levels.reshape(three)
    out[inner] = markers.reshape(three)
    out[level == 0] = 0
    steps = np.asarray([sign * stride // 4 for stride in out.strides for sign in (-1, 1)])
    following = np.full(out.size, -1, np.int64 if out.size >= 2**31 else np.int32)
    first, last = np.full(256, -1, np.int64), np.full(256, -1, np.int64)
    total = max(int(np.count_nonzero(level)), 1)
    _begin(level.reshape(-1), out.reshape(-1), steps, following, first, last)
    done, n = 0, 1
    while n:
        report(min(done / total, 1.0))
        n = _flood(level.reshape(-1), out.reshape(-1), steps, following, first, last, _AT_ONCE)
        done += n
    return out[inner].reshape(levels.shape)


@kernel
def _begin(level, out, steps, following, first, last):
    """Queue the voxels of markers that have a neighbour to flood, each at its level."""
    for at in range(level.size):
        if out[at] > 0:
            for step in steps:
                if level[at + step] > 0 and out[at + step] == 0:
                    _push(at, level[at], following, first, last)
                    break


@kernel
def _flood(level, out, steps, following, first, last, most):
    """Flood from up to so many queued voxels; returns their number."""
    n, now = 0, 255
    while now > 0 and n < most:
        at = first[now]
        if at < 0:
            now -= 1
            continue
        first[now] = following[at]
        if first[now] < 0:
            last[now] = -1
        n += 1
        for step in steps:
            other = at + step
            if level[other] > 0 and out[other] == 0:
                out[other] = out[at]
                _push(other, min(level[other], now), following, first, last)
    return n


@kernel
def _push(at, queue, following, first, last):
    """Put a voxel at the end of a queue."""
    following[at] = -1
    if last[queue] < 0:
        first[queue] = at
    else:
        following[last[queue]] = at
    last[queue] = at


def most_votes(
    ranks: NDArray[np.int32],
    points: NDArray[np.intp],
    weights: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    n_ranks: int,
    report: Report = silent,
) -> NDArray[np.int32]:
    """The value with the most votes in a window around each of some voxels; the lowest of equal ones.

    Parameters
    ----------
    ranks : ndarray of shape (D, H, W), int32
        Values from 0 to ``n_ranks`` - 1; others do not vote. Beyond its border it continues as at the border.
    points : ndarray of shape (N, 3)
        The voxels.
    weights : tuple of 3 ndarray, float32
        Along each axis, of an odd length each; the weight of a voxel is their product.
    n_ranks : int
    report : Report
        As of :func:`flood`.

    Returns
    -------
    ndarray of shape (N,), int32
        0 where nobody votes.
    """
    found = np.zeros(len(points), np.int32)
    step = max(int(3e7) // int(np.prod([len(w) for w in weights])), 1)
    for start in range(0, len(points), step):
        report(start / len(points))
        _vote(ranks, points[start : start + step], *weights, n_ranks, found[start : start + step])
    return found


@kernel
def _vote(ranks, points, first, second, third, n_ranks, found):
    depth, height, width = ranks.shape
    votes = np.empty(n_ranks, np.float64)
    for i in range(len(points)):
        votes[:] = 0
        for a in range(len(first)):
            z = min(max(points[i, 0] + a - len(first) // 2, 0), depth - 1)
            for b in range(len(second)):
                y = min(max(points[i, 1] + b - len(second) // 2, 0), height - 1)
                weight, row = np.float64(first[a]) * second[b], ranks[z, y]
                for c in range(len(third)):
                    rank = row[min(max(points[i, 2] + c - len(third) // 2, 0), width - 1)]
                    if 0 <= rank < n_ranks:
                        votes[rank] += weight * third[c]
        best = 0
        for rank in range(1, n_ranks):
            if votes[rank] > votes[best]:
                best = rank
        found[i] = best
