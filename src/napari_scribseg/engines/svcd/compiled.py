"""The CPU's arithmetic: compiled kernels, no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Scribbles
from napari_scribseg.engines.svcd.pipeline import Problem, Solver
from napari_scribseg.numerics.constants import EPSILON, FORBIDDEN, MIN_RHO
from napari_scribseg.numerics.fused.density import spatially_varying_density
from napari_scribseg.numerics.fused.distance import FAR, euclidean_distance
from napari_scribseg.numerics.fused.edges import edge_weights
from napari_scribseg.numerics.fused.pyramid import double_fields, halve_cost, halve_weights
from napari_scribseg.numerics.fused.relaxation import Relaxation

if TYPE_CHECKING:
    from napari_scribseg.engines.svcd.engine import SVCD

__all__ = ["CompiledBackend", "paper_cost"]

Float32 = NDArray[np.float32]


class CompiledBackend:
    """One image on the CPU.

    Parameters
    ----------
    scaled : ndarray of shape (C, H, W), float32
        Intensities, on a scale of 0 to 255.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    gamma : float
        Strength of the edge weights.
    """

    def __init__(self, scaled: Float32, pixel: tuple[float, float], gamma: float) -> None:
        self._image = scaled
        self._pixel = pixel
        self._weights = edge_weights(scaled, gamma, pixel)

    def pose(self, engine: SVCD, scribbles: Scribbles, memory: Any) -> Problem:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        seeds = scribbles.seeds.copy()  # writeable: one type for the compiled kernels
        cost = paper_cost(self._image, seeds, scribbles.n_classes, engine.sigma, engine.alpha, self._pixel)
        notes = (f"published model: sigma {engine.sigma:g}, alpha {engine.alpha:g}, smoothness {engine.smoothness:g}",)
        return Problem(cost, self._weights, engine.smoothness, self._pixel, None, notes)

    def halve(self, problem: Problem) -> Problem:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        cost, weights = halve_cost(problem.cost), halve_weights(problem.weights)
        return replace(problem, cost=cost, weights=weights, smoothness=problem.smoothness / 2)

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        fields = None if coarse is None else double_fields(coarse.fields, problem.weights.shape)
        return Relaxation(problem.cost, problem.weights, problem.smoothness, problem.pixel, fields)


def paper_cost(
    image: Float32,
    seeds: NDArray[np.int32],
    n_classes: int,
    sigma: float,
    alpha: float,
    pixel: tuple[float, float] = (1.0, 1.0),
) -> Float32:
    """The data term of the published model, as :func:`.reference.paper_cost`, but of shape (H, K, W)."""
    distance = euclidean_distance(seeds, n_classes, pixel)
    rho = np.maximum(np.minimum(distance, FAR) * np.float32(alpha), np.float32(MIN_RHO))
    density = spatially_varying_density(image, seeds, rho, sigma, pixel)
    energy = _min_max_energy(density)
    return hard_strokes(energy, seeds)


def _min_max_energy(density: Float32) -> Float32:
    """``-log`` of the density, min-max normalised over all labels together to (EPSILON, 1]; in place."""
    low, high = float(density.min()), float(density.max())
    scale = (1 - EPSILON) / max(high - low, float(np.finfo(np.float32).tiny))
    np.subtract(density, np.float32(low), out=density)
    np.multiply(density, np.float32(scale), out=density)
    np.add(density, np.float32(EPSILON), out=density)
    np.log(density, out=density)
    return np.negative(density, out=density)


def hard_strokes(cost: Float32, seeds: NDArray[np.int32]) -> Float32:
    """The cost (K, H, W) with every stroke pixel free for its own label and FORBIDDEN for others, as (H, K, W).

    A label without strokes is forbidden everywhere.
    """
    rows, columns = np.nonzero(seeds >= 0)
    labels = seeds[rows, columns]
    hard = np.ascontiguousarray(cost.transpose(1, 0, 2))
    hard[:, np.bincount(labels, minlength=len(cost)) == 0] = FORBIDDEN
    hard[rows, :, columns] = FORBIDDEN
    hard[rows, labels, columns] = 0
    return hard
