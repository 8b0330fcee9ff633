"""Densities and costs in plain torch: the reference of the compiled ones, and what CUDA and MPS run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from napari_scribseg.numerics.variational import energy
from napari_scribseg.numerics.variational.energy import EPSILON, FORBIDDEN, MIN_RHO

__all__ = [
    "hard_strokes",
    "min_max_energy",
    "mixed_cost",
    "paper_cost",
    "spatially_varying_density",
    "stroke_distance",
]

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


def stroke_distance(seeds: Tensor, n_classes: int, pixel: Sequence[float] = (1.0, 1.0)) -> Tensor:
    """Euclidean distance from every pixel to the nearest stroke pixel of each label, shape (K, H, W).

    In units of the finest pixel; infinite for a label without strokes.
    """
    distance = torch.full((n_classes, *seeds.shape), torch.inf)
    on_host = seeds.cpu().numpy()
    for label in range(n_classes):
        away = on_host != label
        if not away.all():
            distance[label] = torch.from_numpy(distance_transform_edt(away, sampling=pixel))
    return distance.to(seeds.device)


def min_max_energy(density: Tensor) -> Tensor:
    """``-log`` of the density, min-max normalised over all labels together to (EPSILON, 1]."""
    low, high = density.amin(), density.amax()
    normed = (density - low) / (high - low).clamp_min(torch.finfo(density.dtype).tiny)
    return -torch.log(normed * (1 - EPSILON) + EPSILON)


def hard_strokes(cost: Tensor, seeds: Tensor) -> Tensor:
    """The cost with every stroke pixel free for its own label and FORBIDDEN for the others; a new tensor.

    A label without strokes is forbidden everywhere.
    """
    n_classes = cost.shape[0]
    labels = torch.arange(n_classes, device=seeds.device)[:, None, None]
    own = seeds == labels
    cost = torch.where(own.any(dim=(1, 2), keepdim=True), cost, FORBIDDEN)
    hard = torch.where(own, torch.zeros_like(cost), torch.full_like(cost, FORBIDDEN))
    return torch.where(seeds >= 0, hard, cost)


def paper_cost(
    image: Tensor, seeds: Tensor, n_classes: int, sigma: float, alpha: float, pixel: Sequence[float] = (1.0, 1.0)
) -> Tensor:
    """The data term of the published model, shape (K, H, W).

    Parameters
    ----------
    image : Tensor of shape (C, H, W)
        Intensities, on a scale of 0 to 255.
    seeds : Tensor of shape (H, W), integer
        Class index of each stroke pixel, -1 elsewhere.
    n_classes : int
        Number of labels K.
    sigma, alpha : float
        Width of the colour kernel; width of the spatial kernel in distances to the nearest stroke pixel.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    """
    distance = stroke_distance(seeds, n_classes, pixel).to(image.dtype)
    rho = (alpha * distance).clamp_min(MIN_RHO)
    density = spatially_varying_density(image, seeds, rho, sigma, pixel)
    return hard_strokes(min_max_energy(density), seeds)


def mixed_cost(
    channels: Tensor,
    smoothed: Tensor,
    distances: Tensor,
    seeds: Tensor,
    samples: Tensor,
    weights: energy.TermWeights,
    background: int | None,
    pixel: Sequence[float] = (1.0, 1.0),
) -> Tensor:
    """The data term of the self-tuning model, shape (K, H, W).

    Parameters
    ----------
    channels, smoothed : Tensor of shape (C, H, W)
        Those of :class:`.energy.ImageFeatures`.
    distances : Tensor of shape (K, H, W)
        The terms of the distances, weighted.
    seeds, samples : Tensor of shape (H, W), integer
        Class index of each stroke pixel, -1 elsewhere; all of them, and those that densities are estimated from.
    weights : TermWeights
    background : int or None
        Index of the background.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    """
    cost, n_classes = distances, len(distances)
    if weights.local_density:
        rho = (energy.LOCAL_ALPHA * stroke_distance(seeds, n_classes, pixel).to(channels.dtype)).clamp_min(MIN_RHO)
        local = spatially_varying_density(channels, samples, rho, weights.width * energy.LOCAL_SIGMA, pixel)
        cost = cost + weights.local_density * _share_energy(local)
    if weights.global_density:
        everywhere = torch.full_like(distances, torch.inf)
        colour = spatially_varying_density(smoothed, samples, everywhere, weights.width * energy.GLOBAL_SIGMA)
        if background is not None:
            colour[background].clamp_(min=energy.BACKGROUND_DENSITY)
        cost = cost - weights.global_density * torch.log(colour + energy.LEAST_DENSITY)
    return hard_strokes(cost - cost.amin(dim=0), seeds)


def _share_energy(density: Tensor) -> Tensor:
    """``-log`` of each label's share of the densities."""
    return -torch.log(density / (density.sum(dim=0) + energy.NO_DENSITY) + energy.LEAST_SHARE)
