"""Which slice a user goes to next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.results import Seeds

if TYPE_CHECKING:
    from napari_scribseg.bench.volume.methods import VolumeMethod

__all__ = ["ORDERS", "Order", "View"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What is known when a user looks for the next slice.

    Attributes
    ----------
    method : VolumeMethod
        With its labels.
    truth : ndarray of shape (D, H, W), int64
        True classes, -1 where unknown.
    seeds : ndarray of shape (D, H, W), int32
        All strokes so far.
    finished : set of int
        Slices on which a user finds nothing to correct, as the labels are now.
    accepted : set of int
        Slices that were good when the user came to them.
    random : Generator
        Of the order ``random``.
    """

    method: VolumeMethod
    truth: NDArray[np.int64]
    seeds: Seeds
    finished: set[int]
    accepted: set[int]
    random: np.random.Generator

    def touched(self) -> set[int]:
        """The slices with strokes."""
        return set(np.flatnonzero((self.seeds >= 0).any(axis=(1, 2))).tolist())


Order = Callable[[View], "int | None"]


def most_wrong(view: View) -> int | None:
    """The slice with the most wrong pixels, as one would find it who knows the truth."""
    wrong = ((view.method.labels != view.truth) & (view.truth >= 0)).sum(axis=(1, 2))
    wrong[list(view.finished)] = 0
    return int(wrong.argmax()) if wrong.any() else None


def middle(view: View) -> int | None:
    """The middle of the longest span that the user has not seen; the most wrong slice when there is none."""
    ends = sorted({-1, len(view.truth)} | view.touched() | view.accepted)
    length, index = max((b - a, -((a + b) // 2)) for a, b in pairwise(ends))
    return -index if length > 1 and -index not in view.finished else most_wrong(view)


def random(view: View) -> int | None:
    """Any slice that the user has not seen; the most wrong one when there is none."""
    left = sorted(set(range(len(view.truth))) - view.touched() - view.accepted - view.finished)
    return left[int(view.random.integers(len(left)))] if left else most_wrong(view)


def offered(view: View) -> int | None:
    """The slice that the method offers; the middle of the longest span where it offers none."""
    found = view.method.offer()
    return middle(view) if found is None or found in view.finished else found


ORDERS: dict[str, Order] = {"offered": offered, "most-wrong": most_wrong, "middle": middle, "random": random}
