"""The engine's parameters and its two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from napari_scribseg.core import (
    EngineInfo,
    Image,
    InputError,
    Range,
    Report,
    Scribbles,
    Segmentation,
    check_parameters,
    silent,
)

if TYPE_CHECKING:
    from napari_scribseg.engines.coarse_to_fine.pipeline import CoarseState

__all__ = ["CoarseToFine"]


@dataclass(frozen=True)
class CoarseToFine:
    """A rough outline on a coarse grid, made a mask by a network that is fitted to this image alone (Ungarbayev).

    Parameters
    ----------
    ratio : float
        About how many pixels a cell of the coarse grid is wide (paper: 10); the shorter side keeps ten cells.
    mask : {"predicted", "thresholded"}
        ``"predicted"``: the network is taught the mask. ``"thresholded"``: it is taught the masked image, as published,
        and a pixel belongs to the object where more than half of the image's brightness comes back.
    representation : {"downscaled", "encoder"}
        What is masked: the image made smaller, as published, or what an encoder finds in it.
    shapes : {"regions", "smooth", "paper"}
        Masks to learn from: ``"paper"`` rectangles and circles, ``"smooth"`` random smooth shapes as well,
        ``"regions"`` all of these moved to the borders of the image's own regions, as is then what the user draws.
    sloppiness : float
        Largest error of the outlines that it learns to forgive: root mean square, in cells; 0 as published.
    width : int
        Channels of the first layer (paper: 256).
    repeats : int
        How often the coarse picture is repeated in the input, each time with other noise.
    noise : float
        Standard deviation of that noise, on the scale 0 to 255.
    samples : int
        Masks to learn from; a quarter is held back and says when to stop.
    epochs : int
        Most rounds through the samples (paper: 500, stopped by hand).
    resolution : int
        Pixels along the longer side above which the network works on a smaller image.
    seed : int
        Of all that is drawn at random.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    Ungarbayev, Interactive image segmentation using convolutional neural networks trained on a single image.
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="coarse-to-fine",
        title="Coarse to fine (rough outlines)",
        summary="Takes a closed line as a rough outline and finds the border; fitted to each image first.",
        ndim=(2,),
        min_classes=1,
    )

    ratio: Annotated[float, Range(2, 32, 0.5, "pixels that a cell of the coarse grid is wide")] = 10.0
    mask: Literal["predicted", "thresholded"] = "predicted"
    representation: Literal["downscaled", "encoder"] = "downscaled"
    shapes: Literal["regions", "smooth", "paper"] = "regions"
    sloppiness: Annotated[float, Range(0, 3, 0.1, "error of the outlines that it learns to forgive, in cells")] = 0.3
    width: Annotated[int, Range(8, 1024, 8, "channels of the first layer")] = 64
    repeats: Annotated[int, Range(1, 512, 1, "how often the coarse picture is repeated in the input")] = 4
    noise: Annotated[float, Range(0, 255, 1, "of each repetition, on the scale 0 to 255")] = 5.0
    samples: Annotated[int, Range(8, 20000, 100, "masks to learn from; a quarter is held back")] = 600
    epochs: Annotated[int, Range(1, 1000, 1, "most rounds through the samples")] = 4
    resolution: Annotated[int, Range(32, 2048, 32, "longer side of the image that the network works on")] = 256
    seed: Annotated[int, Range(0, 2**31 - 1, 1, "of all that is drawn at random")] = 0

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> CoarseState:
        """Scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`.

        The network is fitted by the first :meth:`segment`, which can tell how far it is and be stopped; a fit that was
        stopped goes on with the next one.
        """
        from napari_scribseg.engines.coarse_to_fine.pipeline import prepare

        if len(image.shape) not in self.info.ndim:
            raise InputError(f"the image has {len(image.shape)} spatial axes; coarse-to-fine takes 2 (one slice)")
        return prepare(self, image, device)

    def segment(
        self, image: Image, scribbles: Scribbles, state: CoarseState, report: Report = silent
    ) -> Segmentation[CoarseState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        A closed line, or an area painted full, says roughly where an object is: its pixels need not stay in the class.
        Thin strokes are obeyed. An outline of one of two classes is enough: the other one is then all that is outside.
        """
        from napari_scribseg.engines.coarse_to_fine.pipeline import segment

        if not (scribbles.n_classes == 2 and scribbles.shape == image.shape and scribbles.counts.any()):
            scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)
