"""A benchmark run: every method on every case by every protocol; an interrupted run is resumed."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.methods import Method, parse_method, warm_up
from napari_scribseg.bench.play import Rules, VolumeRules, play
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.bench.tasks import DRAWN_PROTOCOLS, VOLUME_PROTOCOLS, Protocol, evenly, tasks
from napari_scribseg.bench.volume.setups import FILL_NAMES, VolumeSetup, volume_setups
from napari_scribseg.core import InputError
from napari_scribseg.datasets import DataSet
from napari_scribseg.datasets.views import MissingLabelError, only
from napari_scribseg.io.run_folder import RunFolder

__all__ = ["MARK", "Plan", "Progress", "run"]

log = logging.getLogger("scribseg")

MARK = "run.json"  # of the folder of a run: its settings

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes
    ----------
    methods : tuple of str
        As :func:`~napari_scribseg.bench.methods.parse_method` reads them.
    data : tuple of DataSet
        Data sets; each once.
    protocols : tuple of str, optional
        Who draws: names of :data:`~napari_scribseg.bench.tasks.Protocol`; ``human`` and ``every-nth`` are left out for
        data without a person's strokes. By default ``human`` where there are such
        strokes, else ``strokes`` and ``clicks``.
    rules : Rules
    most_cases : int, optional
        Cases of a data set, evenly chosen; all by default.
    most_slices : int, optional
        Slices of a volume, evenly chosen; by default three for a robot user, and all with a person's strokes.
    labels : tuple of str
        Names or ids of the labels that count, all others are background; all labels by default. A case that lacks one
        is left out.
    fills, orders, every : tuple
        Of the protocols of whole volumes, see :func:`~napari_scribseg.bench.volume.setups.volume_setups`.
    """

    methods: tuple[str, ...]
    data: tuple[DataSet, ...]
    protocols: tuple[Protocol, ...] | None = None
    rules: Rules = field(default_factory=Rules)
    most_cases: int | None = None
    most_slices: int | None = None
    labels: tuple[str, ...] = ()
    fills: tuple[str, ...] = FILL_NAMES
    orders: tuple[str, ...] = ("offered",)
    every: tuple[int, ...] = (3,)

    def jobs(self) -> list[BenchJob]:
        """All jobs; those of a case follow one another, so that methods run on the machine in the same state."""
        return [
            BenchJob(data.name, case, protocol, method)
            for data in self.data
            for case in evenly(data.cases, self.most_cases)
            for protocol in self._protocols(data)
            for method in self._methods(protocol)
        ]

    def _methods(self, protocol: Protocol) -> list[str]:
        """The methods of a protocol; of a whole volume with their fills and orders."""
        methods = list(dict.fromkeys(self.methods))
        if protocol in VOLUME_PROTOCOLS:
            return volume_setups(protocol, methods, self.fills, self.orders, self.every)
        return methods

    def _protocols(self, data: DataSet) -> tuple[Protocol, ...]:
        if self.protocols is None:
            return ("human",) if data.human_strokes else ("strokes", "clicks")
        return tuple(p for p in dict.fromkeys(self.protocols) if p not in DRAWN_PROTOCOLS or data.human_strokes)


def run(plan: Plan, out: Path, *, workers: int = 1, progress: Progress | None = None) -> list[Row]:
    """Do the jobs of a plan that are not finished in ``out``.

    A case that lacks a label of the plan is left out, with a line in the log that names it. One that cannot be read
    does not keep the others from being measured first.

    Parameters
    ----------
    plan : Plan
        What to measure.
    out : Path
        Folder for ``rows.csv`` (a row for each interaction), ``finished.csv`` and ``run.json``; made where it is
        missing.
    workers : int
        Processes, each with its share of the cores; with more than one the seconds are those of a busy machine.
    progress : callable, optional
        Called with the number of jobs done, their total and the last one done.

    Returns
    -------
    list of Row
        Of this plan, from earlier runs too.

    Raises
    ------
    InputError
        If a method or a case cannot be loaded, there is nothing to measure, ``out`` holds a run with other rules, or
        another run is at work there.
    """
    for text in plan.methods:
        parse_method(text)  # report errors before the work starts
    jobs = plan.jobs()
    if not jobs:
        raise InputError("there is nothing to measure: no data set fits the protocols asked for")
    folder = RunFolder(out, MARK)
    outputs = ("rows.csv", "finished.csv", "report.md", "summary.csv")
    with folder.open(outputs, _settings(plan, workers)):
        table = folder.table(Row, BenchJob)
        todo = [job for job in jobs if job not in table.finished]
        errors = []
        for done, (job, result) in enumerate(_results(plan, todo, workers), start=len(jobs) - len(todo) + 1):
            if isinstance(result, InputError):
                errors.append(result)
            else:
                table.add(job, result)
            if progress is not None:
                progress(done, len(jobs), f"{job.data} {job.case}, {job.method}")
        wanted = set(jobs)
        found = [row for row in table.rows() if row.job in wanted]
    _report_left_out(errors, found)
    if not found:
        raise InputError("there is nothing to measure: no image has labels, or strokes, of two classes")
    return found


