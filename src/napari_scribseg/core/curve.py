"""Losses over the steps of fitting a network to one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["LossCurve"]


@dataclass(frozen=True, slots=True, eq=False)
class LossCurve:
    """Training and validation losses of a fit; while it runs, of the steps so far.

    Attributes
    ----------
    steps : ndarray of shape (M,), int64
        Numbers of steps taken, ascending; at least one.
    training : ndarray of shape (M,), float64
        The loss that is minimised, on the samples that the network is fitted to; any penalty included.
    validation : ndarray of shape (M,), float64
        The loss on held-out samples, by which the fit stops; NaN where it was not computed.
    best : int
        The number of steps whose weights are used (so far); one of ``steps``.
    max_steps : int
        Steps that the fit takes if nothing ends it before.

    Raises
    ------
    InputError
        If the arrays do not fit one another.
    """

    steps: NDArray[np.int64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64]
    best: int
    max_steps: int

    def __post_init__(self) -> None:
        shapes = [np.shape(column) for column in (self.steps, self.training, self.validation)]
        if len(shapes[0]) != 1 or shapes[0] == (0,) or len(set(shapes)) > 1:
            raise InputError(f"the columns of a loss curve have the shapes {shapes}; one and the same (M,) is expected")
        if (np.diff(self.steps) <= 0).any() or self.best not in self.steps:
            raise InputError("a loss curve's steps do not ascend, or the best step is not among them")

    @property
    def ended_early(self) -> bool:
        """Whether fewer than ``max_steps`` were taken: of a finished fit, whether the validation loss ended it."""
        return bool(self.steps[-1] < self.max_steps)

    def describe(self) -> str:
        """The best step and its losses, for the notes of a result."""
        at = int(np.searchsorted(self.steps, self.best))
        text = f"kept the weights of step {self.best} of {self.steps[-1]}, loss {self.training[at]:.3g} at the strokes"
        if np.isnan(self.validation[at]):
            return text
        return f"{text}, {self.validation[at]:.3g} at those held back"
