"""From an annotated slice to the ones behind it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.events import Update
from napari_scribseg.annotate.state import State
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.padding import without_padding
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.prior import interior

if TYPE_CHECKING:
    from napari_scribseg.annotate.runner import Runner

__all__ = ["NothingToCarryError", "Propagation", "carry_seeds"]

SLOPE = 1.5  # a border is expected to move by at most this many times the distance between two slices


class NothingToCarryError(InputError):
    """Fewer than two classes reach the next slice."""


def carry_seeds(
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
    range of their class are carried on: so an object may end.

    Parameters
    ----------
    labels : ndarray of shape (H, W)
        Label ids of the slice before, background 0.
    before, after : Image
        The two slices.
    own : ndarray of shape (H, W)
        Painted ids of the next slice; they win.
    background : int or None
        The id whose strokes mark the background; without one, 0 is not carried on.
    distance : float
        Distance between the slices, in the unit of the images' spacing.

    Returns
    -------
    ndarray of shape (H, W), uint16
        Painted ids.

    Raises
    ------
    NothingToCarryError
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
        raise NothingToCarryError("fewer than two classes reach this plane; paint strokes on it to go on")
    return seeds


class Propagation:
    """One run over slices; each is a job of its own, begun when the one before it has been written."""

    def __init__(
        self, state: State, runner: Runner, start: SliceIndex, stop: SliceIndex, hint: Callable[[str], None]
    ) -> None:
        self._state, self._runner, self._hint = state, runner, hint
        self._slices = _between(start, stop)
        self._distance = _distance(state.volume, start, stop)
        labels, where = state.canvas.committed(start), state.volume.where(start)
        if not labels.any():
            raise InputError(f"there are no labels on {where}; segment it before it is carried on")
        if state.classes.background is None and not labels.all():
            raise InputError(f"parts of {where} have no label; mark one class as the background to carry it on")
        self._written: list[SliceIndex] = []
        self.step = state.history.begin([])
        self.future: Future[Any] = Future()
        self.future.add_done_callback(lambda future: runner.cancel_of(self) if future.cancelled() else None)

    def begin(self) -> Future[Any]:
        """Start with the first slice."""
        self._next()
        return self.future

    def _next(self) -> None:
        done = len(self._written)
        if done == len(self._slices) - 1:
            self._finish()
            return
        before, slice_index = self._slices[done], self._slices[done + 1]
        if slice_index in self._state.canvas.accepted:
            self._finish(f"stopped before {self._state.volume.where(slice_index)}, which is accepted")
            return
        own = self._state.canvas.strokes.get(slice_index)
        labels = self._state.canvas.committed(before)
        volume, background = self._state.volume, self._state.classes.background
        held = self._runner.image(before)

        def seeder(image: Image) -> NDArray[Any]:
            former = held if held is not None else volume.image(before)
            return carry_seeds(labels, former, image, own, background=background, distance=self._distance)

        self._runner.ask(slice_index, own, self, seeder=seeder)

    @property
    def progress(self) -> tuple[int, int]:
        """How many slices are written, and how many there will be."""
        return len(self._written), len(self._slices) - 1

    def fraction(self, fraction: float) -> float:
        """How far the whole run is, by how far the present slice is."""
        return (len(self._written) + fraction) / (len(self._slices) - 1)

    def landed(self, update: Update) -> None:
        """The present slice was written."""
        self._written.append(update.slice_index)
        if self._runner.has_newer:
            self.stopped()
        else:
            self._next()

    def failed(self, slice_index: SliceIndex, error: Exception) -> bool:
        """The present slice has no result; returns whether that is a failure to be told."""
        if isinstance(error, NothingToCarryError):
            self._finish(f"stopped before {self._state.volume.where(slice_index)}: {error}")
            return False
        self._state.history.discard(self.step)
        if not self.future.done():
            self.future.set_exception(error)
        return True

    def stopped(self) -> None:
        """Something newer came."""
        self._state.history.discard(self.step)
        self.future.cancel()

    def _finish(self, why: str | None = None) -> None:
        self._state.history.discard(self.step)
        if why is not None:
            self._hint(why)
        if not self.future.done():
            self.future.set_result(tuple(self._written))


def _between(start: SliceIndex, stop: SliceIndex) -> list[SliceIndex]:
    """The slices from one to another that stands behind or before it."""
    moved = [i for i, (a, b) in enumerate(zip(start.position, stop.position, strict=False)) if a != b]
    if start.displayed != stop.displayed or len(start.position) != len(stop.position) or len(moved) != 1:
        raise InputError(f"labels cannot be carried from {start} to {stop}; planes along one axis are expected")
    axis = start.others[moved[0]]
    first, last = start.position[moved[0]], stop.position[moved[0]]
    way = 1 if last > first else -1
    return [start.at(axis, index) for index in range(first, last + way, way)]


def _distance(volume: Source, start: SliceIndex, stop: SliceIndex) -> float:
    """Distance between neighbours along the axis in which two slices differ."""
    axis = next(a for a, p, q in zip(start.others, start.position, stop.position, strict=True) if p != q)
    return volume.geometry.spacing[axis]
