"""From image and strokes to probabilities: cost, solver, answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Image, Report, Scribbles, Segmentation
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.numerics.intensity import scale_intensities

if TYPE_CHECKING:
    from napari_scribseg.engines.svcd.engine import SVCD

__all__ = ["SVCDState", "prepare", "segment"]


@dataclass(frozen=True, slots=True, eq=False)
class SVCDState:
    """What the engine remembers of one image."""

    device: str
    scaled: NDArray[np.float32]
    pixel: tuple[float, float]
    weights: Any
    primal: Any = None
    dual: Any = None


def prepare(engine: SVCD, image: Image, device: str) -> SVCDState:
    """The state for a fresh image."""
    import torch

    from napari_scribseg.numerics.finite import edge_weights

    chosen = choose_device(device)
    finest = min(image.spacing)
    pixel = (image.spacing[0] / finest, image.spacing[1] / finest)
    scaled = scale_intensities(image.data)
    weights = edge_weights(torch.from_numpy(scaled).to(chosen), engine.gamma, pixel)
    return SVCDState(chosen, scaled, pixel, weights)


def segment(engine: SVCD, scribbles: Scribbles, state: SVCDState, report: Report) -> Segmentation[SVCDState]:
    """The answer for one set of strokes."""
    import torch

    from napari_scribseg.engines.svcd.reference import paper_cost
    from napari_scribseg.numerics.primal_dual import solve

    report(0.0)
    cost = paper_cost(
        torch.from_numpy(state.scaled).to(state.device),
        torch.tensor(scribbles.seeds, device=state.device),
        scribbles.n_classes,
        engine.sigma,
        engine.alpha,
        state.pixel,
    )
    primal, dual = state.primal, state.dual
    if primal is not None and primal.shape != cost.shape:
        primal = dual = None
    for step in solve(cost, state.weights, engine.smoothness, primal=primal, dual=dual):
        if step.index % 20 == 0:
            report(step.index / 300)
        if step.index == 300:
            break
    state = replace(state, primal=step.primal, dual=step.dual)
    return Segmentation(_obey(step.primal.cpu().numpy(), scribbles.seeds), state, ("model: paper",))


def _obey(probabilities: NDArray[np.float32], seeds: NDArray[np.int32]) -> NDArray[np.float32]:
    known = seeds >= 0
    obeyed = probabilities.copy()
    obeyed[:, known] = 0
    rows, columns = np.nonzero(known)
    obeyed[seeds[known], rows, columns] = 1
    return obeyed
