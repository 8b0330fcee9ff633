"""Whole volumes: a user who goes from slice to slice, and the same strokes or labels on every n-th slice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.memory import peak_memory
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.results import BenchJob, BenchResult, Seeds
from napari_scribseg.bench.tasks import BenchTask, random_generator
from napari_scribseg.bench.volume.methods import VolumeMethod
from napari_scribseg.bench.volume.orders import ORDERS, View
from napari_scribseg.bench.volume.setups import VolumeSetup
from napari_scribseg.numerics.comparison import overlap

__all__ = ["play_every_nth", "play_setup", "play_volume"]


def play_setup(method: Method, setup: VolumeSetup, task: BenchTask, job: BenchJob, rules: Rules) -> list[Row]:
    """The rows of one setup on a volume; see :func:`play_volume` and :func:`play_every_nth`."""
    fresh = setup.make(method, task, rules.device)
    if job.protocol == "volume":
        return play_volume(fresh, task, job, setup.order, rules)
    return play_every_nth(fresh, task, job, setup.every)


def play_volume(method: VolumeMethod, task: BenchTask, job: BenchJob, order: str, rules: Rules) -> list[Row]:
    """Let a user annotate a volume slice by slice.

    The first slice is the middle one of those with objects. On a slice without labels, or with bad ones, the user
    paints a stroke for each class, on one with better labels a correction where they are most wrong; then corrections,
    until the slice is good enough or ``rules.volume.visit`` are done, and goes to the slice that ``order`` says. A
    slice with good labels is accepted, as is one that has neither objects nor labels. Every stroke counts, those of
    the background too; a stroke that leaves the method without a result has a row with the labels from before.

    Parameters
    ----------
    method : VolumeMethod
        Fresh.
    task : BenchTask
        A volume.
    job : BenchJob
        Of the rows.
    order : str
        A name of :data:`~napari_scribseg.bench.volume.orders.ORDERS`.
    rules : Rules
        Its ``strokes_user`` draws.

    Returns
    -------
    list of Row
        One for each stroke, up to the one that reaches the target, the most strokes, or the last correction. The
        distances are measured in the last one only.
    """
    return _Work(method, task, job, order, rules).play()


class _Work:
    """A user at work on a volume."""

    def __init__(self, method: VolumeMethod, task: BenchTask, job: BenchJob, order: str, rules: Rules) -> None:
        self._method, self._task, self._job = method, task, job
        self._rules, self._user, seed = rules.volume, rules.strokes_user, rules.seed
        self._order, self._enough = ORDERS[order], rules.volume.enough
        self._random = random_generator(seed, task.name, "volume")
        seeds = np.full(task.truth.shape, -1, np.int32)
        self._view = View(method, task.truth, seeds, set(), set(), random_generator(seed, task.name, "order"))
        self._results: list[BenchResult] = []
        self._rows: list[Row] = []

    def play(self) -> list[Row]:
        objects = np.flatnonzero((self._task.truth > 0).any(axis=(1, 2)))
        index: int | None = int(objects[0] + objects[-1]) // 2
        while not self._is_over:
            if index is not None:
                self._visit(index)
            elif self._enough > 1:
                break
            else:  # every slice is good enough, the volume is not
                self._enough = np.inf
                self._view.finished.clear()
            index = self._order(self._view)
        if self._results:
            self._rows[-1] = Row.of(replace(self._results[-1], distances=True))
        return self._rows

    @property
    def _is_over(self) -> bool:
        last = self._rows[-1] if self._rows else None
        return last is not None and (
            last.interaction >= self._rules.strokes or last.dice >= self._rules.target or bool(last.failure)
        )

    def _visit(self, index: int) -> None:
        """First strokes or a correction, and corrections, on one slice; of good labels it is accepted as it is.

        So is one without objects and labels: a look is enough.
        """
        without_objects = not (self._task.truth[index] > 0).any()
        if (without_objects or self._method.is_labelled(index)) and self._slice_dice(index) >= self._enough:
            self._method.accept(index)
            self._view.accepted.add(index)
            self._view.finished.add(index)
            return
        begins = self._begins(index)
        for _ in range(self._rules.visit + begins):
            if not self._paint(index):
                self._view.finished.add(index)
                return
            self._view.finished.clear()
            if self._is_over or self._slice_dice(index) >= self._enough:
                return

    def _paint(self, index: int) -> bool:
        """Paint on a slice, and let the method answer; False where nothing is left to paint."""
        seeds, truth, n_classes = self._view.seeds, self._task.truth[index], self._task.n_classes
        before = seeds[index].copy()
        new: Seeds | None
        if self._begins(index):
            new = self._user.begin(truth, n_classes, self._random)
            drawn = np.unique(new[new >= 0]).tolist()
        else:
            new = self._user.correct(self._method.labels[index], truth, before, self._random)
            drawn = [0]
        if new is None or np.array_equal(new, before):
            return False
        for k in drawn[:-1]:
            seeds[index] = np.where(new == k, new, seeds[index])
            self._add(BenchResult(self._job, self._task, self._number, seeds.copy(), self._method.labels.copy()))
        seeds[index] = new
        result = BenchResult(self._job, self._task, self._number, seeds.copy())
        self._add(_timed(lambda: self._method.paint(index, new), self._method, result))
        return True

    def _begins(self, index: int) -> bool:
        """Whether the user paints a slice anew: it has no strokes, and no labels that are worth a correction."""
        if (self._view.seeds[index] >= 0).any():
            return False
        return not self._method.is_labelled(index) or self._slice_dice(index) < self._rules.worth

    @property
    def _number(self) -> int:
        return len(self._rows) + 1

    def _add(self, result: BenchResult) -> None:
        result = replace(result, distances=False)
        self._results[:] = [result]
        self._rows.append(Row.of(result))

    def _slice_dice(self, index: int) -> float:
        """Mean Dice of a slice over the classes that are there or in its labels."""
        found, truth = self._method.labels[index], self._task.truth[index]
        pairs = [((found == k) & (truth >= 0), truth == k) for k in self._task.counted]
        return float(np.mean([overlap(a, b)[0] for a, b in pairs if a.any() or b.any()] or [1.0]))


def play_every_nth(method: VolumeMethod, task: BenchTask, job: BenchJob, every: int) -> list[Row]:
    """One result from every n-th slice: from a person's strokes, or from true labels where there are no strokes.

    Parameters
    ----------
    method : VolumeMethod
        Fresh.
    task : BenchTask
        A volume. With strokes, every so manyeth slice with strokes of two classes counts, from the first one on, and
        the whole volume is scored; without, every so manyeth of all slices, and those between two of them are scored.
    job : BenchJob
        Of the row.
    every : int

    Returns
    -------
    list of Row
        One, whose seconds are those of all slices together.
    """
    truth, scored, seeds = task.truth, task.truth, task.strokes
    if seeds is None:
        given = list(range(0, len(truth), every))
        scored = truth.copy()
        scored[given], scored[given[-1] :] = -1, -1
    else:
        given = [i for i, drawn in enumerate(seeds) if len(np.unique(drawn[drawn >= 0])) > 1][::every]

    def work() -> None:
        for index in given:
            more = index != given[-1]
            if seeds is None:
                method.give(index, truth[index], more=more)
            else:
                method.paint(index, seeds[index], more=more)

    kept = np.full(task.truth.shape, -1, np.int32)
    kept[given] = (truth if seeds is None else seeds)[given]
    return [Row.of(_timed(work, method, BenchResult(job, replace(task, truth=scored), 1, kept)))]


def _timed(work: Callable[[], object], method: VolumeMethod, result: BenchResult) -> BenchResult:
    """The result with the labels of a method after some work, or with its failure."""
    labels: NDArray[Any] | None = None
    seconds, failure = np.nan, ""
    with peak_memory() as peak:
        start = time.perf_counter()
        try:
            work()
            seconds, labels = time.perf_counter() - start, method.labels.copy()
        except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
            failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return replace(result, labels=labels, seconds=seconds, peak_mib=peak.mib, failure=failure)
