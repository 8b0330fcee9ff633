"""What clicks make of a converted network: accuracy (paper 003, table 3), and precision and recall (figure 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.tasks import evenly, random_generator
from napari_scribseg.core import Image, InputError, PredictsUnprompted, Scribbles
from napari_scribseg.datasets.case import UNKNOWN, Case, DataSet
from napari_scribseg.datasets.views import semantic, slices
from napari_scribseg.numerics.comparison import overlap
from napari_scribseg.simulate import RobotUser

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["THRESHOLDS", "ClickPlan", "ClickRow", "best_f_scores", "click", "table_of"]

THRESHOLDS = np.linspace(0, 1, 52)[:-1]
_WEIGHT = 0.3  # of recall against precision in the F-score, as saliency is measured

Probabilities = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClickRow:
    """One result.

    Attributes
    ----------
    data, image, group : str
        Data set; image; cases of one group are not independent.
    clicks : int
        Clicks so far; 0: the network's own prediction.
    accuracy : float
        Share of the pixels with their class.
    iou : float
        Mean over the classes of the truth.
    seed_accuracy : float
        Share of the clicked pixels with their class (figure 9); NaN before the first.
    precision, recall : tuple of float
        Of the object at each of :data:`THRESHOLDS`; empty where the network has several objects.
    """

    data: str
    image: str
    group: str
    clicks: int
    accuracy: float
    iou: float
    seed_accuracy: float
    precision: tuple[float, ...] = ()
    recall: tuple[float, ...] = ()


@dataclass(frozen=True)
class ClickPlan:
    """What to measure.

    Attributes
    ----------
    method : str
        An engine with a network that needs no strokes, as :func:`~napari_scribseg.bench.methods.parse_method` reads it.
    data : tuple of DataSet
        Their label ids are those that the model's card gives its outputs, else the positions of the outputs; objects
        of data with instances, or for a network of one object, are one class. Other ids are not counted.
    most_cases, most_slices : int, optional
        Images of a data set, and slices of a volume, evenly chosen; all by default.
    clicks : int
        Most clicks.
    user : RobotUser
        Who clicks.
    seed : int
    device : str
    """

    method: str
    data: tuple[DataSet, ...]
    most_cases: int | None = None
    most_slices: int | None = None
    clicks: int = 5
    user: RobotUser = field(default_factory=lambda: RobotUser("clicks", tolerance=0.0))
    seed: int = 0
    device: str = "auto"


def click(plan: ClickPlan, progress: Callable[[int, int, str], None]) -> list[ClickRow]:
    """Click on each image where the result is most wrong; a row for each number of clicks from 0.

    Once nothing is wrong, further rows repeat the last.

    Raises
    ------
    InputError
        If the network needs strokes, or no image has one of its classes.
    """
    engine = parse_method(plan.method).engine
    if not isinstance(engine, PredictsUnprompted):
        raise InputError(f"{plan.method} segments with strokes only; an engine with a network of its own is expected")
    cases = [(data, name) for data in plan.data for name in evenly(data.cases, plan.most_cases)]
    rows: list[ClickRow] = []
    for number, (data, name) in enumerate(cases):
        case = data.load(name)
        views = [case] if case.truth.ndim == 2 else evenly(list(slices(case)), plan.most_slices)
        for view in views:
            rows += _clicked(plan, engine, data.name, view)
        progress(number + 1, len(cases), f"{data.name} {name}")
    if not rows:
        raise InputError(f"no image has a class of {plan.method}; labels with the ids of its outputs are expected")
    return rows


def _clicked(plan: ClickPlan, engine: Any, data: str, case: Case) -> Iterator[ClickRow]:
    image = Image.from_array(case.image, case.spacing)
    state = engine.prepare(image, plan.device)
    own = engine.unprompted(state)
    ids = _ids(engine, len(own))
    if case.background is not None and (case.instances or len(own) == 2):
        case = semantic(case)
        ids = (0, 1) if len(own) == 2 else ids
    truth = np.select([case.truth == i for i in ids], [np.int64(k) for k in range(len(ids))], np.int64(UNKNOWN))
    if not (truth > 0).any():
        return
    results = _results(plan, engine, image, state, own, ids, truth, case.name)
    rows = [_row(data, case, n, *found, truth) for n, found in enumerate(islice(results, plan.clicks + 1))]
    yield from rows
    yield from (replace(rows[-1], clicks=n) for n in range(len(rows), plan.clicks + 1))


def _ids(engine: Any, n_classes: int) -> tuple[int, ...]:
    """The label ids of a network's classes."""
    from napari_scribseg.engines.brs.model_source import card_of

    card = card_of(engine.model, engine.weights)
    given = () if card is None else tuple(card.ids)
    ids = given if len(given) == n_classes else (0, *given)
    return ids if len(ids) == n_classes else tuple(range(n_classes))


