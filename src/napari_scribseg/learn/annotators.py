"""How far people agree who accepted the same slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn.case import Case
from napari_scribseg.learn.merging import versions_by_person
from napari_scribseg.numerics.comparison import boundary_distances, overlap

__all__ = ["MeanAgreement", "PairAgreement", "annotator_agreement", "mean_agreement"]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two people agree on one class of one slice.

    Attributes
    ----------
    case : str
        Name of the case.
    slice_index : SliceIndex
        The slice.
    identity : int
        Label id of the class.
    name : str
        Its name.
    who, whom : str
        The two people, in alphabetical order.
    dice : float
        Overlap, 0 to 1.
    surface : float
        Mean distance between the boundaries, both ways, in the unit of the image's spacing.
    """

    case: str
    slice_index: SliceIndex
    identity: int
    name: str
    who: str
    whom: str
    dice: float
    surface: float


@dataclass(frozen=True, slots=True)
class MeanAgreement:
    """How far two people agree on a class: means over the slices that both accepted and one of them found it in.

    Attributes
    ----------
    name, who, whom : str
        As of :class:`PairAgreement`.
    slices : int
        Number of slices.
    dice, surface : float
        As of :class:`PairAgreement`.
    """

    name: str
    who: str
    whom: str
    slices: int
    dice: float
    surface: float


def annotator_agreement(cases: Iterable[Case], classes: ClassTable) -> Iterator[PairAgreement]:
    """Compare all pairs of people, on the slices that both of them accepted, for each class that one of them found.

    Raises
    ------
    InputError
        If a session file is damaged.
    """
    for case in cases:
        for slice_index, people in sorted(versions_by_person(case).items()):
            spacing = tuple(case.image.spacing[axis] for axis in slice_index.displayed)
            for who, whom in combinations(sorted(people), 2):
                one, other = people[who].labels, people[whom].labels
                for identity in np.union1d(one, other).tolist():
                    if identity:
                        masks = one == identity, other == identity
                        name = classes[identity].name if identity in classes else f"class {identity}"
                        yield PairAgreement(
                            case.name, slice_index, identity, name, who, whom, overlap(*masks)[0],
                            boundary_distances(*masks, spacing)[2],
                        )  # fmt: skip


def mean_agreement(rows: Iterable[PairAgreement]) -> list[MeanAgreement]:
    """The means of each class and pair of people."""
    groups: dict[tuple[str, str, str], list[PairAgreement]] = {}
    for row in rows:
        groups.setdefault((row.name, row.who, row.whom), []).append(row)
    return [
        MeanAgreement(
            *key, len(group), float(np.mean([r.dice for r in group])), float(np.mean([r.surface for r in group]))
        )
        for key, group in sorted(groups.items())
    ]
