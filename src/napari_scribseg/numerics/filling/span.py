"""Fill the slices of a span: between two anchors, or beyond the outermost one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling.motion import GreyScale, flows_from, motion
from napari_scribseg.numerics.filling.shapes import (
    Blend,
    blend,
    borders,
    both_distances,
    box_around,
    most_likely,
    signed_distances,
)
from napari_scribseg.numerics.filling.sides import Side, contrast
from napari_scribseg.numerics.fused.flow import compose

__all__ = ["FilledSlice", "Refine", "fill_span"]

ENDS = 0.65  # mean certainty near the borders below which filling beyond the outermost anchor ends
SINKS = 0.5  # finest pixels by which the classes shrink with each slice beyond it, where nothing refines them
FADED = 0.4  # share of the anchor's contrast across the borders that counts as none, and ends it too

Labels = NDArray[np.integer]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FilledSlice:
    """A slice of a span with its labels.

    Attributes
    ----------
    offset : int
        Index of the slice in the images of the span.
    labels : ndarray of shape (H, W)
        Of the type of the anchors' labels.
    certainty : ndarray of shape (H, W), float32
        How sure each label is, 0 to 1.
    final : bool
        False for a preview from the shapes alone.
    """

    offset: int
    labels: Labels
    certainty: Float32
    final: bool


class Refine(Protocol):
    """Corrects the blended shapes by the image."""

    def __call__(self, sides: Sequence[Side], steps: Sequence[int], image: Float32) -> Float32:
        """Logits of each class against the others.

        Parameters
        ----------
        sides : sequence of 1 or 2 Side
            What the anchors say, moved to the slice.
        steps : sequence of int
            Slices to each.
        image : ndarray of shape (H, W), float32
            The slice; most values are 0 to 1.

        Returns
        -------
        ndarray of shape (K, H, W), float32
        """
        ...


def fill_span(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    refine: Refine | None = None,
    report: Report = silent,
) -> Iterator[FilledSlice]:
    """Label the slices between two anchors, or beyond one.

    The signed distances of the classes on either anchor are moved as the image moves, slice by slice, and blended by
    how near the anchors are. A class that only one of them has shrinks away towards the other.

    Parameters
    ----------
    first, last : ndarray of shape (H, W), integer, or None
        Labels of the first and of the last slice; every value is a class, 0 too. With one of them None, labels are
        taken from the other for as many slices as the image supports.
    images : sequence of ndarray of shape (C, H, W)
        All slices, those of the anchors too; each is read a few times, when it is needed, in two threads.
    spacing : tuple of 3 float
        Distance between slices, size of a pixel along rows and columns.
    refine : Refine, optional
        Without it, the blended distances decide.
    report : Report
        Called with the share that is done; what it raises ends the work.

    Yields
    ------
    FilledSlice
        Between two anchors a preview of each slice, nearest to the anchors first, then the final ones in the same
        order. Beyond one, the final ones only, until the borders are too uncertain.

    Raises
    ------
    InputError
        If both anchors are None, or a shape or the spacing does not fit.
    """
    _check(first, last, images, spacing)
    pixel = (spacing[1] / min(spacing[1:]), spacing[2] / min(spacing[1:]))
    if first is not None and last is not None:
        return _between(first, last, images, pixel, refine, report)
    labels = last if first is None else first
    assert labels is not None
    order = range(len(images) - 1, -1, -1) if first is None else range(len(images))
    return _beyond(labels, images, order, pixel, refine, report)


def _between(
    first: Labels,
    last: Labels,
    images: Sequence[NDArray[np.generic]],
    pixel: tuple[float, float],
    refine: Refine | None,
    report: Report,
) -> Iterator[FilledSlice]:
    n = len(images) - 1
    order = sorted(range(1, n), key=lambda k: (min(k, n - k), k))
    frame = _Frame.around(first, last)
    if frame is None:
        yield from _unchanged(first, order, report)
        return
    parts = first[frame.box], last[frame.box]
    distances = both_distances(*parts, frame.ids, pixel)
    for k in order:
        yield frame.slice(k, blend(distances, (k, n - k)), final=False)
    scale = GreyScale.of([(first, images[0]), (last, images[n])], frame.box)
    grey = _Grey(scale, images)
    flows = flows_from(grey, lambda share: report(0.5 * share))
    anchors = [
        Side.of(own, frame.index(part), grey[k], pixel) for own, part, k in zip(distances, parts, (0, n), strict=True)
    ]
    for count, k in enumerate(order, start=1):
        sides = [anchor.moved(flow[k - 1].whole()) for anchor, flow in zip(anchors, flows, strict=True)]
        yield frame.slice(k, _solved(sides, (k, n - k), grey[k], refine), final=True)
        report(0.5 + 0.5 * count / len(order))
    report(1.0)


def _beyond(
    labels: Labels,
    images: Sequence[NDArray[np.generic]],
    order: Sequence[int],
    pixel: tuple[float, float],
    refine: Refine | None,
    report: Report,
) -> Iterator[FilledSlice]:
    frame = _Frame.around(labels, labels)
    if frame is None:
        yield from _unchanged(labels, order[1:], report)
        return
    image = images[order[0]]
    scale = GreyScale.of([(labels, image)], frame.box)
    before, back = scale.read(image), None
    part = labels[frame.box]
    anchor = Side.of(signed_distances(part, frame.ids, pixel), frame.index(part), before, pixel)
    clear = _clearness(anchor, before, frame.index(part))
    for step, k in enumerate(order[1:], start=1):
        grey = scale.read(images[k])
        flow = motion(grey, before)
        before, back = grey, flow if back is None else compose(flow, back)
        side = anchor.moved(back)
        found = _solved([side], (step,), grey, refine)
        moved = blend([side.distances], (step,))
        sure = np.minimum(found.certainty, moved.certainty)
        seen = moved if refine is None else Blend(found.index, sure)  # shrunk shapes are no borders of the image
        near = borders(seen.index)
        if not borders(found.index).any() or float(seen.certainty[near].mean()) < ENDS:
            break
        if _clearness(side, grey, seen.index) < FADED * clear:
            break
        found = Blend(found.index, sure)
        yield frame.slice(k, found, final=True)
        report(step / len(order))
    report(1.0)


def _solved(sides: Sequence[Side], steps: Sequence[int], image: Float32, refine: Refine | None) -> Blend:
    if refine is not None:
        return most_likely(refine(sides, steps, image))
    distances = [side.distances for side in sides]
    return blend([_sunk(distances[0], steps[0])] if len(sides) == 1 else distances, steps)


def _sunk(distances: Float32, steps: int) -> Float32:
    """Distances beyond the outermost anchor, where all classes but the largest end: their depth falls evenly."""
    sunk = distances - np.float32(SINKS * steps)
    largest = int(np.argmax((distances > 0).sum(axis=(1, 2))))
    sunk[largest] = distances[largest] + np.float32(SINKS * steps)
    return sunk


def _clearness(side: Side, image: Float32, index: NDArray[np.intp]) -> float:
    """How well the intensities on either side of the borders tell the classes apart; at most 0 where they do not.

    The mean contrast of each class inside of its border, less that outside of it; mean over the classes.
    """
    found = []
    for k in np.unique(index):
        inside = index == k
        ratio = contrast(side, image, int(k))
        inner, outer = inside & ~binary_erosion(inside, iterations=2), binary_dilation(inside, iterations=2) & ~inside
        if inner.any() and outer.any():
            found.append(float(ratio[inner].mean() - ratio[outer].mean()))
    return float(np.mean(found)) if found else 0.0


def _unchanged(labels: Labels, order: Sequence[int], report: Report) -> Iterator[FilledSlice]:
    """All of the one class that the anchors have."""
    for k in order:
        yield FilledSlice(k, labels.copy(), np.ones(labels.shape, np.float32), True)
    report(1.0)


class _Grey(Sequence[Float32]):
    """The slices on one scale, computed when they are needed."""

    def __init__(self, scale: GreyScale, images: Sequence[NDArray[np.generic]]) -> None:
        self._scale, self._images = scale, images

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Float32: ...
    @overload
    def __getitem__(self, index: slice) -> list[Float32]: ...
    def __getitem__(self, index: int | slice) -> Float32 | list[Float32]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        return self._scale.read(self._images[index])


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The box that is looked at; outside of it all slices are alike.

    Attributes
    ----------
    box : tuple of 2 slice
    ids : ndarray of shape (K,), integer
        The classes in it.
    labels : ndarray of shape (H, W), integer
        Of an anchor.
    """

    box: tuple[slice, slice]
    ids: Labels
    labels: Labels

    @classmethod
    def around(cls, first: Labels, last: Labels) -> _Frame | None:
        """None where there is no border."""
        box = box_around(first, last)
        if box is None:
            return None
        return cls(box, np.union1d(first[box], last[box]), first)

    def index(self, part: Labels) -> NDArray[np.intp]:
        """The index of the class of each pixel of a part of a slice."""
        return np.searchsorted(self.ids, part)

    def slice(self, offset: int, found: Blend, *, final: bool) -> FilledSlice:
        """The whole slice."""
        labels = self.labels.copy()
        labels[self.box] = self.ids[found.index]
        certainty = np.ones(labels.shape, np.float32)
        certainty[self.box] = found.certainty
        return FilledSlice(offset, labels, certainty, final)


def _check(
    first: Labels | None, last: Labels | None, images: Sequence[NDArray[np.generic]], spacing: tuple[float, ...]
) -> None:
    if first is None and last is None:
        raise InputError("a span without a labelled slice cannot be filled; the labels of one end are expected")
    if len(images) < 2:
        raise InputError(f"a span of {len(images)} slices cannot be filled; the anchors and at least one are expected")
    if len(spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"the spacing is {spacing}; three positive numbers are expected")
    expected = np.shape(images[0])[1:]
    for name, labels in (("first", first), ("last", last)):
        if labels is None:
            continue
        if labels.shape != expected or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(
                f"the labels of the {name} slice have shape {labels.shape} and type {labels.dtype}; integers of shape "
                f"{expected} are expected"
            )
