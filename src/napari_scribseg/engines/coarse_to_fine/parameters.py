"""The parameters of the coarse-to-fine engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_scribseg.core import Range, check_parameters

__all__ = ["CoarseToFineParameters"]


@dataclass(frozen=True)
class CoarseToFineParameters:
    """Parameters that :class:`~napari_scribseg.engines.coarse_to_fine.CoarseToFine` explains.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.
    """

    ratio: Annotated[float, Range(2, 32, 0.5, "pixels that a cell of the coarse grid is wide")] = 10.0
    mask: Literal["predicted", "thresholded"] = "predicted"
    representation: Literal["downscaled", "encoder"] = "downscaled"
    shapes: Literal["regions", "smooth", "paper"] = "regions"
    sloppiness: Annotated[
        float, Range(0, 3, 0.1, "largest error of the outlines that it learns to correct, in cells")
    ] = 0.3
    width: Annotated[int, Range(8, 1024, 8, "channels of the first layer")] = 64
    repeats: Annotated[int, Range(1, 512, 1, "repetitions of the coarse picture in the input")] = 4
    noise: Annotated[float, Range(0, 255, 1, "of each repetition, on the scale 0 to 255")] = 5.0
    samples: Annotated[int, Range(8, 20000, 100, "masks to learn from; a quarter is held back")] = 600
    epochs: Annotated[int, Range(1, 1000, 1, "most rounds through the samples")] = 4
    resolution: Annotated[int, Range(32, 2048, 32, "longer side of the image that the network works on")] = 256
    seed: Annotated[int, Range(0, 2**31 - 1, 1, "of all that is drawn at random")] = 0

    def __post_init__(self) -> None:
        check_parameters(self)
