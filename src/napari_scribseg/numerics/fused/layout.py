"""The layout of UMAP on the CPU: points joined by weighted edges attract one another, and all others repel."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import inlined, kernel

__all__ = ["REPULSIONS", "move_points", "random_states"]

REPULSIONS = 5  # random points that repel an end of an edge, for each time that the edge attracts it
_STRONGEST = 4.0  # of a component of a gradient
_SOFT = 0.001  # squared distance that keeps repulsion finite


@inlined
def _limited(value):
    return min(max(value, -_STRONGEST), _STRONGEST)


@inlined
def _random(state):
    """The next number of a combined Tausworthe generator (L'Ecuyer 1996) of 32 bits, whose state is 3 of int64."""
    state[0] = (((state[0] & 4294967294) << 12) & 0xFFFFFFFF) ^ ((((state[0] << 13) & 0xFFFFFFFF) ^ state[0]) >> 19)
    state[1] = (((state[1] & 4294967288) << 4) & 0xFFFFFFFF) ^ ((((state[1] << 2) & 0xFFFFFFFF) ^ state[1]) >> 25)
    state[2] = (((state[2] & 4294967280) << 17) & 0xFFFFFFFF) ^ ((((state[2] << 3) & 0xFFFFFFFF) ^ state[2]) >> 11)
    return np.int32(state[0] ^ state[1] ^ state[2])


@kernel
def move_points(xy, heads, tails, periods, due, repelled, random, a, b, first, last, total):
    """Some epochs of stochastic gradient descent on UMAP's cross entropy (McInnes et al. 2018), in place.

    Parameters
    ----------
    xy : ndarray of shape (n, 2), float32
        The points.
    heads, tails : ndarray of shape (m,), int32
        The points that an edge joins; each edge stands there in both directions.
    periods : ndarray of shape (m,), float64
        Epochs between two attractions of an edge.
    due, repelled : ndarray of shape (m,), float64
        When an edge attracts next, and when its head was last repelled.
    random : ndarray of shape (n, 3), int64
        States of the random numbers of each point.
    a, b : float
        Of the weight in the embedding, ``1 / (1 + a * d ** (2 * b))``.
    first, last, total : int
        These epochs of so many.
    """
    for epoch in range(first, last):
        rate = 1.0 - max(epoch - 1, 0) / total
        for edge in range(len(periods)):
            if due[edge] > epoch:
                continue
            head, tail = heads[edge], tails[edge]
            x, y = xy[head, 0] - xy[tail, 0], xy[head, 1] - xy[tail, 1]
            square = x * x + y * y
            pull = 0.0
            if square > 0.0:
                power = square**b
                pull = -2.0 * a * b * power / (square * (a * power + 1.0))
            step_x, step_y = rate * _limited(pull * x), rate * _limited(pull * y)
            xy[head, 0] += step_x
            xy[head, 1] += step_y
            xy[tail, 0] -= step_x
            xy[tail, 1] -= step_y
            due[edge] += periods[edge]
            between = periods[edge] / REPULSIONS
            times = int((epoch - repelled[edge]) / between)
            for _ in range(times):
                other = _random(random[head]) % len(xy)
                x, y = xy[head, 0] - xy[other, 0], xy[head, 1] - xy[other, 1]
                square = x * x + y * y
                if square > 0.0:
                    push = 2.0 * b / ((_SOFT + square) * (a * square**b + 1.0))
                    xy[head, 0] += rate * _limited(push * x)
                    xy[head, 1] += rate * _limited(push * y)
            repelled[edge] += times * between


def random_states(count: int, seed: int) -> NDArray[np.int64]:
    """The states of the random numbers of ``count`` points for :func:`move_points`."""
    return np.random.default_rng(seed).integers(1 << 8, 1 << 31, (count, 3))
