"""A cohort from the first image to the report."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from os import PathLike
from pathlib import Path
from typing import Any

from napari_scribseg.batch import cluster
from napari_scribseg.batch.batch_jobs import BatchJob, BatchOutcome, BatchTask, check_jobs
from napari_scribseg.batch.records import finished, remove_stale
from napari_scribseg.batch.report import FILES, BatchReport, write_report
from napari_scribseg.batch.worker import segment_one
from napari_scribseg.core import InputError, get_engine
from napari_scribseg.core.paths import user_path
from napari_scribseg.numerics.device import choose_device, n_threads

__all__ = ["Progress", "chosen_workers", "run_batch"]

log = logging.getLogger("scribseg")

Progress = Callable[[BatchOutcome, int, int], None]


def run_batch(
    jobs: Iterable[BatchJob],
    out: str | PathLike[str],
    *,
    engine: str = "svcd",
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    ignore_geometry: bool = False,
    allow_outside: bool = False,
    overwrite: bool = False,
    retry_failed: bool = True,
    fill: bool = False,
    progress: Progress | None = None,
) -> BatchReport:
    """Segment every image of a cohort with one engine; images that an earlier run finished are skipped.

    An image counts as done when its record in ``out/.scribseg`` names the same image, strokes, engine and parameters,
    and its labels are there. An image that fails does not stop the others. A script that calls this function with
    workers needs the line ``if __name__ == "__main__":``, because each worker imports it.

    Parameters
    ----------
    jobs : iterable of BatchJob
        As from :func:`~napari_scribseg.batch.read_table` or :func:`~napari_scribseg.batch.read_bids`.
    out : str or PathLike
        Folder for labels, records and the report; made where it is missing.
    engine : str
        Registered name.
    parameters : mapping, optional
        Values for the engine's fields.
    workers : int, optional
        Number of worker processes; 0 computes in this process. The default is half the number of cores where the
        extra ``cluster`` is installed, else 0.
    scheduler : str, optional
        Address of a dask scheduler whose workers do the work instead; they must see the files under the same paths.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    ignore_geometry : bool
        Take scribbles that lie elsewhere in space than their image as they are.
    allow_outside : bool
        Whether data files that a header names may lie outside of its folder.
    overwrite : bool
        Write also over files that are no results of this command, or that were changed since.
    retry_failed : bool
        Whether images that failed in an earlier run, and did not change since, are tried again.
    fill : bool
        Whether to fill the slices without strokes from those with strokes, see
        :func:`~napari_scribseg.headless.segment_strokes`.
    progress : callable, optional
        Called as ``progress(outcome, done, total)`` after each image, the skipped ones included.

    Returns
    -------
    BatchReport
        Also written to ``out/report.csv`` and ``out/report.md``, after an interruption, too.

    Raises
    ------
    InputError
        If a job, the engine, a parameter, the device or the folder cannot be used, or another run is at work in the
        folder; nothing was computed then.
    SchedulerLost
        If the scheduler goes away; finished images are kept.
    """
    start = time.perf_counter()
    folder = user_path(out).absolute()
    listed = [_absolute(job) for job in jobs]
    if not listed:
        raise InputError("no images were given; at least one is expected")
    check_jobs(listed, folder)
    common = BatchTask(
        listed[0],
        folder,
        engine,
        dict(parameters or {}),
        _settings(engine, parameters or {}),
        device=device,
        ignore_geometry=ignore_geometry,
        allow_outside=allow_outside,
        overwrite=overwrite,
        retry_failed=retry_failed,
        fill=fill,
        run=f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}",
    )
    if scheduler is None:
        choose_device(device)
    count = chosen_workers(workers, scheduler)
    with common.run_folder.open(() if overwrite else FILES):
        return _run([dataclasses.replace(common, job=job) for job in listed], count, scheduler, progress, start)


def _run(
    tasks: list[BatchTask], workers: int, scheduler: str | None, progress: Progress | None, start: float
) -> BatchReport:
    """Do the tasks, and write the report, after an interruption too."""
    folder = tasks[0].folder
    remove_stale(tasks, folder)
    outcomes: dict[str, BatchOutcome] = {}
    try:
        for outcome in _outcomes(tasks, workers, scheduler):
            outcomes[outcome.id] = outcome
            if progress is not None:
                progress(outcome, len(outcomes), len(tasks))
    finally:
        remove_stale(tasks, folder)  # of workers that were killed in this run
        ordered = tuple(outcomes.get(task.job.out) or BatchOutcome.of(task, "left") for task in tasks)
        seconds = time.perf_counter() - start
        report = BatchReport(ordered, folder, tasks[0].engine, tasks[0].settings, seconds)
        write_report(report)
    return report


def _outcomes(tasks: list[BatchTask], workers: int, scheduler: str | None) -> Generator[BatchOutcome, None, None]:
    """First the tasks that are done already, then the others as they end."""
    ahead = []
    for task in tasks:
        outcome = finished(task)
        if outcome is not None:
            yield outcome
        else:
            ahead.append(task)
    if not ahead:
        return
    if not workers and scheduler is None:
        yield from map(segment_one, ahead)
        return
    with _client(ahead, workers, scheduler) as client, closing(cluster.segment_all(ahead, client)) as coming:
        yield from coming


def _client(tasks: list[BatchTask], workers: int, scheduler: str | None) -> AbstractContextManager[Any]:
    if scheduler is not None:
        return cluster.remote_client(scheduler, tasks[0].folder)
    workers = min(workers, len(tasks))
    return cluster.local_client(workers, max(n_threads() // workers, 1))


def chosen_workers(workers: int | None, scheduler: str | None) -> int:
    """The number of local worker processes; 0 for this process."""
    if workers is not None and workers < 0:
        raise InputError(f"{workers} workers were asked for; 0 (this process) or more are expected")
    if scheduler is not None:
        if workers is not None:
            raise InputError("both workers and a scheduler were given; a scheduler has workers of its own")
        if not cluster.has_dask():
            raise InputError(f"a scheduler was given, but dask is not installed; {cluster.HOW_TO_GET}")
        return 0
    if cluster.has_dask():
        return max(n_threads() // 2, 1) if workers is None else workers
    if workers:
        raise InputError(f"{workers} workers were asked for, but dask is not installed; {cluster.HOW_TO_GET}")
    if workers is None:
        log.info("one image at a time; for several at once, %s", cluster.HOW_TO_GET)
    return 0


def _settings(engine: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of the engine with its value, in JSON types."""
    made: Any = get_engine(engine, **parameters)
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(made) if field.init}
    return {n: v if isinstance(v, str | bool | int | float | None) else repr(v) for n, v in values.items()}


def _absolute(job: BatchJob) -> BatchJob:
    image, scribbles = (Path(os.path.normpath(user_path(path).absolute())) for path in (job.image, job.scribbles))
    return dataclasses.replace(job, image=image, scribbles=scribbles)
