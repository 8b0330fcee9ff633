"""The loss of a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["dice_scores", "segmentation_loss"]

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
