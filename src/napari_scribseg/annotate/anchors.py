"""The slices that count for filling, and the spans between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.entries import DraftRecipe, Entry, FillRecipe, SpanEnd
from napari_scribseg.annotate.span import Span
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex

__all__ = ["FillRange", "all_slices", "draft_certainty", "filled_certainty", "is_anchor", "is_current", "nearest_first"]


@dataclass(frozen=True, slots=True)
class FillRange:
    """Where to fill: along an axis, from one slice to another, both included.

    Attributes
    ----------
    like : SliceIndex
        The slice at 0 along the axis.
    axis, start, stop : int
        The axis, and the indices along it.
    """

    like: SliceIndex
    axis: int
    start: int
    stop: int

    @classmethod
    def of(
        cls, document: Document, start: SliceIndex | int | None, stop: SliceIndex | int | None, axis: int | None = None
    ) -> FillRange:
        """The range that a user means; the whole axis in use by default.

        Raises
        ------
        InputError
            If the image has one slice only, or start and stop do not stand along one axis.
        """
        source = document.source
        if source.ndim == 2:
            raise InputError("a 2D image has one slice only; a volume is expected to be filled")
        given = [each for each in (start, stop) if isinstance(each, SliceIndex)]
        like = given[0] if given else document.slice_index or _first_labelled(document)
        if len(given) == 2:
            moved = [a for a, i, j in zip(like.others, like.position, given[1].position, strict=False) if i != j]
            if given[0].displayed != given[1].displayed or len(moved) > 1:
                raise InputError(
                    f"slices cannot be filled from {source.where(given[0])} to {source.where(given[1])}; two slices "
                    "along one axis are expected"
                )
            axis = moved[0] if moved and axis is None else axis
        if axis is None:
            axis = like.others[-1]
        elif axis not in like.others:
            if not 0 <= axis < source.ndim or given:
                raise InputError(f"axis {axis} was requested; the slices stand along {like.others}")
            like = next(source.slices(axis))
        first, last = (
            each.position[each.others.index(axis)] if isinstance(each, SliceIndex) else each for each in (start, stop)
        )
        first, last = 0 if first is None else first, source.shape[axis] - 1 if last is None else last
        for index in (first, last):
            source.require(like.at(axis, index))
        return cls(like.at(axis, 0), axis, min(first, last), max(first, last))

    @classmethod
    def whole(cls, document: Document, like: SliceIndex | None, axis: int | None) -> FillRange:
        """All of an axis; errors as of :meth:`of`."""
        found = cls.of(document, like, None, axis)
        return cls(found.like, found.axis, 0, document.source.shape[found.axis] - 1)

    def at(self, index: int) -> SliceIndex:
        """The slice at an index along the axis."""
        return self.like.at(self.axis, index)

    def index_of(self, slice_index: SliceIndex | None) -> int | None:
        """Where a slice stands along the axis; None where it lies along it."""
        if slice_index is None or self.axis not in slice_index.others:
            return None
        return slice_index.position[slice_index.others.index(self.axis)]

    def holds(self, slice_index: SliceIndex) -> bool:
        """Whether a slice lies in it."""
        if slice_index.displayed != self.like.displayed or slice_index.at(self.axis, 0) != self.like:
            return False
        return self.start <= slice_index.position[slice_index.others.index(self.axis)] <= self.stop

    def anchors(self, document: Document) -> list[SpanEnd]:
        """The anchors along the whole axis, ascending; along time also what was filled along an axis of space."""
        newest = document.history.newest_entries()
        in_time = self.axis < document.source.ndim - 3
        found = []
        for index in range(document.source.shape[self.axis]):
            slice_index = self.at(index)
            entry = newest.get(slice_index)
            of_space = in_time and entry is not None and entry.fill is not None and entry.fill.axis != self.axis
            if of_space or is_anchor(document, slice_index):
                found.append((index, 0 if entry is None else entry.sequence))
        return found

    def series(self, document: Document) -> list[FillRange]:
        """The same range at all times with anchors, and then all times along each slice of it; itself without time."""
        time = document.source.ndim - 4
        if time < 0 or self.axis <= time:
            return [self]
        times = range(document.source.shape[time])
        volumes = [replace(self, like=self.like.at(time, at)) for at in times]
        along = [
            FillRange(self.at(index).at(time, 0), time, 0, len(times) - 1) for index in range(self.start, self.stop + 1)
        ]
        return [each for each in volumes if each.anchors(document)] + along

    def spans(self, document: Document) -> list[Span]:
        """The spans of which slices lie in the range, ascending; the open ones end with it."""
        anchors = self.anchors(document)
        if not anchors:
            return []
        (first, _), (last, _) = anchors[0], anchors[-1]
        found = [
            Span(self.like, self.axis, before, after, after[0])
            for before, after in pairwise(anchors)
            if after[0] - before[0] > 1 and before[0] < self.stop and after[0] > self.start
        ]
        if self.start < first:
            found.insert(0, Span(self.like, self.axis, None, anchors[0], self.start))
        if self.stop > last:
            found.append(Span(self.like, self.axis, anchors[-1], None, self.stop))
        return found

    def within(self, span: Span) -> list[int]:
        """The indices of the slices to fill of a span."""
        return [index for index in span.indices if self.start <= index <= self.stop]


def all_slices(document: Document) -> list[SliceIndex]:
    """The slices along the axis in use; of a series, those of one volume."""
    within = FillRange.whole(document, None, None)
    return [within.at(index) for index in range(within.start, within.stop + 1)]


def is_anchor(document: Document, slice_index: SliceIndex) -> bool:
    """Whether the labels of a slice count for filling.

    They do if it is accepted, was edited, has strokes with a result, or had labels when the session began.
    """
    if slice_index in document.annotation.accepted:
        return True
    entry = document.history.newest_entries().get(slice_index)
    if entry is None or entry.kind == "clear":
        return slice_index in document.base_slices
    return entry.is_anchor


def is_current(document: Document, span: Span, entry: Entry) -> bool:
    """Whether an entry filled its slice from the anchors of a span as they are now.

    An accepted slice that was filled from the same anchors is one of the span, too.
    """
    recipe = entry.fill
    if recipe is None or not recipe.final:
        return False
    newest = document.history.newest_entries()
    made = Span.of(entry.slice_index, recipe)
    for end, now in ((recipe.before, span.before), (recipe.after, span.after)):
        if end == now:
            continue
        if end is None or now is None:
            return False
        between = newest.get(made.at(now[0]))
        if between is None or between.fill is None or (between.fill.before, between.fill.after) != (
            recipe.before, recipe.after,
        ):  # fmt: skip
            return False
        kept = newest.get(made.at(end[0]))
        if end[1] != (0 if kept is None else kept.sequence) or not is_anchor(document, made.at(end[0])):
            return False
    return True


def filled_certainty(document: Document) -> Iterator[tuple[SliceIndex, FillRecipe]]:
    """The slices that are filled and no anchors, each with how."""
    accepted = document.annotation.accepted
    for slice_index, entry in document.history.newest_entries().items():
        if entry.fill is not None and slice_index not in accepted:
            yield slice_index, entry.fill


def draft_certainty(document: Document) -> Iterator[tuple[SliceIndex, DraftRecipe]]:
    """The slices that show a draft, each with how it was made."""
    accepted = document.annotation.accepted
    for slice_index, entry in document.history.newest_entries().items():
        if entry.draft is not None and slice_index not in accepted:
            yield slice_index, entry.draft


def nearest_first(spans: Iterable[Span], index: int | None) -> list[Span]:
    """Spans in the order in which they are filled: those around an index first."""
    if index is None:
        return list(spans)
    return sorted(spans, key=lambda span: max(span.low - index, index - span.high, 0))


def _first_labelled(document: Document) -> SliceIndex:
    """A slice of those that count, or the first of the volume."""
    labelled = [*document.annotation.accepted, *document.history.newest_entries(), *document.base_slices]
    for slice_index in sorted(labelled):
        if is_anchor(document, slice_index):
            return slice_index
    return SliceIndex((document.source.ndim - 2, document.source.ndim - 1), (0,) * (document.source.ndim - 2))
