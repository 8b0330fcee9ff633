"""The log of a session: how its labels came about, which a replay repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.patches import ArrayDiff, Region, pack, unpack

__all__ = ["KINDS", "Entry", "Kind", "PackedRegion", "Recipe"]

Kind = Literal["run", "edit", "clear", "accept", "reopen"]
KINDS: tuple[Kind, ...] = ("run", "edit", "clear", "accept", "reopen")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings under which an engine ran.

    Attributes
    ----------
    engine : int
        Index into the session's list of engines used.
    warm : bool
        Whether it started from the state of the slice's previous entry with the same engine, or from ``prepare``.
    overlap : str
        The overlap rule.
    locked : tuple of int
        Values in the label volume that were locked.
    background : int or None
        The id whose strokes mark the background.
    device : str
        The device that was requested.
    checksum : int
        CRC-32 of the image that the engine saw.
    propagated : bool
        Whether its seeds were propagated from the slice before it, and not painted.
    """

    engine: int
    warm: bool
    overlap: str
    locked: tuple[int, ...]
    background: int | None
    device: str
    checksum: int
    propagated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PackedRegion:
    """Packed ids inside a bounding box of a slice."""

    region: Region
    values: bytes
    dtype: str

    @classmethod
    def whole(cls, values: NDArray[Any]) -> PackedRegion:
        """A patch of a whole slice, shape (H, W)."""
        return cls(_whole(values.shape), pack(values), values.dtype.name)

    @classmethod
    def after(cls, diff: ArrayDiff) -> PackedRegion:
        """What a difference leads to."""
        return cls(diff.region, diff.after, diff.dtype)

    @classmethod
    def packed(cls, values: bytes, shape: tuple[int, ...], dtype: str) -> PackedRegion:
        """A patch of a whole slice that is packed already."""
        return cls(_whole(shape), values, dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.region[0].stop - self.region[0].start, self.region[1].stop - self.region[1].start

    def unpack(self) -> NDArray[Any]:
        """The ids inside the box."""
        return unpack(self.values, self.shape, self.dtype)


def _whole(shape: tuple[int, ...]) -> Region:
    return slice(0, shape[0]), slice(0, shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One event that changed the labels, or may change what later ones do.

    Attributes
    ----------
    sequence : int
        Its position in the order of all entries.
    kind : str
        ``run`` (an engine segmented), ``edit`` (set by hand), ``clear``, ``accept`` or ``reopen``.
    slice_index : SliceIndex
        The slice.
    labels : PackedRegion or None
        The labels afterwards where they changed; None where nothing did.
    seeds : PackedRegion or None
        The painted ids that the engine was given; for ``run``.
    recipe : Recipe or None
        The engine's settings; for ``run``.
    prior : PackedRegion or None
        The labels of the slice that the strokes corrected, -1 where unknown; for ``run``, None where there were none.
    """

    sequence: int
    kind: Kind
    slice_index: SliceIndex
    labels: PackedRegion | None = None
    seeds: PackedRegion | None = None
    recipe: Recipe | None = None
    prior: PackedRegion | None = None

    def is_of(self, painted: NDArray[Any]) -> bool:
        """Whether an engine made it from strokes that include ``painted``, shape (H, W)."""
        if self.seeds is None:
            return False
        drawn = painted[self.seeds.region]
        return bool(np.array_equal(np.where(drawn != 0, self.seeds.unpack(), 0), drawn))
