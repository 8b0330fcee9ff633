"""Watershed hierarchies of a gradient image, and their cuts into segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.explore.needs import need

__all__ = ["CRITERIA", "Criterion", "Hierarchy", "build_hierarchy", "common_threshold"]

Criterion = Literal["volume", "area", "dynamics"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
WEAK = 0.1  # mean gradient along a frontier below which it is removed, as in the authors' code


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """A tree of regions that merge as a threshold grows.

    Attributes
    ----------
    basins : ndarray of shape (H, W), int32
        The watershed basins, 0 to n - 1: the first leaves of the tree.
    parents : ndarray of shape (nodes,), int64
        Parent of each node, leaves first; the root is its own parent, and every parent stands behind its children.
    altitudes : ndarray of shape (nodes,), float64
        Threshold from which on a node is one region: pixels times gradient (volume), pixels (area), gradient
        (dynamics).
    """

    basins: NDArray[np.int32]
    parents: NDArray[np.int64]
    altitudes: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.basins.nbytes + self.parents.nbytes + self.altitudes.nbytes

    def cut(self, threshold: float) -> NDArray[np.int32]:
        """Regions at a threshold: the largest nodes whose altitude does not exceed it.

        Returns
        -------
        ndarray of shape (H, W), int32
            0 to k - 1, in the order of their first basins.
        """
        n = int(self.basins.max()) + 1
        top = np.arange(len(self.parents))
        for node in range(len(self.parents) - 2, -1, -1):  # from the root down
            parent = self.parents[node]
            if self.altitudes[parent] <= threshold:
                top[node] = top[parent]
        _, regions = np.unique(top[:n], return_inverse=True)
        cut: NDArray[np.int32] = regions.astype(np.int32)[self.basins]
        return cut

    @property
    def merges(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Altitudes of the inner nodes, and by how many each lowers the number of regions."""
        children = np.bincount(self.parents[:-1], minlength=len(self.parents))
        inner = children > 0
        return self.altitudes[inner], children[inner] - 1


def build_hierarchy(
    gradient: NDArray[np.float32], criterion: Criterion = "volume", simplification: float = WEAK
) -> Hierarchy:
    """The watershed hierarchy of a gradient image (Cousty and Najman 2011), by higra.

    Parameters
    ----------
    gradient : ndarray of shape (H, W), float32
        0 to 1. 4-connected; an edge weighs the mean of its two pixels, a frontier between two basins the least of its
        edges.
    criterion : {"volume", "area", "dynamics"}
        Importance of a region.
    simplification : float
        Frontiers with a mean gradient below it are removed; 0 keeps all.

    Raises
    ------
    InputError
        If higra is not installed.
    """
    hg = need("higra")
    if gradient.min() == gradient.max():
        return _one_region(gradient.shape)
    graph = _grid(gradient.shape)
    weights = hg.weight_graph(graph, gradient.astype(np.float64), hg.WeightFunction.mean)
    rag = hg.make_region_adjacency_graph_from_labelisation(graph, hg.labelisation_watershed(graph, weights))
    if rag.num_vertices() == 1:
        return _one_region(gradient.shape)
    basins = hg.rag_back_project_vertex_weights(rag, np.arange(rag.num_vertices(), dtype=np.int32)).reshape(
        gradient.shape
    )
    twins, frontier, mean, area = _with_twins(hg, rag, weights, basins)
    make = {
        "volume": lambda: hg.watershed_hierarchy_by_volume(twins, frontier, area),
        "area": lambda: hg.watershed_hierarchy_by_area(twins, frontier, area),
        "dynamics": lambda: hg.watershed_hierarchy_by_dynamics(twins, frontier),
    }
    tree, altitudes = make[criterion]()
    if simplification > 0:
        tree, altitudes = hg.filter_weak_frontier_nodes_from_tree(tree, altitudes, mean, simplification)
    return Hierarchy(basins, np.asarray(tree.parents(), dtype=np.int64), np.asarray(altitudes, dtype=np.float64))


def _with_twins(hg: Any, rag: Any, weights: NDArray[np.float64], basins: NDArray[np.int32]) -> tuple[Any, ...]:
    """The graph of the basins, each with a twin of no area: graph, least and mean weights of its edges, areas.

    The edge to its twin makes each basin a minimum of the graph, as it is one of the image. Without it, a basin and the
    neighbour behind its lowest frontier would be one minimum, and merge whatever the height of that frontier.
    """
    n = rag.num_vertices()
    sources, targets = rag.edge_list()
    least = hg.rag_accumulate_on_edges(rag, hg.Accumulators.min, weights)
    mean = hg.rag_accumulate_on_edges(rag, hg.Accumulators.mean, weights)
    length = hg.rag_accumulate_on_edges(rag, hg.Accumulators.sum, np.ones_like(weights))
    bottom = np.full(n, np.inf)
    for side in (sources, targets):
        np.minimum.at(bottom, side, least)
    graph = hg.UndirectedGraph(2 * n)
    graph.add_edges(np.concatenate((sources, np.arange(n))), np.concatenate((targets, np.arange(n, 2 * n))))
    hg.set_attribute(graph, "edge_length", np.concatenate((length, np.ones(n))))
    area = np.concatenate((np.bincount(basins.reshape(-1), minlength=n), np.zeros(n))).astype(np.float64)
    inner = _inner_minima(hg, weights, basins)
    return graph, np.concatenate((least, np.minimum(bottom, inner))), np.concatenate((mean, np.ones(n))), area


def _inner_minima(hg: Any, weights: NDArray[np.float64], basins: NDArray[np.int32]) -> NDArray[np.float64]:
    """The least weight of the edges inside each basin; infinite where there are none."""
    sources, targets = _grid(basins.shape).edge_list()
    flat = basins.reshape(-1)
    inside = flat[sources] == flat[targets]
    found = np.full(int(flat.max()) + 1, np.inf)
    np.minimum.at(found, flat[sources[inside]], weights[inside])
    return found


def _one_region(shape: tuple[int, ...]) -> Hierarchy:
    return Hierarchy(np.zeros(shape, np.int32), np.zeros(1, np.int64), np.zeros(1))


@lru_cache(maxsize=4)
def _grid(shape: tuple[int, int]) -> Any:
    """The 4-adjacency graph, the same for all images of a size."""
    return need("higra").get_4_adjacency_graph(shape)


def common_threshold(hierarchies: Sequence[Hierarchy], regions: float) -> float:
    """The threshold at which the images have so many regions on average.

    Parameters
    ----------
    hierarchies : sequence of Hierarchy
    regions : float
        At least 1; where ties forbid it, the number is the next larger one that is possible.
    """
    altitudes = np.concatenate([h.merges[0] for h in hierarchies])
    merged = np.concatenate([h.merges[1] for h in hierarchies])
    order = np.argsort(-altitudes, kind="stable")
    counts = len(hierarchies) + np.cumsum(merged[order])  # regions when all merges down to this one are undone
    reached = int(np.searchsorted(counts, regions * len(hierarchies)))
    if reached >= len(order):
        return 0.0 if not len(order) else float(altitudes.min()) / 2
    cut = altitudes[order[reached]]
    below = altitudes[altitudes < cut]
    return float((cut + below.max()) / 2 if len(below) else cut / 2)
