"""Fill the slices of a span: between two anchors, or beyond the outermost one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.filling.motion import flows_from, grey_slices
from napari_scribseg.numerics.filling.shapes import Blend, blend, borders, both_distances, box_around, signed_distances
from napari_scribseg.numerics.fused.flow import move

__all__ = ["FilledSlice", "fill_span"]

ENDS = 0.65  # mean certainty near the borders below which filling beyond the outermost anchor ends

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


def fill_span(
    first: Labels | None,
    last: Labels | None,
    images: Sequence[NDArray[np.generic]],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
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
        All slices, those of the anchors too.
    spacing : tuple of 3 float
        Distance between slices, size of a pixel along rows and columns.
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
    return _Span(first, last, images, spacing, report).slices()


class _Span:
    """One call of :func:`fill_span`."""

    def __init__(
        self,
        first: Labels | None,
        last: Labels | None,
        images: Sequence[NDArray[np.generic]],
        spacing: tuple[float, float, float],
        report: Report,
    ) -> None:
        self.images, self.report = images, report
        given = [(0, first), (len(images) - 1, last)]
        self.anchors = [(at, labels) for at, labels in given if labels is not None]
        self.pixel = (spacing[1] / min(spacing[1:]), spacing[2] / min(spacing[1:]))
        whole = [labels for _, labels in self.anchors]
        self.box = box_around(whole[0], whole[-1])
        if self.box is not None:
            self.ids = np.unique(np.concatenate([labels[self.box].reshape(-1) for labels in whole]))
            parts = [labels[self.box] for labels in whole]
            if len(parts) == 2:
                self.distances = [*both_distances(parts[0], parts[1], self.ids, self.pixel)]
            else:
                self.distances = [signed_distances(parts[0], self.ids, self.pixel)]

    def slices(self) -> Iterator[FilledSlice]:
        """Previews and final slices, in their order."""
        order = self._order()
        if self.box is None or not order:
            labels = self.anchors[0][1]
            for offset in order:
                yield FilledSlice(offset, labels.copy(), np.ones(labels.shape, np.float32), True)
            self.report(1.0)
            return
        if len(self.anchors) == 2:
            for offset in order:
                yield self._slice(offset, blend(tuple(self.distances), self._steps(offset)), final=False)
        grey = grey_slices(self.images, self.box)
        flows = flows_from([at for at, _ in self.anchors], grey, lambda share: self.report(0.9 * share))
        for count, offset in enumerate(order, start=1):
            sides = []
            for distances, back in zip(self.distances, flows, strict=True):
                flow = back[offset]
                assert flow is not None
                sides.append(move(distances, flow))
            found = blend(tuple(sides), self._steps(offset))
            if len(self.anchors) == 1 and self._ends(found):
                break
            yield self._slice(offset, found, final=True)
            self.report(0.9 + 0.1 * count / len(order))
        self.report(1.0)

    def _order(self) -> list[int]:
        """All slices that are no anchors, nearest to one first."""
        taken = [at for at, _ in self.anchors]
        return sorted(set(range(len(self.images))) - set(taken), key=lambda k: (min(abs(k - at) for at in taken), k))

    def _steps(self, offset: int) -> tuple[int, ...]:
        return tuple(abs(offset - at) for at, _ in self.anchors)

    def _ends(self, found: Blend) -> bool:
        """Whether the borders are too uncertain to go on, or there is none left."""
        near = borders(found.index)
        return not near.any() or float(found.certainty[near].mean()) < ENDS

    def _slice(self, offset: int, found: Blend, *, final: bool) -> FilledSlice:
        """In the whole slice: outside of the box the anchors are the same."""
        assert self.box is not None
        labels = self.anchors[0][1].copy()
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
