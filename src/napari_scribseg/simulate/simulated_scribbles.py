"""Scribbles as a person would draw them into a label (paper 001, section 2.3).

A point near the middle line in each tile that holds enough of the label; a minimum spanning tree over the points, from
which edges may be removed; and smooth lines along its longest paths, drawn with a round pen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import splev, splprep

from napari_scribseg.core import InputError, Stroke
from napari_scribseg.simulate.boxes import bounding_box
from napari_scribseg.simulate.graph import edge_costs, remove_inner_edges, spanning_edges, split_into_paths
from napari_scribseg.simulate.masks import as_mask, distance_field
from napari_scribseg.simulate.sampling import connected_components, dilated_skeleton, draw_points, shuffled_tiles

__all__ = ["Line", "ScribbleStyle", "SimulatedScribble", "paint", "paint_lines", "simulate_scribble", "smooth_line"]

Outside = Literal["edges", "pen", "never"]


@dataclass(frozen=True, slots=True)
class ScribbleStyle:
    """How the simulated user draws. Defaults marked so are those of the paper; the others were chosen by eye.

    Attributes
    ----------
    tiles : int
        Tiles across the height, and across the width, of each connected component.
    smallest_tile : int
        Smallest side of a tile, in pixels.
    tile_share : float
        A tile gets a point if it holds more than this share of the label's distance field; 0 to 1.
    skeleton_reach : int
        Largest distance of a point from the middle line, in pixels.
    point_distance : float
        Smallest distance of two points, in pixels.
    outside_penalty : float
        Factor of the length of a line outside the label (paper: 3), at least 1.
    torn_share : float
        Share of the graphs that lose edges (paper: 0.2).
    torn_edges : tuple of float
        Probability of losing 1, 2, ... edges (paper: 1/2, 1/3, 1/6).
    deviation : float
        Root mean square distance of the smooth line from its points, in pixels.
    radius : float
        Radius of the pen, in pixels (paper: 2).
    bridge_components : bool
        Whether a line may join separate parts of a label across the background; the paper does not define it.
    outside : {"edges", "pen", "never"}
        What may be painted outside the label. ``"edges"``: lines whose middle leaves it, between points whose straight
        connection leaves it. ``"pen"``: all that the pen touches, as in the paper. ``"never"``: nothing.
    """

    tiles: int = 5
    smallest_tile: int = 8
    tile_share: float = 0.01
    skeleton_reach: int = 3
    point_distance: float = 8.0
    outside_penalty: float = 3.0
    torn_share: float = 0.2
    torn_edges: tuple[float, ...] = (1 / 2, 1 / 3, 1 / 6)
    deviation: float = 1.0
    radius: float = 2.0
    bridge_components: bool = False
    outside: Outside = "edges"

    def __post_init__(self) -> None:
        smallest = {"tiles": 1, "smallest_tile": 1, "skeleton_reach": 0, "outside_penalty": 1}
        for name in (*smallest, "point_distance", "deviation", "radius"):
            low, value = smallest.get(name, 0), getattr(self, name)
            if not (np.isfinite(value) and value >= low):
                raise InputError(f"{name} is {value}; a finite number of at least {low} is expected")
        for name in ("tile_share", "torn_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a share from 0 to 1 is expected")
        if self.outside not in get_args(Outside):
            raise InputError(f"outside is {self.outside!r}; one of {', '.join(get_args(Outside))} is expected")
        if not self.torn_edges or min(self.torn_edges) < 0 or not np.isclose(sum(self.torn_edges), 1):
            raise InputError(f"torn_edges is {self.torn_edges}; probabilities that sum to 1 are expected")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One movement of the simulated pen.

    Attributes
    ----------
    knots : tuple of int
        Numbers of the points that it passes.
    points : ndarray of shape (L, 2), float64
        Row and column along it, half a pixel or less apart along each axis.
    leaves : ndarray of shape (L,), bool
        Whether the position lies between two points whose straight connection leaves the label.
    """

    knots: tuple[int, ...]
    points: NDArray[np.float64]
    leaves: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedScribble:
    """A scribble of the simulated user.

    Attributes
    ----------
    mask : ndarray of shape (H, W), bool
        Pixels painted.
    points : ndarray of shape (N, 2), intp
        Row and column of the points drawn from the label.
    edges : ndarray of shape (M, 2), intp
        Numbers of the points that are joined.
    lines : tuple of Line
        In the order in which they were drawn, the longest first.
    radius : float
        Radius of the pen, in pixels.
    """

    mask: NDArray[np.bool_]
    points: NDArray[np.intp]
    edges: NDArray[np.intp]
    lines: tuple[Line, ...]
    radius: float

    def strokes(self, class_index: int) -> tuple[Stroke, ...]:
        """The lines as strokes of a class; unlike ``mask``, they are not cut as ``ScribbleStyle.outside`` requires."""
        return tuple(Stroke(line.points, self.radius, class_index) for line in self.lines)


