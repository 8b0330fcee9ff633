"""What a session tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.source import SliceIndex

if TYPE_CHECKING:
    from napari_scribseg.annotate.history import Step

__all__ = ["Doing", "Region", "Restored", "Stepped", "Update", "changed_region"]

Region = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A result that arrived.

    Attributes
    ----------
    slice_index : SliceIndex
        Where.
    labels : ndarray of shape (H, W), unsigned integer
        Label ids of the whole slice, background 0, after the overlap rule and the locks; a copy.
    region : tuple of 2 slices
        Bounding box of the voxels that changed since the last update of this slice; empty slices where none did.
    probabilities : ndarray of shape (K, H, W), float32
        What the engine said, before the overlap rule.
    ids : tuple of int
        Label id of each of the K classes; the background class is 0.
    final : bool
        False for a preview that will get better, and for a result made while the pen is still down.
    notes : tuple of str
        What the engine chose by itself.
    generation : int
        Number of the request it answers.
    curve : LossCurve or None
        How the engine's fit went, or goes; None for one that fits nothing.
    """

    slice_index: SliceIndex
    labels: NDArray[Any]
    region: Region
    probabilities: NDArray[np.float32]
    ids: tuple[int, ...]
    final: bool
    notes: tuple[str, ...]
    generation: int
    curve: LossCurve | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A slice that went back (or forward again) to a former state: show these arrays.

    Attributes
    ----------
    slice_index : SliceIndex
        Where.
    painted : ndarray of shape (H, W), unsigned integer, or None
        The strokes, 0 where unpainted; None where only a preview was taken back and the strokes stay as they are.
    labels : ndarray of shape (H, W), unsigned integer
        The output; both are copies.
    """

    slice_index: SliceIndex
    painted: NDArray[Any] | None
    labels: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Doing:
    """What a session works on.

    Attributes
    ----------
    what : str
        ``answer``, ``propagation``, ``network`` (what it says alone) or ``picture``.
    slice_index : SliceIndex
        Where.
    done, total : int
        Of a propagation: how many slices are written, and how many there will be.
    refined : bool
        Whether a first answer is shown already.
    stopped : bool
        Whether it was told to stop and nothing follows.
    name : str
        Of a picture.
    """

    what: str
    slice_index: SliceIndex
    done: int = 0
    total: int = 1
    refined: bool = False
    stopped: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that was undone or redone.

    Attributes
    ----------
    redone : bool
        Whether it was done again.
    what : str
        ``stroke``, ``result``, ``edit``, ``clear``, ``accept`` or ``reopen``.
    slices : tuple of SliceIndex
        Where.
    """

    redone: bool
    what: str
    slices: tuple[SliceIndex, ...]

    @classmethod
    def of(cls, step: Step, redone: bool) -> Stepped:
        """What a step was."""
        kinds = {entry.kind for entry in step.entries}
        painted = any(change.kind == "painted" for change in step.changes)
        named = next((kind for kind in ("clear", "accept", "reopen", "edit") if kind in kinds), None)
        return cls(redone, named or ("stroke" if painted else "result"), step.slices())


def changed_region(before: NDArray[Any], after: NDArray[Any]) -> Region:
    """Bounding box of the elements in which two arrays of shape (H, W) differ; empty slices where they are equal."""
    differs = before != after
    rows = np.flatnonzero(differs.any(axis=1))
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
