"""How the label volume came about: what a replay repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_scribseg.annotate.events import Region
from napari_scribseg.core.source import SliceIndex

__all__ = ["KINDS", "Entry", "Kind", "Patch", "Recipe"]

Kind = Literal["run", "edit", "clear", "accept", "reopen"]
KINDS: tuple[Kind, ...] = ("run", "edit", "clear", "accept", "reopen")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Under which settings an engine ran.

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
        The device asked for.
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
class Patch:
    """Packed ids inside a bounding box of a slice."""

    region: Region
    values: bytes
    dtype: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.region[0].stop - self.region[0].start, self.region[1].stop - self.region[1].start


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One act that bears on the label volume.

    Attributes
    ----------
    sequence : int
        Its place in the order of all entries.
    kind : str
        ``run`` (an engine answered), ``edit`` (set by hand), ``clear``, ``accept`` or ``reopen``.
    slice_index : SliceIndex
        Where.
    labels : Patch or None
        What the label volume holds afterwards where it changed; None where nothing did.
    seeds : Patch or None
        The painted ids that the engine was given; for ``run``.
    recipe : Recipe or None
        The engine's settings; for ``run``.
    prior : Patch or None
        The labels of the slice that the strokes corrected, -1 where unknown; for ``run``, None where there were none.
    """

    sequence: int
    kind: Kind
    slice_index: SliceIndex
    labels: Patch | None = None
    seeds: Patch | None = None
    recipe: Recipe | None = None
    prior: Patch | None = None