def simulate_scribble(
    label: ArrayLike, seed: int | np.random.Generator, style: ScribbleStyle | None = None
) -> SimulatedScribble:
    """Draw a scribble into a label.

    Parameters
    ----------
    label : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.
    seed : int or Generator
        The same seed gives the same scribble; a generator is advanced.
    style : ScribbleStyle, optional
        How the user draws.

    Returns
    -------
    SimulatedScribble
        Without lines where the label is empty; else with at least one pixel inside it.

    Raises
    ------
    InputError
        If ``label`` is no image of labels.

    References
    ----------
    Lowes et al., Interactive Scribble Segmentation (2023), section 2.3.
    """
    mask, style, seed = as_mask(label), style or ScribbleStyle(), np.random.default_rng(seed)
    points, parts = _points(mask, style, seed)
    costs, leaves = edge_costs(points, mask, style.outside_penalty, 0 * parts if style.bridge_components else parts)
    edges = remove_inner_edges(spanning_edges(costs), style.torn_share, style.torn_edges, seed)
    lines = tuple(_line(path, points, leaves, style.deviation) for path in split_into_paths(points, edges))
    drawn = paint_lines(lines, mask, style)
    return SimulatedScribble(drawn, points, edges, lines, style.radius)


def paint_lines(lines: tuple[Line, ...], mask: NDArray[np.bool_], style: ScribbleStyle) -> NDArray[np.bool_]:
    """Pixels of lines drawn into a label, shapes (H, W), with the pen and the rule ``outside`` of a style."""
    if not lines:
        return np.zeros(mask.shape, dtype=bool)
    way = np.concatenate([line.points for line in lines])
    drawn = paint(way, style.radius, mask.shape)
    if style.outside == "pen":
        return drawn
    drawn &= mask
    if style.outside == "edges":
        at = np.clip(np.rint(way).astype(np.intp), 0, np.asarray(mask.shape) - 1)
        away = np.concatenate([line.leaves for line in lines]) & ~mask[at[:, 0], at[:, 1]]
        drawn |= paint(way[away], style.radius, mask.shape)
    return drawn


