"""The network's probabilities as one more data term of the variational energy, which uses the colours near strokes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Scribbles
from napari_scribseg.numerics.variational.multiscale import relax
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
    labelling, terms = relax(PARAMETERS, scribbles, backend, terms, on_host, weight * SMOOTHNESS, progress)
    return torch.lerp(probabilities, torch.from_numpy(labelling).to(probabilities.device), OWN_SHARE), terms
