"""A case of a project: an image, its session file, and how far it is."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

from napari_scribseg.annotate.merge import Conflict
from napari_scribseg.annotate.sidecar import read
from napari_scribseg.annotate.snapshot import Snapshot
from napari_scribseg.core import InputError
from napari_scribseg.core.errors import one_line
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.json_files import read_json, write_json
from napari_scribseg.learn.images import ImageReference

__all__ = ["CASE_FILE", "SESSION_FILE", "Case", "CaseState", "ConflictRecord", "Counts", "read_case", "write_case"]

CaseState = Literal["new", "drafted", "started", "finished", "unreadable"]

FORMAT, VERSION = "napari-scribseg case", 1
CASE_FILE, SESSION_FILE, COUNTS_FILE, VERSIONS_FOLDER = "case.json", "session.scribseg", "counts.json", "others"
_COUNTS = 1  # version of the cached counts


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a case is.

    Attributes
    ----------
    slices : int
        Those of the volume, along the axis on which most were accepted.
    accepted : int
        Those of them that are accepted.
    worked : int
        Slices of any orientation with strokes or edits.
    drafted : int
        Slices that a network or a fill between others wrote, and nobody accepted.
    strokes : int
        Strokes that an engine segmented.
    by : mapping of str to int
        Who accepted how many slices.
    problem : str
        Why the session file cannot be read, in a sentence; empty where it can.
    """

    slices: int
    accepted: int = 0
    worked: int = 0
    drafted: int = 0
    strokes: int = 0
    by: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def of(cls, snapshot: Snapshot) -> Counts:
        """Those of a session."""
        accepted: dict[SliceIndex, str] = {}
        newest: dict[SliceIndex, Any] = {}
        strokes = 0
        for entry in snapshot.entries:
            if entry.kind == "accept":
                accepted[entry.slice_index] = entry.by
            elif entry.kind == "reopen":
                accepted.pop(entry.slice_index, None)
            else:
                newest[entry.slice_index] = entry
                strokes += entry.recipe is not None and not entry.recipe.propagated
        worked = {s for s, entry in newest.items() if entry.is_anchor} | set(snapshot.strokes.slices())
        made = {s for s, entry in newest.items() if not entry.is_anchor and entry.kind != "clear"}
        ways = Counter(slice_index.displayed for slice_index in accepted)
        displayed = ways.most_common(1)[0][0] if ways else (len(snapshot.shape) - 2, len(snapshot.shape) - 1)
        return cls(
            prod(n for axis, n in enumerate(snapshot.shape) if axis not in displayed), ways[displayed],
            len(worked), len(made - accepted.keys()), strokes, dict(Counter(accepted.values())),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConflictRecord:
    """A slice of which two people's versions differ, until one of them is chosen.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    chosen, other : str
        Who made the version that the session shows, and who the other one.
    other_at : float
        When that was accepted, in seconds since 1970.
    differing : int
        Pixels whose labels differ.
    """

    slice_index: SliceIndex
    chosen: str
    other: str
    other_at: float
    differing: int

    @classmethod
    def of(cls, conflict: Conflict) -> ConflictRecord:
        """The record of a conflict that a merge found."""
        chosen, other = conflict.chosen, conflict.other
        return cls(other.slice_index, chosen.by, other.by, round(other.at, 3), conflict.differing)

    def to_json(self) -> dict[str, Any]:
        """As a case file has it."""
        where = [list(self.slice_index.displayed), list(self.slice_index.position)]
        return {
            "slice": where, "chosen": self.chosen, "other": self.other, "at": self.other_at,
            "differing": self.differing,
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: Any) -> ConflictRecord:
        """The inverse of :meth:`to_json`; raises what nonsense raises."""
        displayed, position = found["slice"]
        where = SliceIndex((int(displayed[0]), int(displayed[1])), tuple(int(p) for p in position))
        return cls(where, str(found["chosen"]), str(found["other"]), float(found["at"]), int(found["differing"]))


@dataclass(frozen=True, slots=True)
class Case:
    """One image of a project.

    Attributes
    ----------
    name : str
        Of the case; its folder has it, too.
    folder : Path
        With the session file.
    image : ImageReference
        Where its image is.
    conflicts : tuple of ConflictRecord
        Slices of which two people's versions differ.
    """

    name: str
    folder: Path
    image: ImageReference
    conflicts: tuple[ConflictRecord, ...] = ()

    @property
    def session_file(self) -> Path:
        """Strokes, labels and log; missing until the case is opened for the first time."""
        return self.folder / SESSION_FILE

    def version_file(self, person: str) -> Path:
        """Where other versions of slices by a person are stored."""
        return self.folder / VERSIONS_FOLDER / f"{safe_name(person)}.scribseg"

    def version_files(self) -> list[Path]:
        """Those that are there."""
        return sorted((self.folder / VERSIONS_FOLDER).glob("*.scribseg"))

    @property
    def state(self) -> CaseState:
        """``new``, ``drafted`` (by a network only), ``started``, or ``finished``: all slices are accepted.

        ``unreadable`` where the session file is damaged, or of a newer version.
        """
        counts = self.counts()
        if counts.problem:
            return "unreadable"
        if counts.accepted >= counts.slices:
            return "finished"
        if counts.accepted or counts.worked:
            return "started"
        return "drafted" if counts.drafted else "new"

    def require_readable(self) -> Case:
        """The case itself; InputError where its session file cannot be read."""
        problem = self.counts().problem
        if problem:
            raise InputError(f"the case {self.name} cannot be read: {problem}")
        return self

    def counts(self) -> Counts:
        """How far it is, as its session file says; the file is read where it changed since the last time."""
        try:
            stat = self.session_file.stat()
        except OSError:
            return Counts(prod(self.image.shape[:-2]))
        stamp = [_COUNTS, stat.st_size, stat.st_mtime_ns]
        cache = self.folder / COUNTS_FILE
        with contextlib.suppress(InputError, KeyError, TypeError):
            found = read_json(cache, "file of counts")
            if found["session"] == stamp:
                return Counts(**found["counts"])
        try:
            counts = Counts.of(read(self.session_file))
        except InputError as error:
            return Counts(prod(self.image.shape[:-2]), problem=str(error))
        with contextlib.suppress(InputError):  # a folder that may not be written is counted each time
            write_json(cache, {"session": stamp, "counts": asdict(counts)})
        return counts


def read_case(folder: Path) -> Case:
    """Read the file of a case.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a newer version.
    """
    path = folder / CASE_FILE
    content = read_json(path, "case of a project")
    check_format(content, path, FORMAT, VERSION)
    try:
        conflicts = tuple(ConflictRecord.from_json(found) for found in content.get("conflicts", ()))
        return Case(folder.name, folder, ImageReference.from_json(content["image"]), conflicts)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged: {one_line(str(error))}") from error


def write_case(case: Case) -> None:
    """Write the file of a case; InputError if it cannot be written."""
    write_json(
        case.folder / CASE_FILE,
        {
            "format": FORMAT,
            "version": VERSION,
            "image": case.image.to_json(),
            "conflicts": [conflict.to_json() for conflict in case.conflicts],
        },
    )


def check_format(content: Mapping[str, Any], path: Path, name: str, version: int) -> None:
    """Refuse a JSON file of another format, or of a newer version."""
    if content.get("format") != name:
        raise InputError(f"{path} is no {name.removeprefix('napari-scribseg ')} of napari-scribseg")
    found = content.get("version")
    if not isinstance(found, int) or found < 1:
        raise InputError(f"{path} is damaged: its version is {found!r}")
    if found > version:
        raise InputError(f"{path} was written by a newer version (format {found}); this one reads up to {version}")


def safe_name(text: str) -> str:
    """A text as the name of a file: other characters than letters, digits, ``.``, ``+`` and ``-`` become ``_``."""
    name = "".join(c if c.isalnum() or c in ".+-_" else "_" for c in text).lstrip(".")[:100]
    return name or "unknown"
