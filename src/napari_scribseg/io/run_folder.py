"""The output folder of a command that resumes: settings that must not change, records, and a table of finished jobs."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import replacing, write_files
from napari_scribseg.io.lock import locked
from napari_scribseg.io.outputs import check_folder
from napari_scribseg.io.sheets import csv_rows, csv_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["ResultTable", "RunFolder", "read_rows"]

Key = TypeVar("Key", bound="DataclassInstance")
Row = TypeVar("Row", bound="DataclassInstance")


@dataclass(frozen=True)
class RunFolder:
    """The folder in which a command keeps finished results, so that the same command resumes an interrupted run.

    Parameters
    ----------
    path : Path
        It need not exist.
    mark : str
        Name of a file, or of a hidden folder, that only this command makes: it tells our folders from others.
    hidden : bool
        Whether ``mark`` is a folder that holds the lock and the records; else ``mark`` is the file of the settings.
    """

    path: Path
    mark: str
    hidden: bool = False

    @property
    def home(self) -> Path:
        """The folder of the lock and of the records."""
        return self.path / self.mark if self.hidden else self.path

    @contextmanager
    def open(self, outputs: Iterable[str] = (), settings: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Make the folder, and hold its lock.

        Parameters
        ----------
        outputs : iterable of str
            Names, or patterns, of the files that will be written: where one exists in a folder that is not ours, the
            folder is refused.
        settings : mapping, optional
            What must be the same for results to stand in one table, as JSON. Written by the first run, compared by
            every later one.

        Raises
        ------
        InputError
            If the folder is not ours, cannot be written, is in use by another run, or holds results of other settings.
        """
        check_folder(self.path, self.mark, outputs)
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path} cannot be made ({error.strerror}); a writable folder is expected") from error
        if not os.access(self.path, os.W_OK):
            raise InputError(f"{self.path} may not be written; a writable folder is expected")
        with locked(self.home / "lock"):
            if settings is not None:
                self._check(json.loads(json.dumps(settings)))
            yield

    def _check(self, settings: dict[str, Any]) -> None:
        """Write the settings, or compare them with those of the run to resume."""
        file = self.path / self.mark
        if not file.exists():
            with replacing(file) as stream:
                stream.write(json.dumps(settings, indent=1).encode())
            return
        try:
            before, now = _flat(json.loads(file.read_text(encoding="utf-8"))), _flat(settings)
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{file} is damaged ({error}); give another folder") from error
        for name in (n for n in {**now, **before} if before.get(n) != now.get(n)):
            raise InputError(
                f"{self.path} holds a run with {name} = {before.get(name)}, now it is {now.get(name)}; give another "
                "folder, or the same settings to resume"
            )

    def settings(self) -> dict[str, Any]:
        """The settings of the run."""
        content: dict[str, Any] = json.loads((self.path / self.mark).read_text(encoding="utf-8"))
        return content

    def record(self, name: str) -> dict[str, Any]:
        """The record of one job; empty where there is none, or a damaged one."""
        try:
            content = json.loads((self.home / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_record(self, name: str, content: Mapping[str, Any]) -> None:
        """Write the record of one job, whole or not at all; several processes may write records at the same time.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        file = self.home / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{file.parent} cannot be made ({error.strerror})") from error
        write_files({file: json.dumps(content, indent=1).encode()})

    def table(self, row: type[Row], key: type[Key]) -> ResultTable[Row, Key]:
        """The table of this folder's finished jobs; the folder must be open."""
        return ResultTable(self.path, row, key)


class ResultTable(Generic[Row, Key]):
    """Rows of finished jobs in ``rows.csv``, and the jobs in ``finished.csv``; one process writes at a time.

    The rows of a job are written before the job counts as finished. Where a run was killed in between, the job is done
    again, and its first rows are dropped.

    Parameters
    ----------
    folder : Path
        Existing; files of an earlier run in it are read.
    row : type
        A dataclass of str, int and float. A field with a default may be missing in files written before. The metadata
        of a field may hold ``formerly``, a name that the column had in files written before, and ``parse``, a function
        that reads a cell instead of the field's type.
    key : type
        A dataclass of str, whose fields are fields of ``row`` too.

    Raises
    ------
    InputError
        If a file there is not ours or is damaged.
    """

    def __init__(self, folder: Path, row: type[Row], key: type[Key]) -> None:
        self._rows, self._finished = folder / "rows.csv", folder / "finished.csv"
        self._row, self._key = row, key
        self.finished = set(read_rows(self._finished, key))
        if not self._rows.exists():
            self.finished.clear()
        kept = [row for row in self.rows() if self.key_of(row) in self.finished]
        _replace(self._rows, self._row, kept)
        _replace(self._finished, self._key, sorted(self.finished, key=astuple))

    def key_of(self, row: Row) -> Key:
        """The job that a row belongs to."""
        return self._key(*(getattr(row, field.name) for field in fields(self._key)))

    def rows(self) -> list[Row]:
        """All rows in the file, in the order in which they were written."""
        return read_rows(self._rows, self._row)

    def add(self, key: Key, rows: Sequence[Row]) -> None:
        """Write the rows of a job, then that it is finished."""
        _append(self._rows, rows)
        _append(self._finished, [key])
        self.finished.add(key)


def _flat(settings: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Nested settings as one mapping, their names joined by dots."""
    table: dict[str, Any] = {}
    for name, value in settings.items():
        table |= _flat(value, f"{head}{name}.") if isinstance(value, dict) else {f"{head}{name}": value}
    return table


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows in a table; a last line without its end was cut off by a crash, and is left out.

    Raises
    ------
    InputError
        If the file is no such table, or is damaged.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    try:
        lines = csv_rows(content[: content.rfind(b"\n") + 1].decode())
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is no table of results ({error}); give another folder") from error
    if not lines:
        return []
    parsers = _parsers(path, kind, lines[0])
    return [_parsed(path, kind, parsers, line) for line in lines[1:]]


def _parsers(path: Path, kind: Any, header: Sequence[str]) -> dict[str, Callable[[str], Any]]:
    """What reads each cell of a line, by the name of the field and in the order of the header."""
    types, found = get_type_hints(kind), {}
    columns = {name: field for field in fields(kind) for name in (field.metadata.get("formerly"), field.name) if name}
    for name in header:
        if name in columns:
            field = columns[name]
            found[field.name] = field.metadata.get("parse") or types[field.name]
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if len(found) != len(header) or needed - set(found):
        raise InputError(f"{path} has other columns than this command writes; give another folder")
    return found


def _parsed(path: Path, kind: type[Row], parsers: Mapping[str, Callable[[str], Any]], line: Sequence[str]) -> Row:
    if len(line) != len(parsers):
        raise InputError(
            f"{path} is damaged: a line has {len(line)} values, {len(parsers)} are expected; give another folder"
        )
    try:
        return kind(**{name: parse(text) for (name, parse), text in zip(parsers.items(), line, strict=True)})
    except ValueError as error:
        raise InputError(f"{path} holds a line that is no result ({error}); give another folder") from error


def _replace(path: Path, kind: Any, rows: Iterable[Any]) -> None:
    with replacing(path) as file:
        file.write(csv_text([[field.name for field in fields(kind)], *map(astuple, rows)]).encode())


def _append(path: Path, rows: Iterable[Any]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(csv_text(map(astuple, rows)))
        file.flush()
        os.fsync(file.fileno())
