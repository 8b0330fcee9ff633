"""What to do next in a project, in the order of what it is expected to gain, and how much is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_scribseg.annotate.anchors import FillRange
from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.merge import without_image
from napari_scribseg.annotate.next_slice import next_slice
from napari_scribseg.annotate.sidecar import read
from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn.case import Case, Counts

__all__ = ["ORDERS", "Order", "Place", "Status", "place_of", "review_order", "status_of"]

Order = Literal["doubt", "sure", "listed", "random"]
ORDERS: tuple[Order, ...] = ("doubt", "sure", "listed", "random")

_RECENT = 3  # cases from which the strokes of the others are estimated: the newer, the better the drafts were


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go on.

    Attributes
    ----------
    case : str
        Name of the case.
    slice_index : SliceIndex
        The slice of it that would improve its labels most.
    doubt : float or None
        Wrong labels by the certainties of slices that nobody accepted, over all labels there: it orders cases, and is
        too small as a share (half of what was wrong in drafts of hippocampi). None where nothing was drafted or filled.
    """

    case: str
    slice_index: SliceIndex
    doubt: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """How far a project is.

    Attributes
    ----------
    states : mapping of str to int
        How many cases are ``new``, ``drafted``, ``started``, ``finished``, and ``unreadable``.
    accepted, slices : int
        Slices that are accepted, of all slices of all cases.
    strokes : int
        Strokes so far.
    strokes_left : float or None
        As many strokes as the slices that are left need, if they need as many each as those of the last cases; None
        before the first slice is accepted.
    """

    states: dict[str, int]
    accepted: int
    slices: int
    strokes: int
    strokes_left: float | None

    @property
    def cases(self) -> int:
        """The number of cases."""
        return sum(self.states.values())

    def __str__(self) -> str:
        cases = f"{self.states['finished']} of {self.cases} cases finished"
        text = f"{cases}, {self.accepted} of {self.slices} slices accepted"
        return text if self.strokes_left is None else f"{text}, about {self.strokes_left:.0f} strokes left"


def status_of(cases: Iterable[Case]) -> Status:
    """How far these cases are."""
    found = [(case, case.counts()) for case in cases]
    states = Counter({"new": 0, "drafted": 0, "started": 0, "finished": 0})
    states.update(case.state for case, _ in found)
    accepted, slices = sum(c.accepted for _, c in found), sum(c.slices for _, c in found)
    each = _strokes_a_slice(found)
    left = None if each is None else each * (slices - accepted)
    return Status(dict(states), accepted, slices, sum(c.strokes for _, c in found), left)


def _strokes_a_slice(found: Sequence[tuple[Case, Counts]]) -> float | None:
    """Strokes for each accepted slice in the last cases: the finished ones, if there are any."""
    some = [(case, counts) for case, counts in found if counts.accepted]
    done = [(case, counts) for case, counts in some if counts.accepted >= counts.slices] or some
    if not done:
        return None
    recent = sorted(done, key=lambda each: each[0].session_file.stat().st_mtime_ns)[-_RECENT:]
    return sum(counts.strokes for _, counts in recent) / sum(counts.accepted for _, counts in recent)


def review_order(cases: Iterable[Case], order: Order = "doubt", *, first: str = "", seed: int = 0) -> list[Place]:
    """The cases that are not finished and can be read, each with the slice to begin with, in the order of a review.

    Parameters
    ----------
    cases : iterable of Case
    order : {"doubt", "sure", "listed", "random"}
        The most doubtful case first, or the least doubtful one; as listed, or at random. Cases that nothing was drafted
        in stand at the end of the first two, as listed.
    first : str
        A case that comes first in any order, if it is not finished: the one that is open.
    seed : int
        Of the random order.

    Raises
    ------
    InputError
        If there is no such order.
    """
    if order not in ORDERS:
        raise InputError(f"the order is {order!r}; expected one of {', '.join(ORDERS)}")
    places = [place_of(case) for case in cases if case.state not in ("finished", "unreadable")]
    if order == "random":
        places = [places[i] for i in np.random.default_rng(seed).permutation(len(places))]
    elif order != "listed":
        sign = -1 if order == "doubt" else 1
        places.sort(key=lambda place: (place.doubt is None, sign * (place.doubt or 0.0)))
    return sorted(places, key=lambda place: place.case != first)


def place_of(case: Case) -> Place:
    """The slice of a case to go on with; reads neither its image nor needs its lock."""
    if not case.session_file.is_file():
        shape = case.image.shape
        position = tuple(n // 2 for n in shape[:-2])
        return Place(case.name, SliceIndex((len(shape) - 2, len(shape) - 1), position), None)
    document = without_image(read(case.session_file))
    return Place(case.name, _next(document), _doubt(document))


def _next(document: Document) -> SliceIndex:
    if document.source.ndim == 2:
        return SliceIndex((0, 1))
    within = FillRange.whole(document, None, None)
    return (
        next_slice(document, within, {}) or document.slice_index or within.at(document.source.shape[within.axis] // 2)
    )


def _doubt(document: Document) -> float | None:
    """Expected wrong pixels of the slices that were filled or drafted, over the pixels with a label there."""
    wrong, labelled, any_made = 0.0, 0, False
    for slice_index, entry in document.history.newest_entries().items():
        recipe = entry.fill or entry.draft
        if recipe is None or slice_index in document.annotation.accepted:
            continue
        any_made = True
        wrong += (1 - recipe.certainty) * recipe.band
        labelled += int((document.annotation.peek(slice_index) != 0).sum())
    return wrong / max(labelled, 1) if any_made else None
