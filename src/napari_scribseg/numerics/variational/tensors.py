"""The arithmetic of CUDA, MPS, and of the CPU as a check: torch throughout, no loop over pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.numerics.fused.relaxation import HALO, MOVED
from napari_scribseg.numerics.intensity import scale_intensities
from napari_scribseg.numerics.seeds import thin_seeds
from napari_scribseg.numerics.variational import energy
from napari_scribseg.numerics.variational.differences import edge_weights
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.primal_dual import Iterate, solve
from napari_scribseg.numerics.variational.problem import Problem, Solver
from napari_scribseg.numerics.variational.reference import mixed_cost, paper_cost
from napari_scribseg.numerics.variational.terms import LabelTerms, distance_terms

__all__ = ["TensorBackend", "TensorSolver"]


class TensorSolver:
    """The reference solver, advanced a number of steps at a time."""

    def __init__(self, problem: Problem, primal: Tensor | None = None, dual: Tensor | None = None) -> None:
        self._iterates: Iterator[Iterate] = solve(
            problem.cost, problem.weights, problem.smoothness, pixel=problem.pixel, primal=primal, dual=dual
        )
        self._last: Iterate | None = None

    def advance(self, n_steps: int, rest: float = MOVED) -> float:
        """Take ``n_steps`` steps; the share of values that changed by more than ``rest`` in the last few.

        These are as many as :class:`~napari_scribseg.numerics.fused.relaxation.Relaxation` compares.
        """
        compared = (n_steps - 1) % HALO + 1
        for _ in range(n_steps - compared):
            self._last = next(self._iterates)
        before = None if self._last is None else self._last.primal
        for _ in range(compared):
            self._last = next(self._iterates)
        if before is None:
            return 1.0
        return float(((self.fields.primal - before).abs() > rest).float().mean())

    @property
    def fields(self) -> Iterate:
        """The last iterate."""
        if self._last is None:
            self._last = next(self._iterates)
        return self._last

    def primal(self) -> NDArray[np.float32]:
        """The relaxed labelling, shape (K, H, W), on the host."""
        return self.fields.primal.to("cpu", torch.float32).numpy().copy()


class TensorBackend:
    """One image on a torch device.

    Parameters
    ----------
    image : Image
        The image.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    parameters : EnergyParameters
    device : str
        As torch names it.
    semantic : ndarray of shape (3, H, W), float32, optional
        Semantic features from 0 to 1.
    """

    def __init__(
        self,
        image: Image,
        pixel: tuple[float, float],
        parameters: EnergyParameters,
        device: str,
        semantic: NDArray[np.float32] | None = None,
    ) -> None:
        self._pixel = pixel
        self._paper = parameters.model == "paper"
        self._device = device
        if self._paper:
            self._image = self._put(scale_intensities(image.data))
            self._weights = edge_weights(self._image, parameters.gamma, pixel)
            if semantic is not None:
                self._image = torch.cat((self._image, self._put(semantic) * energy.PAPER_SEMANTIC_RANGE))
        else:
            self._features = energy.ImageFeatures.of(image.data, pixel, semantic)
            self._path_cost = self._features.path_cost()
            self._channels, self._smoothed = self._put(self._features.channels), self._put(self._features.smoothed)

    def _put(self, array: NDArray[Any]) -> Tensor:
        """A copy on the device."""
        return torch.tensor(array, device=self._device)

    def semantic(self) -> NDArray[np.float32]:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        if self._paper:
            channels: NDArray[np.float32] = (self._image[-3:] / energy.PAPER_SEMANTIC_RANGE).cpu().numpy()
            return channels
        return self._features.semantic

    def pose(
        self, parameters: EnergyParameters, scribbles: Scribbles, former: tuple[LabelTerms, ...], quick: bool
    ) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`.

        Geodesic distances are computed on the CPU, which is fastest at them.
        """
        seeds, n_classes = self._put(scribbles.seeds), scribbles.n_classes
        if self._paper:
            cost = paper_cost(self._image, seeds, n_classes, parameters.sigma, parameters.alpha, self._pixel)
            return Problem(cost, self._weights, parameters.smoothness, self._pixel, notes=parameters.describe())
        weights, notes = energy.choose_weights(self._features, scribbles.seeds, n_classes)
        cost = torch.zeros((n_classes, *seeds.shape), device=seeds.device)
        terms: tuple[LabelTerms, ...] = ()
        if weights.geodesic or weights.euclidean:
            terms = distance_terms(scribbles.seeds.copy(), n_classes, self._path_cost, self._pixel, former, quick)
            euclidean = self._put(np.stack([t.euclidean for t in terms]))
            geodesic = self._put(np.stack([t.geodesic for t in terms if t.geodesic is not None]))
            cost = weights.euclidean * torch.log1p(euclidean) + weights.geodesic * torch.log1p(geodesic)
        samples = self._put(thin_seeds(scribbles.seeds, n_classes))
        background = energy.background_label(scribbles)
        cost = mixed_cost(self._channels, self._smoothed, cost, seeds, samples, weights, background, self._pixel)
        boundary = self._put(self._features.boundary_weights(weights.edge * parameters.gamma / 5))
        smoothness = weights.smoothness * parameters.smoothness / 100
        exact = all(t.exact for t in terms)
        return Problem(cost, boundary, smoothness, self._pixel, terms, notes, exact)

    def add(self, problem: Problem, cost: NDArray[np.float32]) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        return replace(problem, cost=problem.cost + self._put(cost))

    def halve(self, problem: Problem) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        cost, weights = _halved(problem.cost), _halved(problem.weights[None])[0]
        return replace(problem, cost=cost, weights=weights, smoothness=problem.smoothness / 2)

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        if coarse is None:
            return TensorSolver(problem)
        height, width = problem.weights.shape
        iterate = coarse.fields
        return TensorSolver(
            problem,
            _doubled(iterate.primal, height, width),
            2 * _doubled(iterate.dual, height, width),
        )


def _halved(field: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, of fewer at an odd border."""
    return functional.avg_pool2d(field[None], 2, ceil_mode=True, count_include_pad=False)[0]


def _doubled(field: Tensor, height: int, width: int) -> Tensor:
    """Every pixel repeated, cut to the finer level's size."""
    return field.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)[..., :height, :width]
