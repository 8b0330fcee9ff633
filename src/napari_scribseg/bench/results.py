"""One job of a benchmark, and the result of each of its interactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.metrics import Scores, calibration_error, error_auc, score
from napari_scribseg.bench.tasks import BenchTask
from napari_scribseg.numerics.uncertainty import error_probability

__all__ = ["BenchJob", "BenchResult", "Labels", "Seeds", "read_protocol"]

Seeds = NDArray[np.int32]
Labels = NDArray[np.intp]


def read_protocol(text: str) -> str:
    """The name of a protocol, given by it or by its former name."""
    return "initial-mask" if text == "mend" else text


@dataclass(frozen=True, slots=True, order=True)
class BenchJob:
    """A method on a case by a protocol: done as a whole, or not at all."""

    data: str
    case: str
    protocol: str = field(metadata={"parse": read_protocol})
    method: str


@dataclass(frozen=True)
class BenchResult:
    """The result of one interaction; every column of the benchmark is computed from it.

    Attributes
    ----------
    job : BenchJob
        The job that it belongs to.
    task : BenchTask
        With image, truth, number of classes and spacing.
    number : int
        Of the interaction, from 1 on.
    seeds : ndarray of shape (\\*S), int32
        All strokes so far: class index, -1 elsewhere.
    labels : ndarray of shape (\\*S), integer, or None
        Class index of each pixel; None where the method gave none.
    waiting : bool
        Whether there are no labels because the method needs strokes of a second class.
    prepare_seconds, seconds : float
        Wall time to prepare the image, 0 where it was prepared before, and to segment; NaN without labels.
    peak_mib : float
        Peak memory of both.
    failure : str
        Why the method failed.
    raw_seed_accuracy : float
        Share of the painted pixels that got their class before any correction; NaN where the method does not report it.
    gain : float
        IoU near the object clicked on, less that before the click; NaN outside the protocol ``initial-mask``.
    probabilities : ndarray of shape (K, \\*S), float32, or None
        Of the classes; None without labels, and for labels of a network without strokes.
    distances : bool
        Whether distances between boundaries are measured; else they are NaN.
    """

    job: BenchJob
    task: BenchTask
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
    probabilities: NDArray[np.float32] | None = None
    distances: bool = True

    @cached_property
    def scores(self) -> Scores:
        """The labels against the truth; without labels 0, and the diagonal of the image as distances."""
        task, spacing = self.task, self.task.image.spacing
        if self.labels is None:
            diagonal = float(np.linalg.norm(np.asarray(task.truth.shape) * spacing))
            return Scores(0.0, 0.0, diagonal, diagonal, diagonal)
        return score(self.labels, task.truth, task.counted, spacing if self.distances else None)

    @cached_property
    def error_detection(self) -> tuple[float, float]:
        """AUC and calibration error of the probability that a label is wrong, on unpainted pixels; NaN without any."""
        if self.labels is None or self.probabilities is None:
            return np.nan, np.nan
        counted = (self.task.truth >= 0) & (self.seeds < 0)
        risk = error_probability(self.probabilities, self.seeds)[counted]
        wrong = (self.labels != self.task.truth)[counted]
        return error_auc(risk, wrong), calibration_error(risk, wrong)
