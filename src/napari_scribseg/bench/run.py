"""A benchmark run: every method on every case by every protocol; it resumes an interrupted run."""

from __future__ import annotations

import contextlib
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.methods import Method, parse_method, warm_up
from napari_scribseg.bench.play import Rules, play
from napari_scribseg.bench.results import Job
from napari_scribseg.bench.tasks import Protocol, evenly, tasks
from napari_scribseg.core import InputError
from napari_scribseg.datasets import DataSet
from napari_scribseg.io.run_folder import RunFolder

__all__ = ["MARK", "Plan", "Progress", "run"]

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
    protocols : tuple of {"human", "strokes", "clicks", "initial-mask"}, optional
        Who draws; ``human`` is left out for data without a person's strokes. By default ``human`` where there are such
        strokes, else ``strokes`` and ``clicks``.
    rules : Rules
        How long a task is played, and with which seed.
    most_cases : int, optional
        Cases of a data set, evenly chosen; all by default.
    most_slices : int, optional
        Slices of a volume, evenly chosen; by default three for a robot user, and all with a person's strokes.
    """

    methods: tuple[str, ...]
    data: tuple[DataSet, ...]
    protocols: tuple[Protocol, ...] | None = None
    rules: Rules = field(default_factory=Rules)
    most_cases: int | None = None
    most_slices: int | None = None

    def jobs(self) -> list[Job]:
        """All jobs; those of a case lie together, so that methods meet the machine in the same state."""
        return [
            Job(data.name, case, protocol, method)
            for data in self.data
            for case in evenly(data.cases, self.most_cases)
            for protocol in self._protocols(data)
            for method in dict.fromkeys(self.methods)
        ]

    def _protocols(self, data: DataSet) -> tuple[Protocol, ...]:
        if self.protocols is None:
            return ("human",) if data.human_strokes else ("strokes", "clicks")
        return tuple(p for p in dict.fromkeys(self.protocols) if p != "human" or data.human_strokes)


def run(plan: Plan, out: Path, *, workers: int = 1, progress: Progress | None = None) -> list[Row]:
    """Do the jobs of a plan that are not finished in ``out``.

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
        If a method or a case cannot be had, there is nothing to do, ``out`` holds a run with other rules, or
        another run is at work there.
    """
    for text in plan.methods:
        parse_method(text)  # complain before the work starts
    jobs = plan.jobs()
    if not jobs:
        raise InputError("there is nothing to measure: no data set fits the protocols asked for")
    folder = RunFolder(out, MARK)
    outputs = ("rows.csv", "finished.csv", "report.md", "summary.csv")
    with folder.open(outputs, _settings(plan, workers)):
        table = folder.table(Row, Job)
        todo = [job for job in jobs if job not in table.finished]
        for done, (job, rows) in enumerate(_results(plan, todo, workers), start=len(jobs) - len(todo) + 1):
            table.add(job, rows)
            if progress is not None:
                progress(done, len(jobs), f"{job.data} {job.case}, {job.method}")
        wanted = set(jobs)
        found = [row for row in table.rows() if row.job in wanted]
    if not found:
        raise InputError("there is nothing to measure: no image has labels, or strokes, of two classes")
    return found


def _settings(plan: Plan, workers: int) -> dict[str, Any]:
    """What must be alike for rows to stand in one table."""
    return {
        "version": version("napari-scribseg"),
        "rules": asdict(plan.rules),
        "slices": plan.most_slices,
        "workers": workers,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
    }


def _results(plan: Plan, jobs: list[Job], workers: int) -> Iterator[tuple[Job, list[Row]]]:
    by_case: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        by_case.setdefault((job.data, job.case), []).append(job)
    sets = {data.name: data for data in plan.data}
    if workers == 1:
        for (data, case), group in by_case.items():
            yield from _play_case(sets[data], case, group, plan.rules, plan.most_slices)
        return
    with _pool(workers) as pool:
        todo = iter(by_case.items())
        running: set[Future[list[tuple[Job, list[Row]]]]] = set()
        while True:
            for (data, case), group in todo:
                running.add(pool.submit(_play_whole, sets[data], case, group, plan.rules, plan.most_slices))
                if len(running) >= 2 * workers:
                    break
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield from future.result()


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that keep to their own cores; jobs that have not started are dropped when the block fails."""
    context = get_context("spawn")
    turn = context.Value("i", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_take_cores, initargs=(turn, workers))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _take_cores(turn: Any, workers: int) -> None:
    """Bind this process to its share of the cores, where the system can: no library starts more threads than that."""
    with turn.get_lock():
        index = turn.value
        turn.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(cores[index % len(cores) :: workers]) or {cores[index % len(cores)]})


def _play_whole(
    data: DataSet, case: str, jobs: list[Job], rules: Rules, most_slices: int | None
) -> list[tuple[Job, list[Row]]]:
    return list(_play_case(data, case, jobs, rules, most_slices))


def _play_case(
    data: DataSet, case: str, jobs: list[Job], rules: Rules, most_slices: int | None
) -> Iterator[tuple[Job, list[Row]]]:
    """The rows of each job on one case, which is read once."""
    loaded = data.load(case)
    for job in jobs:
        protocol: Protocol = job.protocol  # type: ignore[assignment]
        method = _warm(job.method, rules.device)
        rows: list[Row] = []
        for task in tasks(loaded, protocol, most_slices=most_slices, seed=rules.seed):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rows += play(method, task, job, protocol, rules)
        yield job, rows


_warmed: dict[tuple[str, str], Method] = {}


def _warm(text: str, device: str) -> Method:
    """A method that has answered once in this process."""
    if (text, device) not in _warmed:
        method = parse_method(text)
        with contextlib.suppress(Exception):  # it fails again, and is reported, where it counts
            warm_up(method, device)
        _warmed[text, device] = method
    return _warmed[text, device]
