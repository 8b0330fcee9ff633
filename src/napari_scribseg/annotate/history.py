"""What can be taken back: steps of compressed differences."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.events import Region, changed_region
from napari_scribseg.annotate.journal import Entry
from napari_scribseg.core.source import SliceIndex

__all__ = ["ArrayChange", "History", "Step", "ValueChange", "pack", "unpack"]

MIN_STEPS = 100
_SEQUENCE = attrgetter("sequence")
MAX_BYTES = 64 << 20


def pack(array: NDArray[Any]) -> bytes:
    """The elements of an integer array, row by row, little endian, zlib-compressed."""
    return zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), level=1)


def unpack(packed: bytes, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """The inverse of :func:`pack`.

    Raises
    ------
    ValueError
        If the bytes are damaged, or do not hold exactly the elements of ``shape``.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    engine = zlib.decompressobj()
    try:
        raw = engine.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"compressed values are damaged: {error}") from error
    if len(raw) != size or not engine.eof:
        raise ValueError(f"compressed values do not hold {size} bytes")
    return np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayChange:
    """The strokes (``painted``) or the output (``labels``) of a slice before and after, in a bounding box."""

    kind: Literal["painted", "labels"]
    slice_index: SliceIndex
    region: Region
    before: bytes
    after: bytes
    dtype: str

    @classmethod
    def between(
        cls, kind: Literal["painted", "labels"], slice_index: SliceIndex, before: NDArray[Any], after: NDArray[Any]
    ) -> ArrayChange | None:
        """The change from one array of shape (H, W) to another; None where there is none."""
        region = changed_region(before, after)
        if region[0].stop == 0:
            return None
        largest = max(int(before[region].max()), int(after[region].max()))
        dtype = "uint8" if largest <= 255 else "uint16"
        old, new = before[region].astype(dtype), after[region].astype(dtype)
        return cls(kind, slice_index, region, pack(old), pack(new), dtype)

    def values(self, *, after: bool) -> NDArray[Any]:
        """The content of the bounding box."""
        shape = (self.region[0].stop - self.region[0].start, self.region[1].stop - self.region[1].start)
        return unpack(self.after if after else self.before, shape, self.dtype)

    @property
    def is_visible(self) -> bool:
        """Whether an undo of it is seen."""
        return True

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return len(self.before) + len(self.after) + 200


@dataclass(frozen=True, slots=True, eq=False)
class ValueChange:
    """A slice's acceptance (bool), or what it held before something came (bytes or None), before and after."""

    kind: Literal["accepted", "underlay", "found", "prior"]
    slice_index: SliceIndex
    before: Any
    after: Any

    @property
    def is_visible(self) -> bool:
        """Whether an undo of it is seen."""
        return self.kind == "accepted"

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(len(v) for v in (self.before, self.after) if isinstance(v, bytes)) + 200


Change = ArrayChange | ValueChange


@dataclass(slots=True, eq=False)
class Step:
    """What one act of the user changed.

    ``waiting`` holds the slices whose strokes still wait for their result.
    """

    identity: int
    changes: list[Change] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    waiting: set[SliceIndex] = field(default_factory=set)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(c.nbytes for c in self.changes) + 200

    def slices(self) -> tuple[SliceIndex, ...]:
        """The slices it changed."""
        return tuple(dict.fromkeys(c.slice_index for c in self.changes))


