"""The parameters of the labelling energy; an engine's entry loads them, so that they need nothing but ``core``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_scribseg.core import Range, Shown, check_parameters

__all__ = ["EnergyParameters"]


@dataclass(frozen=True)
class EnergyParameters:
    """Parameters of the energy; the engine :class:`~napari_scribseg.engines.svcd.SVCD` explains them.

    Raises
    ------
    InputError
        If a parameter is outside its range.
    """

    model: Annotated[
        Literal["auto", "paper"],
        Shown(
            "Settings",
            "Chosen for this image from your strokes, or those of the publication, which you set below.",
            choices=("automatic", "as published"),
        ),
    ] = "auto"
    sigma: Annotated[
        float,
        Range(0.1, 100, 0.1, "model paper: width of the colour kernel, on the scale 0 to 255"),
        Shown(
            "Colour tolerance",
            "How different a pixel's colour may be from the strokes, on the scale 0 to 255.",
            when=("model", ("paper",)),
        ),
    ] = 1.3
    alpha: Annotated[
        float,
        Range(0.1, 50, 0.1, "model paper: width of the spatial kernel, in distances to the stroke"),
        Shown(
            "Reach of a stroke",
            "How far a stroke counts: the larger, the less the distance to it matters.",
            when=("model", ("paper",)),
        ),
    ] = 1.8
    smoothness: Annotated[
        float,
        Range(0, 1000, 1, "weight of the boundary length; in the model auto, per cent of its own"),
        Shown("Smoothness", "Larger: rounder, shorter borders and fewer small parts. 100 is the usual amount."),
    ] = 100.0
    gamma: Annotated[
        float,
        Range(0, 50, 0.1, "how much cheaper the boundary is on edges"),
        Shown("Pull of edges", "Larger: borders keep closer to edges of the image."),
    ] = 5.0

    def __post_init__(self) -> None:
        check_parameters(self)

    def describe(self) -> tuple[str, ...]:
        """The published model's parameters, for the notes of a result."""
        return (f"published model: sigma {self.sigma:g}, alpha {self.alpha:g}, smoothness {self.smoothness:g}",)
