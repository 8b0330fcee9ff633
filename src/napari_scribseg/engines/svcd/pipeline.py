"""From strokes to probabilities: the problem, its coarse solution as preview, then the converged one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image, Report, Scribbles, Segmentation
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.variational.multiscale import (
    LIVE,
    PUBLISHED,
    continue_finer,
    converge,
    halvings_of,
    open_backend,
    solve_coarse_to_fine,
)
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Backend, Solver
from napari_scribseg.numerics.variational.terms import LabelTerms

__all__ = ["SVCDState", "prepare", "segment"]

LARGE = 1 << 21  # pixels above which the preview is that of half the resolution


@dataclass(frozen=True, slots=True, eq=False)
class SVCDState:
    """A prepared image.

    Attributes
    ----------
    backend : Backend
        The scaled image and its edges on the device.
    device : str
        Where it computes.
    terms : tuple of LabelTerms
        Those of the last strokes.
    """

    backend: Backend
    device: str
    terms: tuple[LabelTerms, ...] = ()


def prepare(parameters: EnergyParameters, image: Image, device: str, backbone: str | None) -> SVCDState:
    """The state for a fresh image, with semantic features of a network where ``backbone`` names one."""
    chosen = choose_device(device)
    semantic = None
    if backbone is not None:
        from napari_scribseg.prompting.semantic import semantic_features  # the only part of the CPU path with torch

        semantic = semantic_features(image.data, backbone, chosen)
    return SVCDState(open_backend(parameters, image, chosen, semantic), chosen)


def segment(
    parameters: EnergyParameters, scribbles: Scribbles, state: SVCDState, report: Report
) -> Segmentation[SVCDState]:
    """Segment one set of strokes; the result does not depend on earlier ones."""
    report(0.0)
    backend = state.backend
    problem = backend.pose(parameters, scribbles, state.terms, quick=True)
    report(0.2)
    large = problem.weights.shape[0] * problem.weights.shape[1] > LARGE
    levels = halvings_of(backend, problem)
    solver = solve_coarse_to_fine(backend, levels, finest=int(large))
    notes = (*problem.notes, f"computed on {state.device}")
    state = replace(state, terms=problem.terms)
    preview = Segmentation.of(_full_size(solver, scribbles.shape), scribbles, state, (*notes, "preview"))
    report(0.4, cast("Segmentation[object]", preview))
    if not problem.exact:
        problem = backend.pose(parameters, scribbles, problem.terms, quick=False)
        report(0.6)
        solver = solve_coarse_to_fine(backend, halvings_of(backend, problem))
    elif large:
        solver = continue_finer(backend, levels[0], solver)
    stop = PUBLISHED if parameters.model == "paper" else LIVE
    converge(solver, lambda share: report(0.7 + 0.3 * share), stop)
    return Segmentation.of(_full_size(solver, scribbles.shape), scribbles, replace(state, terms=problem.terms), notes)


def _full_size(solver: Solver, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The solver's labelling, shape (K, H, W), enlarged where it is one of half the resolution."""
    labelling = solver.primal()
    if labelling.shape[1:] == shape:
        return labelling
    height, width = shape
    return labelling.repeat(2, axis=1)[:, :height].repeat(2, axis=2)[:, :, :width].copy()