def _report_left_out(errors: list[InputError], found: list[Row]) -> None:
    """Name the cases that lack a label; raise what else is wrong with one, or what is wrong with all."""
    missing = list(dict.fromkeys(str(error) for error in errors if isinstance(error, MissingLabelError)))
    severe = [error for error in errors if not found or not isinstance(error, MissingLabelError)]
    for message in missing if found else ():
        log.warning("left out: %s", message)
    if severe:
        raise severe[0]


def _settings(plan: Plan, workers: int) -> dict[str, Any]:
    """The settings that all rows of a table share."""
    rules = asdict(plan.rules)
    for user in (rules["strokes_user"], rules["clicks_user"]):
        if user["larger"] == "peak":  # as in folders that were written before there was a choice
            del user["larger"]
    if plan.rules.volume == VolumeRules():
        del rules["volume"]
    return {
        "version": version("napari-scribseg"),
        "rules": rules,
        "slices": plan.most_slices,
        **({"labels": list(plan.labels)} if plan.labels else {}),
        "workers": workers,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
    }


def _results(plan: Plan, jobs: list[BenchJob], workers: int) -> Iterator[tuple[BenchJob, list[Row] | InputError]]:
    """The rows of each job; of those of a case that cannot be had, the reason."""
    by_case: dict[tuple[str, str], list[BenchJob]] = {}
    for job in jobs:
        by_case.setdefault((job.data, job.case), []).append(job)
    sets = {data.name: data for data in plan.data}
    if workers == 1:
        for (data, case), group in by_case.items():
            left = list(group)
            try:
                for job, rows in _play_case(sets[data], case, group, plan):
                    left.remove(job)
                    yield job, rows
            except InputError as error:
                yield from ((job, error) for job in left)
        return
    with _pool(workers) as pool:
        futures = {
            pool.submit(_play_whole, sets[data], case, group, plan): group for (data, case), group in by_case.items()
        }
        for future in as_completed(futures):
            try:
                yield from future.result()
            except InputError as error:
                yield from ((job, error) for job in futures[future])


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes with their own cores; jobs that have not started are dropped when the block fails."""
    context = get_context("spawn")
    turn = context.Value("i", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_take_cores, initargs=(turn, workers))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _take_cores(turn: Any, workers: int) -> None:
    """Bind this process to its share of the cores, where the system can, so that libraries start no more threads."""
    with turn.get_lock():
        index = turn.value
        turn.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[index % len(cores) :: workers]) or {cores[index % len(cores)]})


def _play_whole(data: DataSet, case: str, jobs: list[BenchJob], plan: Plan) -> list[tuple[BenchJob, list[Row]]]:
    return list(_play_case(data, case, jobs, plan))


def _play_case(data: DataSet, case: str, jobs: list[BenchJob], plan: Plan) -> Iterator[tuple[BenchJob, list[Row]]]:
    """The rows of each job on one case, which is read once."""
    from napari_scribseg.bench.volume.play import play_setup

    loaded = data.load(case)
    if plan.labels:
        loaded = only(loaded, plan.labels)
    for job in jobs:
        protocol: Protocol = job.protocol  # type: ignore[assignment]
        setup = VolumeSetup.parse(job.method) if protocol in VOLUME_PROTOCOLS else None
        method = _warm(job.method if setup is None else setup.method, plan.rules.device)
        rows: list[Row] = []
        for task in tasks(loaded, protocol, most_slices=plan.most_slices, seed=plan.rules.seed):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if setup is None:
                    rows += play(method, task, job, protocol, plan.rules)
                else:
                    rows += play_setup(method, setup, task, job, plan.rules)
        yield job, rows


_warmed: dict[tuple[str, str], Method] = {}


def _warm(text: str, device: str) -> Method:
    """A method that has segmented once in this process."""
    if (text, device) not in _warmed:
        method = parse_method(text)
        with contextlib.suppress(Exception):  # it fails again where it is measured, and is reported there
            warm_up(method, device)
        _warmed[text, device] = method
    return _warmed[text, device]
