"""What a user works through: the cases of a data set one after the other, all with the same classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from napari_scribseg.bench.tasks import BenchTask, evenly
from napari_scribseg.core import ClassTable, Image, InputError, LabelClass
from napari_scribseg.core.classes import default_color
from napari_scribseg.datasets.case import UNKNOWN, Case, DataSet
from napari_scribseg.datasets.views import only, semantic

__all__ = ["Cohort", "open_cohort"]

_MOST_CLASSES = 30


@dataclass(frozen=True, slots=True)
class Cohort:
    """The cases of a data set in the order of the work.

    Attributes
    ----------
    data : DataSet
    cases : tuple of str
        Names: a case of the data set, or ``"NAME slices 0-13"`` of a volume that is cut into regions.
    ids : tuple of int
        The labels of the truth: the background first, then the classes. Their positions are class indices.
    names : tuple of str
        Of the classes, without the background.
    labels : tuple of str
        Names or ids of the labels that count; all where it is empty.
    """

    data: DataSet
    cases: tuple[str, ...]
    ids: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes, the background included."""
        return len(self.ids)

    @property
    def classes(self) -> ClassTable:
        """The classes of the sessions: ids are class indices, and that of the strokes of the background is next."""
        drawn = enumerate((*self.names, "background"), start=1)
        return ClassTable(
            tuple(LabelClass(i, name, default_color(i), background=i == self.n_classes) for i, name in drawn)
        )

    def task(self, name: str) -> BenchTask:
        """One case, with class indices for the labels.

        Parameters
        ----------
        name : str
            One of ``cases``.
        """
        whole, _, region = name.partition(_REGION)
        case = _seen(self.data.load(whole), self.labels)
        at = slice(None)
        if region:
            first, last = map(int, region.split("-"))
            at = slice(first, last + 1)
        table = np.full(max(int(case.truth.max()), *self.ids) + 2, UNKNOWN, np.int64)
        table[list(self.ids)] = range(len(self.ids))  # the last entry is that of -1
        image = Image.from_array(case.image[at], case.spacing)
        counted = tuple(range(1, self.n_classes))
        group = case.group or case.name
        return BenchTask(name, group, image, table[case.truth[at]], self.n_classes, counted, None, case.unit)


_REGION = " slices "


def open_cohort(
    data: DataSet, *, most: int | None = None, labels: Sequence[str] = (), regions: int | None = None
) -> Cohort:
    """The cohort of a data set.

    Parameters
    ----------
    data : DataSet
        Instances count as one class.
    most : int, optional
        Number of cases, evenly chosen; all by default.
    labels : sequence of str
        Names or ids of the labels that count, all others are background; all by default.
    regions : int, optional
        Number of regions of neighbouring slices, along the first axis, into which each volume is cut.

    Raises
    ------
    InputError
        If there are no cases, no classes or too many, a case has no background, or a volume has fewer slices than
        regions.
    """
    chosen = evenly(data.cases, most)
    if not chosen:
        raise InputError(f"the data set {data.name} has no cases; a cohort of at least one is expected")
    names: dict[int, str] = {}
    cases: list[str] = []
    for name in chosen:
        case = _seen(data.load(name), labels)
        names |= {i: case.names.get(i, f"class {i}") for i in case.objects}
        cases += [name] if regions is None else _regions(case, regions)
    missing = next((label for label in labels if label not in {*names.values(), *map(str, names)}), None)
    if missing is not None:
        raise InputError(f"the cohort {data.name} has no label {missing!r}; its labels were expected")
    if not 1 <= len(names) <= _MOST_CLASSES:
        raise InputError(
            f"the cohort {data.name} has {len(names)} classes; 1 to {_MOST_CLASSES} are expected, which --label chooses"
        )
    ids = sorted(names)
    return Cohort(data, tuple(cases), (0, *ids), tuple(names[i] for i in ids), tuple(labels))


def _regions(case: Case, count: int) -> list[str]:
    if case.truth.ndim != 3 or len(case.truth) < count:
        raise InputError(
            f"{case.name} has {len(case.truth) if case.truth.ndim == 3 else 1} slices; at least {count} are expected "
            "for as many regions"
        )
    bounds = np.linspace(0, len(case.truth), count + 1).round().astype(int).tolist()
    return [f"{case.name}{_REGION}{a}-{b - 1}" for a, b in pairwise(bounds)]


def _seen(case: Case, labels: Sequence[str]) -> Case:
    """The case with the labels that count, its background as 0."""
    if case.background != 0:
        raise InputError(f"{case.name}: the label of its background is {case.background}; 0 is expected in a cohort")
    case = semantic(case) if case.instances else case
    if labels:
        ids = {str(i): i for i in case.ids} | {name: i for i, name in case.names.items()}
        case = only(case, [label for label in labels if ids.get(label) in case.ids])
    return replace(case, strokes=None)
