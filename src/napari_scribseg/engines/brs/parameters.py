"""The parameters that the pipeline of both engines reads."""

from __future__ import annotations

from typing import Literal

from napari_scribseg.numerics.reading import StrokeReading

__all__ = ["RefinementParameters"]


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
