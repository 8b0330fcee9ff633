"""Ten rough outlines of one object: how much do the results differ? (paper 002, "Results")"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.tasks import BenchTask, evenly, random_generator, tasks
from napari_scribseg.core import InputError, Scribbles, Stroke
from napari_scribseg.datasets import DataSet
from napari_scribseg.io.run_folder import ResultTable, RunFolder, read_rows
from napari_scribseg.numerics.comparison import overlap
from napari_scribseg.simulate import enclosed, sloppy_outline

__all__ = ["ERRORS", "OutlineJob", "Sloppiness", "SloppyPlan", "agreement", "measure"]

ERRORS = (0.03, 0.06, 0.1, 0.15)  # of the diameter of a disc of the object's area
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OutlineJob:
    """A method on the outlines of one object of a case."""

    data: str
    case: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sloppiness:
    """The results of a set of outlines of one object.

    Attributes
    ----------
    data, image, group, method : str
        As in a row of the benchmark.
    error : float
        Root mean square of the outlines' error, in diameters of a disc of the object's area.
    drawn_agreement, result_agreement : float
        Mean IoU of each pair of outlines, and of each pair of results.
    drawn_iou, result_iou : float
        Mean IoU with the truth.
    first_seconds, seconds : float
        Processor time to prepare and for the first result, and the median of the others.
    case : str
        The case of the data set that the object was taken from.
    """

    data: str
    image: str
    group: str
    method: str
    error: float
    drawn_agreement: float
    result_agreement: float = field(metadata={"formerly": "answer_agreement"})
    drawn_iou: float
    result_iou: float = field(metadata={"formerly": "answer_iou"})
    first_seconds: float
    seconds: float
    case: str = ""


@dataclass(frozen=True)
class SloppyPlan:
    """What to measure.

    Attributes
    ----------
    methods : tuple of str
        As :func:`~napari_scribseg.bench.methods.parse_method` reads them.
    data : tuple of DataSet
        Data sets; one object of each image is outlined.
    most_cases : int, optional
        Images of a data set, evenly chosen; all by default.
    errors : tuple of float
        As in :class:`Sloppiness`.
    outlines : int
        Outlines of one object with one error.
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


def measure(plan: SloppyPlan, out: Path, progress: Callable[[int, int, str], None]) -> list[Sloppiness]:
    """Outline one object of each case, and measure the results; those in ``out`` are not measured again.

    Parameters
    ----------
    plan : SloppyPlan
        What to measure.
    out : Path
        Folder for ``rows.csv`` and ``finished.csv``; made where it is missing.
    progress : callable
        Called with the number of jobs done, their total and the last one done.

    Raises
    ------
    InputError
        If a method cannot be loaded, no image has an object, a file in the folder is not ours, or another run is at
        work there.
    """
    for method in plan.methods:
        parse_method(method)
    cases = [(data, case) for data in plan.data for case in evenly(data.cases, plan.most_cases)]
    jobs = [OutlineJob(data.name, case, method) for data, case in cases for method in plan.methods]
    order = {job: number for number, job in enumerate(jobs)}
    folder = RunFolder(out, "finished.csv")
    with folder.open():
        table = folder.table(Sloppiness, OutlineJob)
        for data, case in cases:
            task: BenchTask | None = None
            for job in (OutlineJob(data.name, case, method) for method in plan.methods):
                if job not in table.finished and not _take_over(out, table, job):
                    task = task or next(tasks(data.load(case), "clicks", most_slices=1, seed=plan.seed), None)
                    table.add(job, [] if task is None else list(_outlined(plan, job, task)))
                progress(order[job] + 1, len(jobs), f"{data.name} {case}, {job.method}")
        rows = [row for row in table.rows() if table.key_of(row) in order]
    if not rows:
        raise InputError("there is nothing to outline: no image has an object")
    return sorted(rows, key=lambda row: order[table.key_of(row)])


def _outlined(plan: SloppyPlan, job: OutlineJob, task: BenchTask) -> Iterator[Sloppiness]:
    """A row for each size of error."""
    engine = parse_method(job.method).engine
    truth: Mask = ndimage.binary_fill_holes(task.truth == 1)  # outlines have no holes
    size = 2 * float(np.sqrt(np.count_nonzero(truth) / np.pi))
    start = time.process_time()
    state: Any = engine.prepare(task.image, plan.device)
    prepared, first = time.process_time() - start, float("nan")
    for error in plan.errors:
        drawn, results, seconds = [], [], []
        for number in range(plan.outlines):
            random = random_generator(plan.seed, task.name, f"outline {number}")
            outline = sloppy_outline(truth, error * size, random)
            scribbles = Scribbles(np.full(truth.shape, -1, dtype=np.int32), 2).add(Stroke(outline, 0, 1))
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = engine.segment(task.image, scribbles, state)
            seconds.append(time.process_time() - start)
            state = found.state
            drawn.append(enclosed(outline, (truth.shape[0], truth.shape[1])))
            results.append(found.labels == 1)
        if not np.isfinite(first):
            first = prepared + seconds.pop(0)
        yield Sloppiness(
            data=job.data,
            case=job.case,
            method=job.method,
            image=task.name,
            group=task.group,
            error=error,
            drawn_agreement=agreement(drawn),
            result_agreement=agreement(results),
            drawn_iou=float(np.mean([overlap(m, truth)[1] for m in drawn])),
            result_iou=float(np.mean([overlap(m, truth)[1] for m in results])),
            first_seconds=first,
            seconds=float(np.median(seconds)) if seconds else float("nan"),
        )


def _take_over(out: Path, table: ResultTable[Sloppiness, OutlineJob], job: OutlineJob) -> bool:
    """Add the rows of a job from its own file, as they were written before; False where there is none."""
    text = "-".join((job.data, job.case, job.method))
    plain = "".join(c if c.isalnum() or c in "-_=." else "_" for c in text)
    path = out / f"{plain[:120]}-{zlib.crc32(text.encode()):08x}.csv"
    if not path.exists():
        return False
    table.add(job, [replace(row, case=job.case) for row in read_rows(path, Sloppiness)])
    return True
