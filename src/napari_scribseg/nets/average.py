"""The average of the weights of a network in training over many steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_scribseg.nets.weights import Network

__all__ = ["Average"]


class Average:
    """An exponential moving average of a network's weights and batch statistics.

    Parameters
    ----------
    model : nn.Module
        In training.
    average : BRSNet, EfficientUNet or PlainUNet
        Of the same architecture; holds the average. It is not trained.
    decay : float
        Share that stays at each step; ``(1 + step) / (10 + step)`` while that is less.
    """

    def __init__(self, model: nn.Module, average: Network, decay: float) -> None:
        self.model: Network = average.requires_grad_(False).eval()
        self.decay = decay
        self._from, self._to = _floating(model), _floating(average)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after step ``step``, counted from 0, to the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._to, [value.detach() for value in self._from], 1 - decay)


def _floating(model: nn.Module) -> list[Tensor]:
    return [value for value in (*model.parameters(), *model.buffers()) if value.is_floating_point()]
