"""Finite differences: the gradient, its exact adjoint, and edge weights.

Every function takes torch tensors of any device and floating type; the last two axes are rows and columns. Axes of
length one are fine: their differences are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["divergence", "edge_weights", "gradient"]


def gradient(field: Tensor, pixel: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Forward differences along rows and columns, zero at the far border.

    Parameters
    ----------
    field : Tensor of shape (..., H, W)
        Any leading axes.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.

    Returns
    -------
    Tensor of shape (2, ..., H, W)
        Differences along the rows' axis first, then along the columns' axis.
    """
    grad = field.new_zeros((2, *field.shape))
    grad[0][..., :-1, :] = (field[..., 1:, :] - field[..., :-1, :]) / pixel[0]
    grad[1][..., :, :-1] = (field[..., :, 1:] - field[..., :, :-1]) / pixel[1]
    return grad


def divergence(flow: Tensor, pixel: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Backward differences, the exact negative adjoint of the gradient: ``<grad u, p> = -<u, div p>``.

    Parameters
    ----------
    flow : Tensor of shape (2, ..., H, W)
        Components along the rows' axis first, then along the columns' axis.
    pixel : sequence of 2 float
        As for :func:`gradient`.

    Returns
    -------
    Tensor of shape (..., H, W)
    """
    down, right = flow[0][..., :-1, :] / pixel[0], flow[1][..., :, :-1] / pixel[1]
    div = flow.new_zeros(flow.shape[1:])
    div[..., :-1, :] += down
    div[..., 1:, :] -= down
    div[..., :, :-1] += right
    div[..., :, 1:] -= right
    return div


def edge_weights(image: Tensor, gamma: float, pixel: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Weight of the boundary length at each pixel, small where the image has an edge.

    ``g = exp(-gamma |grad I|)``, each component of the gradient (taken over the channels by its Euclidean norm) divided
    by its maximum over the image; a constant image has weight 1 everywhere (Nieuwenhuis & Cremers 2013, section 3).

    Parameters
    ----------
    image : Tensor of shape (C, H, W)
        Intensities of any unit.
    gamma : float
        Strength, without unit; 0 gives weight 1 everywhere.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.

    Returns
    -------
    Tensor of shape (H, W)
        In (0, 1].
    """
    components = torch.linalg.vector_norm(gradient(image), dim=1)
    largest = components.amax(dim=(1, 2), keepdim=True)
    components = torch.where(largest > 0, components / largest.clamp_min(torch.finfo(image.dtype).tiny), 0)
    components = components / components.new_tensor(tuple(pixel))[:, None, None]
    return torch.exp(-gamma * torch.linalg.vector_norm(components, dim=0))
