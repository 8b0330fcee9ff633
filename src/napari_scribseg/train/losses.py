"""The loss of a step, and the average of the weights over many steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_scribseg.nets.weights import Network

__all__ = ["Average", "dice_scores", "segmentation_loss"]

_SMOOTH = 1.0  # pixels


def segmentation_loss(logits: Tensor, target: Tensor, valid: Tensor, *, dice: bool = True) -> Tensor:
    """Binary cross-entropy, plus one minus soft Dice where ``dice`` says so, over the pixels whose truth is known.

    Parameters
    ----------
    logits : Tensor of shape (N, H, W)
    target, valid : Tensor of shape (N, H, W), bool
    dice : bool

    Returns
    -------
    Tensor of shape (N,)
        Of each sample, so that the mean over a batch is independent of the number of processes.
    """
    truth, mask = target.to(logits.dtype), valid.to(logits.dtype)
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")  # (N, H, W)
    mean = (entropy * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
    if not dice:
        return mean
    predicted = torch.sigmoid(logits) * mask
    truth = truth * mask
    common, total = (predicted * truth).sum((1, 2)), predicted.sum((1, 2)) + truth.sum((1, 2))
    return mean + 1 - (2 * common + _SMOOTH) / (total + _SMOOTH)


def dice_scores(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Dice of masks of shape (N, H, W), bool, over valid pixels; shape (N,), 1 where both are empty."""
    predicted, target = predicted & valid, target & valid
    common = (predicted & target).sum((1, 2)).float()
    total = (predicted.sum((1, 2)) + target.sum((1, 2))).float()
    return torch.where(total > 0, 2 * common / total.clamp(min=1), torch.ones_like(total))


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
