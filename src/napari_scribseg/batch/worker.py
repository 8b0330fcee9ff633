"""One image, from its files to its labels and its record: the work of a worker."""

from __future__ import annotations

import time
import warnings
from typing import Any

from napari_scribseg.batch.batch_jobs import BatchOutcome, BatchTask
from napari_scribseg.batch.records import (
    described,
    finished,
    log_line,
    read_record,
    refuse_foreign,
    request,
    write_record,
)
from napari_scribseg.core import InputError

__all__ = ["MOST_ATTEMPTS", "give_up", "segment_one"]

MOST_ATTEMPTS = 3


def segment_one(task: BatchTask) -> BatchOutcome:
    """Segment one image, unless its record shows that it is done; the outcome is done, skipped or failed.

    The labels are renamed into place, and the record is written after them: whenever the process is killed, the image
    either counts as done and is, or is done again. An error that the image causes is never raised.
    """
    outcome = finished(task)
    if outcome is not None:
        return outcome
    former = read_record(task)
    attempts = _attempts(task, former)
    if attempts >= MOST_ATTEMPTS:
        return give_up(task)
    start = time.perf_counter()
    wanted: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    try:
        wanted = request(task)  # before the files are read: what changes while they are read is done again
        refuse_foreign(task, former)
        write_record(task, "started", wanted, attempts=attempts + 1, outputs=None)
        log_line(task, "started")
        written, slices, notes = _compute(task)
        seconds = time.perf_counter() - start
        write_record(task, "done", wanted, seconds=seconds, slices=slices, outputs=written, notes=notes)
        log_line(task, "done")
    except Exception as error:  # noqa: BLE001 - a third party's engine or a damaged file may raise anything
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return _fail(task, former, wanted, " ".join(reason.split()), time.perf_counter() - start)
    return BatchOutcome.of(task, "done", seconds=seconds, slices=slices, labels=task.labels, notes=notes)


def _compute(task: BatchTask) -> tuple[list[list[Any]], int, tuple[str, ...]]:
    """Read, segment, write; returns the files written, the number of slices, and the warnings."""
    from napari_scribseg.headless import SliceDone, segment_volume
    from napari_scribseg.io import write_labels

    job, slices, notes = task.job, [0], dict[str, None]()

    def count(step: SliceDone) -> None:
        slices[0] = step.total

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        volume, _strokes, labels, classes = segment_volume(
            job.image,
            job.scribbles,
            engine=task.engine,
            parameters=dict(task.parameters),
            background=job.background,
            axis=job.axis,
            device=task.device,
            ignore_geometry=task.ignore_geometry,
            allow_outside=task.allow_outside,
            progress=count,
            fill=task.fill,
        )
        try:
            task.labels.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{task.labels.parent} cannot be made ({error.strerror})") from error
        written = write_labels(task.labels, labels, volume.geometry, classes, bids_tsv=job.class_table or None)
    notes.update((" ".join(str(w.message).split()), None) for w in caught if issubclass(w.category, UserWarning))
    return described(task, written), slices[0], tuple(notes)


def _attempts(task: BatchTask, record: dict[str, Any]) -> int:
    """How often this run started this image without an end: each time the process was killed."""
    if record.get("status") != "started" or record.get("run") != task.run:
        return 0
    attempts = record.get("attempts", 0)
    return attempts if isinstance(attempts, int) else 0


def give_up(task: BatchTask) -> BatchOutcome:
    """Fail an image whose worker was killed again and again."""
    former = read_record(task)
    reason = (
        f"the worker process was killed {MOST_ATTEMPTS} times while it had this image; mostly the memory is too small, "
        "fewer --workers leave more to each"
    )
    wanted = former.get("request")
    return _fail(task, former, wanted if isinstance(wanted, dict) else {}, reason, 0.0)


def _fail(task: BatchTask, former: dict[str, Any], wanted: dict[str, Any], reason: str, seconds: float) -> BatchOutcome:
    """A failed outcome, recorded if possible, with the outputs of former runs."""
    try:
        write_record(task, "failed", wanted, seconds=seconds, error=reason, outputs=former.get("outputs", []))
        log_line(task, "failed")
    except InputError as error:  # the disk that was too full for the labels is so for the record
        reason = reason if str(error) in reason else f"{reason}; {error}"
    return BatchOutcome.of(task, "failed", seconds=seconds, error=reason)
