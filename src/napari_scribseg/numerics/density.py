"""Spatially varying kernel densities: how likely is this colour, at this place, for each label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["spatially_varying_density"]

_PAIRS = 1 << 24  # pixel-sample pairs held at once


def spatially_varying_density(
    image: Tensor, seeds: Tensor, rho: Tensor, sigma: float, pixel: Sequence[float] = (1.0, 1.0)
) -> Tensor:
    """Density of each label at each pixel, estimated from its stroke pixels.

    ``p_i(x) = 1/m_i sum_j exp(-|x - x_ij|^2 / 2 rho_i(x)^2) / (rho_i(x) sqrt(2 pi)) exp(-|I(x) - I_ij|^2 / 2 sigma^2)``
    (Nieuwenhuis & Cremers 2013, equations 5 to 7).

    Parameters
    ----------
    image : Tensor of shape (C, H, W)
        Intensities, on a scale of 0 to 255.
    seeds : Tensor of shape (H, W), integer
        Class index of each stroke pixel, -1 elsewhere.
    rho : Tensor of shape (K, H, W)
        Width of the spatial kernel of each label, in units of the finest pixel, positive. Infinite: everywhere alike,
        without the factor 1 / rho.
    sigma : float
        Width of the colour kernel, in intensities.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.

    Returns
    -------
    Tensor of shape (K, H, W)
        Zero for a label without stroke pixels.
    """
    n_channels, height, width = image.shape
    colours = image.reshape(n_channels, -1).T
    places = _places(height, width, pixel, image)
    density = torch.zeros_like(rho)
    for label in range(rho.shape[0]):
        chosen = torch.nonzero(seeds.reshape(-1) == label).squeeze(1)
        if chosen.numel() == 0:
            continue
        kernel_width = rho[label].reshape(-1)
        finite = torch.isfinite(kernel_width)
        near = torch.where(finite, 0.5 / kernel_width.square(), 0)
        total = torch.zeros_like(kernel_width)
        for part in torch.split(chosen, max(_PAIRS // total.numel(), 1)):
            exponent = _squared_distances(colours, colours[part]) * (-0.5 / sigma**2)
            exponent -= near[:, None] * _squared_distances(places, places[part])
            total += exponent.exp_().sum(dim=1)
        scale = torch.where(finite, 1 / (kernel_width * (2 * torch.pi) ** 0.5), 1) / chosen.numel()
        density[label] = (total * scale).reshape(height, width)
    return density


def _places(height: int, width: int, pixel: Sequence[float], like: Tensor) -> Tensor:
    """Position of every pixel, shape (H W, 2), in units of the finest pixel."""
    rows = torch.arange(height, device=like.device, dtype=like.dtype) * pixel[0]
    columns = torch.arange(width, device=like.device, dtype=like.dtype) * pixel[1]
    return torch.cartesian_prod(rows, columns).reshape(-1, 2)


def _squared_distances(points: Tensor, others: Tensor) -> Tensor:
    """|a - b|^2 for rows of (N, D) and (M, D), shape (N, M); summed axis by axis, for no cancellation occurs so."""
    total = points.new_zeros((points.shape[0], others.shape[0]))
    for axis in range(points.shape[1]):
        total += (points[:, axis, None] - others[None, :, axis]).square_()
    return total
