"""Two copies of one session brought together: nothing that either of them holds is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.annotation import Annotation
from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.entries import Entry
from napari_scribseg.annotate.snapshot import Snapshot, restore
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.geometry import Geometry
from napari_scribseg.core.registry import DEFAULT_ENGINE, get_engine
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.patches import PackedRegion

__all__ = [
    "PREFERENCES",
    "Conflict",
    "Merged",
    "Preference",
    "Version",
    "empty_like",
    "merge_sessions",
    "stamps",
    "versions_of",
    "with_versions",
    "without_image",
]

Preference = Literal["ours", "theirs", "newest"]
PREFERENCES: tuple[Preference, ...] = ("ours", "theirs", "newest")


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What one person made of one slice.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    labels, painted, fixed : ndarray of shape (H, W), uint16
        Its labels, its strokes, and the ids of what was edited by hand.
    by : str
        Who accepted it; who worked on it last where nobody did.
    at : float
        When, in seconds since 1970.
    accepted : bool
        Whether it was accepted.
    """

    slice_index: SliceIndex
    labels: NDArray[np.uint16]
    painted: NDArray[np.uint16]
    fixed: NDArray[np.uint16]
    by: str
    at: float
    accepted: bool

    @property
    def stamp(self) -> tuple[SliceIndex, str, float]:
        """What tells it from others."""
        return self.slice_index, self.by, round(self.at, 3)

    def equals(self, other: Version) -> bool:
        """Whether labels and strokes are the same."""
        return np.array_equal(self.labels, other.labels) and np.array_equal(self.painted, other.painted)


@dataclass(frozen=True, slots=True, eq=False)
class Conflict:
    """A slice that two people made something else of.

    Attributes
    ----------
    chosen, other : Version
        The one that the merged session shows, and the one that is stored beside it.
    """

    chosen: Version
    other: Version

    @property
    def differing(self) -> int:
        """The number of pixels whose labels differ."""
        return int(np.count_nonzero(self.chosen.labels != self.other.labels))


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """What a merge gave.

    Attributes
    ----------
    snapshot : Snapshot
        The merged session.
    taken : tuple of SliceIndex
        The slices that came from the other copy.
    conflicts : tuple of Conflict
        The slices that both copies had worked on, with another result.
    kept : tuple of Version
        What is not in the merged session: the other side of the conflicts, and what a second person accepted as well.
    """

    snapshot: Snapshot
    taken: tuple[SliceIndex, ...]
    conflicts: tuple[Conflict, ...]
    kept: tuple[Version, ...]


def without_image(snapshot: Snapshot) -> Document:
    """The session as it was, for reading: its image is blank, and nothing can be computed."""
    blank = np.broadcast_to(np.uint8(0), snapshot.shape)
    source = Source(blank, Geometry(snapshot.shape, snapshot.spacing))
    return restore(snapshot, source, engine=DEFAULT_ENGINE, make_engine=get_engine)


def versions_of(snapshot: Snapshot, ids: Mapping[int, int] | None = None) -> dict[SliceIndex, Version]:
    """Each slice that strokes, edits or people set the labels of; not what was filled, propagated or drafted.

    ``ids`` maps label ids to those of another table.
    """
    document = without_image(snapshot)
    annotation, newest = document.annotation, document.history.newest_entries()
    accepting = {entry.slice_index: entry for entry in snapshot.entries if entry.kind == "accept"}
    own = [s for s, entry in newest.items() if entry.is_anchor or entry.kind == "clear"]
    found = {}
    for slice_index in dict.fromkeys([*own, *annotation.accepted, *document.base_slices]):
        accepted = slice_index in annotation.accepted
        entry = accepting.get(slice_index) if accepted else newest.get(slice_index)
        by, at = ("", 0.0) if entry is None else (entry.by, entry.at)
        arrays = (annotation.peek(slice_index), annotation.strokes.get(slice_index), annotation.fixed.get(slice_index))
        labels, painted, fixed = (_mapped(array, ids or {}) for array in arrays)
        found[slice_index] = Version(slice_index, labels, painted, fixed, by, at, accepted)
    return found