class History:
    """Steps done and undone, bounded in bytes but never fewer than ``min_steps``.

    Steps own the journal entries that made them: an undone step takes its entries with it, so that the journal always
    tells how the present state came about. Entries of steps too old to be undone stay in the journal for good.
    """

    def __init__(self, *, min_steps: int = MIN_STEPS, max_bytes: int = MAX_BYTES) -> None:
        self._min_steps = min_steps
        self._max_bytes = max_bytes
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._bytes = 0  # of the steps done
        self._journal: list[Entry] = []  # ascending; those of no step are fixed
        self._next = 0
        self.version = 0  # another one whenever a step is begun, answered, undone or redone

    def load(self, entries: list[Entry]) -> None:
        """Begin with entries of an earlier session, which cannot be undone."""
        self._journal = list(entries)
        self.version += 1

    def begin(self, changes: list[Change], *, waiting: Iterable[SliceIndex] = ()) -> Step:
        """A new step on top; what was undone is forgotten once something changes."""
        step = Step(self._next, changes, waiting=set(waiting))
        self._next += 1
        self.version += 1
        self._push(step)
        if changes:
            self._undone.clear()
        self._trim()
        return step

    def extend(self, step: Step, changes: list[Change], entries: list[Entry], *, answer: bool = False) -> Step:
        """Add a later outcome to a step, or to a new one on top where steps above it could cross it.

        What was undone is forgotten, even if nothing changed: an undone entry may continue the one that stood last. Of
        an ``answer`` that came by itself after an undo, the undone strokes are kept, to be answered anew when redone.
        """
        if self._place(step) < 0 or not self._commutes(step, changes):
            step = self.begin([])
        self.version += 1
        step.changes.extend(changes)
        self._bytes += sum(change.nbytes for change in changes)
        self._undone = self._strokes_alone() if answer else []
        step.entries.extend(entries)
        self._note(entries)
        if not any(change.is_visible for change in step.changes):
            self._attach(step)
        self._trim()
        return step

    def _place(self, step: Step) -> int:
        """Where a step stands among those done, looked for from the newest on; -1 where it does not."""
        return next((i for i in range(len(self._done) - 1, -1, -1) if self._done[i] is step), -1)

    def _push(self, step: Step) -> None:
        self._done.append(step)
        self._bytes += step.nbytes

    def _pop(self, index: int) -> Step:
        step = self._done.pop(index)
        self._bytes -= step.nbytes
        return step

    def _note(self, entries: list[Entry]) -> None:
        """Write entries into the journal."""
        for entry in entries:
            if self._journal and entry.sequence < self._journal[-1].sequence:
                insort(self._journal, entry, key=_SEQUENCE)
            else:
                self._journal.append(entry)

    def _strike(self, entries: list[Entry]) -> None:
        """Take entries out of the journal."""
        for entry in entries:
            del self._journal[bisect_left(self._journal, entry.sequence, key=_SEQUENCE)]

    def _strokes_alone(self) -> list[Step]:
        """The undone steps without their results, up to the first that is more than strokes and their result."""
        kept: list[Step] = []
        for step in reversed(self._undone):
            strokes: list[Change] = [c for c in step.changes if c.kind == "painted"]
            answered = all(entry.kind == "run" for entry in step.entries)
            if not strokes or not answered or any(c.kind == "accepted" for c in step.changes):
                break
            kept.append(Step(step.identity, strokes, waiting={c.slice_index for c in strokes}))
        return kept[::-1]

    def _attach(self, step: Step) -> None:
        """Give all of a step that nothing is seen of to the one below it: there is nothing to undo in it."""
        below = next((s for s in reversed(self._done[: self._place(step)]) if s.changes), None)
        if below is not None:
            below.changes.extend(step.changes)
            below.entries.extend(step.entries)
        else:
            self._bytes -= sum(change.nbytes for change in step.changes)
        step.changes, step.entries = [], []

    def _commutes(self, step: Step, changes: list[Change]) -> bool:
        """Whether the steps above ``step`` touch none of the voxels of ``changes``."""
        above = self._done[self._place(step) + 1 :]
        slices = {slice_index for later in above for slice_index in later.slices()}
        return all(c.slice_index.crossing(slice_index) is None for c in changes for slice_index in slices)

    def discard(self, step: Step) -> None:
        """Take out a step that came to nothing."""
        place = self._place(step)
        if not step.changes and place >= 0:
            self._pop(place)

    def undo(self) -> Step | None:
        """The newest step, moved to those undone."""
        while self._done and not self._done[-1].changes:
            self._pop(-1)
        if not self._done:
            return None
        self.version += 1
        self._undone.append(self._pop(-1))
        self._strike(self._undone[-1].entries)
        return self._undone[-1]

    def redo(self) -> Step | None:
        """The step undone last, moved back."""
        if not self._undone:
            return None
        self.version += 1
        self._push(self._undone.pop())
        self._note(self._done[-1].entries)
        return self._done[-1]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return any(step.changes for step in self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    @property
    def top(self) -> Step | None:
        """The newest step, empty ones included."""
        return self._done[-1] if self._done else None

    def newest(self, slice_index: SliceIndex) -> Step | None:
        """The newest step that changed the strokes of ``slice_index``, or waits for its result."""
        for step in reversed(self._done):
            if any(c.kind == "painted" and c.slice_index == slice_index for c in step.changes):
                return step
        return None

    def newest_entry(self, slice_index: SliceIndex) -> Entry | None:
        """The journal's newest entry that set the labels of ``slice_index``; None where there is none."""
        setting = ("run", "edit", "clear")
        return next((e for e in reversed(self._journal) if e.slice_index == slice_index and e.kind in setting), None)

    def entries(self) -> list[Entry]:
        """The journal of the present state, in the order in which things happened."""
        return list(self._journal)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._done)

    def __len__(self) -> int:
        return len(self._done)

    @property
    def nbytes(self) -> int:
        """Bytes held by the differences, without the journal."""
        return self._bytes + sum(step.nbytes for step in self._undone)

    def _trim(self) -> None:
        """Forget the oldest steps while there are too many bytes, keeping ``min_steps``."""
        excess = self.nbytes - self._max_bytes if len(self._done) > self._min_steps else 0
        while excess > 0 and len(self._done) > self._min_steps:
            excess -= self._pop(0).nbytes
