"""A run of cohorts: every setup works through every cohort; an interrupted run goes on with its next case."""

from __future__ import annotations

import math
import platform
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.annotate import Session
from napari_scribseg.bench.cohort.cohorts import Cohort
from napari_scribseg.bench.cohort.judging import CohortRules, mean_dice
from napari_scribseg.bench.cohort.learning import Learn, Learned, learn_for, read_learned
from napari_scribseg.bench.cohort.rows import CohortRow
from napari_scribseg.bench.cohort.setups import CohortSetup
from napari_scribseg.bench.cohort.work import Work, WorkLog, source_of
from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.bench.tasks import BenchTask
from napari_scribseg.core import InputError, silent
from napari_scribseg.io.run_folder import RunFolder

if TYPE_CHECKING:
    from napari_scribseg.annotate.drafter import Drafter
    from napari_scribseg.learn import Example

__all__ = ["COHORT_MARK", "CohortPlan", "Progress", "run_cohorts"]

COHORT_MARK = "cohort.json"  # of the folder of a run: its settings
_KEPT = "work"  # its folder of sessions and networks

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class CohortPlan:
    """What to measure.

    Attributes
    ----------
    cohorts : tuple of Cohort
        Of different data sets.
    setups : tuple of CohortSetup
    rules : CohortRules
    learn : callable, optional
        What learns; by default :func:`~napari_scribseg.bench.cohort.learning.learn_for`.
    """

    cohorts: tuple[Cohort, ...]
    setups: tuple[CohortSetup, ...]
    rules: CohortRules
    learn: Learn | None = None

    def jobs(self) -> list[tuple[Cohort, CohortSetup, int]]:
        """Cohort, setup and number of the case of each job; numbers count from 1 on."""
        return [
            (cohort, setup, number)
            for cohort in self.cohorts
            for setup in self.setups
            for number in range(1, len(cohort.cases) + 1)
            if setup.is_played or (number > 1 and number in self.rules.peer_cases)
        ]


def run_cohorts(plan: CohortPlan, out: Path, *, progress: Progress | None = None) -> list[CohortRow]:
    """Do the cases of a plan that are not finished in ``out``.

    Parameters
    ----------
    plan : CohortPlan
    out : Path
        Folder for ``rows.csv`` (a row for each case), ``finished.csv``, ``cohort.json``, and ``work``, which holds the
        sessions and the networks that the next cases need; made where it is missing.
    progress : callable, optional
        Called with the number of cases done, their total and the last one done.

    Returns
    -------
    list of CohortRow
        Of this plan, from earlier runs too.

    Raises
    ------
    InputError
        If a method or a case cannot be loaded, there is nothing to measure, ``out`` holds a run with other rules, or
        another run is at work there.
    """
    for setup in plan.setups:
        parse_method(setup.method)  # report errors before the work starts
    jobs = plan.jobs()
    if not jobs:
        raise InputError("there is nothing to measure: no case is to be worked on, nor drafted")
    with RunFolder(out, COHORT_MARK).open(("rows.csv", "finished.csv", "report.md"), _settings(plan.rules)):
        table = RunFolder(out, COHORT_MARK).table(CohortRow, BenchJob)
        chain: _Chain | None = None
        for done, (cohort, setup, number) in enumerate(jobs, start=1):
            key = BenchJob(cohort.data.name, cohort.cases[number - 1], "cohort", str(setup))
            if key not in table.finished:
                if chain is None or chain.of != (cohort, setup):
                    chain = _Chain(plan, cohort, setup, out / _KEPT)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    table.add(key, [chain.case(number)])
            if progress is not None:
                progress(done, len(jobs), f"{key.data} {key.case}, {key.method}")
        wanted = {(cohort.data.name, cohort.cases[number - 1], str(setup)) for cohort, setup, number in jobs}
        return [row for row in table.rows() if (row.data, row.case, row.method) in wanted]


def _settings(rules: CohortRules) -> dict[str, Any]:
    return {
        "version": version("napari-scribseg"),
        "rules": asdict(rules),
        "machine": f"{platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
    }


