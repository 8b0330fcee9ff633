"""Minimise the disagreement with the strokes by L-BFGS, within a budget."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Best", "Budget", "StrokePixels", "disagreement", "minimise"]


@dataclass(frozen=True, slots=True, eq=False)
class StrokePixels:
    """The stroke pixels, whose class the network must predict.

    Attributes
    ----------
    indices : Tensor of shape (n,), int64
        Rows times the image's width, plus columns.
    classes : Tensor of shape (n,), int64
        The class of each.
    weights : Tensor of shape (n,)
        Weight of each: 1 as published for clicks.
    strict : Tensor of shape (n,), bool
        Where the prediction must be right; other pixels only count in the energy.
    """

    indices: Tensor
    classes: Tensor
    weights: Tensor
    strict: Tensor

    def pick(self, fields: Tensor) -> Tensor:
        """Values of shape (K, n) at the annotated pixels of fields of shape (K, H, W)."""
        return fields.flatten(1).index_select(1, self.indices)

    def wrong(self, picked: Tensor, threshold: float) -> int:
        """How many pixels have a probability of at most ``threshold`` for their class."""
        own = torch.softmax(picked, dim=0).gather(0, self.classes[None])[0]
        return int(((own <= threshold) & self.strict).sum())


def disagreement(picked: Tensor, stroke_pixels: StrokePixels, kind: str) -> Tensor:
    """The corrective energy.

    Parameters
    ----------
    picked : Tensor of shape (K, n)
        Logarithms of odds at the annotated pixels.
    stroke_pixels : StrokePixels
    kind : {"squared", "cross-entropy"}
        ``"squared"``: half the sum of ``(l - y)^2`` over the classes, which for two classes is equation 4 of the paper;
        ``"cross-entropy"``: ``-log y`` of the pixel's own class, whose gradient does not vanish where the network is
        certain and wrong.

    Returns
    -------
    Tensor
        The weighted sum over the pixels.
    """
    logarithms = torch.log_softmax(picked, dim=0)
    if kind == "cross-entropy":
        each = -logarithms.gather(0, stroke_pixels.classes[None])[0]
    else:
        target = torch.nn.functional.one_hot(stroke_pixels.classes, len(picked)).T.to(picked)
        each = 0.5 * (target - logarithms.exp()).square().sum(0)
    return (stroke_pixels.weights * each).sum()


HISTORY = 20  # corrections that L-BFGS keeps, as published
FIRST_STEP = 0.1  # largest change of a value in the first step, where nothing else is asked for

Tried = tuple[Tensor, Tensor, int]  # energy, fields, wrong pixels


@dataclass(slots=True)
class Budget:
    """The most evaluations and time.

    Attributes
    ----------
    evaluations : int
        Forward and backward passes.
    seconds : float
        From its creation on.
    """

    evaluations: int
    seconds: float
    _begin: float = field(default_factory=time.monotonic)

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self._begin > self.seconds


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """The best of the evaluations.

    Attributes
    ----------
    values : Tensor
    fields : Tensor
        The network's prediction for them.
    energy : float
    wrong : int
        StrokePixels pixels that are wrong.
    first_energy, first_wrong : float, int
        The same at the start.
    evaluations : int
    """

    values: Tensor
    fields: Tensor
    energy: float
    wrong: int
    first_energy: float
    first_wrong: int
    evaluations: int


class _Enough(Exception):
    """Ends L-BFGS from within."""


def minimise(
    start: Tensor,
    evaluate: Callable[[Tensor], Tried],
    budget: Budget,
    progress: Callable[[Best, bool], None],
    first_step: float = FIRST_STEP,
) -> Best:
    """Minimise an energy until no annotated pixel is wrong, or the budget is spent.

    Parameters
    ----------
    start : Tensor
        Not changed.
    evaluate : callable
        Energy, prediction and number of wrong pixels for values like ``start``.
    budget : Budget
    progress : callable
        Called after each evaluation with the best so far, and whether it is new; may raise to end it.
    first_step : float
        Largest change of a value in the first step.

    Returns
    -------
    Best
        Of all that was evaluated: that with the fewest wrong pixels, of these that of the least energy.
    """
    search = _Search(start, evaluate, budget, progress)
    search.try_values(start)
    if search.done:
        return search.best
    # Steps of torch's L-BFGS begin with 1 / |gradient|_1; in these units the largest change is first_step.
    largest, total = float(search.gradient.abs().max()), float(search.gradient.abs().sum())
    unit = first_step * total / largest if largest > 0 else 1.0
    steps = torch.zeros_like(start, requires_grad=True)

    def closure() -> Tensor:
        if steps.grad is not None:  # L-BFGS begins with the start, which was evaluated
            search.try_values(start + unit * steps.detach())
        steps.grad = search.gradient * unit
        return torch.tensor(search.energy)

    optimizer = torch.optim.LBFGS(
        [steps],
        max_iter=100,
        max_eval=budget.evaluations + 100,
        history_size=HISTORY,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    if largest > 0 and math.isfinite(total):
        with contextlib.suppress(_Enough):
            optimizer.step(closure)  # type: ignore[no-untyped-call]
    return search.best


class _Search:
    """The evaluations so far."""

    def __init__(
        self, start: Tensor, evaluate: Callable[[Tensor], Tried], budget: Budget, progress: Callable[[Best, bool], None]
    ) -> None:
        self._evaluate, self._budget, self._progress = evaluate, budget, progress
        self.best: Best = Best(start, start, math.inf, 1 << 60, math.inf, 1 << 60, 0)
        self.energy, self.gradient = math.inf, torch.zeros_like(start)

    @property
    def done(self) -> bool:
        """Whether all is right, or the budget is spent."""
        return self.best.wrong == 0 or self.best.evaluations >= self._budget.evaluations or self._budget.late

    def try_values(self, values: Tensor) -> None:
        """Evaluate; record the energy, the best, and the gradient if the search goes on."""
        values = values.detach().requires_grad_(True)
        energy, fields, wrong = self._evaluate(values)
        n, before = self.best.evaluations + 1, self.best
        self.energy = float(energy.detach())
        first = (self.energy, wrong) if n == 1 else (before.first_energy, before.first_wrong)
        better = math.isfinite(self.energy) and (wrong, self.energy) < (before.wrong, before.energy)
        if better or n == 1:
            self.best = Best(values.detach(), fields.detach(), self.energy, wrong, *first, n)
        else:
            self.best = Best(before.values, before.fields, before.energy, before.wrong, *first, n)
        self._progress(self.best, better)
        if not self.done and math.isfinite(self.energy):
            (self.gradient,) = torch.autograd.grad(energy, values)
        elif n > 1:
            raise _Enough
