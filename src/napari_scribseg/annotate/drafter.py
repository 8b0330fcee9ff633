"""What writes drafts: anything that says of a slice what it believes, such as a learned network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Report
from napari_scribseg.core.source import SliceIndex, Source

__all__ = ["Draft", "Drafter"]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What is drafted for a slice.

    Attributes
    ----------
    slice_index : SliceIndex
        Where it lies.
    labels : ndarray of shape (H, W), uint8 or uint16
        Ids, 0 for the background.
    certainty : ndarray of shape (H, W), float32
        The probability of the label of each pixel, 0 to 1.
    """

    slice_index: SliceIndex
    labels: NDArray[np.unsignedinteger]
    certainty: NDArray[np.float32]


@runtime_checkable
class Drafter(Protocol):
    """Drafts slices; its methods may be called from any thread."""

    @property
    def checksum(self) -> str:
        """Another text for every drafter whose drafts may differ; the log has it."""
        ...

    @property
    def classes(self) -> ClassTable:
        """The classes that it knows."""
        ...

    def draft(self, source: Source, slices: Sequence[SliceIndex], report: Report) -> Iterator[Draft]:
        """Draft slices one after the other, in their order; what ``report`` raises ends the work."""
        ...
