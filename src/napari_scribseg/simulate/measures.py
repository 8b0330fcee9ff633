"""Measures of strokes, to compare simulated ones with those of people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import cKDTree
from scipy.stats import iqr, ks_2samp, wasserstein_distance
from skimage.morphology import skeletonize

from napari_scribseg.core import InputError
from napari_scribseg.simulate.graph import longest_path
from napari_scribseg.simulate.masks import as_mask, distance_field, require_same_shape
from napari_scribseg.simulate.sampling import connected_components

__all__ = ["Difference", "StrokeMeasures", "compare", "measure_strokes", "pool", "turning"]

_SMOOTHING = 2.0  # of a path before its angles are measured, standard deviation in pixels


@dataclass(frozen=True, slots=True, eq=False)
class StrokeMeasures:
    """Measures of the strokes in one label, or in many (:func:`pool`).

    A stroke is a connected component. The first five are arrays of shape (N,), one value for each of N strokes, the
    others of shape (L,), one for each of L labels; float64.

    Attributes
    ----------
    length : ndarray
        Of the middle line, all branches together, in pixels.
    relative_length : ndarray
        Length by the square root of the label's area.
    width : ndarray
        Mean over the middle line of twice the distance to the nearest pixel not painted, less 1; in pixels.
    curvature : ndarray
        Mean absolute turning angle along the longest path of the smoothed middle line, in radians a pixel; NaN for
        strokes shorter than 8 pixels.
    depth : ndarray
        Median distance of its pixels from the border of the label, by the largest such distance; 0 outside.
    covered : ndarray
        Share of the label's pixels that are painted.
    number : ndarray
        Strokes for each connected component of the label.
    outside : ndarray
        Share of the painted pixels that lie outside the label.
    """

    length: NDArray[np.float64]
    relative_length: NDArray[np.float64]
    width: NDArray[np.float64]
    curvature: NDArray[np.float64]
    depth: NDArray[np.float64]
    covered: NDArray[np.float64]
    number: NDArray[np.float64]
    outside: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two samples of a measure compared.

    Attributes
    ----------
    ks : float
        Kolmogorov-Smirnov statistic: the largest difference of the two distribution functions, 0 to 1.
    p_value : float
        Of the hypothesis of one distribution, for independent values; those of one image are not.
    wasserstein : float
        Earth mover's distance by the interquartile range of the first sample; where that is 0, by half its median, or
        by 1.
    """

    ks: float
    p_value: float
    wasserstein: float


def measure_strokes(painted: ArrayLike, label: ArrayLike, *, gap: float = 1.5) -> StrokeMeasures:
    """Measure the strokes that were painted for one label.

    Parameters
    ----------
    painted : array_like of shape (H, W), bool or integer
        What is not 0 was painted.
    label : array_like of shape (H, W), bool or integer
        The label that they were painted for.
    gap : float
        Largest distance of pixels of one middle line, at least 1.5 (neighbours). A fast mouse leaves gaps.

    Returns
    -------
    StrokeMeasures
        Of N strokes and one label; empty where nothing was painted or the label is empty.

    Raises
    ------
    InputError
        If the arrays differ in shape, or the gap is smaller.
    """
    drawn, target = as_mask(painted, "painted"), as_mask(label)
    require_same_shape(drawn, target, ("painted", "label"))
    if not gap >= 1.5:
        raise InputError(f"gap is {gap}; a number of pixels of at least 1.5 is expected")
    if not drawn.any() or not target.any():
        return StrokeMeasures(*(np.zeros(0) for _ in fields(StrokeMeasures)))
    pixels, strokes, tree = _middle_lines(drawn, gap)
    n = int(strokes.max()) + 1
    width = ndimage.mean(2 * _depths(drawn)[tuple(pixels.T)] - 1, strokes, np.arange(n))
    length = np.bincount(strokes[tree.row], weights=tree.data, minlength=n).astype(np.float64)
    field = _depths(target)
    around = np.argwhere(drawn)
    owner = strokes[cKDTree(pixels).query(around)[1]]
    depth = ndimage.median(field[tuple(around.T)], owner, np.arange(n)) / field.max()
    area = np.count_nonzero(target)
    return StrokeMeasures(
        length=length,
        relative_length=length / np.sqrt(area),
        width=np.asarray(width, dtype=np.float64),
        curvature=np.asarray([turning(path) for path in _longest_paths(pixels, strokes, tree)]),
        depth=np.asarray(depth, dtype=np.float64),
        covered=np.asarray([np.count_nonzero(drawn & target) / area]),
        number=np.asarray([n / connected_components(target).max()]),
        outside=np.asarray([np.count_nonzero(drawn & ~target) / np.count_nonzero(drawn)]),
    )


