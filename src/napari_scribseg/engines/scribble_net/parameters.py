"""The parameters of the scribble network's engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_scribseg.core import Range, Shown, check_parameters
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

    weights: Annotated[
        str, Shown("Network file", "Another network of this package; empty: the one that comes with it.")
    ] = ""
    crop: Annotated[
        Literal["auto", "whole"],
        Shown(
            "Looks at",
            "The surroundings of the strokes, as far as the object reaches, or the whole image, in less detail.",
            choices=("near strokes", "whole image"),
        ),
    ] = "auto"
    refine: Annotated[
        Literal["edges", "none"],
        Shown(
            "Borders",
            "Move the borders to edges of the image at its full resolution, or leave them as the network has them.",
            when=("hybrid", (0, 0.0)),
            choices=("at image edges", "of the network"),
        ),
    ] = "edges"
    hybrid: Annotated[
        float,
        Range(0, 1, 0.05, "share of the variational model, svcd, in the result"),
        Shown(
            "Colours and edges",
            "Their share in the result. 0: the trained network alone. 1: colours and edges alone.",
        ),
    ] = 0.6
    passes: Annotated[
        int,
        Range(1, 2, 1, "2: a second pass, with the first prediction as an input"),
        Shown("Passes", "2: the network sees its first result and improves it. 1: quicker."),
    ] = 2
    strokes: StrokeReading = "auto"

    def __post_init__(self) -> None:
        check_parameters(self)
