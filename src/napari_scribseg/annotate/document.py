"""An image being annotated, without engines at work: strokes, labels, settings, steps."""

from __future__ import annotations

import dataclasses
import getpass
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.annotate.annotation import Annotation
from napari_scribseg.annotate.edits import SliceEdit
from napari_scribseg.annotate.engine_cache import MISSING, engine_key
from napari_scribseg.annotate.entries import DraftMap, DraftRecipe, Entry, FillRecipe, Kind, Recipe
from napari_scribseg.annotate.rules import OVERLAPS, combine, lacking
from napari_scribseg.annotate.segment import SegmentJob, SegmentOutcome, SliceResult
from napari_scribseg.annotate.solve_span import KeptVoxels, SolvedSlice
from napari_scribseg.annotate.span import Span
from napari_scribseg.annotate.steps import ArrayChange, Change, SessionHistory, SessionStep
from napari_scribseg.core.classes import MAX_ID, ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.registry import get_engine
from napari_scribseg.core.scribbles import UNKNOWN, Scribbles
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.patches import PackedRegion, Region, pack, region_of, unpack

__all__ = ["Document", "EngineRecord", "as_engine", "as_overlap", "user_name"]

EngineRecord = tuple[str, dict[str, Any]]

_DRAFT_DRIFT = 1.0  # finest pixels that borders of a draft may be off
_DRIFT, _DRIFT_PER_SLICE, _MOST_DRIFT = 0.5, 0.35, 3.0  # finest pixels that borders of a filled slice may have moved


