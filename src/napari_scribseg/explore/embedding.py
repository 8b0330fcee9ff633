"""The embedding: 2D positions of segments, near one another where their features are alike (UMAP)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from skimage.measure import points_in_poly

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.explore.neighbour_graph import Graph, neighbour_graph, weights_of, with_classes
from napari_scribseg.explore.task import part
from napari_scribseg.numerics.fused.layout import REPULSIONS, move_points, random_states

__all__ = ["add_to_embedding", "fit_embedding", "inside", "nearest", "principal_components"]

NEIGHBOURS, MIN_DISTANCE = 15, 0.01
LOCAL_NEIGHBOURS, LOCAL_MIN_DISTANCE = 5, 0.1  # of a selection
_FEWEST = 5  # segments; fewer are embedded by their principal components
_EXTENT = 10.0  # side of what the layout starts from
_MANY, _EPOCHS, _FEWER_EPOCHS = 10_000, 500, 200  # as UMAP: fewer epochs for more segments
_REPORTS = 100  # of a layout
_SUBSPACE, _ITERATIONS = 10, 12  # vectors that principal components are sought among, and how often they are improved
_SEARCHING = 0.2  # share of the time that the search for neighbours takes
_STEPS = 30
_BLOCK = 4096  # new segments added at once
_DISTANCES = 1 << 24  # held at once, 64 MiB

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def fit_embedding(
    features: Float32,
    labels: NDArray[np.int32],
    start: Float32 | None = None,
    *,
    local: bool = False,
    seed: int = 0,
    report: Report = silent,
) -> Float32:
    """Embed segments by UMAP (McInnes et al. 2018), semi-supervised by the classes so far.

    Neighbours are exact, found by products of matrices, which is quicker than an index up to tens of thousands of
    segments. The package umap-learn is not used: it compiles its loops, and those of its index, in every process.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
    labels : ndarray of shape (n,), int32
        Class of each; 0 for none.
    start : ndarray of shape (n, 2), float32, optional
        Positions to start from, so that the embedding stays recognisable.
    local : bool
        Preserve the nearest neighbours rather than the whole: for a selection.
    seed : int
        The same seed gives the same positions.
    report : Report

    Returns
    -------
    ndarray of shape (n, 2), float32

    Raises
    ------
    Cancelled
        If ``report`` asked for it.
    """
    n = len(features)
    report(0.0)
    if n < _FEWEST or np.ptp(features, axis=0).max() == 0:
        return principal_components(features)
    count = min(LOCAL_NEIGHBOURS if local else NEIGHBOURS, n - 1)
    graph = neighbour_graph(*nearest(features, features, count, same=True, report=part(report, 0, _SEARCHING)))
    if (labels > 0).any():
        graph = with_classes(graph, labels)
    xy = principal_components(features) if start is None else _centred(start)
    xy = _laid_out(graph, xy, LOCAL_MIN_DISTANCE if local else MIN_DISTANCE, seed, part(report, _SEARCHING, 1))
    report(1.0)
    return xy


def _laid_out(graph: Graph, start: Float32, min_distance: float, seed: int, report: Report) -> Float32:
    """Positions of shape (n, 2) that follow the weights of a graph, by stochastic gradient descent."""
    epochs = _EPOCHS if len(start) <= _MANY else _FEWER_EPOCHS
    edges = graph.tocoo()
    strong = edges.data >= edges.data.max() / epochs  # the others would attract less than once
    heads, tails = edges.row[strong].astype(np.int32), edges.col[strong].astype(np.int32)
    periods = edges.data.max() / edges.data[strong]
    low, high = start.min(axis=0), start.max(axis=0)
    xy = np.ascontiguousarray(_EXTENT * (start - low) / np.maximum(high - low, 1e-6), dtype=np.float32)
    due, repelled, random = periods.copy(), periods / REPULSIONS, random_states(len(xy), seed)
    a, b = (np.float32(n) for n in _falloff(min_distance))  # single precision is enough, and twice as fast
    step = max(epochs // _REPORTS, 1)
    for first in range(0, epochs, step):
        report(first / epochs)
        move_points(xy, heads, tails, periods, due, repelled, random, a, b, first, min(first + step, epochs), epochs)
    return xy


def principal_components(features: Float32) -> Float32:
    """The two principal components, from -10 to 10; a line or a point where there are no two.

    By subspace iteration (Halko et al. 2011, algorithm 4.4); a whole decomposition takes seconds for many features.
    """
    centred = features - features.mean(axis=0)
    xy = np.zeros((len(features), 2), dtype=np.float32)
    if len(features) > 1:
        basis = np.random.default_rng(0).normal(size=(features.shape[1], _SUBSPACE)).astype(np.float32)
        for _ in range(_ITERATIONS):
            basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
        left, values, _ = np.linalg.svd(centred @ basis, full_matrices=False)
        components = (left * values)[:, :2]
        xy[:, : components.shape[1]] = components
    return _centred(xy)


def _centred(xy: Float32) -> Float32:
    """Around 0, within 10, and no two at the same point: UMAP cannot separate those."""
    moved = xy - xy.mean(axis=0)
    moved *= _EXTENT / max(float(np.abs(moved).max(initial=0)), 1e-6)
    jitter = np.random.default_rng(0).normal(scale=1e-3, size=xy.shape)
    jittered: Float32 = (moved + jitter).astype(np.float32)
    return jittered


def add_to_embedding(features: Float32, embedded: Float32, xy: Float32, report: Report = silent) -> Float32:
    """Positions for more segments, near the embedded ones with the most similar features; these do not move.

    A new segment is tied to its 15 nearest neighbours by UMAP's weights, and is put where the attractive part of UMAP's
    cross entropy (McInnes et al. 2018), the sum of ``w * log(1 + a * d ** (2 * b))`` over the neighbours, is low: at
    the neighbour where it is lowest, then downhill by weighted means. UMAP's own transform adds a random repulsion.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
        Of the new segments.
    embedded : ndarray of shape (m, D), float32
        Features of the embedded ones; m at least 1.
    xy : ndarray of shape (m, 2), float32
        Their positions.
    report : Report

    Returns
    -------
    ndarray of shape (n, 2), float32
        Inside the bounding box of ``xy``.
    """
    a, b = _falloff(MIN_DISTANCE)
    count = min(NEIGHBOURS, len(embedded))
    wanted = np.log2(max(count, 2))
    found = np.empty((len(features), 2), dtype=np.float32)
    for start in range(0, len(features), _BLOCK):
        report(start / len(features))
        index, distance = nearest(features[start : start + _BLOCK], embedded, count)
        found[start : start + _BLOCK] = _minimise(xy[index].astype(np.float64), weights_of(distance, wanted), a, b)
    report(1.0)
    return found


def _falloff(min_distance: float) -> tuple[float, float]:
    """The a and b of UMAP for a minimal distance: the curve that falls where exp(min_distance - d) does."""
    d = np.linspace(0, 3, 300)
    wanted = np.where(d < min_distance, 1.0, np.exp(min_distance - d))
    (a, b), _ = curve_fit(lambda x, a, b: 1 / (1 + a * x ** (2 * b)), d, wanted)
    return float(a), float(b)


def _minimise(near: Float64, weight: Float64, a: float, b: float) -> Float64:
    """A position of low cost for each, shape (n, 2), from its neighbours, shape (n, k, 2), and their weights."""
    distance = np.linalg.norm(near[:, :, np.newaxis] - near[:, np.newaxis], axis=-1)  # (n, k, k)
    cost = (weight[:, np.newaxis] * np.log1p(a * distance ** (2 * b))).sum(axis=2)
    xy: Float64 = near[np.arange(len(near)), cost.argmin(axis=1)]
    for _ in range(_STEPS):
        d = np.maximum(np.linalg.norm(near - xy[:, np.newaxis], axis=-1), MIN_DISTANCE)
        pull = weight * d ** (2 * b - 2) / (1 + a * d ** (2 * b))
        xy = (pull[..., np.newaxis] * near).sum(axis=1) / pull.sum(axis=1, keepdims=True)
    return xy


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
    step = max(_DISTANCES // max(len(among), 1), 1)
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


def inside(xy: NDArray[np.float32], outline: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids whose positions lie in a box of two corners, or in a lasso of more."""
    if outline.ndim != 2 or outline.shape[1] != 2 or len(outline) < 2 or not np.isfinite(outline).all():
        raise InputError(
            f"the outline has shape {outline.shape}; two corners of a box, or at least three of a lasso, are expected"
        )
    embedded = ~np.isnan(xy[:, 0])
    if len(outline) == 2:
        within = ((xy >= outline.min(axis=0)) & (xy <= outline.max(axis=0))).all(axis=1)
    else:
        within = np.zeros(len(xy), dtype=bool)
        within[embedded] = points_in_poly(xy[embedded], outline)  # type: ignore[no-untyped-call]
    chosen: NDArray[np.int64] = ids[within & embedded]
    return chosen