class _Chain:
    """One setup at work on a cohort, case by case."""

    def __init__(self, plan: CohortPlan, cohort: Cohort, setup: CohortSetup, kept: Path) -> None:
        self.of = cohort, setup
        self._rules, self._cohort, self._setup = plan.rules, cohort, setup
        self._engine = parse_method(setup.method).engine
        self._folder = kept / _file_name(cohort.data.name) / _file_name(str(setup.played))
        self._learn = plan.learn or learn_for(plan.rules) if setup.learning == "learning" else None
        self._examples: dict[int, list[Example]] = {}

    def case(self, number: int) -> CohortRow:
        """Work on a case, and keep what the next one needs; those before it are done."""
        task = self._cohort.task(self._cohort.cases[number - 1])
        return self._played(task, number) if self._setup.is_played else self._drafted(task, number)

    def _played(self, task: BenchTask, number: int) -> CohortRow:
        """A user works on a case."""
        work = Work(task, self._engine, self._cohort.classes, self._setup.order, self._rules)
        learned, failure = self._learned_before(number), ""
        row = self._row(task, number, learned)

        def relearn(session: Session) -> Drafter | None:
            nonlocal learned, row
            learned = self._learned_from(examples_of(session, task.name), learned)
            if learned is None:
                return None
            row = replace(row, learn_seconds=row.learn_seconds + learned.seconds, agreement=learned.agreement)
            return learned.network

        if self._learn is not None:
            from napari_scribseg.learn import examples_of
        try:
            if learned is not None:
                work.begin(learned.network)
            work.play(relearn if number == 1 and self._learn is not None else None)
        except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
            failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        self._keep(work.session, learned, number)
        return replace(row, failure=failure, slices=work.n_slices, **_measures(work.log))

    def _drafted(self, task: BenchTask, number: int) -> CohortRow:
        """A plain U-Net drafts a case, trained on all slices that were accepted before."""
        from napari_scribseg.bench.cohort.unet import train_plain_unet

        examples = [example for example in self._all_examples(number) if example.accepted]
        began = time.process_time()
        rules, classes = self._rules, self._cohort.classes
        network = train_plain_unet(examples, classes, steps=rules.peer_steps, seed=rules.seed, device=rules.device)
        row = self._row(task, number, None)
        row = replace(row, examples=len(examples), learn_seconds=time.process_time() - began)
        source, began = source_of(task), time.perf_counter()
        truth = task.truth.reshape(-1, *task.truth.shape[-2:])
        labels = np.stack([draft.labels for draft in network.draft(source, list(source.slices()), silent)]).astype(
            np.intp
        )
        good = [rules.accepts(found, true, task.n_classes) for found, true in zip(labels, truth, strict=True)]
        return replace(
            row, seconds=time.perf_counter() - began, slices=len(truth), draft_slices=float(np.mean(good)),
            draft_dice=mean_dice(labels, truth, task.n_classes),
        )  # fmt: skip

    def _learned_before(self, number: int) -> Learned | None:
        """What was learned from all cases before one; None without learning, and where there was nothing to learn."""
        if self._learn is None or number == 1:
            return None
        last = self._folder / f"network-{number - 1:03}.safetensors"
        return self._learned_from(self._all_examples(number), read_learned(last) if last.exists() else None)

    def _learned_from(self, examples: Sequence[Example], last: Learned | None) -> Learned | None:
        assert self._learn is not None
        if not any(example.accepted and (example.labels > 0).any() for example in examples):
            return last
        return self._learn(examples, self._cohort.classes, last)

    def _all_examples(self, number: int) -> list[Example]:
        """Those of the cases before one."""
        from napari_scribseg.learn import examples_of

        for before in range(1, number):
            if before not in self._examples:
                name = self._cohort.cases[before - 1]
                source = source_of(self._cohort.task(name))
                session = Session.load(self._session_file(before), source, engine=self._engine)
                self._examples[before] = examples_of(session, name)
                session.close()
        return [example for before in range(1, number) for example in self._examples[before]]

    def _keep(self, session: Session, learned: Learned | None, number: int) -> None:
        """Write the session, and the network that the next learning goes on from."""
        self._folder.mkdir(parents=True, exist_ok=True)
        session.save(self._session_file(number))
        session.close()
        if learned is not None:
            learned.network.save(self._folder / f"network-{number:03}.safetensors")

    def _session_file(self, number: int) -> Path:
        return self._folder / f"case-{number:03}.npz"

    def _row(self, task: BenchTask, number: int, learned: Learned | None) -> CohortRow:
        """A row of a case before any work."""
        return CohortRow(
            data=self._cohort.data.name, case=task.name, protocol="cohort", method=str(self._setup), group=task.group,
            number=number, slices=1, strokes=0, strokes_to_target=math.nan, painted_slices=0, accepted_slices=0,
            draft_dice=math.nan, draft_slices=math.nan, dice=math.nan,
            examples=0 if learned is None else learned.examples,
            learn_seconds=0.0 if learned is None else learned.seconds,
            agreement=math.nan if learned is None else learned.agreement, seconds=0.0,
        )  # fmt: skip


def _measures(log: WorkLog) -> dict[str, Any]:
    """The columns that the work on a case gives."""
    return {
        "strokes": log.strokes,
        "strokes_to_target": log.strokes_to_target,
        "painted_slices": len(log.painted),
        "accepted_slices": len(log.accepted),
        "draft_dice": log.draft_dice,
        "draft_slices": log.draft_slices,
        "dice": log.dice,
        "seconds": log.seconds,
    }


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.=,-]+", "-", text)[-120:]
