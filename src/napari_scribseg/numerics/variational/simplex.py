"""Projection onto the probability simplex."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["project_simplex"]


def project_simplex(points: Tensor) -> Tensor:
    """The nearest point of the probability simplex, over axis 0.

    Parameters
    ----------
    points : Tensor of shape (K, ...)
        Any real values.

    Returns
    -------
    Tensor of shape (K, ...)
        Not negative, summing to 1 over axis 0.

    Notes
    -----
    The threshold of Michelot (1986) found by sorting, as in Duchi et al. (2008), figure 1.
    """
    n = points.shape[0]
    descending = points.sort(dim=0, descending=True).values
    rank = torch.arange(1, n + 1, device=points.device, dtype=points.dtype).reshape(-1, *[1] * (points.ndim - 1))
    excess = descending.cumsum(dim=0) - 1
    support = (descending * rank > excess).sum(dim=0, keepdim=True)
    threshold = excess.gather(0, support - 1) / support
    return (points - threshold).clamp_min(0)
