"""The tool that copies or moves a class to other slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from numpy.typing import NDArray

from napari_scribseg.core import InputError, Range, Report, Shown
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo

__all__ = ["CopySlices"]


@dataclass(frozen=True)
class CopySlices(EditTool):
    """Copy the class from the slices of the scope to others, in their order.

    Attributes
    ----------
    to : int
        The slice to which the first one goes.
    move : bool
        Whether it is removed where it was, and becomes background there.
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "copy", "Copy to slices", "Copies or moves the class to other slices", grows=True, across=True
    )

    to: Annotated[int, Range(0, 1 << 24), Shown("to slice")] = 0
    move: bool = False

    @property
    def reach(self) -> float:
        """Unbounded: the other slices are read as a whole."""
        return float("inf")

    def span(self, start: int, stop: int, n_slices: int) -> tuple[int, int]:
        """The slices of the scope, the others, and those between."""
        last = self.to + stop - start - 1
        if last >= n_slices:
            raise InputError(
                f"{stop - start} slices do not fit from slice {self.to} on; the last slice is {n_slices - 1}"
            )
        if self.to == start:
            raise InputError(f"the labels of slice {start} stand there already; another slice is expected")
        return min(start, self.to), max(stop, last + 1)

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        report(0.0)
        n = part.stop - part.start
        first = 0 if part.start else part.labels.shape[part.axis] - n
        lead = (slice(None),) * part.axis
        copied = part.mask[(*lead, slice(part.start, part.stop))]
        out = part.labels.copy()
        if self.move:
            out[(*lead, slice(part.start, part.stop))][copied] = 0
        out[(*lead, slice(first, first + n))][copied] = part.identity
        return out
