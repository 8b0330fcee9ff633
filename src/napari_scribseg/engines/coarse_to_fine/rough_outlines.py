"""Strokes as areas (closed outlines, filled areas) and thin strokes, and coarse labels from both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import UNKNOWN, Scribbles

__all__ = ["Drawing", "cell_labels", "read_drawing"]

Seeds = NDArray[np.int32]

_GAP = 1.0  # cells; half the distance at which the ends of an outline count as joined
_THICK = 1.5  # cells; half the width from which a stroke is a filled area
_HOLE = 1.0  # cells; least side of the inside of an outline
_SMALLEST = 0.4  # the same, where the line is closed without a gap


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Areas and thin strokes.

    Attributes
    ----------
    areas : ndarray of shape (H, W), int32
        The class of the smallest area at each pixel, -1 where there is none.
    strokes : ndarray of shape (H, W), int32
        The class of the thin stroke at each pixel, -1 where there is none.
    background : int or None
        The class of all other pixels; None if a watershed decides.
    """

    areas: Seeds
    strokes: Seeds
    background: int | None


def read_drawing(scribbles: Scribbles, cell: float) -> Drawing:
    """Separate closed outlines and filled areas from thin strokes.

    A closed outline stands for all that it encloses; ends that nearly meet are joined. An area is meant roughly, a thin
    stroke exactly. Where areas lie in one another, the smaller one counts. The background is never an area.

    Parameters
    ----------
    scribbles : Scribbles
        Of two axes.
    cell : float
        Side of a cell of the coarse grid, in pixels.
    """
    seeds = scribbles.seeds
    background = scribbles.ids.index(0) if 0 in scribbles.ids else None
    strokes = seeds.copy()
    found: list[tuple[int, int, tuple[slice, slice], NDArray[np.bool_]]] = []
    for index, box in enumerate(ndimage.find_objects(seeds + 1, max_label=scribbles.n_classes)):
        if box is None or index == background:
            continue
        for place, area in _areas(seeds[box] == index, cell):
            where = (_moved(place[0], box[0]), _moved(place[1], box[1]))
            found.append((int(np.count_nonzero(area)), index, where, area))
            strokes[where][area & (seeds[where] == index)] = UNKNOWN
    areas = np.full(seeds.shape, UNKNOWN, dtype=np.int32)
    for _, index, where, area in sorted(found, key=lambda entry: -entry[0]):
        areas[where][area] = index
    drawn = np.flatnonzero(scribbles.counts)
    if not found and len(drawn) > 1:
        return Drawing(areas, strokes, None)
    if len(drawn) == 1 and scribbles.n_classes == 2:  # the rest is the other class
        background = int(1 - drawn[0])
    return Drawing(areas, strokes, background)


def _areas(mask: NDArray[np.bool_], cell: float) -> list[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """The areas of one class, each with its place in the mask."""
    reach = _GAP * cell
    pad = int(np.ceil(reach)) + 2
    wide = np.pad(mask, pad)
    near = ndimage.distance_transform_edt(~wide) <= reach
    filled = ndimage.binary_fill_holes(near)
    closed = (ndimage.distance_transform_edt(filled) > reach) | wide
    closed = closed[pad:-pad, pad:-pad]
    pieces, _ = ndimage.label(closed, structure=np.ones((3, 3)))
    areas = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[box] == number
        drawn = mask[box] & piece
        whole = np.count_nonzero(ndimage.binary_fill_holes(drawn) & ~drawn) >= (_SMALLEST * cell) ** 2
        enclosed = np.count_nonzero(piece & ~drawn)
        half = ndimage.distance_transform_edt(np.pad(piece, 1)).max()
        if whole or (enclosed >= (_HOLE * cell) ** 2 and half > cell / 2) or half > _THICK * cell:
            areas.append((box, piece))
    return areas


def _moved(inner: slice, outer: slice) -> slice:
    return slice(inner.start + outer.start, inner.stop + outer.start)


def cell_labels(
    drawing: Drawing, picture: NDArray[np.float32], grid: tuple[int, int], n_classes: int
) -> NDArray[np.int32]:
    """The class of each cell of the coarse grid.

    Pixels without a stroke or area belong to the background; without one, to the class of a watershed on the image's
    gradient.

    Parameters
    ----------
    drawing : Drawing
        On the picture's own grid.
    picture : ndarray of shape (C, H, W), float32
        From 0 to 1.
    grid : tuple of 2 int
        Rows and columns of cells.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of shape (h, w), int32
        A cell with a thin stroke has its class, another one that of most of its pixels.
    """
    drawn = np.where(drawing.strokes >= 0, drawing.strokes, drawing.areas)
    if drawing.background is not None:
        labels = np.where(drawn >= 0, drawn, np.int32(drawing.background))
    else:
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        edges = np.max([sobel(channel) for channel in picture], axis=0)  # type: ignore[no-untyped-call]
        labels = watershed(edges, markers=drawn + 1) - 1  # type: ignore[no-untyped-call]
    rows, columns = labels.shape
    cell = (np.arange(rows) * grid[0] // rows)[:, np.newaxis] * grid[1] + np.arange(columns) * grid[1] // columns
    weight = np.where(drawing.strokes >= 0, float(labels.size), 1.0)  # one stroke pixel outweighs every area
    votes = np.bincount(
        (cell * n_classes + labels).reshape(-1), weight.reshape(-1), minlength=grid[0] * grid[1] * n_classes
    )
    most: NDArray[np.int32] = votes.reshape(*grid, n_classes).argmax(-1).astype(np.int32)
    return most
