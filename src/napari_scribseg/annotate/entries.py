"""The log of a session: how its labels were made, which a replay repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.patches import PackedBox, PackedRegion

__all__ = ["KINDS", "DraftMap", "DraftRecipe", "Entry", "FillRecipe", "Kind", "Recipe", "SpanEnd"]

Kind = Literal["run", "fill", "draft", "edit", "clear", "accept", "reopen"]
KINDS: tuple[Kind, ...] = ("run", "fill", "draft", "edit", "clear", "accept", "reopen")

SpanEnd = tuple[int, int]  # where an anchor stands along the axis, and the entry that set its labels (0: none did)


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
    drift : float
        How far the borders of the labels that its strokes corrected may have moved, in finest pixels: those of a slice
        that was filled. 0 where they are the user's.
    """

    engine: int
    warm: bool
    overlap: str
    locked: tuple[int, ...]
    background: int | None
    device: str
    checksum: int
    propagated: bool = False
    drift: float = 0.0


@dataclass(frozen=True, slots=True)
class FillRecipe:
    """From what a slice was filled.

    Attributes
    ----------
    axis : int
        The axis along which the span runs.
    before, after : SpanEnd or None
        The anchors; None where the span is open.
    reach : int
        Of an open span, the index of the last slice that it might have filled.
    method : str
        How the span was solved, a name of :data:`~napari_scribseg.annotate.solve_span.SPAN_METHODS`.
    final : bool
        False for a preview.
    overlap : str
        The overlap rule.
    locked : tuple of int
        Values in the label volume that were locked.
    checksum : int
        CRC-32 of the image of the slice.
    certainty : float
        Mean certainty of the labels in the band around their borders, 0 to 1.
    band : int
        Number of voxels in that band.
    restored : bool
        Whether the slice only got its filled labels back, because the strokes that corrected them were erased.
    """

    axis: int
    before: SpanEnd | None
    after: SpanEnd | None
    reach: int
    method: str
    final: bool
    overlap: str
    locked: tuple[int, ...]
    checksum: int
    certainty: float
    band: int
    restored: bool = False

    @property
    def ends(self) -> list[int]:
        """Where the anchors stand along the axis."""
        return [end[0] for end in (self.before, self.after) if end is not None]


@dataclass(frozen=True, slots=True)
class DraftRecipe:
    """By what a slice was drafted.

    Attributes
    ----------
    drafter : str
        The checksum of the drafter, such as of a learned network's weights.
    overlap : str
        The overlap rule.
    locked : tuple of int
        Values in the label volume that were locked.
    certainty : float
        Mean certainty of the labels in the band around their borders, 0 to 1.
    band : int
        Number of voxels in that band.
    restored : bool
        Whether the slice only got its drafted labels back, because the strokes that corrected them were erased.
    """

    drafter: str
    overlap: str
    locked: tuple[int, ...]
    certainty: float
    band: int
    restored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DraftMap:
    """What was drafted for a slice.

    Attributes
    ----------
    labels : PackedRegion
        Of the whole slice, uint16.
    certainty : PackedRegion
        Of the whole slice, uint8, in steps of 1/255.
    """

    labels: PackedRegion
    certainty: PackedRegion


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One event that changed the labels, or may change what later ones do.

    Attributes
    ----------
    sequence : int
        Its position in the order of all entries.
    kind : str
        ``run`` (an engine segmented), ``fill`` (filled between anchors), ``draft`` (by a drafter), ``edit`` (set by
        hand), ``clear``, ``accept`` or ``reopen``.
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
    fixed : PackedRegion or None
        The labels of the slice that were edited by hand and could not change, -1 elsewhere; for ``run`` and ``fill``,
        None where there were none. For ``fill``, also those of strokes, and of anchors that cross the slice.
    fill : FillRecipe or None
        From what it was filled; for ``fill``.
    around : PackedBox or None
        The labels of all slices of the span that stayed, -1 elsewhere, where the method made use of them.
    draft : DraftRecipe or None
        By what it was drafted; for ``draft``. Its labels are in the log: a replay needs no drafter.
    drafted : DraftMap or None
        For ``draft``, what was drafted; for ``fill``, the draft that the filled labels were weighed with.
    by : str
        Who did it; empty where it is not known.
    at : float
        When, in seconds since 1970; 0 where it is not known.
    """

    sequence: int
    kind: Kind
    slice_index: SliceIndex
    labels: PackedRegion | None = None
    seeds: PackedRegion | None = None
    recipe: Recipe | None = None
    prior: PackedRegion | None = None
    fixed: PackedRegion | None = None
    fill: FillRecipe | None = None
    around: PackedBox | None = None
    draft: DraftRecipe | None = None
    drafted: DraftMap | None = None
    by: str = ""
    at: float = 0.0

    @property
    def is_anchor(self) -> bool:
        """Whether the labels that it set count for filling: of strokes, or edited."""
        return self.kind == "edit" or (self.recipe is not None and not self.recipe.propagated)

    def is_of(self, painted: NDArray[Any]) -> bool:
        """Whether an engine made it from strokes that include ``painted``, shape (H, W)."""
        if self.seeds is None:
            return False
        drawn = painted[self.seeds.region]
        return bool(np.array_equal(np.where(drawn != 0, self.seeds.unpack(), 0), drawn))
