"""The tool that separates parts of a class that touch one another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Range, Report, Shown
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.numerics.editing.components import Parts
from napari_scribseg.numerics.editing.tool import EditTool, Part, ToolInfo
from napari_scribseg.numerics.fused.flood import flood
from napari_scribseg.numerics.fused.windows import squared_distance

__all__ = ["Split"]

_LEVELS = 250  # steps of the distance to the border that are flooded one after the other


@dataclass(frozen=True)
class Split(EditTool):
    """Separate the parts of a class that are joined by narrow necks, each of which becomes a class of its own.

    What stays of the class where it is shrunk by half of the width of a neck are the cores of its parts. All other
    voxels go to a core by a watershed of the distance to the border. The largest part keeps the class; pieces too thin
    to have a core keep it, too.

    Attributes
    ----------
    neck : float
        Parts that are joined by less than about this width, in mm, are separated.
    parts : int
        The most parts; the smallest cores beyond are not separated.
    """

    info: ClassVar[ToolInfo] = ToolInfo(
        "split",
        "Separate touching parts",
        "Separates touching parts, such as cells: each that is joined by a narrow neck becomes a class",
        makes_classes=True,
    )

    neck: Annotated[float, Range(0.1, 200, 1), Shown("neck (mm)")] = 10.0
    parts: Annotated[int, Range(2, 1000), Shown("most parts")] = 20

    def apply(self, part: Part, report: Report) -> NDArray[Any]:
        """See :meth:`EditTool.apply`."""
        divided = self.divide(part.mask, part.spacing, report)
        sizes = np.bincount(divided.reshape(-1))
        order = 1 + np.argsort(-sizes[1:], kind="stable")
        new = [i for i in islice((i for i in count(1) if i not in part.taken), max(len(order) - 1, 0)) if i <= MAX_ID]
        if len(new) < len(order) - 1:
            raise InputError(
                f"splitting needs {len(order) - 1} new classes; only {len(new)} ids up to {MAX_ID} are free"
            )
        out = part.labels.astype(np.promote_types(part.labels.dtype, np.min_scalar_type(max(new, default=0))))
        for identity, piece in zip(new, order[1:], strict=True):
            out[divided == piece] = identity
        return out

    def divide(self, mask: NDArray[np.bool_], spacing: tuple[float, ...], report: Report) -> NDArray[np.int32]:
        """The parts of a mask, numbered from 1, in no order; 0 outside, and in pieces without a core."""
        depth = squared_distance(~mask, spacing, self.neck / 2, report)
        cores = Parts(mask & (depth > (self.neck / 2) ** 2 * (1 + 1e-5)), report)
        sizes = cores.sizes(report)
        numbers = np.zeros(len(sizes), np.int32)
        largest = 1 + np.argsort(-sizes[1:], kind="stable")[: self.parts]
        numbers[largest] = np.arange(1, len(largest) + 1)
        markers = cores.lookup(numbers)
        limit = (self.neck / 2) ** 2
        levels = np.where(mask, 1 + np.sqrt(np.minimum(depth, limit) / limit) * _LEVELS, 0).astype(np.uint8)
        return flood(levels, markers, report)
