"""One task played through: strokes, an answer, and corrections as long as there is something to correct."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.columns import COLUMNS, Job, Row
from napari_scribseg.bench.memory import peak_memory
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.metrics import Scores, overlap, score
from napari_scribseg.bench.tasks import Protocol, Task, random_generator
from napari_scribseg.core import InputError, PredictsUnprompted, Scribbles, Segmentation
from napari_scribseg.simulate import RobotUser

__all__ = ["Answer", "Rules", "play"]

Seeds = NDArray[np.int32]
Labels = NDArray[np.intp]


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


@dataclass(frozen=True)
class Answer:
    """What a method answered in one interaction, and what it cost; every column of the benchmark is measured of it.

    Attributes
    ----------
    job : Job
        What it belongs to.
    task : Task
        With image, truth, number of classes and spacing.
    number : int
        Of the interaction, from 1 on.
    seeds : ndarray of shape (H, W), int32
        All that was painted so far: class index, -1 elsewhere.
    labels : ndarray of shape (H, W), integer, or None
        Class index of each pixel; None where there is no answer.
    waiting : bool
        Whether there is no answer because the method needs strokes of a second class.
    prepare_seconds, seconds : float
        Wall time to prepare the image, where that was done now, and to answer; NaN without an answer.
    peak_mib : float
        Most memory that both took.
    failure : str
        Why the method failed.
    raw_seed_accuracy : float
        Share of the painted pixels that got their class before any correction; NaN where the method does not tell.
    gain : float
        IoU near the object clicked on, less that before the click; NaN outside the protocol ``initial-mask``.
    """

    job: Job
    task: Task
    number: int
    seeds: Seeds
    labels: Labels | None = None
    waiting: bool = False
    prepare_seconds: float = 0.0
    seconds: float = np.nan
    peak_mib: float = 0.0
    failure: str = ""
    raw_seed_accuracy: float = np.nan
    gain: float = np.nan

    @cached_property
    def scores(self) -> Scores:
        """The labels against the truth; without labels 0, and the diagonal of the image as distances."""
        task, spacing = self.task, self.task.image.spacing
        if self.labels is None:
            diagonal = float(np.linalg.norm(np.asarray(task.truth.shape) * spacing))
            return Scores(0.0, 0.0, diagonal, diagonal, diagonal)
        return score(self.labels, task.truth, task.counted, spacing)

    def row(self) -> Row:
        """Every column measured."""
        return Row(**{name: column.measure(self) for name, column in COLUMNS.items()})


def play(method: Method, task: Task, job: Job, protocol: Protocol, rules: Rules) -> list[Row]:
    """Let a user and a method work on a task.

    A method that fails ends the play: a row says why, with scores of 0. In the protocol ``clicks`` the first click is
    on the object alone; a method that needs strokes of two classes has no answer to it, which scores 0, and gets a
    click on the background next. In ``initial-mask`` the first answer is that of the network without strokes
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
        answer = player.answer(len(rows) + 1, seeds)
        rows.append(answer.row())
        if len(rows) == rules.most(protocol) or answer.failure:
            return rows
        if answer.labels is None:
            seeds = _second_click(task, seeds, user)
            continue
        corrected = user.correct(answer.labels, task.truth, seeds, random)
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
    answer = player.answer_unprompted(seeds)
    rows = [answer.row()]
    while answer.labels is not None and len(rows) < rules.most("initial-mask"):
        clicked = rules.clicks_user.correct(answer.labels, task.truth, seeds, random)
        if clicked is None:
            break
        near = task.nearest == np.bincount(task.nearest[clicked != seeds]).argmax()
        before, seeds = answer.labels, clicked
        answer = player.answer(len(rows) + 1, seeds)
        if answer.labels is not None:
            former, now = (overlap(found[near] == 1, task.truth[near] == 1)[1] for found in (before, answer.labels))
            answer = replace(answer, gain=now - former)
        rows.append(answer.row())
    return rows


class _Player:
    """A method at work on a task: it prepares the image once, and hands on its state."""

    def __init__(self, method: Method, task: Task, job: Job, device: str) -> None:
        self.task = task
        self._method, self._job, self._device = method, job, device
        self._state: Any = None
        self._prepared = False

    def answer_unprompted(self, nothing: Seeds) -> Answer:
        """The answer of a network without strokes."""
        engine = self._method.engine

        def segment() -> tuple[Labels, float]:
            if not isinstance(engine, PredictsUnprompted):
                raise InputError("it answers strokes only; a network that answers without is expected")
            found = np.argmax(engine.unprompted(self._state), axis=0)
            if found.max() >= self.task.n_classes:
                raise InputError(f"the network has a class {found.max()}; {self.task.n_classes} are expected")
            return found, np.nan

        return self._timed(1, nothing, segment)

    def answer(self, number: int, seeds: Seeds) -> Answer:
        """The answer to all that is painted."""
        scribbles = Scribbles(seeds, self.task.n_classes)
        if int(np.count_nonzero(scribbles.counts)) < self._method.engine.info.min_classes:
            return Answer(self._job, self.task, number, seeds, waiting=True)

        def segment() -> tuple[Labels, float]:
            result = self._method.engine.segment(self.task.image, scribbles, self._state)
            self._state = result.state
            _check(result, scribbles)
            return result.labels, np.nan if result.raw_seed_accuracy is None else result.raw_seed_accuracy

        return self._timed(number, seeds, segment)

    def _timed(self, number: int, seeds: Seeds, segment: Callable[[], tuple[Labels, float]]) -> Answer:
        """Prepare the image, where that is still to be done, and answer; a failure is an answer without labels."""
        prepare_seconds, seconds, failure, raw_seed_accuracy = 0.0, np.nan, "", np.nan
        labels: Labels | None = None
        with peak_memory() as peak:
            try:
                if not self._prepared:
                    prepare_seconds = self._prepare()
                start = time.perf_counter()
                labels, raw_seed_accuracy = segment()
                seconds = time.perf_counter() - start
            except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
                failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        return Answer(
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


def _check(result: Segmentation[Any], scribbles: Scribbles) -> None:
    """Raise where a result has another shape, or no finite probabilities."""
    found, expected = result.probabilities.shape, (scribbles.n_classes, *scribbles.shape)
    if found != expected:
        raise ValueError(f"the answer has shape {found}; {expected} is expected")
    if not np.isfinite(result.probabilities).all():
        raise ValueError("the answer holds NaN or infinite probabilities")
