"""The folder of a project: classes, settings, cases and their sessions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_scribseg.annotate.document import user_name
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.sidecar import read
from napari_scribseg.core import ClassTable, InputError, LabelClass, Source
from napari_scribseg.core.errors import one_line
from napari_scribseg.core.paths import user_path
from napari_scribseg.core.registry import DEFAULT_ENGINE, engine_class
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.formats import stem
from napari_scribseg.io.json_files import read_json, write_json
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.learn.case import (
    CASE_FILE,
    Case,
    check_format,
    read_case,
    safe_name,
    write_case,
)
from napari_scribseg.learn.images import ImageReference, find_image, read_image

__all__ = ["PROJECT_FILE", "ProjectFolder"]

FORMAT, VERSION = "napari-scribseg project", 1
PROJECT_FILE, CASES_FOLDER, NETWORKS_FOLDER = "project.json", "cases", "networks"
BACKGROUND = 255
_PATIENCE = 5.0  # seconds to wait for another process that writes the same file


class ProjectFolder:
    """A folder with cases, classes, learned networks and settings; see :meth:`create` and :meth:`open`.

    All files are written whole or not at all, and read anew when they are needed, so that several programs may work on
    one folder; a case is worked on by one of them at a time.

    Attributes
    ----------
    folder : Path
        Of the project.
    annotator : str
        Who works: the name that session files note.
    """

    def __init__(self, folder: str | PathLike[str], annotator: str | None = None) -> None:
        self.folder = user_path(folder).absolute()
        self.annotator = one_line(user_name() if annotator is None else annotator)
        self._read: dict[Path, tuple[tuple[int, ...], Case]] = {}
        self._content()

    @classmethod
    def create(
        cls,
        folder: str | PathLike[str],
        classes: ClassTable | Sequence[str],
        *,
        engine: str = DEFAULT_ENGINE,
        annotator: str | None = None,
    ) -> Self:
        """Make a new project.

        Parameters
        ----------
        folder : path
            A new folder, or one that holds no project yet.
        classes : ClassTable or sequence of str
            The classes, or their names; a class for the background is added where the table has none.
        engine : str
            The registered name of the engine for strokes.
        annotator : str, optional
            Who works; by default the name under which the user is logged in.

        Raises
        ------
        InputError
            If there is a project already, the folder cannot be made, there is no such engine, or no class is named.
        """
        place = user_path(folder).absolute()
        table = classes if isinstance(classes, ClassTable) else _named(classes)
        if not any(not label.background for label in table):
            raise InputError("no class was named; at least one is expected, such as liver")
        if table.background is None:
            free = BACKGROUND if BACKGROUND not in table else table.free_id()
            table = table.with_ids([free]).as_background(free)
        engine_class(engine)
        if (place / PROJECT_FILE).exists():
            raise InputError(f"{place} is a project already; open it, or give a new folder")
        try:
            (place / CASES_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{place} cannot be made ({error.strerror}); a writable folder is expected") from error
        content = {"format": FORMAT, "version": VERSION, "classes": _classes_out(table), "settings": {"engine": engine}}
        write_json(place / PROJECT_FILE, content)
        return cls(place, annotator)

    @classmethod
    def open(cls, folder: str | PathLike[str], annotator: str | None = None) -> Self:
        """Open a project by its folder, or by its ``project.json``.

        Raises
        ------
        InputError
            If there is none, or its file is damaged or of a newer version.
        """
        place = user_path(folder)
        return cls(place.parent if place.name == PROJECT_FILE else place, annotator)

    # what the file holds

    def _content(self) -> dict[str, Any]:
        path = self.folder / PROJECT_FILE
        if not path.is_file():
            raise InputError(
                f"{self.folder} is no project: it holds no {PROJECT_FILE} (scribseg project create makes one)"
            )
        content = read_json(path, "project")
        check_format(content, path, FORMAT, VERSION)
        try:
            _classes_in(content["classes"])
            if not isinstance(content["settings"]["engine"], str) or not isinstance(content.get("last", {}), dict):
                raise TypeError("its settings are no text")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {one_line(str(error))}") from error
        return content

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The content of the project's file, which is written afterwards; nobody else writes it meanwhile."""
        path = self.folder / PROJECT_FILE
        with waiting_lock(path):
            content = self._content()
            yield content
            write_json(path, content)

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.folder.name

    @property
    def classes(self) -> ClassTable:
        """The classes of all cases, with the one for the background."""
        return _classes_in(self._content()["classes"])

    @classes.setter
    def classes(self, classes: ClassTable) -> None:
        with self._changing() as content:
            content["classes"] = _classes_out(classes)

    def add_classes(self, classes: Iterable[LabelClass]) -> None:
        """Add classes whose ids the project lacks, and take over names and colours of the others."""
        added = list(classes)
        table = _merged(self.classes, added)
        if _classes_out(table) != _classes_out(self.classes):
            with self._changing() as content:
                content["classes"] = _classes_out(_merged(_classes_in(content["classes"]), added))

    @property
    def engine(self) -> str:
        """The name of the engine for strokes."""
        return str(self._content()["settings"]["engine"])

    @engine.setter
    def engine(self, name: str) -> None:
        engine_class(name)
        with self._changing() as content:
            content["settings"]["engine"] = name

    @property
    def last(self) -> Case | None:
        """The case that this annotator opened last; None where there is none, or it is gone."""
        name = self._content().get("last", {}).get(self.annotator)
        return next((case for case in self.cases if case.name == name), None)

    @staticmethod
    def last_slice(case: Case) -> SliceIndex | None:
        """The slice of a case that was drawn on last; None in a case that nobody drew in."""
        return read(case.session_file).slice_index if case.session_file.is_file() else None

    # cases

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, by name; a case file is read anew where it changed."""
        found = {}
        for path in sorted((self.folder / CASES_FOLDER).glob(f"*/{CASE_FILE}")):
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_size, stat.st_ino
            former = self._read.get(path.parent)
            found[path.parent] = former if former and former[0] == stamp else (stamp, read_case(path.parent))
        self._read = found
        return tuple(case for _, case in found.values())

    def case(self, which: str | Case) -> Case:
        """A case by its name, as it is now.

        Raises
        ------
        InputError
            If there is none.
        """
        name = which.name if isinstance(which, Case) else which
        folder = self.folder / CASES_FOLDER / name
        if name not in ("", ".", "..") and Path(name).name == name and (folder / CASE_FILE).is_file():
            return read_case(folder)
        names = ", ".join(case.name for case in self.cases[:10]) or "none"
        raise InputError(f"there is no case {name!r} in {self.folder}; there are {names}")

    def add_image(self, paths: Path | tuple[Path, ...], *, series: str = "", name: str = "") -> Case:
        """Add one image as a new case.

        Parameters
        ----------
        paths : Path or tuple of Path
            A file or a DICOM folder; several files are the channels of one image.
        series : str
            The SeriesInstanceUID, where the folder holds several.
        name : str
            Of the case; by default from the file.

        Raises
        ------
        InputError
            If it cannot be read, or is a case already.
        """
        files = (paths,) if isinstance(paths, Path) else paths
        return self.add_case(ImageReference.of(files, self.folder, series=series), name or _case_name(files[0]))

    def add_case(self, image: ImageReference, name: str) -> Case:
        """Add an image whose place is given; errors as of :meth:`add_image`."""
        with waiting_lock(self.folder / CASES_FOLDER / "cases"):
            there = next((case for case in self.cases if case.image.fingerprint == image.fingerprint), None)
            if there is not None:
                raise InputError(f"{image.name} is the case {there.name} already")
            case = Case(*self._place(name), image)
            case.folder.mkdir(parents=True, exist_ok=True)
            write_case(case)
        return case

    def _place(self, wanted: str) -> tuple[str, Path]:
        """A name that no case has, and its folder."""
        base = safe_name(wanted)
        folders = self.folder / CASES_FOLDER
        taken = {path.name.casefold() for path in folders.iterdir()}
        name = next(
            n for n in (base, *(f"{base}-{i}" for i in range(2, 2 + len(taken) + 1))) if n.casefold() not in taken
        )
        return name, folders / name

    def read_image(self, which: str | Case) -> Source:
        """Read the image of a case; where it was moved, its new place is noted.

        Raises
        ------
        InputError
            If it is not there any more, or is another image than the one that was added.
        """
        case = self.case(which)
        source, image = read_image(case.image, self.folder, self._places())
        if (image.path, image.absolute) != (case.image.path, case.image.absolute):
            write_case(replace(case, image=image))
        return source

    def _places(self) -> Iterator[Path]:
        """Where an image may be that is not where it was: in the project, beside it, or beside the other images."""
        yield from (self.folder, self.folder.parent)
        yield from dict.fromkeys(Path(case.image.absolute).parent for case in self.cases)

    def find(self, folder: str | PathLike[str]) -> tuple[Case, ...]:
        """Look in a folder for the images that are not where they were; returns the cases that were found again.

        Raises
        ------
        InputError
            If there is no such folder.
        """
        place = user_path(folder)
        if not place.is_dir():
            raise InputError(f"{place}: there is no such folder; one with the images of the project is expected")
        found = []
        for case in self.missing():
            image = find_image(case.image, self.folder, place)
            if image is not None:
                write_case(replace(case, image=image))
                found.append(case)
        return tuple(found)

    def missing(self) -> tuple[Case, ...]:
        """The cases whose image is neither where it was, relative to the project, nor at its former absolute path."""
        return tuple(
            case
            for case in self.cases
            if not ((self.folder / case.image.path).exists() or Path(case.image.absolute).exists())
        )

    @property
    def networks_folder(self) -> Path:
        """Where learned networks are stored."""
        return self.folder / NETWORKS_FOLDER

    def network_files(self) -> list[Path]:
        """The learned networks, the oldest first."""
        return sorted(self.networks_folder.glob("*.safetensors"))

    # work

    def annotate(self, which: str | Case, *, volume: Source | None = None, **options: Any) -> Session:
        """Open the session of a case, which becomes the one opened last; see :meth:`open_session`."""
        session = self.open_session(which, volume=volume, **options)
        with self._changing() as content:
            content.setdefault("last", {})[self.annotator] = self.case(which).name
        return session

    def open_session(self, which: str | Case, *, volume: Source | None = None, **options: Any) -> Session:
        """Open the session of a case, or begin one; it is autosaved into the project until it is closed.

        Parameters
        ----------
        which : str or Case
        volume : Source, optional
            The image of the case, where it was read before; see :meth:`read_image`.
        **options
            Of :class:`Session` or :meth:`Session.load`: ``executor``, ``deliver``, ``state_bytes``, ``engine``.

        Raises
        ------
        InUseError
            If the case is open elsewhere.
        InputError
            If the image or the session file cannot be read.
        """
        case = self.case(which)
        volume, path = self.read_image(case) if volume is None else volume, case.session_file
        try:
            if path.exists():
                session = Session.load(path, volume, sidecar=path, **options)
                session.classes = _merged(session.classes, self.classes)
            else:
                options = {"engine": self.engine, **options}
                session = Session(volume, classes=self.classes, sidecar=path, **options)
        except InUseError:
            raise InUseError(f"the case {case.name} is open elsewhere; close it there first") from None
        session.annotator = self.annotator
        session.events.changed.connect(lambda: self._follow(session))
        return session

    def _follow(self, session: Session) -> None:
        """Add the classes that were made in a session to the project."""
        try:
            self.add_classes(session.classes)
        except InputError as error:
            session.events.hint.emit(f"the classes of the project stay as they were: {error}")

    @staticmethod
    def finish(session: Session) -> int:
        """Accept all slices of a session that are not accepted, along the axis in use; returns how many they were."""
        volume = session.volume
        like = next(iter(sorted(session.accepted)), None)
        displayed = like.displayed if like is not None else (volume.ndim - 2, volume.ndim - 1)
        sizes = [n for axis, n in enumerate(volume.shape) if axis not in displayed]
        return sum(session.accept(SliceIndex(displayed, position)) for position in np.ndindex(*sizes))


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file; waits some seconds for one who holds it."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            lock = FileLock(path)
            break
        except InUseError:
            if time.monotonic() > end:
                raise InputError(f"{path} is being written by another program; try again when it is done") from None
            time.sleep(0.05)
    try:
        yield
    finally:
        lock.release()


def _named(names: Sequence[str]) -> ClassTable:
    texts = [one_line(name).strip() for name in names]
    if any(not text for text in texts) or len({text.lower() for text in texts}) < len(texts):
        raise InputError(f"the classes are {', '.join(map(repr, texts))}; different names are expected")
    return ClassTable.from_ids([], background=BACKGROUND).with_names(texts)


def _merged(table: ClassTable, others: Iterable[LabelClass]) -> ClassTable:
    """A table with names and colours of others; what is shown and locked, and the background, stay its own."""
    for label in others:
        if label.id in table:
            own = table[label.id]
            label = replace(own, name=label.name, color=label.color)
        elif label.background and table.background is not None:
            continue
        table = table.with_class(label)
    return table


def _classes_out(classes: ClassTable) -> list[dict[str, Any]]:
    return [
        {"id": c.id, "name": c.name, "color": list(c.color), **({"background": True} if c.background else {})}
        for c in classes
    ]


def _classes_in(rows: Any) -> ClassTable:
    return ClassTable(tuple(_class_in(row) for row in rows))


def _class_in(row: Any) -> LabelClass:
    red, green, blue, opacity = (float(value) for value in row["color"])
    background = bool(row.get("background"))
    return LabelClass(int(row["id"]), str(row["name"]), (red, green, blue, opacity), background=background)


def _case_name(path: Path) -> str:
    return path.name if path.is_dir() else stem(path)
