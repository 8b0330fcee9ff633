"""A span: the slices between two anchors."""

from __future__ import annotations

from dataclasses import dataclass

from napari_scribseg.annotate.entries import FillRecipe, SpanEnd
from napari_scribseg.core.source import SliceIndex

__all__ = ["Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """The slices between two neighbouring anchors along an axis, or beyond the outermost one.

    Attributes
    ----------
    like : SliceIndex
        The slice at 0 along the axis.
    axis : int
        The axis.
    before, after : SpanEnd or None
        The anchors; None where the span is open.
    reach : int
        Of an open span, the index of its last slice as seen from the anchor; otherwise that of ``after``.
    """

    like: SliceIndex
    axis: int
    before: SpanEnd | None
    after: SpanEnd | None
    reach: int

    @classmethod
    def of(cls, slice_index: SliceIndex, recipe: FillRecipe) -> Span:
        """The span that a slice was filled in."""
        return cls(slice_index.at(recipe.axis, 0), recipe.axis, recipe.before, recipe.after, recipe.reach)

    @property
    def low(self) -> int:
        """Index of the first slice, the anchor included."""
        return self.reach if self.before is None else self.before[0]

    @property
    def high(self) -> int:
        """Index of the last slice, the anchor included."""
        return self.reach if self.after is None else self.after[0]

    @property
    def indices(self) -> range:
        """Those of the slices to fill."""
        return range(self.low + (self.before is not None), self.high + (self.after is None))

    def distance(self, index: int) -> int:
        """Slices to the nearest of its anchors."""
        return min(abs(index - end[0]) for end in (self.before, self.after) if end is not None)

    def at(self, index: int) -> SliceIndex:
        """The slice at an index along the axis."""
        return self.like.at(self.axis, index)