def _mapped(array: NDArray[np.unsignedinteger], ids: Mapping[int, int]) -> NDArray[np.uint16]:
    mapped = array.astype(np.uint16)
    for former, now in ids.items():
        if former != now:
            mapped[array == former] = now
    return mapped


def merge_sessions(
    ours: Snapshot,
    theirs: Snapshot,
    *,
    prefer: Preference = "ours",
    stored: Iterable[Snapshot] = (),
    stored_by_them: Iterable[Snapshot] = (),
    ids: Mapping[int, int] | None = None,
) -> Merged:
    """Bring what another copy of a session holds into this one.

    What only one of the copies changed since they were the same is taken from there. Of a slice that both changed, the
    one that is accepted is taken; where both or none are, ``prefer`` chooses, and the other one is kept beside it.

    Parameters
    ----------
    ours, theirs : Snapshot
        Of the same image.
    prefer : {"ours", "theirs", "newest"}
        Which of two versions the merged session shows.
    stored, stored_by_them : iterable of Snapshot
        What earlier merges stored beside each copy: a version that was weighed before is no new conflict.
    ids : mapping of int to int, optional
        Label ids of the other copy that are others here.

    Raises
    ------
    InputError
        If the images have different shapes.
    """
    if ours.shape != theirs.shape:
        raise InputError(f"the sessions belong to images of shape {ours.shape} and {theirs.shape}; one is expected")
    same = -1 if ids else _common(ours, theirs)
    other = versions_of(theirs, ids)
    if same == len(ours.entries) and _continues(theirs, ours):
        taken_all = sorted(_changed(theirs, same) & other.keys())
        return Merged(replace(theirs, source=ours.source), tuple(taken_all), (), ())
    mine = versions_of(ours)
    changed_here, changed_there = _changed(ours, same), _changed(theirs, same)
    weighed, weighed_there = stamps(ours, *stored), stamps(theirs, *stored_by_them)
    taken: list[Version] = []
    conflicts: list[Conflict] = []
    kept: list[Version] = []
    for slice_index in sorted(changed_there & other.keys()):
        new, old = other[slice_index], mine.get(slice_index)
        if (new.at and new.stamp in weighed) or (old is None and not _holds(new)):
            continue
        if old is None or slice_index not in changed_here:
            taken.append(new)
        elif new.equals(old):
            taken += [new] if new.accepted and not old.accepted else []
            kept += [new] if new.accepted and old.accepted and new.by != old.by else []
        else:
            newer_by_them = old.stamp in weighed_there and new.at > old.at
            wins = newer_by_them or (_wins(new, old, prefer) if new.accepted == old.accepted else new.accepted)
            (taken if wins else kept).append(new)
            kept += [old] if wins else []
            if new.accepted == old.accepted and not newer_by_them:
                conflicts.append(Conflict(new, old) if wins else Conflict(old, new))
    snapshot = with_versions(ours, taken, _strokes_alone(ours, theirs, other, ids or {}))
    return Merged(snapshot, tuple(v.slice_index for v in taken), tuple(conflicts), tuple(kept))


def stamps(*snapshots: Snapshot) -> set[tuple[SliceIndex, str, float]]:
    """Slice, person and time of all that sessions hold, as :attr:`Version.stamp` has them."""
    return {(e.slice_index, e.by, round(e.at, 3)) for each in snapshots for e in each.entries}


def _holds(version: Version) -> bool:
    return version.accepted or bool(version.labels.any() or version.painted.any())


def _wins(new: Version, old: Version, prefer: Preference) -> bool:
    return prefer == "theirs" or (prefer == "newest" and new.at > old.at)


def _common(ours: Snapshot, theirs: Snapshot) -> int:
    """How many log entries the copies have in common, from the first on; -1 where they began with other labels."""
    bases = [{s: (p.region, p.unpack().tobytes()) for s, p in each.base} for each in (ours, theirs)]
    if bases[0] != bases[1]:
        return -1
    same = 0
    for entry, other in zip(ours.entries, theirs.entries, strict=False):
        if _identity(entry) != _identity(other):
            break
        same += 1
    return same


def _continues(theirs: Snapshot, ours: Snapshot) -> bool:
    """Whether a copy whose log goes on from ours has all of our strokes, or went on where it lacks them."""
    later = {entry.slice_index for entry in theirs.entries[len(ours.entries) :]}
    return all(
        slice_index in later or np.array_equal(ours.strokes.get(slice_index), theirs.strokes.get(slice_index))
        for slice_index in ours.strokes.slices()
    )


