"""The network's probabilities as one more data term of the variational energy, which uses the colours near strokes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Scribbles
from napari_scribseg.numerics.variational.multiscale import converge, levels_of, solve_coarse_to_fine
from napari_scribseg.numerics.variational.parameters import EnergyParameters
from napari_scribseg.numerics.variational.problem import Backend
from napari_scribseg.numerics.variational.refine import MOST_COST, OWN_SHARE, SMOOTHNESS
from napari_scribseg.numerics.variational.terms import LabelTerms

__all__ = ["PARAMETERS", "mix"]

PARAMETERS = EnergyParameters()


def mix(
    probabilities: Tensor,
    scribbles: Scribbles,
    backend: Backend,
    terms: tuple[LabelTerms, ...],
    share: float,
    progress: Callable[[float], None],
) -> tuple[Tensor, tuple[LabelTerms, ...]]:
    """The relaxed labelling for the sum of both costs.

    Parameters
    ----------
    probabilities : Tensor of shape (K, H, W)
        Of the network.
    scribbles : Scribbles
        Of the same K classes, at least two of them with strokes.
    backend : Backend
        The image, opened with :data:`PARAMETERS`.
    terms : tuple of LabelTerms
        From the last call for this image, or empty.
    share : float
        Of the variational cost in the sum, above 0 and at most 1; the rest is ``-log`` of the probabilities.
    progress : callable
        Called with the share of the work that is done; may raise to end it.

    Returns
    -------
    Tensor of shape (K, H, W)
        Probabilities: two thirds the labelling, one third those of the network.
    tuple of LabelTerms
        For the next call.
    """
    cost = -torch.log(probabilities.clamp_min(float(np.exp(-MOST_COST))))
    weight = (1 - share) / share
    on_host: NDArray[np.float32] = (weight * cost).to("cpu", torch.float32).numpy()
    problem = backend.pose(PARAMETERS, scribbles, terms, quick=False)
    progress(0.3)
    added = np.where(scribbles.seeds >= 0, np.float32(0), on_host)
    problem = replace(backend.add(problem, added), smoothness=problem.smoothness + weight * SMOOTHNESS)
    solver = solve_coarse_to_fine(backend, levels_of(backend, problem))
    converge(solver, lambda part: progress(0.5 + part / 2))
    labelling = torch.from_numpy(solver.primal()).to(probabilities.device)
    return torch.lerp(probabilities, labelling, OWN_SHARE), problem.terms
