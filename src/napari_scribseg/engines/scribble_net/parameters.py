"""The parameters of the scribble network's engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_scribseg.core import Range, check_parameters
from napari_scribseg.numerics.reading import StrokeReading

__all__ = ["ScribbleNetParameters"]


@dataclass(frozen=True)
class ScribbleNetParameters:
    """Parameters that :class:`~napari_scribseg.engines.scribble_net.ScribbleNet` explains.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.
    """

    weights: str = ""
    crop: Literal["auto", "whole"] = "auto"
    refine: Literal["edges", "none"] = "edges"
    hybrid: Annotated[float, Range(0, 1, 0.05, "share of the variational model, svcd, in the result")] = 0.6
    passes: Annotated[int, Range(1, 2, 1, "2: a second pass, with the first prediction as an input")] = 2
    strokes: StrokeReading = "auto"

    def __post_init__(self) -> None:
        check_parameters(self)
