"""The engine's parameters and its two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from napari_scribseg.core import (
    EngineInfo,
    Image,
    InputError,
    Report,
    Scribbles,
    Segmentation,
    silent,
)
from napari_scribseg.engines.coarse_to_fine.parameters import CoarseToFineParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_scribseg.engines.coarse_to_fine.pipeline import CoarseState

__all__ = ["CoarseToFine"]

_COARSE = "coarse picture"


@dataclass(frozen=True)
class CoarseToFine(CoarseToFineParameters):
    """From a rough outline on a coarse grid to a mask, by a network fitted to this image alone (Ungarbayev).

    Parameters
    ----------
    ratio : float
        Width of a cell of the coarse grid in pixels, about (paper: 10); the shorter side keeps ten cells.
    mask : {"predicted", "thresholded"}
        ``"predicted"``: the network learns the mask. ``"thresholded"``: it learns the masked image, as published, and a
        pixel belongs to the object if more than half of its brightness is reconstructed.
    representation : {"downscaled", "encoder"}
        What is masked: the image made smaller, as published, or the features of an encoder.
    shapes : {"regions", "smooth", "paper"}
        Masks to learn from: ``"paper"`` rectangles and circles, ``"smooth"`` random smooth shapes as well,
        ``"regions"`` all of these moved to the borders of the image's own regions, as are the user's outlines.
    sloppiness : float
        Largest error of the outlines that it learns to correct: root mean square, in cells; 0 as published.
    width : int
        Channels of the first layer (paper: 256).
    repeats : int
        Repetitions of the coarse picture in the input, each with its own noise.
    noise : float
        Standard deviation of that noise, on the scale 0 to 255.
    samples : int
        Masks to learn from; a quarter is held back and decides when to stop.
    epochs : int
        Most rounds through the samples (paper: 500, stopped by hand).
    resolution : int
        Pixels along the longer side; a larger image is fitted at this size.
    grey : bool
        Whether the coarse picture is grey, as published; its target stays in colours.
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
        summary="Finds the border near a rough outline that you draw.",
        ndim=(2,),
        min_classes=1,
        group="Fitted to this image (slow)",
        needs="a closed line around an object",
    )

    def prepare(self, image: Image, device: str = "auto") -> CoarseState:
        """Scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`.

        The network is fitted in the first :meth:`segment`, which reports progress and can be cancelled; the next one
        continues a cancelled fit.
        """
        from napari_scribseg.engines.coarse_to_fine.pipeline import prepare

        self.info.require(image)
        return prepare(self, image, device)

    def segment(
        self, image: Image, scribbles: Scribbles, state: CoarseState, report: Report = silent
    ) -> Segmentation[CoarseState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        A closed line, or a painted area, is a rough outline of an object: its pixels need not stay in the class. Thin
        strokes are hard. An outline of one of two classes is enough: everything outside belongs to the other class.
        """
        from napari_scribseg.engines.coarse_to_fine.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes, min_classes=self.info.min_classes)
        return segment(self, scribbles, state, report)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names that :meth:`picture` takes."""
        return (_COARSE,)

    def picture(self, name: str, state: CoarseState) -> NDArray[np.float32]:
        """The coarse picture that the network is shown, as colours of shape (H, W, 3), from 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name.
        """
        from napari_scribseg.engines.coarse_to_fine.pipeline import coarse_picture

        if name not in self.pictures:
            raise InputError(f"there is no picture {name!r}; coarse-to-fine has {', '.join(self.pictures)}")
        return coarse_picture(state)