class Document:
    """Image, strokes, labels, steps and settings; changed in the owner's thread only.

    Attributes
    ----------
    modified : Signal()
        There is something new to save.
    base : tuple of (SliceIndex, PackedRegion)
        The labels that the session began with; a replay begins with them.
    engines : list of Engine or EngineRecord
        The engines that made labels (of an earlier session: name and parameters); log entries refer to them by index.
    slice_index : SliceIndex or None
        The slice drawn on last.
    sequence : int
        Number of log entries ever made.
    annotator : str
        Who works on it, as log entries name them.
    """

    modified = Signal()

    def __init__(
        self,
        source: Source,
        engine: str | Engine[Any],
        *,
        classes: ClassTable | None,
        device: str,
        overlap: str,
        labels: ArrayLike | None,
    ) -> None:
        self.source = source
        self.engine = as_engine(engine)
        self.classes = classes if classes is not None else ClassTable()
        self.device = device
        self.overlap = as_overlap(overlap)
        self.annotation = Annotation(source.shape, labels)
        self.history = SessionHistory()
        self.base: tuple[tuple[SliceIndex, PackedRegion], ...] = ()
        if labels is not None:
            self.base = _nonempty(self.annotation.labels)
        self.engines: list[Engine[Any] | EngineRecord] = []
        self.slice_index: SliceIndex | None = None
        self.sequence = 0
        self.annotator = user_name()
        self._anchors: tuple[int, list[tuple[SliceIndex, Entry]]] = -1, []
        self._base_slices: tuple[Any, frozenset[SliceIndex]] = None, frozenset()
        self._unpacked: tuple[bytes, NDArray[np.int32] | None] = b"", None  # the prior that was unpacked last

    # reading

    @property
    def base_slices(self) -> frozenset[SliceIndex]:
        """The slices that had labels when the session began."""
        if self._base_slices[0] is not self.base:
            self._base_slices = self.base, frozenset(slice_index for slice_index, _ in self.base)
        return self._base_slices[1]

    @property
    def locked_values(self) -> tuple[int, ...]:
        """Values in the output that no result may change: the ids of locked classes, 0 for the background."""
        return tuple(0 if c.background else c.id for c in self.classes if c.locked)

    def find_slice(self, index: SliceIndex | int | None) -> SliceIndex:
        """The slice meant by an index along the axis in use, by a SliceIndex, or by None in a 2D image."""
        if isinstance(index, SliceIndex):
            return self.source.require(index)
        if self.slice_index is not None and index is not None and len(self.slice_index.position) == 1:
            return self.source.slice_index(int(index), self.slice_index.others[0])
        return self.source.slice_index(None if index is None else int(index))

    def read_strokes(self, painted: ArrayLike | Scribbles, slice_index: SliceIndex) -> NDArray[Any]:
        """The ids of a slice, shape (H, W), uint8 or uint16: a copy.

        Raises
        ------
        InputError
            If the shape is another than the slice's, the values are not integers, or an id is not in 0..65535.
        """
        values = np.asarray(self._from_scribbles(painted) if isinstance(painted, Scribbles) else painted)
        shape = self.source.slice_shape(slice_index)
        if values.shape != shape:
            raise InputError(f"the strokes have shape {values.shape}; {self.source.where(slice_index)} has {shape}")
        if values.dtype.kind not in "iub":
            raise InputError(f"the strokes have {values.dtype} values; integers are expected")
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > MAX_ID:
            raise InputError(f"the strokes have ids from {low} to {high}; expected 0 (unpainted) to {MAX_ID}")
        return values.astype(np.uint8 if high <= 255 else np.uint16)

    def _from_scribbles(self, scribbles: Scribbles) -> NDArray[Any]:
        """Painted ids; the class with id 0 gets the background's id, a new one where the table has none."""
        ids = list(scribbles.ids)
        if 0 in ids:
            self.classes = self.classes.with_ids(ids)
            ids[ids.index(0)] = self.require_background()
        return np.asarray([*ids, 0])[scribbles.seeds]

    def lacking(self, slice_index: SliceIndex, drawn: Sequence[int]) -> str:
        """What strokes of these ids on a slice lack to be segmented, in a sentence without an end; empty if nothing."""
        return lacking(drawn, self.engine.info, self.classes, self.prior(slice_index))

    def prior(self, slice_index: SliceIndex) -> NDArray[np.int32] | None:
        """The labels that strokes on a slice correct, shape (H, W), -1 where unknown; None where there are none.

        They are those before the first stroke since something else than strokes was written there: by a propagation, an
        edit, or by whoever made the labels that the session began with; and those when it was reopened. Where only
        slices that cross it were written, its other voxels are unknown.
        """
        packed = self.annotation.prior(slice_index)
        if packed is not None:
            if packed is not self._unpacked[0]:
                shape = self.source.slice_shape(slice_index)
                self._unpacked = packed, unpack(packed, shape, "int32") if packed else None
            return self._unpacked[1]
        labels = self.annotation.committed(slice_index).astype(np.int32)
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

    def drift(self, slice_index: SliceIndex) -> float:
        """How far the borders of :meth:`prior` may be off, in finest pixels: of a slice that was filled or drafted.

        0 of labels that the user made, or has accepted.
        """
        below = self.history.below_strokes(slice_index)
        if below is None or (below.fill is None and below.draft is None):
            return 0.0
        since = (e for e in self.history.entries() if e.slice_index == slice_index and e.sequence > below.sequence)
        if any(entry.kind == "accept" for entry in since):
            return 0.0
        if below.fill is None:
            return _DRAFT_DRIFT
        at = slice_index.position[slice_index.others.index(below.fill.axis)]
        return min(_DRIFT + _DRIFT_PER_SLICE * min(abs(at - end) for end in below.fill.ends), _MOST_DRIFT)

    def fixed(self, slice_index: SliceIndex, painted: NDArray[Any]) -> NDArray[np.int32] | None:
        """The labels of a slice that no result of these strokes changes, -1 elsewhere; None where there are none.

        They were edited by hand, and no stroke was painted over them since.
        """
        ids = self.annotation.fixed.get(slice_index)
        ids[self._repainted(slice_index, painted)] = 0
        if not ids.any():
            return None
        labels = ids.astype(np.int32)
        labels[ids == 0] = UNKNOWN
        labels[ids == self.classes.background] = 0
        return labels

    def _repainted(self, slice_index: SliceIndex, painted: NDArray[Any]) -> NDArray[np.bool_]:
        """Where strokes of a slice are newer than the present ones."""
        newer: NDArray[np.bool_] = (painted != self.annotation.strokes.get(slice_index)) & (painted != 0)
        return newer

    def combined(
        self, job: SegmentJob, result: SliceResult, overlap: str | None = None, locked: tuple[int, ...] | None = None
    ) -> NDArray[Any]:
        """What the slice of a job becomes with its result, by the present rules where none are given."""
        current = self.annotation.committed(job.slice_index)
        underlay = self.annotation.underlay(job.slice_index)
        return combine(
            result.labels, current, current if underlay is None else underlay, ids=result.ids,
            overlap=self.overlap if overlap is None else overlap,
            locked=self.locked_values if locked is None else locked,
            slice_index=job.slice_index, accepted=self.annotation.accepted, corrects=job.prior is not None,
            fixed=self.fixed(job.slice_index, job.painted) if job.fixed is None else job.fixed,
        )  # fmt: skip

    # steps

    def paint(self, strokes: Mapping[SliceIndex, NDArray[Any]], slice_index: SliceIndex) -> SessionStep:
        """Make these the strokes of slices; returns the step that their results belong to.

        That is a new step, or the newest one where nothing changed and ``slice_index`` still waits for its result.
        """
        changes: list[Change] = []
        for other, painted in strokes.items():
            ids = self.annotation.fixed.get(other)
            ids[self._repainted(other, painted)] = 0
            changes += [*self.annotation.fix(other, ids), *self.annotation.paint(other, painted)]
        step = self.history.top
        if changes or step is None or slice_index not in step.waiting or step is not self.history.newest(slice_index):
            step = self.history.begin(changes, waiting=strokes)
        self.modified.emit()
        return step

    def write_result(
        self, job: SegmentJob, outcome: SegmentOutcome, result: SliceResult, step: SessionStep, *, propagated: bool
    ) -> tuple[SessionStep, Entry, Region]:
        """Write the result of a job; returns the step that it went into, its entry, and the region that changed."""
        annotation, slice_index = self.annotation, job.slice_index
        merged, fixed = self.combined(job, result), self.fixed(slice_index, job.painted)
        changes = annotation.store_original(slice_index, annotation.committed(slice_index))
        if annotation.underlay(slice_index) is None:
            changes += annotation.set_underlay(slice_index, annotation.committed(slice_index))
        prior = None if propagated else self._packed_prior(job)
        changes += annotation.set_prior(slice_index, prior)
        region, written = annotation.write(slice_index, merged)
        painted = job.painted if outcome.painted is None else outcome.painted
        recipe = Recipe(
            self._engine_index(job.engine), job.warm is not MISSING, self.overlap, self.locked_values, job.background,
            job.device, outcome.checksum, propagated, job.drift,
        )  # fmt: skip
        entry = self._entry(
            "run", slice_index, written, seeds=PackedRegion.whole(painted), recipe=recipe,
            prior=PackedRegion(region_of(painted.shape), prior, "int32") if prior else None,
            fixed=None if fixed is None else PackedRegion.whole(fixed),
        )  # fmt: skip
        step.waiting.discard(slice_index)
        step = self.history.extend(step, [*changes, *written], [entry], again=job.again)
        self.modified.emit()
        return step, entry, region

    def crossing_anchors(self, span: Span) -> list[tuple[SliceIndex, Entry]]:
        """The slices of other orientations that count for filling and cross a span, with what set their labels."""
        displayed, first = span.like.displayed, span.at(span.indices[0])
        return [(o, e) for o, e in self._all_anchors() if o.displayed != displayed and o.crossing(first) is not None]

    def _all_anchors(self) -> list[tuple[SliceIndex, Entry]]:
        """The slices that count for filling, of all orientations, with what set their labels."""
        if self._anchors[0] != self.history.version:
            newest, accepted = self.history.newest_entries().items(), self.annotation.accepted
            anchors = [(other, entry) for other, entry in newest if entry.is_anchor or other in accepted]
            self._anchors = self.history.version, anchors
        return self._anchors[1]

    def kept_voxels(self, span: Span) -> Callable[[SliceIndex], NDArray[np.int32] | None]:
        """What gives the labels of a slice of a span that filling leaves as they are; for any thread."""
        crossing = tuple((other, self.annotation.peek(other).copy()) for other, _ in self.crossing_anchors(span))
        strokes, fixed = self.annotation.strokes.copy(), self.annotation.fixed.copy()
        return KeptVoxels(strokes, fixed, self.classes.background, crossing).on

    def write_fill(
        self, slice_index: SliceIndex, found: SolvedSlice, ids: tuple[int, ...], fill: FillRecipe, step: SessionStep
    ) -> SessionStep:
        """Write the filled labels of a slice, in place of a preview in that step; returns the step they went into.

        ``ids`` are the labels of the anchors.
        """
        annotation, drafted = self.annotation, self.drafted(slice_index)
        self._take_back_preview(slice_index, step)
        merged, current = self.with_fill(slice_index, found, ids, fill), annotation.committed(slice_index)
        changes = annotation.store_original(slice_index, current)
        if annotation.underlay(slice_index) is None:
            changes += annotation.set_underlay(slice_index, current)
        changes += annotation.set_prior(slice_index, None)
        changes += annotation.write(slice_index, merged)[1]
        entry = self._entry(
            "fill", slice_index, changes, fixed=found.kept, fill=fill, around=found.around, drafted=drafted
        )
        step = self.history.extend(step, changes, [entry])
        self.modified.emit()
        return step

    def drafted(self, slice_index: SliceIndex) -> DraftMap | None:
        """What was drafted for a slice, if nothing was written there since but filled labels."""
        entry = self.history.newest_entries().get(slice_index)
        return None if entry is None else entry.drafted

    def write_draft(
        self, slice_index: SliceIndex, drafted: DraftMap, ids: tuple[int, ...], draft: DraftRecipe, step: SessionStep
    ) -> SessionStep:
        """Write the drafted labels of a slice; returns the step that they went into.

        ``ids`` are the labels that the drafter knows.
        """
        annotation, current = self.annotation, self.annotation.committed(slice_index)
        underlay = annotation.underlay(slice_index)
        kept = self._kept_on(slice_index)
        merged = combine(
            drafted.labels.unpack(), current, current if underlay is None else underlay, ids=ids,
            overlap=draft.overlap, locked=draft.locked, slice_index=slice_index, accepted=annotation.accepted,
            fixed=kept,
        )  # fmt: skip
        changes = annotation.store_original(slice_index, current)
        if underlay is None:
            changes += annotation.set_underlay(slice_index, current)
        changes += annotation.set_prior(slice_index, None)
        changes += annotation.write(slice_index, merged)[1]
        fixed = None if kept is None else PackedRegion.whole(kept)
        step = self.history.extend(
            step, changes, [self._entry("draft", slice_index, changes, fixed=fixed, draft=draft, drafted=drafted)]
        )
        self.modified.emit()
        return step

    def _kept_on(self, slice_index: SliceIndex) -> NDArray[np.int32] | None:
        """The labels of a slice that a draft leaves as they are: strokes, edits by hand, and anchors that cross it."""
        crossing = [
            (other, self.annotation.peek(other))
            for other, _ in self._all_anchors()
            if other.displayed != slice_index.displayed
        ]
        return KeptVoxels(self.annotation.strokes, self.annotation.fixed, self.classes.background, tuple(crossing)).on(
            slice_index
        )

    def _take_back_preview(self, slice_index: SliceIndex, step: SessionStep) -> None:
        """Remove the preview of a filled slice, if it is what was written there last and belongs to a step."""
        preview = next((entry for entry in reversed(step.entries) if entry.slice_index == slice_index), None)
        if preview is None or preview.fill is None or preview.fill.final or step is not self.history.top:
            return
        changes = (c for c in reversed(step.changes) if c.slice_index == slice_index and isinstance(c, ArrayChange))
        change = next(changes, None)
        if change is not None:
            if change.diff.after is not preview.labels:
                return
            self.annotation.apply(change, after=False)
        self.history.drop(step, preview, change)

    def with_fill(
        self, slice_index: SliceIndex, found: SolvedSlice, ids: tuple[int, ...], fill: FillRecipe
    ) -> NDArray[Any]:
        """What a slice becomes when it is filled, by the rules of a recipe."""
        current, underlay = self.annotation.committed(slice_index), self.annotation.underlay(slice_index)
        return combine(
            found.labels, current, current if underlay is None else underlay, ids=ids, overlap=fill.overlap,
            locked=fill.locked, slice_index=slice_index, accepted=self.annotation.accepted,
            fixed=None if found.kept is None else found.kept.unpack(),
        )  # fmt: skip

    def empty(self, slice_index: SliceIndex, step: SessionStep) -> SessionStep:
        """Take back what was filled in a slice; returns the step that it went into."""
        changes: list[Change] = []
        original = self.annotation.original(slice_index)
        if original is not None:
            changes += self._write(slice_index, original)
            changes += self.annotation.drop_original(slice_index) + self.annotation.set_underlay(slice_index, None)
        changes += self.annotation.set_prior(slice_index, None)
        step = self.history.extend(step, changes, [self._entry("clear", slice_index, changes)])
        self.modified.emit()
        return step

    def _packed_prior(self, job: SegmentJob) -> bytes:
        """The labels that the strokes of a job corrected, as the annotation stores them."""
        packed = self.annotation.prior(job.slice_index)
        if packed is not None:
            return packed
        return b"" if job.prior is None else pack(job.prior)

    def remove_corrections(self, slice_index: SliceIndex, step: SessionStep) -> bool:
        """The last stroke was erased: the labels that strokes corrected come back. Whether there were any."""
        prior = self.prior(slice_index)
        if self.annotation.prior(slice_index) is None or prior is None:
            return False
        changes = self._write(slice_index, np.where(prior < 0, 0, prior).astype(np.uint16))
        changes += self.annotation.set_prior(slice_index, None)
        below = self.history.below_strokes(slice_index)
        if below is not None and below.draft is not None:
            draft = dataclasses.replace(below.draft, restored=True)
            entry = self._entry("draft", slice_index, changes, draft=draft, drafted=below.drafted)
        elif below is None or below.fill is None:
            entry = self._entry("edit", slice_index, changes)
        else:
            fill = dataclasses.replace(below.fill, restored=True)
            entry = self._entry("fill", slice_index, changes, fill=fill, drafted=below.drafted)
        self.history.extend(step, changes, [entry])
        return True

    def clear(self, slice_index: SliceIndex) -> bool:
        """Remove the strokes of a slice, and what this session wrote there. Whether something changed."""
        nothing = np.zeros(self.source.slice_shape(slice_index), np.uint8)
        changes = [*self.annotation.paint(slice_index, nothing), *self.annotation.fix(slice_index, nothing)]
        original = self.annotation.original(slice_index)
        if original is not None:
            changes += self._write(slice_index, original)
            changes += self.annotation.drop_original(slice_index) + self.annotation.set_underlay(slice_index, None)
        changes += self.annotation.set_prior(slice_index, None)
        return self._add("clear", slice_index, changes)

    def edit(self, slice_index: SliceIndex, labels: NDArray[Any], fix: NDArray[np.bool_] | None = None) -> bool:
        """Set the labels of a slice by hand. Whether something changed.

        No later result changes the voxels of ``fix``, shape (H, W), until a stroke is painted over them; strokes there
        that contradict the labels are erased.
        """
        before = self.annotation.committed(slice_index)
        after = self._within_locks(slice_index, labels, before)
        edit = SliceEdit.between(slice_index, before, after)
        changes: list[Change] = []
        if fix is not None:
            fix = fix & (after == labels)
            if (fix & (after == 0)).any():
                self.require_background()
            changes = self._supersede(edit, fix, fix)
        return self._add("edit", slice_index, [*self._edited(edit), *changes])

    def edit_slices(self, edits: Sequence[SliceEdit]) -> list[Change]:
        """Write what a tool made of slices within the locks, as one step; returns the changes.

        Strokes that contradict changed labels are erased there, and fixed labels change, too.
        """
        changes: list[Change] = []
        entries = []
        for edit in edits:
            made = self._edited(edit)
            entries.append(self._entry("edit", edit.slice_index, made))
            fixed = self.annotation.fixed.get(edit.slice_index) != 0
            changes += [*made, *self._supersede(edit, edit.changed, edit.changed & fixed)]
        if changes:
            self.history.extend(self.history.begin([]), changes, entries)
            self.modified.emit()
        return changes

    def _edited(self, edit: SliceEdit) -> list[Change]:
        """Write an edit; returns the changes, if any."""
        if edit.change is None:
            return []
        slice_index, annotation = edit.slice_index, self.annotation
        changes = annotation.store_original(slice_index, edit.original)
        changes += annotation.write(slice_index, edit.labels, edit.change)[1]
        changes += annotation.cover(slice_index, edit.changed, edit.labels)
        return [*changes, *annotation.set_prior(slice_index, None)]

    def _supersede(self, edit: SliceEdit, where: NDArray[np.bool_], fix: NDArray[np.bool_]) -> list[Change]:
        """Erase the strokes that contradict an edit, and fix its labels; returns the changes, if any."""
        annotation, slice_index = self.annotation, edit.slice_index
        painted = annotation.strokes.get(slice_index)
        if not (fix.any() or painted.any()):
            return []
        ids = np.where(edit.labels == 0, self.classes.background or 0, edit.labels)
        changes: list[Change] = []
        if fix.any():
            changes += annotation.fix(slice_index, np.where(fix, ids, annotation.fixed.get(slice_index)))
        contradicting = where & (painted != 0) & (painted != ids)
        if contradicting.any():
            changes += annotation.paint(slice_index, np.where(contradicting, 0, painted).astype(painted.dtype))
        return changes

    def require_background(self) -> int:
        """The id whose strokes mark the background, of a new class where the table has none."""
        if self.classes.background is None:
            free = self.classes.free_id()
            self.classes = self.classes.with_ids([free]).as_background(free)
        return self.classes.background or 0

    def set_accepted(self, slice_index: SliceIndex, accepted: bool) -> bool:
        """Accept a slice, or reopen it. Whether something changed."""
        changes = self.annotation.accept(slice_index, accepted)
        if changes and not accepted:
            changes += self.annotation.set_prior(slice_index, None)
        return self._add("accept" if accepted else "reopen", slice_index, changes)

    def _add(self, kind: Kind, slice_index: SliceIndex, changes: list[Change]) -> bool:
        """Add a step without an engine, if there are changes. Whether there are."""
        if changes:
            step = self.history.begin([])
            self.history.extend(step, changes, [self._entry(kind, slice_index, changes)])
            self.modified.emit()
        return bool(changes)

    def apply(self, step: SessionStep, *, after: bool) -> None:
        """Go to the state after a step, or back to the one before it."""
        for change in step.changes if after else reversed(step.changes):
            self.annotation.apply(change, after=after)
        self.modified.emit()

    def _write(self, slice_index: SliceIndex, labels: NDArray[Any]) -> list[Change]:
        """Write labels that no engine made, within the locks; returns the changes, if any."""
        before = self.annotation.committed(slice_index)
        return self.annotation.write(slice_index, self._within_locks(slice_index, labels, before))[1]

    def _within_locks(self, slice_index: SliceIndex, labels: NDArray[Any], current: NDArray[Any]) -> NDArray[Any]:
        """Labels that no engine made, with the present ones where these are locked."""
        return combine(
            labels, current, np.zeros_like(current), ids=(), overlap="overwrite", locked=self.locked_values,
            slice_index=slice_index, accepted=self.annotation.accepted,
        )  # fmt: skip

    def _entry(self, kind: Kind, slice_index: SliceIndex, changes: Iterable[Change], **more: Any) -> Entry:
        """The next log entry, with the labels that one of the changes wrote."""
        self.sequence += 1
        labels = next((c.diff.after for c in changes if isinstance(c, ArrayChange) and c.kind == "labels"), None)
        return Entry(self.sequence, kind, slice_index, labels, by=self.annotator, at=time.time(), **more)

    def _engine_index(self, engine: Engine[Any]) -> int:
        """The position of an engine in the list of those used, where it is added if it is new."""
        keys = [None if isinstance(used, tuple) else engine_key(used) for used in self.engines]
        if engine_key(engine) not in keys:
            self.engines.append(engine)
            return len(self.engines) - 1
        return keys.index(engine_key(engine))


def user_name() -> str:
    """The name under which the user is logged in; empty where the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no entry for the user of a container
        return ""


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
        raise InputError(f"the engine {made.info.name!r} takes images of {made.info.ndim} axes; slices have 2")
    return made


def as_overlap(overlap: str) -> str:
    """The rule itself, if there is one of this name; InputError otherwise."""
    if overlap not in OVERLAPS:
        raise InputError(f"the overlap rule is {overlap!r}; expected one of {', '.join(OVERLAPS)}")
    return overlap


def _nonempty(labels: NDArray[Any]) -> tuple[tuple[SliceIndex, PackedRegion], ...]:
    """The slices of the last two axes that have a label, packed."""
    lead = labels.ndim - 2
    return tuple(
        (SliceIndex((lead, lead + 1), position), PackedRegion.whole(labels[position]))
        for position in np.ndindex(*labels.shape[:-2])
        if labels[position].any()
    )
