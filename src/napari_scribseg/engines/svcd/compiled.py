"""The CPU's arithmetic: compiled kernels, no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image, Scribbles
from napari_scribseg.engines.svcd import model
from napari_scribseg.engines.svcd.pipeline import Problem, Solver
from napari_scribseg.engines.svcd.terms import LabelTerms, recall, trace_path
from napari_scribseg.numerics.constants import EPSILON, FORBIDDEN, MIN_RHO
from napari_scribseg.numerics.fused.colour import colour_density
from napari_scribseg.numerics.fused.density import spatially_varying_density
from napari_scribseg.numerics.fused.distance import euclidean_distance
from napari_scribseg.numerics.fused.edges import edge_weights
from napari_scribseg.numerics.fused.pyramid import halve_cost, halve_weights
from napari_scribseg.numerics.fused.relaxation import Relaxation
from napari_scribseg.numerics.intensity import scale_intensities
from napari_scribseg.numerics.seeds import thin_seeds
from napari_scribseg.numerics.threads import band_edges, in_parallel

if TYPE_CHECKING:
    from napari_scribseg.engines.svcd.engine import SVCD

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
    engine : SVCD
        Its parameters say what is looked at.
    """

    def __init__(self, image: Image, pixel: tuple[float, float], engine: SVCD) -> None:
        self._pixel = pixel
        semantic = model.semantic_channels(engine, image.data, "cpu")
        if engine.model == "paper":
            self._scaled = np.require(scale_intensities(image.data), requirements=["C", "W"])
            self._weights = edge_weights(self._scaled, engine.gamma, pixel)
            if semantic is not None:
                self._scaled = np.concatenate((self._scaled, semantic * np.float32(model.PAPER_MEANING)))
        else:
            self._look = model.Look.at(image.data, pixel, semantic)
            self._path_cost = self._look.path_cost()

    def semantic(self, engine: SVCD) -> Float32:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        return self._scaled[-3:] / np.float32(model.PAPER_MEANING) if engine.model == "paper" else self._look.semantic

    def pose(self, engine: SVCD, scribbles: Scribbles, memory: tuple[LabelTerms, ...] | None, quick: bool) -> Problem:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        seeds = scribbles.seeds.copy()  # writeable: one type for the compiled kernels
        if engine.model == "paper":
            cost = paper_cost(self._scaled, seeds, scribbles.n_classes, engine.sigma, engine.alpha, self._pixel)
            return Problem(cost, self._weights, engine.smoothness, self._pixel, notes=engine.describe())
        recipe, notes = model.choose_recipe(self._look, seeds, scribbles.n_classes)
        terms = self._terms(seeds, scribbles.n_classes, recipe, memory or (), quick)
        cost = mixed_cost(terms, recipe, seeds, model.open_label(scribbles))
        weights = self._look.boundary_weights(recipe.edge * engine.gamma / 5)
        smoothness = recipe.smoothness * engine.smoothness / 100
        exact = all(t.exact for t in terms)
        return Problem(cost, weights, smoothness, self._pixel, terms, notes, exact)

    def _terms(
        self,
        seeds: NDArray[np.int32],
        n_classes: int,
        recipe: model.Recipe,
        memory: tuple[LabelTerms, ...],
        quick: bool,
    ) -> tuple[LabelTerms, ...]:
        """The terms of every label; what its strokes did not change is taken from the memory."""
        thin = thin_seeds(seeds, n_classes)
        terms: list[LabelTerms] = [LabelTerms.empty(seeds.shape)] * n_classes

        def task(label: int) -> None:
            mask = seeds == label
            if mask.any():
                terms[label] = self._label_terms(mask, thin == label, recipe, memory, quick)

        in_parallel(task, n_classes)
        return tuple(terms)

    def _label_terms(
        self,
        mask: NDArray[np.bool_],
        samples: NDArray[np.bool_],
        recipe: model.Recipe,
        memory: tuple[LabelTerms, ...],
        quick: bool,
    ) -> LabelTerms:
        """The terms of one label that the recipe asks for."""
        own = np.where(samples, np.int32(0), np.int32(-1))
        terms = recall(mask, memory)
        if terms is None:
            terms = LabelTerms(mask, euclidean_distance(np.where(mask, np.int32(0), np.int32(-1)), 1, self._pixel)[0])
        if terms.width != recipe.width:
            terms = replace(terms, place=None, tone=None, width=recipe.width)
        if recipe.place and terms.place is None:
            rho = np.maximum(terms.near * np.float32(model.PLACE_ALPHA), np.float32(MIN_RHO))[np.newaxis]
            sigma = recipe.width * model.PLACE_SIGMA
            place = spatially_varying_density(self._look.features, own, rho, sigma, self._pixel)[0]
            terms = replace(terms, place=place)
        if recipe.tone and terms.tone is None:
            terms = replace(terms, tone=colour_density(self._look.smoothed, own, 1, recipe.width * model.TONE_SIGMA)[0])
        if recipe.path and (terms.path is None or not (terms.exact or quick)):
            path, exact = trace_path(mask, self._path_cost, self._pixel, memory, quick)
            terms = replace(terms, path=path, exact=exact)
        return terms

    def add(self, problem: Problem, cost: Float32) -> Problem:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        return replace(problem, cost=problem.cost + cost.transpose(1, 0, 2))

    def halve(self, problem: Problem) -> Problem:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        cost, weights = halve_cost(problem.cost), halve_weights(problem.weights)
        return replace(problem, cost=cost, weights=weights, smoothness=problem.smoothness / 2)

    def start(self, problem: Problem, coarse: Solver | None) -> Solver:
        """See :class:`~napari_scribseg.engines.svcd.pipeline.Backend`."""
        fields = None if coarse is None else coarse.fields
        return Relaxation(problem.cost, problem.weights, problem.smoothness, problem.pixel, fields)


def mixed_cost(
    terms: tuple[LabelTerms, ...], recipe: model.Recipe, seeds: NDArray[np.int32], open_label: int | None
) -> Float32:
    """The self-tuning model's data term, as :func:`.reference.mixed_cost`, but of shape (H, K, W)."""
    height, width = seeds.shape
    cost = np.zeros((height, len(terms), width), dtype=np.float32)
    edges = band_edges(height, per_thread=4)

    def stack(name: str, rows: slice) -> Float32:
        return np.stack([getattr(t, name)[rows] for t in terms], axis=1)

    def task(i: int) -> None:
        rows = slice(edges[i], edges[i + 1])
        out = cost[rows]
        for weight, name in ((recipe.near, "near"), (recipe.path, "path")):
            if weight:
                out += np.float32(weight) * np.log1p(stack(name, rows))
        if recipe.place:
            share = stack("place", rows)
            share /= share.sum(axis=1, keepdims=True) + np.float32(model.NO_DENSITY)
            share += np.float32(model.LEAST_SHARE)
            out -= np.float32(recipe.place) * np.log(share, out=share)
        if recipe.tone:
            tone = stack("tone", rows)
            if open_label is not None:
                np.maximum(tone[:, open_label], np.float32(model.OPEN_TONE), out=tone[:, open_label])
            tone += np.float32(model.LEAST_TONE)
            out -= np.float32(recipe.tone) * np.log(tone, out=tone)
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
