"""What a session is at a moment, without its signals and its worker."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.annotate.canvas import Canvas
from napari_scribseg.annotate.history import ArrayChange, Change, History, pack, unpack
from napari_scribseg.annotate.journal import Entry, Kind, Patch
from napari_scribseg.annotate.rules import OVERLAPS, combine
from napari_scribseg.core.classes import MAX_ID, ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.registry import get_engine
from napari_scribseg.core.scribbles import UNKNOWN, Scribbles
from napari_scribseg.core.source import SliceIndex, Source

__all__ = ["EngineRecord", "State", "as_engine", "as_overlap", "engine_key", "locked_error"]


EngineRecord = tuple[str, dict[str, Any]]


class State:
    """Source, strokes, output, steps and settings; changed in the owner's thread only.

    Attributes
    ----------
    base : tuple of (SliceIndex, Patch)
        The label volume that the session began with, as far as it was not empty: where a replay begins.
    engines : list of Engine or EngineRecord
        Every engine that had a part in the output (of an earlier session: its name and parameters); journal entries
        point into it.
    slice_index : SliceIndex or None
        The slice drawn on last.
    sequence : int
        Number of journal entries ever made.
    """

    def __init__(
        self,
        volume: Source,
        engine: str | Engine[Any],
        *,
        classes: ClassTable | None,
        device: str,
        overlap: str,
        labels: ArrayLike | None,
    ) -> None:
        self.volume = volume
        self.engine = as_engine(engine)
        self.classes = classes if classes is not None else ClassTable()
        self.device = device
        self.overlap = as_overlap(overlap)
        self.canvas = Canvas(volume.shape, labels)
        self.history = History()
        self.base = () if labels is None else _nonempty(self.canvas.labels)
        self.engines: list[Engine[Any] | EngineRecord] = []
        self.slice_index: SliceIndex | None = None
        self.sequence = 0
        self._corrected: tuple[bytes, NDArray[np.int32] | None] = b"", None  # what was unpacked last

    @property
    def locked_values(self) -> tuple[int, ...]:
        """Values in the output that no result may change: the ids of locked classes, 0 for the background."""
        return tuple(0 if c.background else c.id for c in self.classes if c.locked)

    def find_slice(self, index: SliceIndex | int | None) -> SliceIndex:
        """The slice meant by an index along the axis in use, by a SliceIndex, or by None in a 2D image."""
        if isinstance(index, SliceIndex):
            return self.volume.require(index)
        if self.slice_index is not None and index is not None and len(self.slice_index.position) == 1:
            return self.volume.slice_index(int(index), self.slice_index.others[0])
        return self.volume.slice_index(None if index is None else int(index))

    def read_strokes(self, painted: ArrayLike | Scribbles, slice_index: SliceIndex) -> NDArray[Any]:
        """The ids of a slice, shape (H, W), uint8 or uint16: a copy.

        Raises
        ------
        InputError
            If the shape is another than the slice's, the values are not integers, or an id is not in 0..65535.
        """
        values = np.asarray(self._from_scribbles(painted) if isinstance(painted, Scribbles) else painted)
        shape = self.volume.slice_shape(slice_index)
        if values.shape != shape:
            raise InputError(f"the strokes have shape {values.shape}; {self.volume.where(slice_index)} has {shape}")
        if values.dtype.kind not in "iub":
            raise InputError(f"the strokes hold {values.dtype} values; integers are expected")
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > MAX_ID:
            raise InputError(f"the strokes hold ids from {low} to {high}; expected 0 (unpainted) to {MAX_ID}")
        return values.astype(np.uint8 if high <= 255 else np.uint16)

    def _from_scribbles(self, scribbles: Scribbles) -> NDArray[Any]:
        """Painted ids; the class with id 0 gets the background's id, a new one where the table has none."""
        ids = list(scribbles.ids)
        if 0 in ids:
            if self.classes.background is None:
                taken = self.classes.with_ids(ids)
                free = taken.free_id()
                self.classes = taken.with_ids([free]).as_background(free)
            ids[ids.index(0)] = self.classes.background or 0
        return np.asarray([*ids, 0])[scribbles.seeds]

    def prior(self, slice_index: SliceIndex) -> NDArray[np.int32] | None:
        """The labels that strokes on a slice correct, shape (H, W), -1 where unknown; None where there are none.

        They are what the slice held before its first stroke since something else than strokes was written there: by a
        propagation, an edit, or by whoever made the labels that the session began with; and what it held when it was
        reopened. Where it was only written through slices that cross it, nothing is known of its other voxels.
        """
        held = self.canvas.prior(slice_index)
        if held is not None:
            if held is not self._corrected[0]:
                self._corrected = held, unpack(held, self.volume.slice_shape(slice_index), "int32") if held else None
            return self._corrected[1]
        labels = self.canvas.committed(slice_index).astype(np.int32)
        if not labels.any():
            return None
        entries = self.history.entries()
        if not any(entry.slice_index == slice_index and entry.labels is not None for entry in entries):
            crossed = np.zeros(labels.shape, bool)
            for other in {entry.slice_index for entry in entries}:
                index = slice_index.crossing(other)
                if index is not None:
                    crossed[index] = True
            if not labels[~crossed].any():
                labels[~crossed] = UNKNOWN
        return labels

    def write(self, slice_index: SliceIndex, labels: NDArray[Any]) -> list[Change]:
        """Write labels that no engine made, within the locks; returns the changes, if any."""
        current = self.canvas.committed(slice_index)
        merged = combine(
            labels, current, np.zeros_like(current), ids=(), overlap="overwrite", locked=self.locked_values,
            slice_index=slice_index, accepted=self.canvas.accepted,
        )  # fmt: skip
        return self.canvas.write(slice_index, merged)[1]

    def entry(self, kind: Kind, slice_index: SliceIndex, change: ArrayChange | None = None, **more: Any) -> Entry:
        """The next journal entry."""
        self.sequence += 1
        patch = None if change is None else Patch(change.region, change.after, change.dtype)
        return Entry(self.sequence, kind, slice_index, patch, **more)

    def engine_index(self, engine: Engine[Any]) -> int:
        """The place of an engine in the list of those used, where it is added if it is new."""
        keys = [None if isinstance(used, tuple) else engine_key(used) for used in self.engines]
        if engine_key(engine) not in keys:
            self.engines.append(engine)
            return len(self.engines) - 1
        return keys.index(engine_key(engine))


