"""The CPU's arithmetic: compiled kernels, no torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.numerics.fused.colour import colour_density
from napari_scribseg.numerics.fused.density import spatially_varying_density
from napari_scribseg.numerics.fused.distance import euclidean_distance
from napari_scribseg.numerics.fused.filters import edge_weights
from napari_scribseg.numerics.fused.relaxation import Relaxation, halve_cost, halve_weights
from napari_scribseg.numerics.intensity import scale_intensities
from napari_scribseg.numerics.seeds import thin_seeds
from napari_scribseg.numerics.threads import band_edges, in_parallel
from napari_scribseg.numerics.variational import energy
from napari_scribseg.numerics.variational.energy import EPSILON, FORBIDDEN, MIN_RHO
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Problem, Solver
from napari_scribseg.numerics.variational.terms import LabelTerms, find_terms, geodesic_term

__all__ = ["CompiledBackend", "mixed_cost", "paper_cost"]

Float32 = NDArray[np.float32]


class CompiledBackend:
    """One image on the CPU.

    Parameters
    ----------
    image : Image
        The image.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    parameters : EnergyParameters
    semantic : ndarray of shape (3, H, W), float32, optional
        Semantic features from 0 to 1.
    """

    def __init__(
        self, image: Image, pixel: tuple[float, float], parameters: EnergyParameters, semantic: Float32 | None = None
    ) -> None:
        self._pixel = pixel
        self._paper = parameters.model == "paper"
        if self._paper:
            self._scaled = np.require(scale_intensities(image.data), requirements=["C", "W"])
            self._weights = edge_weights(self._scaled, parameters.gamma, pixel)
            if semantic is not None:
                self._scaled = np.concatenate((self._scaled, semantic * np.float32(energy.PAPER_SEMANTIC_RANGE)))
        else:
            self._features = energy.ImageFeatures.of(image.data, pixel, semantic)
            self._path_cost = self._features.path_cost()

    def semantic(self) -> Float32:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        return self._scaled[-3:] / np.float32(energy.PAPER_SEMANTIC_RANGE) if self._paper else self._features.semantic

    def pose(
        self, parameters: EnergyParameters, scribbles: Scribbles, former: tuple[LabelTerms, ...], quick: bool
    ) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        seeds = scribbles.seeds.copy()  # writeable: one type for the compiled kernels
        if self._paper:
            cost = paper_cost(self._scaled, seeds, scribbles.n_classes, parameters.sigma, parameters.alpha, self._pixel)
            return Problem(cost, self._weights, parameters.smoothness, self._pixel, notes=parameters.describe())
        weights, notes = energy.choose_weights(self._features, seeds, scribbles.n_classes)
        terms = self._terms(seeds, scribbles.n_classes, weights, former, quick)
        cost = mixed_cost(terms, weights, seeds, energy.background_label(scribbles))
        boundary = self._features.boundary_weights(weights.edge * parameters.gamma / 5)
        smoothness = weights.smoothness * parameters.smoothness / 100
        exact = all(t.exact for t in terms)
        return Problem(cost, boundary, smoothness, self._pixel, terms, notes, exact)

    def _terms(
        self,
        seeds: NDArray[np.int32],
        n_classes: int,
        weights: energy.TermWeights,
        former: tuple[LabelTerms, ...],
        quick: bool,
    ) -> tuple[LabelTerms, ...]:
        """The terms of every label; those whose strokes did not change are reused."""
        thin = thin_seeds(seeds, n_classes)
        terms: list[LabelTerms] = [LabelTerms.empty(seeds.shape)] * n_classes

        def task(label: int) -> None:
            mask = seeds == label
            if mask.any():
                terms[label] = self._label_terms(mask, thin == label, weights, former, quick)

        in_parallel(task, n_classes)
        return tuple(terms)

    def _label_terms(
        self,
        mask: NDArray[np.bool_],
        samples: NDArray[np.bool_],
        weights: energy.TermWeights,
        former: tuple[LabelTerms, ...],
        quick: bool,
    ) -> LabelTerms:
        """The terms of one label that have a weight."""
        own = np.where(samples, np.int32(0), np.int32(-1))
        terms = find_terms(mask, former)
        if terms is None:
            terms = LabelTerms(mask, euclidean_distance(np.where(mask, np.int32(0), np.int32(-1)), 1, self._pixel)[0])
        if terms.width != weights.width:
            terms = replace(terms, local_density=None, global_density=None, width=weights.width)
        if weights.local_density and terms.local_density is None:
            rho = np.maximum(terms.euclidean * np.float32(energy.LOCAL_ALPHA), np.float32(MIN_RHO))[np.newaxis]
            sigma = weights.width * energy.LOCAL_SIGMA
            local = spatially_varying_density(self._features.channels, own, rho, sigma, self._pixel)[0]
            terms = replace(terms, local_density=local)
        if weights.global_density and terms.global_density is None:
            density = colour_density(self._features.smoothed, own, 1, weights.width * energy.GLOBAL_SIGMA)[0]
            terms = replace(terms, global_density=density)
        if weights.geodesic and (terms.geodesic is None or not (terms.exact or quick)):
            geodesic, exact = geodesic_term(mask, self._path_cost, self._pixel, former, quick)
            terms = replace(terms, geodesic=geodesic, exact=exact)
        return terms

    def add(self, problem: Problem, cost: Float32) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        return replace(problem, cost=problem.cost + cost.transpose(1, 0, 2))

    def halve(self, problem: Problem) -> Problem:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        cost, weights = halve_cost(problem.cost), halve_weights(problem.weights)
        return replace(problem, cost=cost, weights=weights, smoothness=problem.smoothness / 2)

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """See :class:`~napari_scribseg.numerics.variational.problem.Backend`."""
        fields = None if coarse is None else coarse.fields
        return Relaxation(problem.cost, problem.weights, problem.smoothness, problem.pixel, fields)


def mixed_cost(
    terms: tuple[LabelTerms, ...], weights: energy.TermWeights, seeds: NDArray[np.int32], background: int | None
) -> Float32:
    """The self-tuning model's data term, as :func:`.reference.mixed_cost`, but of shape (H, K, W)."""
    height, width = seeds.shape
    cost = np.zeros((height, len(terms), width), dtype=np.float32)
    edges = band_edges(height, per_thread=4)

    def task(i: int) -> None:
        rows = slice(edges[i], edges[i + 1])
        out = cost[rows]
        if weights.euclidean:
            out += np.float32(weights.euclidean) * np.log1p(np.stack([t.euclidean[rows] for t in terms], axis=1))
        if weights.geodesic:
            geodesic = np.stack([t.geodesic[rows] for t in terms if t.geodesic is not None], axis=1)
            out += np.float32(weights.geodesic) * np.log1p(geodesic)
        if weights.local_density:
            share = np.stack([t.local_density[rows] for t in terms if t.local_density is not None], axis=1)
            share /= share.sum(axis=1, keepdims=True) + np.float32(energy.NO_DENSITY)
            share += np.float32(energy.LEAST_SHARE)
            out -= np.float32(weights.local_density) * np.log(share, out=share)
        if weights.global_density:
            density = np.stack([t.global_density[rows] for t in terms if t.global_density is not None], axis=1)
            if background is not None:
                np.maximum(density[:, background], np.float32(energy.BACKGROUND_DENSITY), out=density[:, background])
            density += np.float32(energy.LEAST_DENSITY)
            out -= np.float32(weights.global_density) * np.log(density, out=density)
        out -= out.min(axis=1, keepdims=True)

    in_parallel(task, len(edges) - 1)
    return _harden(cost, seeds)


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
    rho = np.maximum(distance * np.float32(alpha), np.float32(MIN_RHO))
    density = spatially_varying_density(image, seeds, rho, sigma, pixel)
    return _harden(np.ascontiguousarray(_min_max_energy(density).transpose(1, 0, 2)), seeds)


def _min_max_energy(density: Float32) -> Float32:
    """``-log`` of the density, min-max normalised over all labels together to (EPSILON, 1]; in place."""
    low, high = float(density.min()), float(density.max())
    scale = (1 - EPSILON) / max(high - low, float(np.finfo(np.float32).tiny))
    np.subtract(density, np.float32(low), out=density)
    np.multiply(density, np.float32(scale), out=density)
    np.add(density, np.float32(EPSILON), out=density)
    np.log(density, out=density)
    return np.negative(density, out=density)


def _harden(cost: Float32, seeds: NDArray[np.int32]) -> Float32:
    """Make every stroke pixel free for its own label and FORBIDDEN for others, in a cost (H, K, W); in place.

    A label without strokes is forbidden everywhere.
    """
    rows, columns = np.nonzero(seeds >= 0)
    labels = seeds[rows, columns]
    cost[:, np.bincount(labels, minlength=cost.shape[1]) == 0] = FORBIDDEN
    cost[rows, :, columns] = FORBIDDEN
    cost[rows, labels, columns] = 0
    return cost
