"""Tools that move the border of a class by a distance in mm, and set operations on classes with such a distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Range, Report, Shown
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo
from napari_scribseg.numerics.fused.windows import BEYOND, squared_distance

__all__ = ["Combine", "Grow", "Shrink"]


@dataclass(frozen=True)
class Grow(EditTool):
    """Give a class all voxels up to a distance from it, whatever the size of a voxel along each axis.

    Attributes
    ----------
    distance : float
        In mm, between the centres of voxels.
    """

    info: ClassVar[ToolInfo] = ToolInfo("grow", "Grow", "Grows the class by a distance in mm", grows=True)

    distance: Annotated[float, Range(0, 200, 0.5), Shown("distance (mm)")] = 2.0

    @property
    def reach(self) -> float:
        """The distance."""
        return self.distance

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        near = squared_distance(part.mask, part.spacing, self.distance, report) < BEYOND
        return part.changed(near, part.identity)


@dataclass(frozen=True)
class Shrink(EditTool):
    """Take from a class all voxels up to a distance from what surrounds it; they become background.

    The border of the image, or of the slices that are edited, is no border of the class.

    Attributes
    ----------
    distance : float
        In mm, between the centres of voxels.
    """

    info: ClassVar[ToolInfo] = ToolInfo("shrink", "Shrink", "Shrinks the class by a distance in mm")

    distance: Annotated[float, Range(0, 200, 0.5), Shown("distance (mm)")] = 2.0

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        mask = part.mask
        near = squared_distance(~mask, part.spacing, self.distance, report) < BEYOND
        return part.changed(near & mask, 0)


@dataclass(frozen=True)
class Combine(EditTool):
    """Join a class with another one, or change it by where another one is.

    A voxel has one class only. ``union`` gives the class all voxels of the other, which is empty then. ``subtract``
    removes what lies up to a distance from the other, and ``intersect`` keeps only that.

    Attributes
    ----------
    operation : {"union", "subtract", "intersect"}
        What is done.
    other : int
        Id of the other class.
    distance : float
        For subtract and intersect: how far around the other class, in mm, between the centres of voxels.
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "combine", "Combine with a class", "Joins the class with another one, or keeps or removes what lies near it"
    )

    operation: Literal["union", "subtract", "intersect"] = "union"
    other: Annotated[int, Range(1, 65535), Shown(when=("operation", ()))] = 1  # a form has the names of classes
    distance: Annotated[
        float, Range(0, 200, 0.5), Shown("distance (mm)", when=("operation", ("subtract", "intersect")))
    ] = 2.0

    @property
    def reach(self) -> float:
        """Unbounded: the other class may lie anywhere."""
        return float("inf")

    @property
    def operands(self) -> tuple[int, ...]:
        """The other class."""
        return (self.other,)

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        other: NDArray[np.bool_] = part.labels == self.other
        if self.operation == "union":
            return part.changed(other, part.identity)
        near = squared_distance(other, part.spacing, self.distance, report) < BEYOND
        return part.changed(part.mask & (near if self.operation == "subtract" else ~near), 0)