def pool(measures: list[StrokeMeasures]) -> StrokeMeasures:
    """The measures of many labels as one."""
    names = [field.name for field in fields(StrokeMeasures)]
    return StrokeMeasures(*(np.concatenate([np.zeros(0), *(getattr(m, n) for m in measures)]) for n in names))


def compare(reference: ArrayLike, other: ArrayLike) -> Difference:
    """Compare two samples of a measure; NaN is left out.

    Parameters
    ----------
    reference, other : array_like of shape (N,) and (M,)
        The values; the first is that of people.

    Raises
    ------
    InputError
        If one of them holds no value.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (reference, other))
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not a.size or not b.size:
        raise InputError(f"the samples hold {a.size} and {b.size} values; at least one in each is expected")
    scale = float(iqr(a)) or abs(float(np.median(a))) / 2 or 1.0
    found = ks_2samp(a, b, method="asymp")
    return Difference(float(found.statistic), float(found.pvalue), float(wasserstein_distance(a, b) / scale))


def turning(path: NDArray[np.float64]) -> float:
    """Mean absolute turning angle along a path, in radians a pixel.

    Parameters
    ----------
    path : ndarray of shape (L, 2), float64
        Rows and columns in order.

    Returns
    -------
    float
        Of the path in steps of a pixel, smoothed by a Gaussian of 2 pixels; NaN where it is shorter than 8 pixels.
    """
    at = np.append(0, np.cumsum(np.hypot(*np.diff(path, axis=0).T)))
    if at[-1] < 8:
        return float("nan")
    steps = np.linspace(0, at[-1], int(at[-1]) + 1)
    even = np.stack([np.interp(steps, at, path[:, axis]) for axis in (0, 1)], axis=1)
    smooth = ndimage.gaussian_filter1d(even, _SMOOTHING, axis=0, mode="nearest")
    rows, columns = np.diff(smooth[2:-2], axis=0).T  # smoothing shortens the steps at the ends
    angle = np.diff(np.unwrap(np.arctan2(rows, columns)))
    return float(np.abs(angle).sum() / np.hypot(rows, columns).sum())


def _depths(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The distance field of a mask that is not empty, computed inside its bounding box; shape (H, W)."""
    field = np.zeros(mask.shape)
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    field[box] = distance_field(mask[box])
    return field


def _middle_lines(drawn: NDArray[np.bool_], gap: float) -> tuple[NDArray[np.intp], NDArray[np.int32], coo_array]:
    """Pixels of the skeleton (N, 2), the stroke of each (N,), and the minimum spanning tree of each stroke (N, N)."""
    thin: Any = skeletonize
    box = ndimage.find_objects(drawn.view(np.uint8))[0]
    pixels = np.argwhere(thin(drawn[box])) + [side.start for side in box]
    pairs = cKDTree(pixels).query_pairs(gap, output_type="ndarray")
    lengths = np.hypot(*(pixels[pairs[:, 0]] - pixels[pairs[:, 1]]).T)
    ends = pairs.astype(np.int32).T  # csgraph takes no larger indices before scipy 1.17
    graph = coo_array((lengths, (ends[0], ends[1])), shape=(len(pixels), len(pixels))).tocsr()
    tree = minimum_spanning_tree(graph)
    return pixels, graph_components(tree, directed=False)[1], tree.tocoo()


def _longest_paths(pixels: NDArray[np.intp], strokes: NDArray[np.int32], tree: coo_array) -> list[NDArray[np.float64]]:
    """The longest path of the tree of each stroke, shape (L, 2) each; a closed loop is cut at one place."""
    neighbours: dict[int, dict[int, float]] = defaultdict(dict)
    for a, b, length in zip(tree.row.tolist(), tree.col.tolist(), tree.data.tolist(), strict=True):
        neighbours[a][b] = neighbours[b][a] = length
    starts = np.unique(strokes, return_index=True)[1].tolist()
    paths = [longest_path(neighbours, start)[1] if start in neighbours else [start] for start in starts]
    return [pixels[path].astype(np.float64) for path in paths]
