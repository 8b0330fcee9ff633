"""One task: strokes, a result, and corrections until nothing is left to correct."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.memory import peak_memory
from napari_scribseg.bench.methods import Method
from napari_scribseg.bench.results import BenchJob, BenchResult, Labels, Seeds
from napari_scribseg.bench.tasks import BenchTask, Protocol, random_generator
from napari_scribseg.core import InputError, PredictsUnprompted, Scribbles, Segmentation
from napari_scribseg.numerics.comparison import overlap
from napari_scribseg.simulate import RobotUser

__all__ = ["Rules", "VolumeRules", "play"]


@dataclass(frozen=True, slots=True)
class VolumeRules:
    """When a user of a volume stops.

    Attributes
    ----------
    strokes : int
        Most strokes.
    target : float
        Mean Dice of the volume at which it is finished.
    visit : int
        Most corrections of a slice before the user goes to the next one.
    enough : float
        Mean Dice of a slice at which the user goes on earlier.
    worth : float
        Mean Dice of the labels of a slice without strokes below which the user paints it anew.
    """

    strokes: int = 200
    target: float = 0.9
    visit: int = 3
    enough: float = 0.9
    worth: float = 0.7


@dataclass(frozen=True, slots=True)
class Rules:
    """Who draws, and the limits of a task.

    Attributes
    ----------
    strokes_user, clicks_user : RobotUser
        Who draws in the protocols ``strokes``, and ``clicks`` and ``initial-mask``.
    corrections : int
        Most corrections after the first strokes, or of an initial mask.
    clicks : int
        Most clicks (paper 003: 20).
    seed : int
        Of all random choices.
    device : str
        Where the engines compute.
    volume : VolumeRules
        When a user of a whole volume stops, who draws as ``strokes_user``.
    """

    strokes_user: RobotUser = field(default_factory=RobotUser)
    clicks_user: RobotUser = field(default_factory=lambda: RobotUser("clicks", tolerance=0.0))
    corrections: int = 5
    clicks: int = 20
    seed: int = 0
    device: str = "auto"
    volume: VolumeRules = field(default_factory=VolumeRules)

    def most(self, protocol: str) -> int:
        """Most interactions of a protocol."""
        with_corrections = 1 + self.corrections
        return {
            "strokes": with_corrections,
            "clicks": self.clicks,
            "initial-mask": with_corrections,
            "volume": self.volume.strokes,
        }.get(protocol, 1)


def play(method: Method, task: BenchTask, job: BenchJob, protocol: Protocol, rules: Rules) -> list[Row]:
    """Let a user and a method work on a task.

    A method that fails ends the task: its row has the reason, and scores of 0. In the protocol ``clicks`` the first
    click is on the object only; a method that needs strokes of two classes has no result then, which scores 0, and
    gets a click on the background next. In ``initial-mask`` the first result is that of the network without strokes
    (``unprompted``), and every click is set where the result is most wrong, on any object (paper 003, table 4).

    Parameters
    ----------
    method : Method
    task : BenchTask
    job : BenchJob
        Of the rows.
    protocol : {"human", "strokes", "clicks", "initial-mask"}
        Who draws.
    rules : Rules

    Returns
    -------
    list of Row
        In the order of the interactions, up to the one after which nothing is left to correct.
    """
    player = _Player(method, task, job, rules.device)
    if protocol == "initial-mask":
        return _play_initial_mask(player, task, rules)
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


def _first_seeds(task: BenchTask, protocol: Protocol, user: RobotUser, random: np.random.Generator) -> Seeds:
    """The strokes before the first result."""
    if protocol == "human":
        assert task.strokes is not None  # tasks of this protocol have them
        return task.strokes
    if protocol == "strokes":
        return user.begin(task.truth, task.n_classes, random)
    return user.begin(np.where(task.truth == 1, 1, -1), task.n_classes, random)


def _second_click(task: BenchTask, seeds: Seeds, user: RobotUser) -> Seeds:
    """The clicks so far, and one in the middle of the background."""
    background = user.begin(np.where(task.truth == 0, 0, -1), task.n_classes, 0)
    return np.where(background >= 0, background, seeds)


def _play_initial_mask(player: _Player, task: BenchTask, rules: Rules) -> list[Row]:
    """The result of a network without strokes, and clicks where it is wrong."""
    assert task.nearest is not None  # tasks of this protocol have it
    random = random_generator(rules.seed, task.name, "mend")  # the name that the protocol had, for the same clicks
    seeds = np.full(task.truth.shape, -1, dtype=np.int32)
    result = player.segment(1, seeds, unprompted=True)
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
    """A method at work on a task; it prepares the image once and passes its state on."""

    def __init__(self, method: Method, task: BenchTask, job: BenchJob, device: str) -> None:
        self._engine, self._task, self._job, self._device = method.engine, task, job, device
        self._state: Any = None
        self._prepared = False

    def segment(self, number: int, seeds: Seeds, *, unprompted: bool = False) -> BenchResult:
        """The result of all strokes, or of a network without strokes; a failure is a result without labels."""
        scribbles = Scribbles(seeds, self._task.n_classes)
        if not unprompted and int(np.count_nonzero(scribbles.counts)) < self._engine.info.min_classes:
            return BenchResult(self._job, self._task, number, seeds, waiting=True)
        prepare_seconds, seconds, failure, raw_seed_accuracy = 0.0, np.nan, "", np.nan
        labels: Labels | None = None
        probabilities: NDArray[np.float32] | None = None
        with peak_memory() as peak:
            try:
                start = time.perf_counter()
                if not self._prepared:
                    self._state = self._engine.prepare(self._task.image, self._device)
                    self._prepared = True
                    prepare_seconds = time.perf_counter() - start
                    start = time.perf_counter()
                if unprompted:
                    labels = self._unprompted()
                else:
                    found = self._prompted(scribbles)
                    labels, probabilities = found.labels, found.probabilities
                    raw_seed_accuracy = np.nan if found.raw_seed_accuracy is None else found.raw_seed_accuracy
                seconds = time.perf_counter() - start
            except Exception as error:  # noqa: BLE001 a method that fails is a result, not the end of the benchmark
                failure = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        return BenchResult(
            self._job, self._task, number, seeds, labels, prepare_seconds=prepare_seconds, seconds=seconds,
            peak_mib=peak.mib, failure=failure, raw_seed_accuracy=raw_seed_accuracy,
            probabilities=probabilities,
        )  # fmt: skip

    def _unprompted(self) -> Labels:
        """Labels without strokes."""
        if not isinstance(self._engine, PredictsUnprompted):
            raise InputError("it segments with strokes only; a network that needs none is expected")
        labels: Labels = np.argmax(self._engine.unprompted(self._state), axis=0)
        if labels.max() >= self._task.n_classes:
            raise InputError(f"the network has a class {labels.max()}; {self._task.n_classes} are expected")
        return labels

    def _prompted(self, scribbles: Scribbles) -> Segmentation[Any]:
        """The result for some strokes."""
        found = self._engine.segment(self._task.image, scribbles, self._state)
        self._state = found.state
        shape, expected = found.probabilities.shape, (scribbles.n_classes, *scribbles.shape)
        if shape != expected:
            raise ValueError(f"the result has shape {shape}; {expected} is expected")
        if not np.isfinite(found.probabilities).all():
            raise ValueError("the result holds NaN or infinite probabilities")
        return found
