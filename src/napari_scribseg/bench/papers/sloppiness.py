"""Ten outlines of one object with other errors each: how much does the answer change? (paper 002, "Results")"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.metrics import overlap
from napari_scribseg.bench.tasks import Task, evenly, random_generator, tasks
from napari_scribseg.core import InputError, Scribbles, Stroke
from napari_scribseg.datasets import DataSet
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import csv_rows, csv_text
from napari_scribseg.simulate import enclosed, sloppy_outline

__all__ = ["ERRORS", "Sloppiness", "SloppyPlan", "agreement", "measure"]

ERRORS = (0.03, 0.06, 0.1, 0.15)  # of the diameter of a disc of the object's area
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sloppiness:
    """What came of a set of outlines of one object.

    Attributes
    ----------
    data, image, group, method : str
        As in a row of the benchmark.
    error : float
        Root mean square of the outlines' error, in diameters of a disc of the object's area.
    drawn_agreement, answer_agreement : float
        Mean IoU of each pair of outlines, and of each pair of answers.
    drawn_iou, answer_iou : float
        Mean IoU with the truth.
    first_seconds, seconds : float
        Processor time of preparing and the first answer, and the median of the others.
    """

    data: str
    image: str
    group: str
    method: str
    error: float
    drawn_agreement: float
    answer_agreement: float
    drawn_iou: float
    answer_iou: float
    first_seconds: float
    seconds: float


@dataclass(frozen=True)
class SloppyPlan:
    """What is to be measured.

    Attributes
    ----------
    methods : tuple of str
        As :func:`~napari_scribseg.bench.methods.parse_method` reads them.
    data : tuple of DataSet
        From each of whose images one object is taken.
    most_cases : int, optional
        Images of a data set, evenly chosen; all by default.
    errors : tuple of float
        As in :class:`Sloppiness`.
    outlines : int
        Of one object with one error.
    seed : int
        Of the outlines and of the choice of objects.
    device : str
        Where the engines compute.
    """

    methods: tuple[str, ...]
    data: tuple[DataSet, ...]
    most_cases: int | None = None
    errors: tuple[float, ...] = ERRORS
    outlines: int = 10
    seed: int = 0
    device: str = "auto"


def agreement(masks: Sequence[Mask]) -> float:
    """Mean intersection over union of each pair of masks, all of shape (H, W); 1 for a single one."""
    pairs = [overlap(a, b)[1] for a, b in combinations(masks, 2)]
    return float(np.mean(pairs)) if pairs else 1.0


def measure(plan: SloppyPlan, folder: Path, progress: Callable[[int, int, str], None]) -> list[Sloppiness]:
    """Measure what the folder does not hold yet: one file for each image and method.

    Parameters
    ----------
    plan : SloppyPlan
        What is to be measured.
    folder : Path
        Made where it is missing.
    progress : callable
        Called with the number of jobs done, their total and what is worked on.

    Raises
    ------
    InputError
        If a method cannot be had, no image has an object, or a file in the folder is not ours.
    """
    for method in plan.methods:
        parse_method(method)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(data, case) for data in plan.data for case in evenly(data.cases, plan.most_cases)]
    total, done = len(jobs) * len(plan.methods), 0
    rows: list[Sloppiness] = []
    for data, case in jobs:
        task: Task | None = None
        for method in plan.methods:
            path = folder / f"{_file_name(data.name, case, method)}.csv"
            if not path.exists():
                task = task or next(tasks(data.load(case), "clicks", most_slices=1, seed=plan.seed), None)
                _write(path, [] if task is None else list(_outlined(plan, data.name, task, method)))
            rows += _read(path)
            done += 1
            progress(done, total, f"{data.name} {case}, {method}")
    if not rows:
        raise InputError("there is nothing to outline: no image has an object")
    return rows


def _outlined(plan: SloppyPlan, data: str, task: Task, name: str) -> Iterator[Sloppiness]:
    """A row for each size of error."""
    import time

    engine = parse_method(name).engine
    truth: Mask = ndimage.binary_fill_holes(task.truth == 1)  # no outline can leave out a hole
    size = 2 * float(np.sqrt(np.count_nonzero(truth) / np.pi))
    start = time.process_time()
    state: Any = engine.prepare(task.image, plan.device)
    prepared, first = time.process_time() - start, float("nan")
    for error in plan.errors:
        drawn, answers, seconds = [], [], []
        for number in range(plan.outlines):
            random = random_generator(plan.seed, task.name, f"outline {number}")
            outline = sloppy_outline(truth, error * size, random)
            scribbles = Scribbles(np.full(truth.shape, -1, dtype=np.int32), 2).add(Stroke(outline, 0, 1))
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = engine.segment(task.image, scribbles, state)
            seconds.append(time.process_time() - start)
            state = result.state
            drawn.append(enclosed(outline, (truth.shape[0], truth.shape[1])))
            answers.append(result.labels == 1)
        if not np.isfinite(first):
            first = prepared + seconds.pop(0)
        yield Sloppiness(
            data, task.name, task.group, name, error, agreement(drawn), agreement(answers),
            float(np.mean([overlap(m, truth)[1] for m in drawn])),
            float(np.mean([overlap(m, truth)[1] for m in answers])),
            first, float(np.median(seconds)) if seconds else float("nan"),
        )  # fmt: skip


def _file_name(*parts: str) -> str:
    """Of any text, for any file system; a checksum tells apart what becomes alike."""
    import zlib

    text = "-".join(parts)
    plain = "".join(c if c.isalnum() or c in "-_=." else "_" for c in text)
    return f"{plain[:120]}-{zlib.crc32(text.encode()):08x}"


_NAMES = tuple(f.name for f in fields(Sloppiness))


def _write(path: Path, rows: Sequence[Sloppiness]) -> None:
    with replacing(path) as file:
        file.write(csv_text([_NAMES, *map(astuple, rows)]).encode())


def _read(path: Path) -> list[Sloppiness]:
    kinds = get_type_hints(Sloppiness)
    try:
        lines = csv_rows(path.read_text(encoding="utf-8"))
        if tuple(lines[0]) != _NAMES:
            raise ValueError("other columns")
        return [Sloppiness(*(kinds[name](text) for name, text in zip(_NAMES, line, strict=True))) for line in lines[1:]]
    except (ValueError, IndexError, csv.Error) as error:
        raise InputError(f"{path} was not written by this version of the study ({error}); give another folder") from (
            error
        )