def _identity(entry: Entry) -> tuple[object, ...]:
    labels = None if entry.labels is None else (entry.labels.region, entry.labels.values)
    return entry.sequence, entry.kind, entry.slice_index, labels, entry.by, round(entry.at, 3)


def _changed(snapshot: Snapshot, same: int) -> set[SliceIndex]:
    """The slices of the log from an entry on; where the copies began with other labels, those slices, too."""
    changed = {entry.slice_index for entry in snapshot.entries[max(same, 0) :]}
    return changed | {slice_index for slice_index, _ in snapshot.base} if same < 0 else changed


def _strokes_alone(
    ours: Snapshot, theirs: Snapshot, other: Mapping[SliceIndex, Version], ids: Mapping[int, int]
) -> dict[SliceIndex, NDArray[np.uint16]]:
    """Strokes of the other copy that nothing was computed from yet, on slices without strokes here."""
    written = {entry.slice_index for entry in (*ours.entries, *theirs.entries)} | other.keys()
    found = {}
    for slice_index in theirs.strokes.slices():
        if slice_index in written or any(s.displayed != slice_index.displayed for s in other):
            continue
        if not ours.strokes.get(slice_index).any():
            found[slice_index] = _mapped(theirs.strokes.get(slice_index), ids)
    return found


def with_versions(
    snapshot: Snapshot,
    versions: Collection[Version],
    strokes: Mapping[SliceIndex, NDArray[np.uint16]] | None = None,
) -> Snapshot:
    """A session with these versions of slices as edits, and accepted where they are.

    Slices of other orientations that were accepted keep their voxels. ``strokes`` are added where they stand.
    """
    if not versions and not strokes:
        return snapshot
    annotation = without_image(snapshot).annotation
    painted, fixed = snapshot.strokes.copy(), snapshot.fixed.copy()
    entries, sequence = list(snapshot.entries), max((e.sequence for e in snapshot.entries), default=0)

    def add(kind: Literal["edit", "accept", "reopen"], version: Version, labels: PackedRegion | None = None) -> None:
        nonlocal sequence
        sequence += 1
        entries.append(Entry(sequence, kind, version.slice_index, labels, by=version.by, at=version.at))

    for version in versions:
        slice_index = version.slice_index
        labels = _outside_accepted(annotation, version)
        if slice_index in annotation.accepted:
            add("reopen", version)
        painted.set(slice_index, version.painted)
        fixed.set(slice_index, version.fixed)
        if not np.array_equal(labels, annotation.peek(slice_index)):
            annotation.write(slice_index, labels)
            add("edit", version, PackedRegion.whole(labels))
        annotation.accepted.discard(slice_index)
        if version.accepted:
            annotation.accepted.add(slice_index)
            add("accept", version)
    for slice_index, ids in (strokes or {}).items():
        painted.set(slice_index, ids)
    classes = snapshot.classes.with_ids(_ids(versions, painted))
    return replace(snapshot, strokes=painted, fixed=fixed, entries=tuple(entries), classes=classes)


def _outside_accepted(annotation: Annotation, version: Version) -> NDArray[np.uint16]:
    """The labels of a version, with those of the accepted slices that cross it."""
    labels = version.labels.copy()
    for other in annotation.accepted - {version.slice_index}:
        here, there = version.slice_index.crossing(other), other.crossing(version.slice_index)
        if here is not None and there is not None:
            labels[here] = annotation.peek(other)[there]
    return labels


def _ids(versions: Iterable[Version], painted: StrokeStore) -> list[int]:
    found: list[int] = np.unique(
        np.concatenate([*(np.unique(v.labels) for v in versions), painted.voxels()[1]])
    ).tolist()
    return found


def empty_like(snapshot: Snapshot, classes: ClassTable) -> Snapshot:
    """A session of the same image without strokes and labels."""
    return replace(
        snapshot, strokes=StrokeStore(snapshot.shape), fixed=StrokeStore(snapshot.shape), base=(), entries=(),
        engines=snapshot.engines[-1:], classes=classes, slice_index=None,
    )  # fmt: skip