def _results(
    plan: ClickPlan,
    engine: Any,
    image: Image,
    state: Any,
    found: Probabilities,
    ids: tuple[int, ...],
    truth: NDArray[np.int64],
    name: str,
) -> Iterator[tuple[Probabilities, NDArray[np.int32]]]:
    """Probabilities and clicks so far, from none on, until nothing is left to click on."""
    random = random_generator(plan.seed, name, "network clicks")
    seeds: NDArray[np.int32] | None = np.full(truth.shape, -1, dtype=np.int32)
    while seeds is not None:
        yield found, seeds
        seeds = plan.user.correct(found.argmax(axis=0), truth, seeds, random)
        if seeds is not None:
            result = engine.segment(image, Scribbles(seeds, len(ids), ids), state)
            found, state = result.probabilities, result.state


def _row(
    data: str, case: Case, clicks: int, found: Probabilities, seeds: NDArray[np.int32], truth: NDArray[np.int64]
) -> ClickRow:
    labels, valid, clicked = found.argmax(axis=0), truth != UNKNOWN, seeds >= 0
    present = np.unique(truth[valid]).tolist()
    iou = float(np.mean([overlap(labels[valid] == k, truth[valid] == k)[1] for k in present]))
    right = float((labels[clicked] == seeds[clicked]).mean()) if clicked.any() else float("nan")
    precision: tuple[float, ...] = ()
    recall: tuple[float, ...] = ()
    if len(found) == 2:
        precision, recall = _precision_recall(found[1][valid], truth[valid] == 1)
    accuracy = float((labels == truth)[valid].mean())
    return ClickRow(data, case.name, case.group or case.name, clicks, accuracy, iou, right, precision, recall)


def _precision_recall(
    probability: NDArray[np.float32], truth: NDArray[np.bool_]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At each threshold; a mask without pixels has the precision 1."""
    masks = [probability >= t for t in THRESHOLDS]
    common = np.array([np.count_nonzero(mask & truth) for mask in masks])
    size = np.array([np.count_nonzero(mask) for mask in masks])
    precision = np.where(size > 0, common / np.maximum(size, 1), 1.0)
    return tuple(precision.tolist()), tuple((common / max(int(truth.sum()), 1)).tolist())


def table_of(rows: Sequence[ClickRow]) -> DataFrame:
    """A line for each data set and number of clicks.

    Returns
    -------
    DataFrame
        ``data``, ``clicks``, ``images``; means over images of ``accuracy``, ``iou`` and ``seed_accuracy``; ``f_score``,
        the best over thresholds, NaN where there is no precision.
    """
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows])
    means = frame.groupby(["data", "clicks"], sort=False).agg(
        images=("image", "size"), accuracy=("accuracy", "mean"), iou=("iou", "mean"),
        seed_accuracy=("seed_accuracy", "mean"),
    )  # fmt: skip
    return means.reset_index().assign(f_score=best_f_scores(rows))


def best_f_scores(rows: Sequence[ClickRow]) -> list[float]:
    """The best F-score of the mean precision and recall, for each data set and number of clicks, in their order."""
    found = []
    for key in dict.fromkeys((row.data, row.clicks) for row in rows):
        own = [row for row in rows if (row.data, row.clicks) == key]
        if not all(row.precision for row in own):
            found.append(float("nan"))
            continue
        precision = np.mean([row.precision for row in own], axis=0)
        recall = np.mean([row.recall for row in own], axis=0)
        score = (1 + _WEIGHT) * precision * recall / np.maximum(_WEIGHT * precision + recall, 1e-12)
        found.append(float(score.max()))
    return found
