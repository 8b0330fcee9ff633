"""Adam on the loss at the strokes, until the strokes that were held back get no better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["LossCurve", "by_graph", "fit", "one_thread"]

_EACH = 5  # steps between two looks at the strokes that are held back
_PATIENCE = 8  # looks without a better loss after which the fit ends
_BETTER = 1e-3  # share by which a loss must fall to count as better


@dataclass(frozen=True, slots=True, eq=False)
class LossCurve:
    """How a fit went, to be plotted.

    Attributes
    ----------
    steps : ndarray of shape (M,)
        Numbers of steps taken.
    fitted : ndarray of shape (M,)
        Mean cross-entropy, with the penalty where there is one, at the strokes that were fitted to.
    held_back : ndarray of shape (M,)
        Mean cross-entropy at those that were not; NaN without any.
    kept : int
        The number of steps whose weights were kept.
    """

    steps: NDArray[np.int64]
    fitted: NDArray[np.float64]
    held_back: NDArray[np.float64]
    kept: int

    def describe(self) -> str:
        """In one sentence, for the notes of an answer."""
        at = int(np.searchsorted(self.steps, self.kept))
        said = f"kept the weights of step {self.kept} of {self.steps[-1]}, loss {self.fitted[at]:.3g} at the strokes"
        if np.isnan(self.held_back[at]):
            return said
        return f"{said}, {self.held_back[at]:.3g} at those held back"


@contextmanager
def one_thread() -> Iterator[None]:
    """Arithmetic of torch on one core: between steps of a millisecond, threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def by_graph(network: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """A loss without its graph, and its gradient in ``grad`` of every parameter of the network."""
    network.zero_grad()
    value = loss()
    value.backward()  # type: ignore[no-untyped-call]
    return value.detach()


def fit(
    parameters: Sequence[nn.Parameter],
    descend: Callable[[], Tensor],
    judge: Callable[[], Tensor] | None,
    steps: int,
    rate: float,
    tell: Callable[[float], None],
) -> LossCurve:
    """Fit parameters in place.

    Parameters
    ----------
    parameters : sequence of Parameter
        On one device.
    descend : callable
        Gives the loss to lower, and puts its gradient into ``grad`` of every parameter; see :func:`by_graph`.
    judge : callable or None
        The loss that decides; None: the weights of the last step are kept.
    steps : int
        Most steps.
    rate : float
        Of Adam.
    tell : callable
        Called every few steps with the share of them; may raise to end the fit.

    Returns
    -------
    LossCurve
    """
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=parameters[0].device.type in ("cpu", "cuda"))
    rows: list[tuple[int, float, float]] = []
    best, kept, best_weights = np.inf, 0, [p.detach().clone() for p in parameters]

    def look(step: int, fitted: float) -> None:
        nonlocal best, kept, best_weights
        judged = np.nan
        if judge is not None:
            with torch.no_grad():
                judged = float(judge())
        rows.append((step, fitted, judged))
        if judge is None or judged < best * (1 - _BETTER):
            best, kept = judged, step
            best_weights = [p.detach().clone() for p in parameters]

    for step in range(steps):
        value = descend()
        if step % _EACH == 0:
            tell(step / steps)
            look(step, float(value))
            if len(rows) - 1 - kept // _EACH >= _PATIENCE:
                break
        optimizer.step()
    else:
        look(steps, float(descend()))
    with torch.no_grad():
        for parameter, weights in zip(parameters, best_weights, strict=True):
            parameter.copy_(weights)
    taken, fitted, held_back = (np.asarray(column) for column in zip(*rows, strict=True))
    return LossCurve(taken, fitted, held_back, kept)
