"""Copies of a project on which several people worked, brought together."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from napari_scribseg.annotate.merge import (
    PREFERENCES,
    Preference,
    Version,
    empty_like,
    merge_sessions,
    stamps,
    versions_of,
    with_versions,
)
from napari_scribseg.annotate.sidecar import SessionWriter, read
from napari_scribseg.annotate.snapshot import Snapshot
from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.learn.case import Case, ConflictRecord, write_case
from napari_scribseg.learn.folder import ProjectFolder
from napari_scribseg.learn.images import ImageReference

__all__ = ["MergeReport", "merge_projects", "resolve", "versions_by_person"]


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge brought.

    Attributes
    ----------
    added : tuple of str
        Names of cases that only the other copy had.
    slices : mapping of str to int
        Of each case, how many slices came from the other copy.
    conflicts : mapping of str to int
        Of each case, how many slices both had worked on with another result.
    in_use : tuple of str
        Cases that are open in another program, and were left as they are: close them, and merge again.
    networks : tuple of str
        Names of learned networks that only the other copy had.
    """

    added: tuple[str, ...] = ()
    slices: Mapping[str, int] = field(default_factory=dict)
    conflicts: Mapping[str, int] = field(default_factory=dict)
    in_use: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


def merge_projects(project: ProjectFolder, other: ProjectFolder, prefer: Preference = "ours") -> MergeReport:
    """Bring the cases, strokes, accepted slices and networks of another copy into a project.

    Nothing is overwritten: of a slice that both copies changed, one version is shown and the other one is stored beside
    the session, under the name of who made it.

    Parameters
    ----------
    project, other : ProjectFolder
        The other one is only read.
    prefer : {"ours", "theirs", "newest"}
        Which version is shown where both are accepted, or none is.

    Raises
    ------
    InputError
        If they are one folder, there is no such rule, or a file is damaged.
    """
    if prefer not in PREFERENCES:
        raise InputError(f"the rule is {prefer!r}; expected one of {', '.join(PREFERENCES)}")
    if project.folder.resolve() == other.folder.resolve():
        raise InputError(f"{other.folder} is the project itself; another copy of it is expected")
    here = {case.image.fingerprint: case for case in project.cases}
    added, in_use = [], []
    slices: dict[str, int] = {}
    conflicts: dict[str, int] = {}
    for theirs in other.cases:
        ours = here.get(theirs.image.fingerprint)
        if ours is None:
            ours = project.add_case(_reference(project, other, theirs), theirs.name)
            added.append(ours.name)
        try:
            taken, found = _merge_case(project, ours, theirs, other.classes, prefer)
        except InUseError:
            in_use.append(ours.name)
            continue
        if taken:
            slices[ours.name] = taken
        if found:
            conflicts[ours.name] = found
    return MergeReport(tuple(added), slices, conflicts, tuple(in_use), _copy_networks(project, other))


def _reference(project: ProjectFolder, other: ProjectFolder, case: Case) -> ImageReference:
    image = case.image
    near = (other.folder / image.path, *(other.folder / channel for channel in image.channels))
    first = Path(image.absolute)
    far = (first, *(first.parent / Path(channel).name for channel in image.channels))
    return image.moved(near if all(path.exists() for path in near) else far, project.folder)


def _merge_case(
    project: ProjectFolder, ours: Case, theirs: Case, classes: ClassTable, prefer: Preference
) -> tuple[int, int]:
    """Merge one case; returns the number of slices taken, and of conflicts."""
    if not theirs.session_file.is_file():
        return 0, 0
    found = read(theirs.session_file)
    stored_by_them = [read(path) for path in theirs.version_files()]
    table = _joined(classes, [label for each in (found, *stored_by_them) for label in each.classes])
    ids = class_ids(project, table)
    with _locked(ours.session_file):
        if not ours.session_file.is_file() and not ids:
            write_files({ours.session_file: theirs.session_file.read_bytes()})
            here, taken, conflicts = found, len(versions_of(found)), len(theirs.conflicts)
            write_case(replace(ours, conflicts=theirs.conflicts))
        else:
            before = read(ours.session_file) if ours.session_file.is_file() else empty_like(found, project.classes)
            stored = [read(path) for path in ours.version_files()]
            merged = merge_sessions(before, found, prefer=prefer, stored=stored, stored_by_them=stored_by_them, ids=ids)
            here, taken, conflicts = merged.snapshot, len(merged.taken), len(merged.conflicts)
            # in this order, a merge that is killed finds again what it had not written yet
            if conflicts:
                records = {c.slice_index: c for c in ours.conflicts}
                records |= {c.other.slice_index: ConflictRecord.of(c) for c in merged.conflicts}
                write_case(replace(ours, conflicts=tuple(records[s] for s in sorted(records))))
            store_versions(ours, merged.kept, before)
            if here is not before:
                SessionWriter().write(replace(here, classes=_joined(here.classes, project.classes)), ours.session_file)
        seen = stamps(here, *(read(path) for path in ours.version_files()))
        more = [v for each in stored_by_them for v in versions_of(each, ids).values() if v.stamp not in seen]
        store_versions(ours, more, here)
    return taken, conflicts


