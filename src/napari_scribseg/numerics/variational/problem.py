"""A convex labelling problem, its solver, and the backend that poses it for an image on a kind of device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Scribbles
from napari_scribseg.numerics.fused.relaxation import MOVED
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.terms import LabelTerms

__all__ = ["Backend", "Problem", "Solver"]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """``min over the simplex of sum u f + smoothness sum g |grad u|``, on a device.

    Attributes
    ----------
    cost, weights : array
        Data term f and edge weights g, in the backend's own type and order of axes.
    smoothness : float
        Weight of the boundary length.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    terms : tuple of LabelTerms
        Terms of the data term; a later problem on the same image reuses them.
    notes : tuple of str
        Choices of the model, for the user.
    exact : bool
        False for a first approximation.
    """

    cost: Any
    weights: Any
    smoothness: float
    pixel: tuple[float, float]
    terms: tuple[LabelTerms, ...] = ()
    notes: tuple[str, ...] = ()
    exact: bool = True


class Solver(Protocol):
    """A solution that is improved step by step."""

    def advance(self, n_steps: int, rest: float = MOVED) -> float:
        """Take steps; returns the share of values that changed by more than ``rest`` in the last few, at most HALO."""
        ...

    @property
    def fields(self) -> Any:
        """What a finer level starts from."""
        ...

    def primal(self) -> NDArray[np.float32]:
        """The relaxed labelling, shape (K, H, W), on the host; a copy."""
        ...


class Backend(Protocol):
    """One image on one kind of device."""

    def semantic(self) -> NDArray[np.float32]:
        """The semantic features that it was given, shape (3, H, W), from 0 to 1."""
        ...

    def pose(
        self, parameters: EnergyParameters, scribbles: Scribbles, terms: tuple[LabelTerms, ...], quick: bool
    ) -> Problem:
        """The problem for one set of strokes.

        ``terms`` are those of an earlier problem on this image, or empty. ``quick`` allows a first approximation,
        which is not ``exact``.
        """
        ...

    def add(self, problem: Problem, cost: NDArray[np.float32]) -> Problem:
        """The problem with a cost of shape (K, H, W) added to its own."""
        ...

    def halve(self, problem: Problem) -> Problem:
        """The problem at half the resolution."""
        ...

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """A solver, from the solution of the halved problem where there is one."""
        ...
