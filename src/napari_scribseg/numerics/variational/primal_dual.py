"""One solver for the convex relaxation of multi-label segmentation, as a generator of iterates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_scribseg.numerics.variational.differences import divergence, gradient

__all__ = ["Iterate", "project_simplex", "solve"]


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """A step of :func:`solve`: where it stands, and what a later call needs to go on from here.

    Attributes
    ----------
    index : int
        Number of steps taken, from 1.
    primal : Tensor of shape (K, H, W)
        Relaxed labelling u, on the probability simplex at each pixel.
    dual : Tensor of shape (2, K, H, W)
        Dual field p, its joint norm over the first two axes at most ``smoothness * weights``.
    """

    index: int
    primal: Tensor
    dual: Tensor


def solve(
    cost: Tensor,
    weights: Tensor,
    smoothness: float,
    *,
    pixel: Sequence[float] = (1.0, 1.0),
    primal: Tensor | None = None,
    dual: Tensor | None = None,
    steps: tuple[float, float] | None = None,
) -> Iterator[Iterate]:
    """Minimise ``sum u f + smoothness sum g |grad u|`` over the simplex by the primal-dual method.

    Parameters
    ----------
    cost : Tensor of shape (K, H, W)
        Data term f.
    weights : Tensor of shape (H, W)
        Edge weights g.
    smoothness : float
        Weight lambda of the boundary length, in units of the data term times pixels.
    pixel : sequence of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel (at least 1).
    primal, dual : Tensor, optional
        Warm start, as in :class:`Iterate`; by default the cheapest label and zero. They are not changed.
    steps : tuple of 2 float, optional
        Primal and dual step, their product at most 1/8. Default: dual ``0.1 smoothness`` and primal
        ``1 / (8 dual step)``; the authors' are (0.25, 0.5).

    Yields
    ------
    Iterate
        Without end; the caller stops when it is satisfied.

    Notes
    -----
    Algorithm 1 of Chambolle & Pock (2011) with theta = 1; the dual ball is joint over the labels (Nieuwenhuis &
    Cremers 2013, equation 18).
    """
    dual_step = max(0.1 * smoothness, 0.0125)
    primal_step, dual_step = steps or (1 / (8 * dual_step), dual_step)
    radius = (smoothness * weights).clamp_min(torch.finfo(cost.dtype).tiny)
    u = _cheapest(cost) if primal is None else primal
    p = cost.new_zeros((2, *cost.shape)) if dual is None else dual
    extrapolated = u
    index = 0
    while True:
        p = p + dual_step * gradient(extrapolated, pixel)
        norm = torch.linalg.vector_norm(p, dim=(0, 1))
        p = p / (norm / radius).clamp_min(1)
        former = u
        u = project_simplex(u - primal_step * (cost - divergence(p, pixel)))
        extrapolated = 2 * u - former
        index += 1
        yield Iterate(index, u, p)


def _cheapest(cost: Tensor) -> Tensor:
    """The labelling that the data term alone asks for, one-hot."""
    return torch.zeros_like(cost).scatter_(0, cost.argmin(dim=0, keepdim=True), 1)


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
