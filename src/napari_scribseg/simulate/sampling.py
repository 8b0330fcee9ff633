"""Points of a simulated scribble: one for each tile of the label that holds enough of it (paper 001, section 2.3)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

__all__ = [
    "Tile",
    "connected_components",
    "cut_disc",
    "dilated_skeleton",
    "distance_to_disc",
    "draw_points",
    "shuffled_tiles",
]


class Tile(NamedTuple):
    """A rectangle of one connected component, half open, in pixels."""

    component: int  # its number, from 1
    rows: slice
    columns: slice


def connected_components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number of the connected component of each pixel, shape (H, W): from 1, 0 outside; corners connect."""
    found: Any = ndimage.label(mask, np.ones((3, 3)))
    components: NDArray[np.int32] = found[0]
    return components


def dilated_skeleton(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """The skeleton of a mask, dilated inside the mask.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The label.
    reach : int
        Distance by which it is dilated to each side, in pixels.

    Returns
    -------
    ndarray of shape (H, W), bool
        The skeleton of Zhang & Suen (1984), dilated by a square of ``2 reach + 1`` pixels.
    """
    thin: Any = skeletonize
    lines = thin(mask).view(np.uint8)
    for axis in (0, 1):
        lines = ndimage.maximum_filter1d(lines, 2 * reach + 1, axis=axis, mode="constant")
    inside: NDArray[np.bool_] = (lines > 0) & mask
    return inside


def shuffled_tiles(
    components: NDArray[np.int32],
    field: NDArray[np.float64],
    n: int,
    smallest: int,
    share: float,
    seed: np.random.Generator,
) -> list[Tile]:
    """The tiles of every connected component, in random order.

    Parameters
    ----------
    components : ndarray of shape (H, W), int32
        From :func:`connected_components`.
    field : ndarray of shape (H, W), float64
        Distance field of the label.
    n : int
        Tiles across a component, along its height and along its width.
    smallest : int
        Smallest side of a tile, in pixels; a component that is narrow in one direction has fewer tiles there.
    share : float
        Components with no more than this share of the sum of the field are left out: none of their tiles could pass
        the threshold of :func:`draw_points`.
    seed : Generator
        Of the order.
    """
    sums = np.bincount(components.ravel(), weights=field.ravel())
    threshold = share * field.sum()
    tiles = []
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        if sums[number] > threshold:
            rows, columns = (_intervals(side, n, smallest) for side in box)
            tiles += [Tile(number, r, c) for r in rows for c in columns]
    return [tiles[i] for i in seed.permutation(len(tiles))]


def _intervals(side: slice, n: int, smallest: int) -> list[slice]:
    """``side`` cut into at most ``n`` pieces as equal as whole pixels allow."""
    length = side.stop - side.start
    pieces = max(min(n, length // smallest), 1)
    cuts = side.start + np.arange(pieces + 1) * length // pieces
    return [slice(int(a), int(b)) for a, b in pairwise(cuts)]


def draw_points(
    field: NDArray[np.float64],
    skeleton: NDArray[np.bool_],
    components: NDArray[np.int32],
    tiles: list[Tile],
    share: float,
    radius: float,
    seed: np.random.Generator,
) -> NDArray[np.intp]:
    """Draw a point in each tile that holds enough of the label.

    Parameters
    ----------
    field : ndarray of shape (H, W), float64
        Distance field of the label.
    skeleton : ndarray of shape (H, W), bool
        From :func:`dilated_skeleton`.
    components : ndarray of shape (H, W), int32
        From :func:`connected_components`.
    tiles : list of Tile
        In the order of drawing.
    share : float
        A tile gets a point if the field in it sums to more than this share of the sum over the label.
    radius : float
        Pixels within this distance of a point count as background for the next ones.
    seed : Generator
        Of the positions, drawn in proportion to distance times skeleton.

    Returns
    -------
    ndarray of shape (N, 2), intp
        Rows and columns. N is at least 1 where the label has a pixel: where no tile passes, one point is drawn from the
        whole label (the paper does not define this case).
    """
    threshold = share * field.sum()
    whole, field = field, field.copy()
    table = distance_to_disc(radius, _reach(field, radius))
    points = []
    for number, rows, columns in tiles:
        tile = np.where(components[rows, columns] == number, field[rows, columns], 0)
        if tile.sum() <= threshold:
            continue
        drawn = _draw(tile * skeleton[rows, columns], seed)
        if drawn is not None:
            points.append((rows.start + drawn[0], columns.start + drawn[1]))
            cut_disc(field, points[-1], table)
    if not points:
        single = _draw(whole * skeleton, seed) or _draw(whole, seed)
        points += [single] if single else []
    return np.asarray(points, dtype=np.intp).reshape(-1, 2)


def _draw(weights: NDArray[np.float64], seed: np.random.Generator) -> tuple[int, int] | None:
    """A pixel drawn in proportion to its weight; None where all weights are 0."""
    candidates = np.flatnonzero(weights)
    if not candidates.size:
        return None
    heap = np.cumsum(weights.ravel()[candidates])
    chosen = min(int(np.searchsorted(heap, seed.random() * heap[-1], side="right")), candidates.size - 1)
    row, column = divmod(int(candidates[chosen]), weights.shape[1])
    return row, column


def _reach(field: NDArray[np.float64], radius: float) -> int:
    """The distance within which a disc can change the field, rounded up so that few different tables are needed."""
    deep = int(np.ceil(radius + field.max(initial=0))) + 1
    return 1 << (deep - 1).bit_length()


def cut_disc(field: NDArray[np.float64], point: tuple[int, int], table: NDArray[np.float64]) -> None:
    """Change a distance field, in place, to that of the label without a disc.

    Parameters
    ----------
    field : ndarray of shape (H, W), float64
        Becomes the smaller of the distance and that to the disc: exactly the
        :func:`~napari_scribseg.simulate.masks.distance_field` of the label without the disc.
    point : tuple of 2 int
        Centre of the disc.
    table : ndarray
        Of :func:`distance_to_disc`, at least as large as the disc and the largest distance together.
    """
    reach = len(table) // 2
    here, there = [], []
    for centre, size in zip(point, field.shape, strict=True):
        start, stop = max(centre - reach, 0), min(centre + reach + 1, size)
        here.append(slice(start, stop))
        there.append(slice(start - centre + reach, stop - centre + reach))
    np.minimum(field[tuple(here)], table[tuple(there)], out=field[tuple(here)])


@lru_cache(maxsize=4)
def distance_to_disc(radius: float, reach: int) -> NDArray[np.float64]:
    """Distance to the pixels of a disc at the middle of an array of ``2 reach + 1`` pixels squared; read-only."""
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    table: NDArray[np.float64] = ndimage.distance_transform_edt(x**2 + y**2 > radius**2)
    table.setflags(write=False)
    return table
