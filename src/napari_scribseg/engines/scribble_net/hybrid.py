"""The network's answer as one more data term of the variational model, which knows the colours near the strokes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.core import Scribbles
from napari_scribseg.engines.svcd import SVCD
from napari_scribseg.engines.svcd.pipeline import SVCDState, relax
from napari_scribseg.numerics.refine import MOST_COST, OWN_SHARE, SMOOTHNESS

__all__ = ["MODEL", "SVCDState", "with_colours"]

MODEL = SVCD()  # with the parameters that it chooses by itself


def with_colours(
    probabilities: Tensor,
    scribbles: Scribbles,
    state: SVCDState,
    memory: Any,
    share: float,
    tell: Callable[[float], None],
) -> tuple[Tensor, Any]:
    """The relaxed labelling for the sum of both costs.

    Parameters
    ----------
    probabilities : Tensor of shape (K, H, W)
        By the network.
    scribbles : Scribbles
        Of the same K classes, at least two of them with strokes.
    state : SVCDState
        The image, prepared for :data:`MODEL`.
    memory : Any
        From the last call for this image, or None.
    share : float
        Of the model's cost in the sum, above 0 and at most 1; the rest is ``-log`` of the probabilities.
    tell : callable
        Called with the share of the work that is done; may raise to end it.

    Returns
    -------
    Tensor of shape (K, H, W)
        Probabilities: two thirds the labelling, one third those of the network.
    Any
        For the next call.
    """
    cost = -torch.log(probabilities.clamp_min(float(np.exp(-MOST_COST))))
    weight = (1 - share) / share
    on_host: NDArray[np.float32] = (weight * cost).to("cpu", torch.float32).numpy()
    labelling, memory = relax(MODEL, scribbles, state, memory, on_host, weight * SMOOTHNESS, tell)
    return torch.lerp(probabilities, torch.from_numpy(labelling).to(probabilities.device), OWN_SHARE), memory
