"""What is minimised: disagreement with the strokes, and the size of the change."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Annotated", "disagreement"]


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """The pixels that a network must get right.

    Attributes
    ----------
    places : Tensor of shape (n,), int64
        Rows times the image's width, plus columns.
    classes : Tensor of shape (n,), int64
        The class of each.
    weights : Tensor of shape (n,)
        How much each counts: 1 as published for clicks.
    strict : Tensor of shape (n,), bool
        Where the answer is to be right; elsewhere it only counts.
    """

    places: Tensor
    classes: Tensor
    weights: Tensor
    strict: Tensor

    def pick(self, fields: Tensor) -> Tensor:
        """Values of shape (K, n) at the annotated pixels of fields of shape (K, H, W)."""
        return fields.flatten(1).index_select(1, self.places)

    def wrong(self, picked: Tensor, threshold: float) -> int:
        """How many pixels have a probability of at most ``threshold`` for their class."""
        own = torch.softmax(picked, dim=0).gather(0, self.classes[None])[0]
        return int(((own <= threshold) & self.strict).sum())


def disagreement(picked: Tensor, annotated: Annotated, kind: str) -> Tensor:
    """The corrective energy.

    Parameters
    ----------
    picked : Tensor of shape (K, n)
        Logarithms of odds at the annotated pixels.
    annotated : Annotated
    kind : {"squared", "cross-entropy"}
        ``"squared"``: half the sum of ``(l - y)^2`` over the classes, which for two classes is equation 4 of the paper;
        ``"cross-entropy"``: ``-log y`` of the pixel's own class, whose gradient does not vanish where the network is
        sure and wrong.

    Returns
    -------
    Tensor
        The weighted sum over the pixels.
    """
    logarithms = torch.log_softmax(picked, dim=0)
    if kind == "cross-entropy":
        each = -logarithms.gather(0, annotated.classes[None])[0]
    else:
        target = torch.nn.functional.one_hot(annotated.classes, len(picked)).T.to(picked)
        each = 0.5 * (target - logarithms.exp()).square().sum(0)
    return (annotated.weights * each).sum()
