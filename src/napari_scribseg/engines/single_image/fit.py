"""Adam on the loss at the strokes, with early stopping by held-back strokes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from napari_scribseg.core import LossCurve

__all__ = ["FitProgress", "by_graph", "fit", "one_thread"]

_EACH = 5  # steps between two losses of the held-back strokes
_PATIENCE = 8  # such losses without a better one after which the fit ends
_BETTER = 1e-3  # share by which a loss must fall to count as better

FitProgress = Callable[[float, Callable[[], LossCurve]], None]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: in steps of a millisecond, threads only wait for each other."""
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
    validate: Callable[[], Tensor] | None,
    steps: int,
    rate: float,
    progress: FitProgress,
) -> LossCurve:
    """Fit parameters in place.

    Parameters
    ----------
    parameters : sequence of Parameter, on one device
    descend : callable
        Returns the loss, and puts its gradient into ``grad`` of every parameter; see :func:`by_graph`.
    validate : callable or None
        The loss at the held-back strokes; None: the weights of the last step are kept.
    steps, rate : int, float
        Most steps of Adam, and their size.
    progress : callable
        Called every few steps with the share of them, and a function for the curve so far; may raise to end the fit.

    Returns
    -------
    LossCurve
    """
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=parameters[0].device.type in ("cpu", "cuda"))
    rows: list[tuple[int, float, float]] = []
    best, kept, best_weights = np.inf, 0, [p.detach().clone() for p in parameters]

    def record(step: int, fitted: float) -> None:
        nonlocal best, kept, best_weights
        validation = np.nan
        if validate is not None:
            with torch.no_grad():
                validation = float(validate())
        rows.append((step, fitted, validation))
        if validate is None or validation < best * (1 - _BETTER):
            best, kept = validation, step
            best_weights = [p.detach().clone() for p in parameters]

    def curve() -> LossCurve:
        taken, fitted, validation = (np.asarray(column) for column in zip(*rows, strict=True))
        return LossCurve(taken, fitted, validation, kept, steps)

    for step in range(steps):
        value = descend()
        if step % _EACH == 0:
            record(step, float(value))
            progress(step / steps, curve)
            if len(rows) - 1 - kept // _EACH >= _PATIENCE:
                break
        optimizer.step()
    else:
        record(steps, float(descend()))
    with torch.no_grad():
        for parameter, weights in zip(parameters, best_weights, strict=True):
            parameter.copy_(weights)
    return curve()
