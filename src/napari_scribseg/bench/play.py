"""One task played through: strokes, an answer, and a correction as long as there is something to correct."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.memory import peak_memory
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.metrics import Scores, obeyed_share, overlap, score
from napari_scribseg.bench.rows import Job, Row
from napari_scribseg.bench.tasks import Protocol, Task, random_generator
from napari_scribseg.core import InputError, Scribbles, Segmentation
from napari_scribseg.simulate import RobotUser

__all__ = ["Rules", "play"]

Seeds = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a task is played.

    Attributes
    ----------
    strokes_user, clicks_user : RobotUser
        Who draws in the protocols ``strokes``, and ``clicks`` and ``mend``.
    corrections : int
        Most corrections after the first strokes, and of what a network says alone.
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
        return {"human": 1, "strokes": with_corrections, "clicks": self.clicks, "mend": with_corrections}[protocol]


def play(method: Method, task: Task, job: Job, protocol: Protocol, rules: Rules) -> list[Row]:
    """Let a user and a method work on a task.

    A method that fails ends the play: a row says why, with scores of 0. In the protocol ``clicks`` the first click is
    on the object alone; a method that needs strokes of two classes has no answer to it, which scores 0, and gets a
    click on the background next. In ``mend`` the first answer is what a network says alone (``unprompted``), and all
    clicks follow what is wrong in it, for whatever object (paper 003, table 4).

    Parameters
    ----------
    method : Method
        Who answers.
    task : Task
        What is to be segmented.
    job : Job
        What the rows belong to.
    protocol : {"human", "strokes", "clicks", "mend"}
        Who draws.
    rules : Rules
        How long, and with which seed.

    Returns
    -------
    list of Row
        In the order of the interactions; ends early when nothing is left to mend.
    """
    random = random_generator(rules.seed, task.name, protocol)
    player = _Player(method, task, job, rules.device)
    if protocol == "mend":
        return _mended(player, task, rules, random)
    user = rules.clicks_user if protocol == "clicks" else rules.strokes_user
    seeds = _first(task, protocol, user, random)
    rows: list[Row] = []
    while True:
        number = len(rows) + 1
        labels = player.answer(number, seeds)
        rows.append(player.row)
        if number == rules.most(protocol) or (labels is None and not player.waiting):
            return rows
        new = _second_click(task, seeds, user) if labels is None else user.correct(labels, task.truth, seeds, random)
        if new is None:
            return rows
        seeds = new


def _first(task: Task, protocol: Protocol, user: RobotUser, random: np.random.Generator) -> Seeds:
    """What is painted before the first answer."""
    if protocol == "human":
        if task.strokes is None:
            raise ValueError(f"{task.name} has no strokes")
        return task.strokes
    if protocol == "strokes":
        return user.begin(task.truth, task.n_classes, random)
    return user.begin(np.where(task.truth == 1, 1, -1), task.n_classes, random)


def _mended(player: _Player, task: Task, rules: Rules, random: np.random.Generator) -> list[Row]:
    """What a network says alone, and clicks on what is wrong in it."""
    assert task.nearest is not None  # tasks of this protocol have it
    seeds = np.full(task.truth.shape, -1, dtype=np.int32)
    labels, rows = player.alone(seeds), [player.row]
    while labels is not None and len(rows) < rules.most("mend"):
        new = rules.clicks_user.correct(labels, task.truth, seeds, random)
        if new is None:
            break
        near = task.nearest == np.bincount(task.nearest[new != seeds]).argmax()
        before, seeds = labels, new
        labels = player.answer(len(rows) + 1, seeds)
        gain = np.nan
        if labels is not None:
            former, now = (overlap(found[near] == 1, task.truth[near] == 1)[1] for found in (before, labels))
            gain = now - former
        rows.append(replace(player.row, gain=gain))
    return rows


def _second_click(task: Task, seeds: Seeds, user: RobotUser) -> Seeds:
    """The clicks so far, and one in the middle of the background."""
    background = user.begin(np.where(task.truth == 0, 0, -1), task.n_classes, 0)
    return np.where(background >= 0, background, seeds)


def _check(result: Segmentation[Any], scribbles: Scribbles) -> None:
    """Complain of an answer that is none."""
    found, expected = result.probabilities.shape, (scribbles.n_classes, *scribbles.shape)
    if found != expected:
        raise ValueError(f"the answer has shape {found}; {expected} is expected")
    if not np.isfinite(result.probabilities).all():
        raise ValueError("the answer holds NaN or infinite probabilities")


class _Player:
    """A method at work on a task; ``row`` is what came of the last answer."""

    def __init__(self, method: Method, task: Task, job: Job, device: str) -> None:
        self._method, self._task, self._job, self._device = method, task, job, device
        self._state: Any = None
        self._prepared = False
        self.waiting = False
        self.row: Row

    def alone(self, nothing: Seeds) -> NDArray[np.intp] | None:
        """The labels that a network gives without strokes; None where it failed."""
        engine: Any = self._method.engine

        def answer() -> tuple[NDArray[np.intp], float]:
            if not hasattr(engine, "unprompted"):
                raise InputError("it answers strokes only; a network that answers without is expected")
            found = np.argmax(engine.unprompted(self._state), axis=0)
            if found.max() >= self._task.n_classes:
                raise InputError(f"the network has a class {found.max()}; {self._task.n_classes} are expected")
            return found, np.nan

        return self._timed(1, nothing, answer)

    def answer(self, number: int, seeds: Seeds) -> NDArray[np.intp] | None:
        """The labels; None where the method waits for a second class, or failed."""
        scribbles = Scribbles(seeds, self._task.n_classes)
        self.waiting = int(np.count_nonzero(scribbles.counts)) < self._method.engine.info.min_classes
        if self.waiting:
            self._note(number, seeds, None, 0.0, np.nan, 0.0, "", np.nan)
            return None

        def answer() -> tuple[NDArray[np.intp], float]:
            result = self._method.engine.segment(self._task.image, scribbles, self._state)
            self._state = result.state
            _check(result, scribbles)
            return result.labels, float(getattr(result.state, "agreement", np.nan))

        return self._timed(number, seeds, answer)

    def _timed(
        self, number: int, seeds: Seeds, answer: Callable[[], tuple[NDArray[np.intp], float]]
    ) -> NDArray[np.intp] | None:
        """Prepare, where that is still to be done, and answer; what it took, and what came of it, goes into the row."""
        prepare_seconds, seconds, failure, agreed = 0.0, np.nan, "", np.nan
        labels: NDArray[np.intp] | None = None
        with peak_memory() as peak:
            try:
                if not self._prepared:
                    prepare_seconds = self._prepare()
                start = time.perf_counter()
                labels, agreed = answer()
                seconds = time.perf_counter() - start
            except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
                failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        self._note(number, seeds, labels, prepare_seconds, seconds, peak.mib, failure, agreed)
        return labels

    def _prepare(self) -> float:
        start = time.perf_counter()
        self._state = self._method.engine.prepare(self._task.image, self._device)
        self._prepared = True
        return time.perf_counter() - start

    def _note(
        self,
        number: int,
        seeds: Seeds,
        labels: NDArray[np.intp] | None,
        prepare_seconds: float,
        seconds: float,
        peak: float,
        failure: str,
        agreed: float,
    ) -> None:
        task, job = self._task, self._job
        spacing = task.image.spacing
        if labels is None:
            diagonal = float(np.linalg.norm(np.asarray(task.truth.shape) * spacing))
            scores, obeyed = Scores(0.0, 0.0, diagonal, diagonal, diagonal), 0.0
        else:
            scores, obeyed = score(labels, task.truth, task.counted, spacing), obeyed_share(labels, seeds)
        self.row = Row(
            job.data,
            job.case,
            job.protocol,
            job.method,
            task.name,
            task.group,
            number,
            task.n_classes,
            int(np.count_nonzero(seeds >= 0)),
            scores.dice,
            scores.iou,
            scores.hausdorff,
            scores.hausdorff95,
            scores.surface,
            task.unit,
            obeyed,
            prepare_seconds,
            seconds,
            peak,
            failure,
            agreed,
        )
