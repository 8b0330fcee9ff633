"""The tool that chooses voxels by their values in the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold(EditTool):
    """Choose voxels by their value in the image.

    Attributes
    ----------
    low, high : float
        The range of values, both included.
    where : {"class", "everywhere"}
        With class, voxels of the class outside of the range become background; with everywhere, all voxels in the
        range are added to the class.
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "threshold", "Threshold", "Keeps, or adds, the voxels whose values lie in a range", grows=True, needs_image=True
    )

    low: float = 0.0
    high: float = 255.0
    where: Literal["class", "everywhere"] = "class"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.high:
            raise InputError(f"the range goes from {self.low:g} to {self.high:g}; the lower value is expected first")

    @property
    def reach(self) -> float:
        """Everywhere, unless it stays in the class."""
        return 0.0 if self.where == "class" else float("inf")

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        assert part.image is not None
        inside: NDArray[np.bool_] = (part.image >= self.low) & (part.image <= self.high)
        if self.where == "class":
            return part.changed(part.mask & ~inside, 0)
        return part.changed(inside, part.identity)
