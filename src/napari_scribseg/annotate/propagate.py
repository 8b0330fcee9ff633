"""Propagation: from an annotated slice to its neighbours, one after the other."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.padding import without_padding
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.interior import interior

__all__ = ["NothingToPropagateError", "Propagation", "propagate_seeds", "slices_between"]

SLOPE = 1.5  # a border is expected to move by at most this many times the distance between two slices


class NothingToPropagateError(InputError):
    """Fewer than two classes reach the next slice."""


def propagate_seeds(
    labels: NDArray[Any],
    before: Image,
    after: Image,
    own: NDArray[Any],
    *,
    background: int | None,
    distance: float,
) -> NDArray[Any]:
    """Strokes for the next slice, from the labels of the one before it.

    Each connected region is eroded by :data:`SLOPE` times the distance between the slices (at least 2 voxels, at most
    half of its own thickness, so that thin structures survive). A line along the eroded border and a loose grid inside
    become seeds. Where the image has changed more than it does elsewhere, only seeds whose new value still lies in the
    range of their class are propagated: so an object may end.

    Parameters
    ----------
    labels : ndarray of shape (H, W)
        Label ids of the slice before, background 0.
    before, after : Image
        The two slices.
    own : ndarray of shape (H, W)
        Painted ids of the next slice; they win.
    background : int or None
        The id whose strokes mark the background; without one, 0 is not propagated.
    distance : float
        Distance between the slices, in the unit of the images' spacing.

    Returns
    -------
    ndarray of shape (H, W), uint16
        Painted ids.

    Raises
    ------
    NothingToPropagateError
        If fewer than two classes have seeds.
    """
    seeds = np.zeros(labels.shape, np.uint16)
    margin = max(SLOPE * distance, 2 * min(before.spacing))
    former, latter = (without_padding(image.data).astype(np.float64) for image in (before, after))
    change = np.abs(latter - former)
    usual = 3 * 1.4826 * np.median(change, axis=(1, 2), keepdims=True)
    for value in np.unique(labels):
        painted_id = background if value == 0 else int(value)
        if painted_id is None:
            continue
        region = labels == value
        chosen = interior(region, before.spacing, margin)
        low, high = np.quantile(former[:, region], [0.01, 0.99], axis=1)[..., None, None]
        spread = 0.25 * (high - low)
        fits = (latter >= low - spread) & (latter <= high + spread)
        seeds[chosen & ((change <= usual) | fits).all(axis=0)] = painted_id
    seeds[own != 0] = own[own != 0]
    if len(np.unique(seeds[seeds != 0])) < 2:
        raise NothingToPropagateError("fewer than two classes reach this slice; paint strokes on it to go on")
    return seeds


@dataclass(eq=False)
class Propagation:
    """A run over slices, one of which is segmented after the other.

    Attributes
    ----------
    slices : list of SliceIndex
        The first has the labels; the others get theirs.
    distance : float
        Distance between neighbours, in the unit of the spacing.
    step : SessionStep
        What undo takes back.
    written : list of SliceIndex
        The slices that got their labels.
    future : Future
        Of the written slices, as a tuple.
    """

    slices: list[SliceIndex]
    distance: float
    step: SessionStep
    written: list[SliceIndex] = field(default_factory=list)
    future: Future[Any] = field(default_factory=Future)

    @property
    def progress(self) -> tuple[int, int]:
        """The number of slices that are written, and of all that are to be."""
        return len(self.written), len(self.slices) - 1

    @property
    def next_slices(self) -> tuple[SliceIndex, SliceIndex] | None:
        """The slice that was written last and the one after it; None at the end."""
        done = len(self.written)
        return None if done == len(self.slices) - 1 else (self.slices[done], self.slices[done + 1])

    def fraction(self, fraction: float) -> float:
        """How far the whole run is, by how far the present slice is."""
        return (len(self.written) + fraction) / (len(self.slices) - 1)


def slices_between(source: Source, start: SliceIndex, stop: SliceIndex) -> tuple[list[SliceIndex], float]:
    """The slices from one to another along an axis, both included, and the distance between neighbours.

    Raises
    ------
    InputError
        If the two do not differ along exactly one axis.
    """
    moved = [i for i, (a, b) in enumerate(zip(start.position, stop.position, strict=False)) if a != b]
    if start.displayed != stop.displayed or len(start.position) != len(stop.position) or len(moved) != 1:
        raise InputError(
            f"labels cannot be propagated from {source.where(start)} to {source.where(stop)}; two slices along one "
            "axis are expected"
        )
    axis = start.others[moved[0]]
    first, last = start.position[moved[0]], stop.position[moved[0]]
    way = 1 if last > first else -1
    return [start.at(axis, index) for index in range(first, last + way, way)], source.geometry.spacing[axis]
