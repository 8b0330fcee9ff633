"""The parameters of the coarse-to-fine engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_scribseg.core import InputError, Range, Shown, check_parameters

__all__ = ["CoarseToFineParameters"]


@dataclass(frozen=True)
class CoarseToFineParameters:
    """Parameters that :class:`~napari_scribseg.engines.coarse_to_fine.CoarseToFine` explains.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.
    """

    ratio: Annotated[
        float,
        Range(2, 32, 0.5, "pixels that a cell of the coarse grid is wide"),
        Shown("Coarseness", "Pixels that a cell of the coarse picture is wide; smaller for small objects."),
    ] = 10.0
    mask: Annotated[
        Literal["predicted", "thresholded"],
        Shown("Learns", "The object, or the picture of the object, as published.", choices=("object", "its picture")),
    ] = "predicted"
    representation: Annotated[
        Literal["downscaled", "encoder"],
        Shown(
            "Looks at",
            "The image made smaller, or what a trained network sees in it.",
            choices=("small image", "network"),
        ),
    ] = "downscaled"
    shapes: Annotated[
        Literal["regions", "smooth", "paper"],
        Shown(
            "Practises on",
            "Shapes that follow the borders of this image, smooth shapes, or rectangles and circles, as published.",
            choices=("at borders", "smooth", "as published"),
        ),
    ] = "regions"
    sloppiness: Annotated[
        float,
        Range(0, 3, 0.1, "largest error of the outlines that it learns to correct, in cells"),
        Shown("Outline error", "How far your outline may be from the border, in cells of the coarse picture."),
    ] = 0.3
    width: Annotated[
        int,
        Range(8, 1024, 8, "channels of the first layer"),
        Shown("Network width", "Larger: it can learn more, and is slower."),
    ] = 64
    repeats: Annotated[
        int,
        Range(1, 512, 1, "repetitions of the coarse picture in the input"),
        Shown("Repetitions", "How often it is given the coarse picture, each time with other noise."),
    ] = 4
    noise: Annotated[
        float,
        Range(0, 255, 1, "of each repetition, on the scale 0 to 255"),
        Shown("Noise", "Of each repetition, on the scale 0 to 255."),
    ] = 5.0
    samples: Annotated[
        int,
        Range(8, 20000, 100, "masks to learn from; a quarter is held back"),
        Shown("Practice shapes", "More: better, and slower to begin."),
    ] = 600
    epochs: Annotated[
        int,
        Range(1, 1000, 1, "most rounds through the samples"),
        Shown("Rounds", "How often it goes through the practice shapes at most."),
    ] = 4
    resolution: Annotated[
        int,
        Range(32, 2048, 32, "longer side of the image that the network works on"),
        Shown("Resolution", "Pixels along the longer side of what the network works on."),
    ] = 256
    grey: Annotated[bool, Shown("Grey coarse picture", "It is given the coarse picture in grey, as published.")] = False
    seed: Annotated[
        int,
        Range(0, 2**31 - 1, 1, "of all that is drawn at random"),
        Shown("Random start", "The same number gives the same result again."),
    ] = 0

    def __post_init__(self) -> None:
        check_parameters(self)
        if not isinstance(self.grey, bool):
            raise InputError(f"grey is {self.grey!r}; True or False is expected")
