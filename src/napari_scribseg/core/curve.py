"""How the fit of a network to one image went: losses over steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["LossCurve"]


@dataclass(frozen=True, slots=True, eq=False)
class LossCurve:
    """How a fit went, to be plotted; while it goes on, how far it has come.

    Attributes
    ----------
    steps : ndarray of shape (M,), int64
        Numbers of steps taken, ascending; at least one.
    fitted : ndarray of shape (M,), float64
        The loss that is lowered, at what the network is fitted to; any penalty included.
    held_back : ndarray of shape (M,), float64
        The loss at what was held back, which says when to stop; NaN where it was not looked at.
    kept : int
        The number of steps whose weights were kept (so far); one of ``steps``.
    most : int
        Steps that the fit takes if nothing ends it before.

    Raises
    ------
    InputError
        If the arrays do not fit one another.
    """

    steps: NDArray[np.int64]
    fitted: NDArray[np.float64]
    held_back: NDArray[np.float64]
    kept: int
    most: int

    def __post_init__(self) -> None:
        shapes = [np.shape(column) for column in (self.steps, self.fitted, self.held_back)]
        if len(shapes[0]) != 1 or shapes[0] == (0,) or len(set(shapes)) > 1:
            raise InputError(f"the columns of a loss curve have the shapes {shapes}; one and the same (M,) is expected")
        if (np.diff(self.steps) <= 0).any() or self.kept not in self.steps:
            raise InputError("a loss curve's steps do not ascend, or the step that was kept is not among them")

    @property
    def ended_early(self) -> bool:
        """Whether not all steps were taken: of a fit that is over, whether what was held back ended it."""
        return bool(self.steps[-1] < self.most)

    def describe(self) -> str:
        """In one sentence, for the notes of an answer."""
        at = int(np.searchsorted(self.steps, self.kept))
        said = f"kept the weights of step {self.kept} of {self.steps[-1]}, loss {self.fitted[at]:.3g} at the strokes"
        if np.isnan(self.held_back[at]):
            return said
        return f"{said}, {self.held_back[at]:.3g} at those held back"
