"""Which slice a user goes to next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.results import Seeds
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
    extent : range
        The slices that hold objects, which a user sees by looking through them.
    finished : set of int
        Slices on which a user finds nothing to correct.
    random : Generator
        Of the order ``random``.
    """

    method: VolumeMethod
    truth: NDArray[np.int64]
    seeds: Seeds
    extent: range
    finished: set[int]
    random: np.random.Generator

    def touched(self) -> list[int]:
        """The slices with strokes."""
        return np.flatnonzero((self.seeds >= 0).any(axis=(1, 2))).tolist()


Order = Callable[[View], "int | None"]


def most_wrong(view: View) -> int | None:
    """The slice with the most wrong pixels, as one would find it who knows the truth."""
    wrong = ((view.method.labels != view.truth) & (view.truth >= 0)).sum(axis=(1, 2))
    wrong[list(view.finished)] = 0
    return int(wrong.argmax()) if wrong.any() else None


def middle(view: View) -> int | None:
    """The middle of the longest span without strokes, of the slices with objects; the most wrong when all have some."""
    touched = [view.extent.start - 1, *view.touched(), view.extent.stop]
    ends = sorted(set(touched))
    length, index = max((b - a, -((a + b) // 2)) for a, b in pairwise(ends))
    return -index if length > 1 and -index not in view.finished else most_wrong(view)


def random(view: View) -> int | None:
    """Any slice with objects and without strokes; when all have some, the most wrong one."""
    left = sorted(set(view.extent) - set(view.touched()) - view.finished)
    return left[int(view.random.integers(len(left)))] if left else most_wrong(view)


def offered(view: View) -> int | None:
    """The slice that the method offers; the middle of the longest span where it offers none."""
    found = view.method.offer()
    return middle(view) if found is None or found in view.finished else found


ORDERS: dict[str, Order] = {"offered": offered, "most-wrong": most_wrong, "middle": middle, "random": random}
