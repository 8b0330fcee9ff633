"""The graph of the points of a simulated scribble, and the paths that it is drawn in (paper 001, section 2.3)."""

from __future__ import annotations

from collections import defaultdict, deque
from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree

__all__ = ["edge_costs", "longest_path", "remove_inner_edges", "spanning_edges", "split_into_paths"]


def edge_costs(
    points: NDArray[np.intp], mask: NDArray[np.bool_], penalty: float, parts: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The cost of joining each two points by a straight line.

    Parameters
    ----------
    points : ndarray of shape (N, 2), intp
        Rows and columns, inside the image.
    mask : ndarray of shape (H, W), bool
        The label.
    penalty : float
        Factor of the length outside the label.
    parts : ndarray of shape (N,)
        Only points with the same value can be joined.

    Returns
    -------
    costs : ndarray of shape (N, N), float64
        Length in pixels, the part outside multiplied by ``penalty``; infinite between points of different parts.
    leaves : ndarray of shape (N, N), bool
        Whether the line leaves the label, sampled in steps of a pixel or less at the nearest pixel.
    """
    first, second = np.nonzero(np.triu(parts[:, np.newaxis] == parts, 1))
    step = (points[second] - points[first]).astype(np.float64)
    length = np.hypot(step[:, 0], step[:, 1])
    n = int(np.ceil(length.max(initial=1)))
    middle = ((np.arange(n) + 0.5) / n).astype(np.float32)  # single precision takes half the time
    ends, steps = points.astype(np.float32), step.astype(np.float32)
    row, column = (np.rint(ends[first, i, np.newaxis] + np.outer(steps[:, i], middle)).astype(np.int32) for i in (0, 1))
    row *= mask.shape[1]
    row += column
    outside = 1 - np.count_nonzero(np.take(mask, row), axis=1) / n
    costs = np.full((len(points), len(points)), np.inf)
    leaves = np.zeros(costs.shape, dtype=bool)
    costs[first, second] = costs[second, first] = length * (1 + (penalty - 1) * outside)
    leaves[first, second] = leaves[second, first] = outside > 0
    return costs, leaves


def spanning_edges(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Edges of the minimum spanning tree, shape (M, 2); with infinite costs (N, N) it is a forest."""
    if len(costs) < 2:
        return np.zeros((0, 2), dtype=np.intp)
    tree = minimum_spanning_tree(costs).tocoo()
    return np.stack([tree.row, tree.col], axis=1).astype(np.intp)


def remove_inner_edges(
    edges: NDArray[np.intp], rate: float, chances: tuple[float, ...], seed: np.random.Generator
) -> NDArray[np.intp]:
    """Remove edges of some graphs, as strokes of users in a hurry lack them.

    Parameters
    ----------
    edges : ndarray of shape (M, 2), intp
        Numbers of the points joined.
    rate : float
        Share of the graphs that lose edges.
    chances : tuple of float
        Probability of losing 1, 2, ... edges, summing to 1.
    seed : Generator
        Of the choices.

    Returns
    -------
    ndarray of shape (<= M, 2), intp
        Only edges are removed whose points both have at least two edges at that time.
    """
    if seed.random() >= rate:
        return edges
    for _ in range(1 + int(seed.choice(len(chances), p=chances))):
        valence = np.bincount(edges.ravel())
        inner = np.flatnonzero((valence[edges] >= 2).all(axis=1))
        if not inner.size:
            break
        edges = np.delete(edges, seed.choice(inner), axis=0)
    return edges


def split_into_paths(points: NDArray[np.intp], edges: NDArray[np.intp]) -> list[list[int]]:
    """The paths that a forest is drawn in: the longest first, then the longest of the rest.

    Parameters
    ----------
    points : ndarray of shape (N, 2), intp
        Rows and columns.
    edges : ndarray of shape (M, 2), intp
        Without circles.

    Returns
    -------
    list of list of int
        Numbers of the points along each path. Each edge is in one path; a point without edges is a path of its own.
    """
    steps = points[edges[:, 0]] - points[edges[:, 1]]
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    neighbours: dict[int, dict[int, float]] = defaultdict(dict)
    for (a, b), length in zip(edges.tolist(), lengths.tolist(), strict=True):
        neighbours[a][b] = neighbours[b][a] = length
    lonely = [[i] for i in range(len(points)) if i not in neighbours]
    seen: set[int] = set()
    trees = []  # a heap of each tree's longest path
    for start in sorted(neighbours):
        if start not in seen:
            seen.update(_search(neighbours, start)[0])
            trees.append(longest_path(neighbours, start))
    heapify(trees)
    paths = []
    while trees:
        path = heappop(trees)[1]
        paths.append(path)
        for a, b in pairwise(path):
            del neighbours[a][b], neighbours[b][a]
        for knot in path:  # the rest at this point is a tree of its own
            if neighbours[knot]:
                heappush(trees, longest_path(neighbours, knot))
    return paths + lonely


def longest_path(neighbours: dict[int, dict[int, float]], start: int) -> tuple[float, list[int]]:
    """The longest path of the tree of ``start``: its negative length, in pixels, and its points.

    ``neighbours`` maps each point to its neighbours and the lengths of the edges to them. The point farthest from any
    point is an end of a longest path; a second search, from there, finds the other.
    """
    first, _ = _search(neighbours, start)
    end = max(first, key=first.__getitem__)
    length, origin = _search(neighbours, end)
    path = [max(length, key=length.__getitem__)]
    total = length[path[0]]
    while path[-1] != end:
        path.append(origin[path[-1]])
    return -total, path


def _search(neighbours: dict[int, dict[int, float]], start: int) -> tuple[dict[int, float], dict[int, int]]:
    """Breadth-first search: the distance of each point of the tree from ``start``, and the point before it."""
    length, origin = {start: 0.0}, {start: start}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there, step in neighbours[here].items():
            if there not in length:
                length[there], origin[there] = length[here] + step, here
                queue.append(there)
    return length, origin
