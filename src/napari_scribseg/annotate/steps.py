"""Undo and redo of a session: its steps, and the log entries that belong to them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from numpy.typing import NDArray

from napari_scribseg.annotate.entries import Entry
from napari_scribseg.core.classes import ClassTable, LabelClass
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.history import History
from napari_scribseg.kernel.patches import ArrayDiff

__all__ = ["ArrayChange", "Change", "SessionHistory", "SessionStep", "ValueChange"]

ArrayKind = Literal["painted", "labels", "fixed"]

_SEQUENCE = attrgetter("sequence")
_SETTING = ("run", "fill", "draft", "edit", "clear")  # the kinds of entries that set labels


@dataclass(frozen=True, slots=True, eq=False)
class ArrayChange:
    """The strokes (``painted``), the output (``labels``) or the ``fixed`` labels of a slice before and after."""

    kind: ArrayKind
    slice_index: SliceIndex
    diff: ArrayDiff

    @classmethod
    def between(
        cls, kind: ArrayKind, slice_index: SliceIndex, before: NDArray[Any], after: NDArray[Any]
    ) -> ArrayChange | None:
        """The change from one array of shape (H, W) to another; None where there is none."""
        diff = ArrayDiff.between(before, after)
        return None if diff is None else cls(kind, slice_index, diff)

    @property
    def is_visible(self) -> bool:
        """Whether a user sees its undo."""
        return self.kind != "fixed"

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.diff.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class ValueChange:
    """Whether a slice is accepted (bool), or what it had before something came (bytes or None), before and after."""

    kind: Literal["accepted", "underlay", "original", "prior"]
    slice_index: SliceIndex
    before: Any
    after: Any

    @property
    def is_visible(self) -> bool:
        """Whether a user sees its undo."""
        return self.kind == "accepted"

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(len(v) for v in (self.before, self.after) if isinstance(v, bytes)) + 200


Change = ArrayChange | ValueChange


@dataclass(slots=True, eq=False)
class SessionStep:
    """The changes of one action of the user.

    ``waiting`` has the slices whose strokes still wait for their result, ``made`` the classes that were added for it.
    """

    identity: int
    changes: list[Change] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    waiting: set[SliceIndex] = field(default_factory=set)
    made: tuple[LabelClass, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(c.nbytes for c in self.changes) + 200

    @property
    def changes_values(self) -> bool:
        """Whether it changed more than strokes and labels."""
        return any(isinstance(change, ValueChange) for change in self.changes)

    def classes(self, classes: ClassTable, *, after: bool) -> ClassTable:
        """A table with the classes that were added for it, or without those of them that the user left as they were."""
        for label in self.made:
            if after and label.id not in classes:
                classes = classes.with_class(label)
            elif not after and label in classes.classes:
                classes = classes.without(label.id)
        return classes

    def slices(self) -> tuple[SliceIndex, ...]:
        """The slices it changed."""
        return tuple(dict.fromkeys(c.slice_index for c in self.changes))


class SessionHistory(History[SessionStep]):
    """A history whose steps own log entries, and may get a result later.

    An undone step takes its entries with it, so that the log always describes how the present state was made. Entries
    of steps too old to be undone stay in the log for good.
    """

    def __init__(self, *, min_steps: int = 100, max_bytes: int = 64 << 20) -> None:
        super().__init__(min_steps=min_steps, max_bytes=max_bytes)
        self._log: list[Entry] = []  # ascending
        self._next = 0
        self._newest: tuple[int, dict[SliceIndex, Entry]] = -1, {}

    def load(self, entries: list[Entry]) -> None:
        """Begin with entries of an earlier session, which cannot be undone."""
        self._log = list(entries)
        self.version += 1

    def begin(self, changes: list[Change], *, waiting: Iterable[SliceIndex] = ()) -> SessionStep:
        """A new step on top; steps that were undone are dropped once something changes."""
        step = SessionStep(self._next, changes, waiting=set(waiting))
        self._next += 1
        self.version += 1
        self._push(step)
        if changes:
            self._undone.clear()
        self._trim()
        return step

    def extend(
        self, step: SessionStep, changes: list[Change], entries: list[Entry], *, again: bool = False
    ) -> SessionStep:
        """Add a later result to a step, or to a new one on top where steps above it changed the same voxels.

        Undone steps are dropped, even if nothing changed: an undone entry may continue the one that was last. With
        ``again``, for a result that was computed once more after an undo, their strokes stay, to be segmented when they
        are redone.
        """
        if self._position(step) < 0 or not self._commutes(step, changes):
            step = self.begin([])
        self.version += 1
        step.changes.extend(changes)
        self._bytes += sum(change.nbytes for change in changes)
        self._undone = self._strokes_alone() if again else []
        step.entries.extend(entries)
        self._write(entries)
        if not any(change.is_visible for change in step.changes):
            self._attach(step)
        self._trim()
        return step

    def drop(self, step: SessionStep, entry: Entry, change: ArrayChange | None) -> None:
        """Remove an entry of a step, and the change that belongs to it, because what follows replaces both."""
        self.version += 1
        step.entries.remove(entry)
        del self._log[bisect_left(self._log, entry.sequence, key=_SEQUENCE)]
        if change is not None:
            step.changes.remove(change)
            self._bytes -= change.nbytes

    def discard(self, step: SessionStep) -> None:
        """Remove a step that changed nothing."""
        position = self._position(step)
        if not step.changes and position >= 0:
            self._pop(position)

    def undo(self) -> SessionStep | None:
        """The newest step, now undone; None where there is none."""
        while self._done and not self._done[-1].changes:
            self._pop(-1)
        step = super().undo()
        for entry in () if step is None else step.entries:
            del self._log[bisect_left(self._log, entry.sequence, key=_SEQUENCE)]
        return step

    def redo(self) -> SessionStep | None:
        """The step undone last, now done; None where there is none."""
        step = super().redo()
        self._write([] if step is None else step.entries)
        return step

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return any(step.changes for step in self._done)

    @property
    def top(self) -> SessionStep | None:
        """The newest step, empty ones included."""
        return self._done[-1] if self._done else None

    def newest(self, slice_index: SliceIndex) -> SessionStep | None:
        """The newest step that changed the strokes of a slice."""
        for step in reversed(self._done):
            if any(c.kind == "painted" and c.slice_index == slice_index for c in step.changes):
                return step
        return None

    def newest_entry(self, slice_index: SliceIndex) -> Entry | None:
        """The newest entry that set the labels of a slice; None where there is none."""
        return next((e for e in reversed(self._log) if e.slice_index == slice_index and e.kind in _SETTING), None)

    def newest_entries(self) -> Mapping[SliceIndex, Entry]:
        """Of each slice the newest entry that set its labels."""
        if self._newest[0] != self.version:
            self._newest = self.version, {e.slice_index: e for e in self._log if e.kind in _SETTING}
        return self._newest[1]

    def step_of(self, sequence: int) -> SessionStep | None:
        """The step that an entry belongs to; None where it can no longer be undone."""
        return next((s for s in reversed(self._done) if any(e.sequence == sequence for e in s.entries)), None)

    def below_strokes(self, slice_index: SliceIndex) -> Entry | None:
        """The newest entry that set the labels of a slice before its strokes did; None where there is none."""
        entries = (e for e in reversed(self._log) if e.slice_index == slice_index and e.kind in _SETTING)
        return next((e for e in entries if e.recipe is None or e.recipe.propagated), None)

    def entries(self) -> list[Entry]:
        """The log of the present state, in the order in which things happened."""
        return list(self._log)

    def _position(self, step: SessionStep) -> int:
        """The position of a step among those done, searched from the newest on; -1 where it is not there."""
        return next((i for i in range(len(self._done) - 1, -1, -1) if self._done[i] is step), -1)

    def _write(self, entries: list[Entry]) -> None:
        """Write entries into the log."""
        for entry in entries:
            if self._log and entry.sequence < self._log[-1].sequence:
                insort(self._log, entry, key=_SEQUENCE)
            else:
                self._log.append(entry)

    def _strokes_alone(self) -> list[SessionStep]:
        """The undone steps without their results, up to the first that is more than strokes and their result."""
        kept: list[SessionStep] = []
        for step in reversed(self._undone):
            strokes: list[Change] = [c for c in step.changes if c.kind == "painted"]
            segmented = all(entry.kind in ("run", "fill") for entry in step.entries)
            if not strokes or not segmented or any(c.kind == "accepted" for c in step.changes):
                break
            kept.append(SessionStep(step.identity, strokes, waiting={c.slice_index for c in strokes}))
        return kept[::-1]

    def _attach(self, step: SessionStep) -> None:
        """Move all of a step whose undo changes nothing visible to the step below it."""
        below = next((s for s in reversed(self._done[: self._position(step)]) if s.changes), None)
        if below is not None:
            below.changes.extend(step.changes)
            below.entries.extend(step.entries)
        else:
            self._bytes -= sum(change.nbytes for change in step.changes)
        step.changes, step.entries = [], []

    def _commutes(self, step: SessionStep, changes: list[Change]) -> bool:
        """Whether the steps above ``step`` touch none of the voxels of ``changes``."""
        above = self._done[self._position(step) + 1 :]
        slices = {slice_index for later in above for slice_index in later.slices()}
        return all(c.slice_index.crossing(slice_index) is None for c in changes for slice_index in slices)