def store_versions(case: Case, versions: Iterable[Version], like: Snapshot) -> None:
    """Store versions of slices beside the session of a case, in a file for each person."""
    by_person: dict[Path, list[Version]] = defaultdict(list)
    for version in versions:
        by_person[case.version_file(version.by)].append(version)
    for path, theirs in by_person.items():
        path.parent.mkdir(exist_ok=True)
        former = read(path) if path.is_file() else empty_like(like, like.classes)
        SessionWriter().write(with_versions(former, theirs), path)


def versions_by_person(case: Case) -> dict[SliceIndex, dict[str, Version]]:
    """What each person accepted of each slice of a case: in the session, and in what merges stored beside it."""
    found: dict[SliceIndex, dict[str, Version]] = defaultdict(dict)
    for path in (*case.version_files(), case.session_file):
        for version in versions_of(read(path)).values() if path.is_file() else ():
            former = found[version.slice_index].get(version.by)
            if version.accepted and (former is None or former.at <= version.at):
                found[version.slice_index][version.by] = version
    return {slice_index: people for slice_index, people in found.items() if people}


def resolve(case: Case, conflict: ConflictRecord, keep: Literal["chosen", "other"]) -> None:
    """End a conflict: the session shows the chosen version, or the other one; the one that it does not show stays.

    Raises
    ------
    InUseError
        If the case is open.
    InputError
        If there is no such conflict, or its other version is not there.
    """
    if conflict not in case.conflicts:
        raise InputError(f"{case.name} has no such conflict; it has {len(case.conflicts)} others")
    with _locked(case.session_file):
        snapshot, where = read(case.session_file), conflict.slice_index
        shown = versions_of(snapshot)[where]
        if keep == "other":
            path = case.version_file(conflict.other)
            stored = versions_of(read(path)).get(where) if path.is_file() else None
            if stored is None:
                raise InputError(f"the version of {conflict.other} is not in {path}; the file was changed since")
            store_versions(case, [shown], snapshot)
            shown = stored
        snapshot = with_versions(snapshot, [replace(shown, at=time.time())])
        SessionWriter().write(snapshot, case.session_file)
        write_case(replace(case, conflicts=tuple(c for c in case.conflicts if c != conflict)))


def class_ids(project: ProjectFolder, table: ClassTable) -> dict[int, int]:
    """The ids in a project of the classes of another table, which are added to it; only those that differ.

    A class is found by its name, the background by its mark; one without a name of its own by its id.
    """
    own, ids, new = project.classes, {}, []
    for label in table:
        same = next((c for c in own if _same_class(c, label)), None)
        if same is None:
            identity = label.id if label.id not in own else own.free_id()
            same = replace(label, id=identity, background=label.background and own.background is None)
            own = own.with_class(same)
            new.append(same)
        if same.id != label.id:
            ids[label.id] = same.id
    if new:
        project.add_classes(new)
    return ids


def _same_class(own: LabelClass, other: LabelClass) -> bool:
    if own.background or other.background:
        return own.background and other.background
    return own.name.lower() == other.name.lower() if other.is_named else own.id == other.id


def _joined(table: ClassTable, others: Iterable[LabelClass]) -> ClassTable:
    """A table with the classes of others whose ids it lacks."""
    for label in others:
        if label.id not in table:
            table = table.with_class(label if table.background is None else replace(label, background=False))
    return table


def _copy_networks(project: ProjectFolder, other: ProjectFolder) -> tuple[str, ...]:
    """Copy the learned networks that are not here; one of the same name and another content gets a new name."""
    here = {path.name: path.read_bytes() for path in project.network_files()}
    copied = []
    for path in other.network_files():
        content = path.read_bytes()
        if content in here.values():
            continue
        names: Collection[str] = here.keys()
        name = next(
            n for n in (path.name, *(f"{path.stem}-{i}{path.suffix}" for i in range(2, 10_000))) if n not in names
        )
        project.networks_folder.mkdir(exist_ok=True)
        write_files({project.networks_folder / name: content})
        here[name] = content
        copied.append(name)
    return tuple(copied)


def _locked(path: Path) -> contextlib.closing[FileLock]:
    return contextlib.closing(FileLock(path))
