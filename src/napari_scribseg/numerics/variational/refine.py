"""Boundaries at the image's full resolution: the network's logits as data term of the convex relaxation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.numerics.fused.filters import gaussian_gradient
from napari_scribseg.numerics.fused.relaxation import Relaxation
from napari_scribseg.numerics.variational.energy import FORBIDDEN
from napari_scribseg.numerics.variational.multiscale import Stop, converge
from napari_scribseg.numerics.variational.problem import Problem
from napari_scribseg.numerics.variational.tensors import TensorSolver

__all__ = ["MOST_COST", "OWN_SHARE", "SMOOTHNESS", "boundary_weights", "refine", "relax_on_device", "relax_on_host"]

SMOOTHNESS = 4.0  # weight of the boundary length, in nats for a pixel's side
GAMMA = 2.0  # how fast a boundary gets cheaper with the gradient, in units of its 97th percentile
_SCALE = 0.5  # of the gradient, in finest pixels
MOST_COST = 8.0  # nats
_CERTAIN = 0.98  # probability above which a pixel far from uncertain ones is unchanged
_MARGIN = 12  # pixels around those that are uncertain
_STOP = Stop(0.05, 64)
OWN_SHARE = 2 / 3  # of the relaxed labelling in the result; the rest keeps the network's uncertainty

Float32 = NDArray[np.float32]


def boundary_weights(channels: Float32, pixel: tuple[float, float]) -> Float32:
    """Weight of the boundary length at each pixel, shape (H, W): small on edges, never zero.

    Parameters
    ----------
    channels : ndarray of shape (3, H, W), float32
        The scaled image.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest side.
    """
    gradient = gaussian_gradient(np.require(channels, requirements=["C", "W"]), _SCALE, pixel)
    unit = max(float(np.percentile(gradient, 97)), 0.05 * float(gradient.max()))
    scaled = np.multiply(gradient, np.float32(-GAMMA / unit if unit > 0 else 0), out=gradient)
    weights: Float32 = np.exp(scaled, out=scaled)
    return np.add(weights, np.float32(1e-3), out=weights)


def refine(
    probabilities: Tensor,
    seeds: NDArray[np.int32],
    weights: Float32,
    pixel: tuple[float, float],
    progress: Callable[[float], None],
) -> Tensor:
    """Move the boundaries to edges of the image.

    Parameters
    ----------
    probabilities : Tensor of shape (K, H, W)
        By the network.
    seeds : ndarray of shape (H, W), int32
        Index along the first axis of ``probabilities`` at stroke pixels, -1 elsewhere.
    weights : ndarray of shape (H, W), float32
        From :func:`boundary_weights`.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns.
    progress : callable
        Called with the share of the work that is done; may raise to end it.

    Returns
    -------
    Tensor of shape (K, H, W)
        Probabilities; only a rectangle around the uncertain pixels differs.
    """
    window = _window(probabilities)
    if window is None:
        return probabilities
    part = probabilities[:, window[0], window[1]]
    cost = -torch.log(part.clamp_min(float(np.exp(-MOST_COST))))
    cost = _harden(cost, torch.from_numpy(seeds[window].astype(np.int64)).to(cost.device))
    relax = relax_on_host if part.device.type == "cpu" else relax_on_device
    labelling = relax(cost, part, weights[window], pixel, progress)
    refined = probabilities.clone()
    refined[:, window[0], window[1]] = torch.lerp(part, labelling, OWN_SHARE)
    return refined


def _window(probabilities: Tensor) -> tuple[slice, slice] | None:
    """The rectangle around all uncertain pixels; None where there are none."""
    doubt = probabilities.amax(dim=0) < _CERTAIN
    spans = []
    for axis in (0, 1):
        at = torch.nonzero(doubt.any(dim=1 - axis))
        if not len(at):
            return None
        first, last = int(at[0]), int(at[-1])
        spans.append(slice(max(first - _MARGIN, 0), min(last + 1 + _MARGIN, doubt.shape[axis])))
    return spans[0], spans[1]


def _harden(cost: Tensor, seeds: Tensor) -> Tensor:
    """Free for its own class at every stroke pixel, forbidden for others; in place."""
    rows, columns = torch.nonzero(seeds >= 0, as_tuple=True)
    cost[:, rows, columns] = FORBIDDEN
    cost[seeds[rows, columns], rows, columns] = 0
    return cost


def relax_on_host(
    cost: Tensor, start: Tensor, weights: Float32, pixel: tuple[float, float], progress: Callable[[float], None]
) -> Tensor:
    """The relaxed labelling by the compiled solver."""
    primal = np.ascontiguousarray(start.numpy().transpose(1, 0, 2))
    fields = np.stack((primal, primal, np.zeros_like(primal), np.zeros_like(primal)))
    costs = np.ascontiguousarray(cost.numpy().transpose(1, 0, 2))
    solver = Relaxation(costs, weights, SMOOTHNESS, pixel, fields)
    converge(solver, progress, _STOP)
    return torch.from_numpy(solver.primal())


def relax_on_device(
    cost: Tensor, start: Tensor, weights: Float32, pixel: tuple[float, float], progress: Callable[[float], None]
) -> Tensor:
    """The relaxed labelling by the reference solver, which stops by the same rule."""
    on_device = torch.from_numpy(np.ascontiguousarray(weights)).to(cost.device)
    solver = TensorSolver(Problem(cost, on_device, SMOOTHNESS, pixel), start)
    converge(solver, progress, _STOP)
    return solver.fields.primal
