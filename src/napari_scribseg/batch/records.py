"""The record of each image on disk, and a log that is only appended to."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_scribseg.batch.batch_jobs import BatchOutcome, BatchTask
from napari_scribseg.core import InputError, get_engine
from napari_scribseg.core.errors import one_line
from napari_scribseg.core.parameters import values_of
from napari_scribseg.io.atomic import TEMPORARY
from napari_scribseg.io.class_tables import tables_beside
from napari_scribseg.io.data_files import header_stem
from napari_scribseg.io.formats import stem
from napari_scribseg.io.label_files import label_outputs
from napari_scribseg.io.outputs import files_of

__all__ = ["fingerprint", "finished", "log_line", "read_record", "remove_stale", "request", "write_record"]

FORMAT = "napari-scribseg batch record"
VERSION = 1

Fingerprint = list[list[Any]]


def fingerprint(path: Path) -> Fingerprint:
    """Name, size in bytes and time of change in ns of each file that belongs to ``path``; of a folder, all inside.

    Raises
    ------
    InputError
        If it does not exist or cannot be read.
    """
    try:
        stats = [(os.path.relpath(p, path.parent), p.stat()) for p in files_of(path)]
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error
    return [[name, s.st_size, s.st_mtime_ns] for name, s in stats]


def request(task: BatchTask) -> dict[str, Any]:
    """The inputs and settings of an image, in JSON types; the same request gives the same labels.

    Raises
    ------
    InputError
        If the image or the scribbles do not exist.
    """
    job = task.job
    return {
        "image": fingerprint(job.image),
        "scribbles": [entry for p in (job.scribbles, *tables_beside(job.scribbles)) for entry in fingerprint(p)],
        "engine": task.engine,
        "parameters": dict(task.settings),
        "background": job.background,
        "axis": job.axis,
        "class_table": job.class_table,
        "ignore_geometry": task.ignore_geometry,
        **({"fill": True} if task.fill else {}),  # records of earlier versions have none
    }


def read_record(task: BatchTask) -> dict[str, Any]:
    """The record of an image; empty where there is no valid one."""
    record = task.run_folder.record(task.record)
    return record if (record.get("format"), record.get("version")) == (FORMAT, VERSION) else {}


def write_record(task: BatchTask, status: str, wanted: dict[str, Any], **values: Any) -> None:
    """Write the record of an image, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    from napari_scribseg import __version__

    record = {
        "format": FORMAT,
        "version": VERSION,
        "status": status,
        "run": task.run,
        "program": f"napari-scribseg {__version__}",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": task.device,
        "request": wanted,
        **values,
    }
    task.run_folder.write_record(task.record, record)


def finished(task: BatchTask) -> BatchOutcome | None:
    """The outcome of a task that its record calls done: in this run, or skipped as of an earlier one; else None.

    A failure counts only where failures are not tried again.
    """
    record = read_record(task)
    status, of_this_run = record.get("status"), record.get("run") == task.run
    if status not in ("done", "failed") or (status == "failed" and task.retry_failed and not of_this_run):
        return None
    try:
        if _with_defaults(record["request"], task) != json.loads(json.dumps(request(task))):
            return None
        notes = tuple(map(str, record.get("notes", ())))
        if status == "failed":
            return BatchOutcome.of(
                task, "failed", error=str(record["error"]), seconds=float(record["seconds"]), notes=notes
            )
        if not all((task.folder / name).is_file() for name, *_ in record["outputs"]):
            return None
        return BatchOutcome.of(
            task,
            "done" if of_this_run else "skipped",
            seconds=float(record["seconds"]),
            slices=int(record["slices"]),
            labels=task.labels,
            notes=notes,
        )
    except (InputError, KeyError, TypeError, ValueError):  # inputs are gone, or someone edited the record
        return None


def _with_defaults(recorded: dict[str, Any], task: BatchTask) -> dict[str, Any]:
    """A recorded request, with the defaults of parameters that the engine did not have then."""
    named = recorded["parameters"]
    since = {name: value for name, value in values_of(get_engine(task.engine)).items() if name not in named}
    return {**recorded, "parameters": {**named, **since}}


def refuse_foreign(task: BatchTask, record: dict[str, Any]) -> None:
    """Refuse to write over labels that are not by this command, or that someone corrected since.

    Raises
    ------
    InputError
        If an output of this task is such a file.
    """
    if task.overwrite or (record and record.get("outputs") is None):  # none known: a run was killed while it wrote
        return
    written = {entry[0]: list(entry) for entry in record.get("outputs") or ()}
    for path in outputs(task):
        name = path.relative_to(task.folder).as_posix()
        if path.exists() and written.get(name) != [name, *_size_and_time(path)]:
            what = "was changed after it was written" if name in written else "is no result of a former run"
            raise InputError(f"{name} {what}; move it away, or allow writing over it (--overwrite)")


def outputs(task: BatchTask) -> tuple[Path, ...]:
    """The files that a task writes, but for a data file beside a header."""
    return label_outputs(task.labels, bids_tsv=task.job.class_table or None)


def described(task: BatchTask, paths: Iterable[Path]) -> Fingerprint:
    """Path below the output folder, size and time of change of each file written."""
    return [[p.relative_to(task.folder).as_posix(), *_size_and_time(p)] for p in paths]


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def log_line(task: BatchTask, event: str) -> None:
    """Append a line to the log of this process: ``time event id``; a log that cannot be written is no failure."""
    folder = task.run_folder.home / "log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{task.run}-{socket.gethostname()}-{os.getpid()}.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.time():.3f} {event} {one_line(task.job.out)}\n")
    except OSError:
        return


def remove_stale(tasks: Iterable[BatchTask], folder: Path) -> None:
    """Remove the half-written files of killed workers: those with names of temporaries of these tasks' outputs."""
    names: dict[Path, set[str]] = {}
    for task in tasks:
        for path in (*outputs(task), task.run_folder.home / task.record):
            names.setdefault(path.parent, set()).update((path.name[:100], stem(path)[:100]))
    names.setdefault(folder, set()).update(("report.csv", "report.md", "dataset_description.json"))
    for place, targets in names.items():
        for path in list(place.iterdir()) if place.is_dir() else []:
            match = TEMPORARY.fullmatch(path.name)
            target = match["target"] if match else ""
            if {target, stem(Path(target)), header_stem(target)} & targets:
                path.unlink(missing_ok=True)
