"""One task played through: strokes, an answer, and corrections as long as there is something to correct."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.memory import peak_memory
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.metrics import overlap
from napari_scribseg.bench.results import Job, Labels, Result, Seeds
from napari_scribseg.bench.tasks import Protocol, Task, random_generator
from napari_scribseg.core import InputError, PredictsUnprompted, Scribbles, Segmentation
from napari_scribseg.simulate import RobotUser

__all__ = ["Rules", "play"]


@dataclass(frozen=True, slots=True)
class Rules:
    """How long a task is played, and who draws.

    Attributes
    ----------
    strokes_user, clicks_user : RobotUser
        Who draws in the protocols ``strokes``, and ``clicks`` and ``initial-mask``.
    corrections : int
        Most corrections after the first strokes, or of an initial mask.
    clicks : int
        Most clicks (paper 003: 20).
    seed : int
        Of all that is drawn at random.
    device : str
        Where the engines compute.
    """

    strokes_user: RobotUser = field(default_factory=RobotUser)
    clicks_user: RobotUser = field(default_factory=lambda: RobotUser("clicks", tolerance=0.0))
    corrections: int = 5
    clicks: int = 20
    seed: int = 0
    device: str = "auto"

    def most(self, protocol: str) -> int:
        """Most interactions of a protocol."""
        with_corrections = 1 + self.corrections
        return {"human": 1, "strokes": with_corrections, "clicks": self.clicks, "initial-mask": with_corrections}[
            protocol
        ]


def play(method: Method, task: Task, job: Job, protocol: Protocol, rules: Rules) -> list[Row]:
    """Let a user and a method work on a task.

    A method that fails ends the play: its row has the reason, and scores of 0. In the protocol ``clicks`` the first
    click is on the object alone; a method that needs strokes of two classes has no answer to it, which scores 0, and
    gets a click on the background next. In ``initial-mask`` the first answer is that of the network without strokes
    (``unprompted``), and every click goes where it is most wrong, on any object (paper 003, table 4).

    Parameters
    ----------
    method : Method
        Who answers.
    task : Task
        What is to be segmented.
    job : Job
        What the rows belong to.
    protocol : {"human", "strokes", "clicks", "initial-mask"}
        Who draws.
    rules : Rules
        How long, and with which seed.

    Returns
    -------
    list of Row
        In the order of the interactions; fewer than the most where nothing is left to correct.
    """
    player = _Player(method, task, job, rules.device)
    if protocol == "initial-mask":
        return _play_initial_mask(player, rules)
    random = random_generator(rules.seed, task.name, protocol)
    user = rules.clicks_user if protocol == "clicks" else rules.strokes_user
    seeds = _first_seeds(task, protocol, user, random)
    rows: list[Row] = []
    while True:
        result = player.segment(len(rows) + 1, seeds)
        rows.append(Row.of(result))
        if len(rows) == rules.most(protocol) or result.failure:
            return rows
        if result.labels is None:
            seeds = _second_click(task, seeds, user)
            continue
        corrected = user.correct(result.labels, task.truth, seeds, random)
        if corrected is None:
            return rows
        seeds = corrected


def _first_seeds(task: Task, protocol: Protocol, user: RobotUser, random: np.random.Generator) -> Seeds:
    """What is painted before the first answer."""
    if protocol == "human":
        if task.strokes is None:
            raise ValueError(f"{task.name} has no strokes")
        return task.strokes
    if protocol == "strokes":
        return user.begin(task.truth, task.n_classes, random)
    return user.begin(np.where(task.truth == 1, 1, -1), task.n_classes, random)


def _second_click(task: Task, seeds: Seeds, user: RobotUser) -> Seeds:
    """The clicks so far, and one in the middle of the background."""
    background = user.begin(np.where(task.truth == 0, 0, -1), task.n_classes, 0)
    return np.where(background >= 0, background, seeds)


def _play_initial_mask(player: _Player, rules: Rules) -> list[Row]:
    """The answer of a network without strokes, and clicks where it is wrong."""
    task = player.task
    assert task.nearest is not None  # tasks of this protocol have it
    random = random_generator(rules.seed, task.name, "mend")  # the name that the protocol had, for the same clicks
    seeds = np.full(task.truth.shape, -1, dtype=np.int32)
    result = player.segment_unprompted(seeds)
    rows = [Row.of(result)]
    while result.labels is not None and len(rows) < rules.most("initial-mask"):
        clicked = rules.clicks_user.correct(result.labels, task.truth, seeds, random)
        if clicked is None:
            break
        near = task.nearest == np.bincount(task.nearest[clicked != seeds]).argmax()
        before, seeds = result.labels, clicked
        result = player.segment(len(rows) + 1, seeds)
        if result.labels is not None:
            former, now = (overlap(found[near] == 1, task.truth[near] == 1)[1] for found in (before, result.labels))
            result = replace(result, gain=now - former)
        rows.append(Row.of(result))
    return rows


class _Player:
    """A method at work on a task: it prepares the image once, and hands on its state."""

    def __init__(self, method: Method, task: Task, job: Job, device: str) -> None:
        self.task = task
        self._method, self._job, self._device = method, job, device
        self._state: Any = None
        self._prepared = False

    def segment_unprompted(self, nothing: Seeds) -> Result:
        """The result of a network without strokes."""
        engine = self._method.engine

        def compute() -> tuple[Labels, float]:
            if not isinstance(engine, PredictsUnprompted):
                raise InputError("it answers strokes only; a network that answers without is expected")
            found = np.argmax(engine.unprompted(self._state), axis=0)
            if found.max() >= self.task.n_classes:
                raise InputError(f"the network has a class {found.max()}; {self.task.n_classes} are expected")
            return found, np.nan

        return self._timed(1, nothing, compute)

    def segment(self, number: int, seeds: Seeds) -> Result:
        """The result of all that is painted."""
        scribbles = Scribbles(seeds, self.task.n_classes)
        if int(np.count_nonzero(scribbles.counts)) < self._method.engine.info.min_classes:
            return Result(self._job, self.task, number, seeds, waiting=True)

        def compute() -> tuple[Labels, float]:
            found = self._method.engine.segment(self.task.image, scribbles, self._state)
            self._state = found.state
            _check(found, scribbles)
            return found.labels, np.nan if found.raw_seed_accuracy is None else found.raw_seed_accuracy

        return self._timed(number, seeds, compute)

    def _timed(self, number: int, seeds: Seeds, compute: Callable[[], tuple[Labels, float]]) -> Result:
        """Prepare the image, where that is still to be done, and segment; a failure is a result without labels."""
        prepare_seconds, seconds, failure, raw_seed_accuracy = 0.0, np.nan, "", np.nan
        labels: Labels | None = None
        with peak_memory() as peak:
            try:
                if not self._prepared:
                    prepare_seconds = self._prepare()
                start = time.perf_counter()
                labels, raw_seed_accuracy = compute()
                seconds = time.perf_counter() - start
            except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
                failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        return Result(
            self._job,
            self.task,
            number,
            seeds,
            labels,
            prepare_seconds=prepare_seconds,
            seconds=seconds,
            peak_mib=peak.mib,
            failure=failure,
            raw_seed_accuracy=raw_seed_accuracy,
        )

    def _prepare(self) -> float:
        start = time.perf_counter()
        self._state = self._method.engine.prepare(self.task.image, self._device)
        self._prepared = True
        return time.perf_counter() - start


def _check(segmentation: Segmentation[Any], scribbles: Scribbles) -> None:
    """Raise where a segmentation has another shape, or no finite probabilities."""
    found, expected = segmentation.probabilities.shape, (scribbles.n_classes, *scribbles.shape)
    if found != expected:
        raise ValueError(f"the answer has shape {found}; {expected} is expected")
    if not np.isfinite(segmentation.probabilities).all():
        raise ValueError("the answer holds NaN or infinite probabilities")
