"""A user at work on one case: they look at every slice, accept what is good, and paint on what is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.annotate import Session
from napari_scribseg.bench.cohort.judging import CohortRules, class_dice, mean_dice
from napari_scribseg.bench.results import Seeds
from napari_scribseg.bench.tasks import BenchTask, random_generator
from napari_scribseg.core import ClassTable, Engine, Source

if TYPE_CHECKING:
    from napari_scribseg.annotate.drafter import Drafter

__all__ = ["Work", "WorkLog", "source_of"]

#: Gives a drafter after some more slices were accepted; None where nothing new is learned.
Relearn = Callable[[Session], "Drafter | None"]


@dataclass(slots=True)
class WorkLog:
    """What the work on a case took.

    Attributes
    ----------
    strokes : int
        All strokes.
    strokes_to_target : float
        Strokes until the mean Dice of the case was good enough; NaN where it never was.
    painted, accepted : set of int
        Slices.
    draft_dice, draft_slices : float
        Mean Dice of the draft before any stroke, and the share of its slices that are good enough; NaN without one.
    dice : float
        Mean Dice in the end.
    seconds : float
        Of all answers, fillings and drafts.
    """

    strokes: int = 0
    strokes_to_target: float = np.nan
    painted: set[int] = field(default_factory=set)
    accepted: set[int] = field(default_factory=set)
    draft_dice: float = np.nan
    draft_slices: float = np.nan
    dice: float = np.nan
    seconds: float = 0.0


def source_of(task: BenchTask) -> Source:
    """The image of a task as what a session annotates."""
    return Source.from_array(np.moveaxis(task.image.data, 0, -1), spacing=task.image.spacing, channels=True)


class Work:
    """A session on a case, and the user in front of it.

    Parameters
    ----------
    task : BenchTask
        An image, or a volume of slices along the first axis.
    engine : Engine
    classes : ClassTable
        Ids are class indices; strokes of the background have an id of their own.
    order : {"queue", "sequential", "random"}
        Which slice the user looks at next: that which the session offers, the next one, or any.
    rules : CohortRules
    """

    def __init__(
        self, task: BenchTask, engine: Engine[Any], classes: ClassTable, order: str, rules: CohortRules
    ) -> None:
        self.session = Session(source_of(task), engine, classes=classes, device=rules.device)
        self.log = WorkLog()
        self._task, self._rules, self._order = task, rules, order
        self._truth = task.truth if task.truth.ndim == 3 else task.truth[None]
        self._seeds: Seeds = np.full(self._truth.shape, -1, np.int32)
        self._left = set(range(len(self._truth)))
        self._hand = random_generator(rules.seed, task.name, "cohort")
        self._next = random_generator(rules.seed, task.name, "order")
        assert classes.background is not None
        self._background = classes.background

    @property
    def n_slices(self) -> int:
        """Number of slices; 1 of an image."""
        return len(self._truth)

    def begin(self, drafter: Drafter) -> None:
        """Draft the case, and measure the draft."""
        self._draft(drafter)
        labels = self._labels()
        self.log.draft_dice = mean_dice(labels, self._truth, self._task.n_classes)
        self.log.draft_slices = float(np.mean([self._is_good(index) for index in range(self.n_slices)]))
        self._note_target()

    def play(self, relearn: Relearn | None = None) -> WorkLog:
        """Look at every slice once.

        Parameters
        ----------
        relearn : callable, optional
            Called when as many slices were accepted as the rules say; what it gives drafts the others.
        """
        due = list(self._rules.within)
        while self._left:
            index = self._choose()
            self._left.remove(index)
            self._visit(index)
            if relearn is not None and due and len(self.log.accepted) >= due[0] and self._left:
                due.pop(0)
                drafter = relearn(self.session)
                if drafter is not None:
                    self._draft(drafter)
        self.log.dice = mean_dice(self._labels(), self._truth, self._task.n_classes)
        return self.log

    def _draft(self, drafter: Drafter) -> None:
        self._timed(lambda: self.session.draft(drafter).result())

    def _choose(self) -> int:
        if self._order == "random":
            left = sorted(self._left)
            return left[int(self._next.integers(len(left)))]
        if self._order == "queue" and self.n_slices > 1:
            offered = self.session.next_slice()
            if offered is not None and offered.position[0] in self._left:
                return offered.position[0]
        return min(self._left)

    def _visit(self, index: int) -> None:
        """Accept a slice that is good, else paint until it is, or until the user gives it up."""
        painted = 0
        while not self._is_good(index) and painted <= self._rules.corrections and self._paint(index):
            painted += 1
        if self._is_good(index):
            self.session.accept(index)
            self.log.accepted.add(index)
        if self.n_slices > 1 and self.session.anchors():
            self._timed(lambda: self.session.fill().result())
        self._note_target()

    def _paint(self, index: int) -> bool:
        """First strokes or a correction, and the answer; False where nothing is left to paint."""
        before, truth = self._seeds[index], self._truth[index]
        if (before >= 0).any() or self._is_worth_correcting(index):
            labels = self._slice_labels(index)
            seen = self._rules.to_correct(labels, truth, self._task.n_classes)
            new = self._rules.corrector.correct(labels, seen, before, self._hand)
            strokes = 1
        else:
            new = self._rules.user.begin(truth, self._task.n_classes, self._hand)
            strokes = sum(int(ndimage.label(new == k, np.ones((3, 3)))[1]) for k in np.unique(new[new >= 0]))
            strokes += self._drop_draft(index)
        if new is None or np.array_equal(new, before):
            return False
        self._seeds[index] = new
        self.log.strokes += strokes
        self.log.painted.add(index)
        painted = np.where(new == 0, self._background, np.maximum(new, 0))
        self.session.follows = False  # it fills when the slice is done
        self._timed(lambda: self.session.draw(painted, index).result())
        return True

    def _drop_draft(self, index: int) -> int:
        """Clear a slice whose draft is of no use, which counts as a stroke; number of strokes."""
        if self.session.slice_index(index) not in self.session.drafted:
            return 0
        self.session.clear(index)
        return 1

    def _is_worth_correcting(self, index: int) -> bool:
        """Whether the labels of a slice without strokes are good enough to be corrected."""
        found = class_dice(self._slice_labels(index), self._truth[index], self._task.n_classes)
        return bool(found) and float(np.mean(found)) >= self._rules.worth

    def _is_good(self, index: int) -> bool:
        return self._rules.accepts(self._slice_labels(index), self._truth[index], self._task.n_classes)

    def _note_target(self) -> None:
        """Whether the case as a whole has arrived."""
        if np.isnan(self.log.strokes_to_target):
            dice = mean_dice(self._labels(), self._truth, self._task.n_classes)
            if dice >= self._rules.good:
                self.log.strokes_to_target = float(self.log.strokes)

    def _labels(self) -> NDArray[np.intp]:
        return self.session.finished_labels().astype(np.intp).reshape(self._truth.shape)

    def _slice_labels(self, index: int) -> NDArray[np.intp]:
        return self.session.slice_labels(index).astype(np.intp)

    def _timed(self, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        self.log.seconds += time.perf_counter() - start
