"""Tools for parts and holes of a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Range, Report, Shown
from napari_scribseg.numerics.editing.components import Parts, enclosed
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo

__all__ = ["FillHoles", "KeepLargest", "RemoveSmall"]


@dataclass(frozen=True)
class KeepLargest(EditTool):
    """Keep the largest parts of a class; its other parts become background.

    Attributes
    ----------
    parts : int
        How many parts stay. Of parts of the same size, the one that begins first in the volume comes first.
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "keep-largest", "Keep largest part", "Removes all parts of the class but the largest"
    )

    parts: Annotated[int, Range(1, 1000), Shown("parts that stay")] = 1

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        found = Parts(part.mask, report)
        sizes = found.sizes(report)
        removed = np.ones(len(sizes), bool)
        removed[1 + np.argsort(-sizes[1:], kind="stable")[: self.parts]] = False
        return part.changed(found.selected(removed), 0)


@dataclass(frozen=True)
class RemoveSmall(EditTool):
    """Remove the parts of a class that are smaller than a size; they become background.

    Attributes
    ----------
    size : float
        Parts smaller than this are removed.
    unit : {"ml", "voxels"}
        Of the size; of a 2D image, ml stands for cm².
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "remove-small", "Remove small parts", "Removes the parts of the class that are smaller than a size"
    )

    size: Annotated[float, Range(0, 1e9, 0.1)] = 0.5
    unit: Literal["ml", "voxels"] = "ml"

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        found = Parts(part.mask, report)
        sizes = found.sizes(report).astype(np.float64)
        small = (sizes if self.unit == "voxels" else part.millilitres * sizes) < self.size * (1 - 1e-9)
        return part.changed(found.selected(small), 0)


@dataclass(frozen=True)
class FillHoles(EditTool):
    """Fill what a class encloses completely; in a single slice, what its outline encloses there.

    Attributes
    ----------
    largest : float
        Holes larger than this stay; 0 fills all.
    unit : {"ml", "voxels"}
        Of the size; of a 2D image, ml stands for cm².
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "fill-holes", "Fill holes", "Gives the class what it encloses completely", grows=True
    )

    largest: Annotated[float, Range(0, 1e6, 0.1), Shown("largest hole (0: all)")] = 0.0
    unit: Literal["ml", "voxels"] = "ml"

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        holes = enclosed(part.mask, report)
        if self.largest > 0 and holes.any():
            found = Parts(holes, report)
            sizes = found.sizes(report) * (1 if self.unit == "voxels" else part.millilitres)
            holes = found.selected(sizes <= self.largest * (1 + 1e-9))
        return part.changed(holes, part.identity)
