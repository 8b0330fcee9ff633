"""The graph of nearest neighbours that UMAP embeds (McInnes et al. 2018, section 3.1), and its change by classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Graph", "neighbour_graph", "weights_of", "with_classes"]

_HALVINGS = 40  # of the interval that holds the width of a neighbourhood
_LEAST = 1e-3  # a width, in mean distances
_UNKNOWN = 1.0  # weights between segments fall by exp(-1) where one of them has no class
_OTHER = 5.0  # where they have different classes: that of UMAP's target weight 0.5, classes and features count alike

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Graph = Any  # a sparse matrix of shape (n, n)


def neighbour_graph(index: NDArray[np.int32], distance: Float32) -> Graph:
    """Weights between segments that are among one another's nearest, symmetric.

    Parameters
    ----------
    index : ndarray of shape (n, k), int32
        The nearest of each segment, itself the first; k at least 2.
    distance : ndarray of shape (n, k), float32
        How far they are.
    """
    n, k = index.shape
    weights = weights_of(distance[:, 1:], np.log2(k))
    heads = np.repeat(np.arange(n), k - 1)
    return _union(sparse.csr_matrix((weights.ravel(), (heads, index[:, 1:].ravel())), shape=(n, n)))


def weights_of(distance: Float32, total: float) -> Float64:
    """Weights of neighbours, shape (n, k): 1 for the nearest that is elsewhere, in each row ``total`` together."""
    wide = distance.astype(np.float64)
    nearest = np.where(wide > 0, wide, np.inf).min(axis=1)
    beyond = np.maximum(wide - np.where(np.isfinite(nearest), nearest, 0)[:, np.newaxis], 0)
    low, high = np.full(len(wide), 1e-6), np.full(len(wide), 1e3)
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * high)
        more = np.exp(-beyond / middle[:, np.newaxis]).sum(axis=1) > total
        high, low = np.where(more, middle, high), np.where(more, low, middle)
    mean = np.where(np.isfinite(nearest), wide.mean(axis=1), wide.mean())
    width = np.maximum(np.sqrt(low * high), np.maximum(_LEAST * mean, 1e-12))
    weights: Float64 = np.exp(-beyond / width[:, np.newaxis])
    return weights


def with_classes(graph: Graph, labels: NDArray[np.int32]) -> Graph:
    """The graph of UMAP's semi-supervised embedding: smaller weights between segments not known to be of one class.

    Parameters
    ----------
    graph : sparse matrix of shape (n, n)
    labels : ndarray of shape (n,), int32
        Class of each; 0 for none.
    """
    edges = graph.tocoo()
    here, there = labels[edges.row], labels[edges.col]
    fall = np.where((here == 0) | (there == 0), _UNKNOWN, np.where(here == there, 0.0, _OTHER))
    fallen = sparse.csr_matrix((edges.data * np.exp(-fall), (edges.row, edges.col)), shape=graph.shape)
    largest = fallen.max(axis=1).toarray()
    return _union(sparse.diags_array(1 / np.where(largest > 0, largest, 1).ravel()) @ fallen)


def _union(graph: Graph) -> Graph:
    """That one segment is near the other, or the other near the one."""
    other = graph.T
    joined = sparse.csr_matrix(graph + other - graph.multiply(other))
    joined.eliminate_zeros()
    return joined
