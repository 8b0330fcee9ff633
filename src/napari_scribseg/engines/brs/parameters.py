"""The parameters that the pipeline of both engines reads."""

from __future__ import annotations

from typing import Annotated, Literal

from napari_scribseg.core import Range, Shown
from napari_scribseg.numerics.reading import StrokeReading

__all__ = [
    "Evaluations",
    "Inertia",
    "ModelPath",
    "Objective",
    "Refine",
    "RefinementParameters",
    "Seconds",
    "Trust",
    "WeightsPath",
    "Zoom",
]

ModelPath = Annotated[str, Shown("Network file", "Your trained network; empty: one that comes with the package.")]
WeightsPath = Annotated[str, Shown("Weights file", "Only for a network that a function of yours makes: its weights.")]
Trust = Annotated[
    bool, Shown("Run its code", "Whether program code in the network's file may run: only if you trust its source.")
]
Evaluations = Annotated[
    int,
    Range(1, 1000, 1, "most forward and backward passes for a result"),
    Shown("Attempts", "How often the network is asked for a result at most; more agrees better, and is slower."),
]
Seconds = Annotated[
    float,
    Range(0.1, 3600, 0.1, "seconds after which the best result so far is taken"),
    Shown("Seconds", "After this time the best result so far is taken."),
]
Inertia = Annotated[
    float,
    Range(0, 10, 0.001, "cost of a change; lambda of the paper"),
    Shown("Caution", "Larger: the network's own result changes less away from the strokes."),
]
Objective = Annotated[
    Literal["cross-entropy", "squared"],
    Shown(
        "Disagreement",
        "How a stroke that the network contradicts is counted: strictly, or as published.",
        choices=("strict", "as published"),
    ),
]
Zoom = Annotated[bool, Shown("Zoom in", "Whether a network that takes strokes sees each object enlarged.")]
Refine = Annotated[
    Literal["edges", "none"],
    Shown(
        "Borders",
        "Move the borders to edges of the image at its full resolution, or leave them as the network has them.",
        choices=("at image edges", "of the network"),
    ),
]


class RefinementParameters:
    """Parameters of :class:`~napari_scribseg.engines.brs.BRS` and :class:`~napari_scribseg.engines.brs.FBRS`."""

    model: str
    weights: str
    trust: bool
    evaluations: int
    seconds: float
    inertia: float
    objective: Literal["cross-entropy", "squared"]
    zoom: bool
    refine: Literal["edges", "none"]
    strokes: StrokeReading
    layer: Literal["", "A", "B", "C"] = ""  # whose channels are corrected; empty: the network's input is
    precision: Literal["float32", "bfloat16"] = "float32"
    decoder: Literal["last", "coarse"] = "last"