def _points(
    label: NDArray[np.bool_], style: ScribbleStyle, seed: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Points drawn from a label, shape (N, 2), and the component of each, shape (N,)."""
    box = bounding_box(label)
    if box is None:
        return np.zeros((0, 2), dtype=np.intp), np.zeros(0, dtype=np.int32)
    top, left, bottom, right = box
    mask = label[top : bottom + 1, left : right + 1]
    field, components = distance_field(mask), connected_components(mask)
    skeleton = dilated_skeleton(mask, style.skeleton_reach)
    tiles = shuffled_tiles(components, field, style.tiles, style.smallest_tile, style.tile_share, seed)
    points = draw_points(field, skeleton, components, tiles, style.tile_share, style.point_distance, seed)
    return points + np.asarray([top, left]), components[points[:, 0], points[:, 1]]


def _line(path: list[int], points: NDArray[np.intp], leaves: NDArray[np.bool_], deviation: float) -> Line:
    """The smooth line along a path."""
    line, stretch = smooth_line(points[path].astype(np.float64), deviation)
    if len(path) == 1:
        return Line(tuple(path), line, np.zeros(1, dtype=bool))
    return Line(tuple(path), line, leaves[path[:-1], path[1:]][stretch])


def smooth_line(knots: NDArray[np.float64], deviation: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """A B-spline that passes near the points of a path.

    Parameters
    ----------
    knots : ndarray of shape (N, 2), float64
        Rows and columns, N at least 1, no two in a row the same.
    deviation : float
        Largest root mean square distance from the points, in pixels; at 0 the line passes through them.

    Returns
    -------
    line : ndarray of shape (L, 2), float64
        Positions half a pixel or less apart along each axis; cubic, of lower degree for fewer than four points.
    stretch : ndarray of shape (L,), intp
        For each position, the number of the point passed before it, 0 to N - 2 (0 where N is 1).
    """
    if len(knots) == 1:
        return knots, np.zeros(1, dtype=np.intp)
    n = 2 * int(np.ceil(np.abs(np.diff(knots, axis=0)).sum())) + 1
    if len(knots) == 2:
        way = np.linspace(0, 1, n)[:, np.newaxis]
        return (1 - way) * knots[0] + way * knots[1], np.zeros(n, dtype=np.intp)
    at = np.append(0, np.cumsum(np.sqrt(np.hypot(*np.diff(knots, axis=0).T))))  # centripetal: smaller swings
    at /= at[-1]
    spline = _spline(knots, at, deviation)
    position = np.linspace(0, 1, n)
    line = np.stack(splev(position, spline), axis=1)
    if not _stays_near(line, knots):  # of few points far from one another a smooth curve may swing out
        position = np.unique(np.append(position, at))
        spline = _spline(np.stack([np.interp(position, at, axis) for axis in knots.T], axis=1), position, deviation)
    while True:
        position = np.linspace(0, 1, n)
        line = np.stack(splev(position, spline), axis=1)
        gap = np.abs(np.diff(line, axis=0)).max()
        if gap <= 0.5:
            break
        n = int(np.ceil(n * gap / 0.45))
    stretch = np.clip(np.searchsorted(at, position, side="right") - 1, 0, len(knots) - 2)
    return line, stretch.astype(np.intp)


def _spline(points: NDArray[np.float64], at: NDArray[np.float64], deviation: float) -> Any:
    """A B-spline near points that it passes at ``at``, as :func:`scipy.interpolate.splev` takes it."""
    # full output: no warning where the deviation is not exactly met
    fitted: Any = splprep(points.T, u=at, k=min(3, len(points) - 1), s=len(points) * deviation**2, full_output=1)
    return fitted[0][0]


def _stays_near(line: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
    """Whether a line leaves the box of some points by less than the largest step between two of them."""
    longest = np.abs(np.diff(points, axis=0)).max()
    beyond = np.maximum(points.min(axis=0) - line, line - points.max(axis=0)).max()
    return bool(np.isfinite(line).all() and beyond < longest)


def paint(line: NDArray[np.float64], radius: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels that a round pen touches along a line.

    Parameters
    ----------
    line : ndarray of shape (L, 2), float64
        Rows and columns, half a pixel or less apart.
    radius : float
        Radius of the pen, in pixels.
    shape : tuple of 2 int
        Shape of the image, at whose border the line is cut off.

    Returns
    -------
    ndarray of shape ``shape``, bool
        The pixels of :meth:`Stroke.rasterize <napari_scribseg.core.scribbles.Stroke.rasterize>`.
    """
    reach = int(radius)
    y, x = _pen(radius)
    centres = np.rint(line).astype(np.intp)
    near = ((centres >= -reach) & (centres < np.asarray(shape) + reach)).all(axis=1)
    padded = np.zeros((shape[0] + 4 * reach, shape[1] + 4 * reach), dtype=bool)
    flat = (centres[near] + 2 * reach) @ (padded.shape[1], 1)
    if flat.size:
        flat = flat[np.append(True, flat[1:] != flat[:-1])]
        padded.ravel()[flat[:, np.newaxis] + (y * padded.shape[1] + x)] = True
    return padded[2 * reach : 2 * reach + shape[0], 2 * reach : 2 * reach + shape[1]]


@lru_cache(maxsize=8)
def _pen(radius: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels of a round pen around 0, 0."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = y**2 + x**2 <= radius**2
    return y[inside], x[inside]