def engine_key(engine: Engine[Any]) -> tuple[str, str]:
    """The same for engines of one class with equal parameters."""
    return type(engine).__qualname__, repr(engine)


def as_engine(engine: str | Engine[Any], **parameters: Any) -> Engine[Any]:
    """An engine by its name, or itself.

    Raises
    ------
    InputError
        If there is no such engine, or it does not take slices.
    """
    if isinstance(engine, str):
        made = get_engine(engine, **parameters)
    else:
        made = dataclasses.replace(engine, **parameters) if parameters else engine  # type: ignore[type-var]
    if 2 not in made.info.ndim:
        raise InputError(f"the engine {made.info.name!r} takes images of {made.info.ndim} axes; planes have 2")
    return made


def as_overlap(overlap: str) -> str:
    """The rule itself, if there is one of this name; InputError otherwise."""
    if overlap not in OVERLAPS:
        raise InputError(f"the overlap rule is {overlap!r}; expected one of {', '.join(OVERLAPS)}")
    return overlap


def locked_error(where: str) -> InputError:
    """Why nothing may be written to an accepted slice, named as people name it."""
    return InputError(f"{where} is accepted and therefore locked; reopen it to change it")


def _nonempty(labels: NDArray[Any]) -> tuple[tuple[SliceIndex, Patch], ...]:
    """The slices of the last two axes that hold a label, packed."""
    lead = labels.ndim - 2
    region = slice(0, labels.shape[-2]), slice(0, labels.shape[-1])
    found = []
    for position in np.ndindex(*labels.shape[:-2]):
        if labels[position].any():
            packed = pack(labels[position])
            found.append((SliceIndex((lead, lead + 1), position), Patch(region, packed, labels.dtype.name)))
    return tuple(found)
