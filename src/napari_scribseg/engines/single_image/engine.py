"""The engines of the networks that are fitted to one image; the work is done in ``pipeline`` and ``transfer``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_scribseg.core import (
    EngineInfo,
    Image,
    InputError,
    Report,
    Scribbles,
    Segmentation,
    check_parameters,
    silent,
)
from napari_scribseg.engines.single_image.parameters import (
    ConvolutionParameters,
    FineTuneParameters,
    Inputs,
    LayerParameters,
    PenaltyParameters,
    Rate,
    ScratchParameters,
    UNetParameters,
)
from napari_scribseg.numerics.reading import reads_strokes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_scribseg.engines.single_image.pipeline import FitState

__all__ = ["CNN", "PWN", "CNNReg", "FineTune", "UNetSingle"]

_SEMANTIC = "semantic features"
_FITTED = "Fitted to this image (slow)"


def _info(name: str, title: str, summary: str, **more: Any) -> EngineInfo:
    doi = "10.1109/ICIP42928.2021.9506264"
    return EngineInfo(name=name, title=title, summary=summary, doi=doi, ndim=(2,), **more)


class _FittedToOneImage:
    """The methods of all engines here; their parameters are checked when they are made."""

    info: ClassVar[EngineInfo]

    def __post_init__(self) -> None:
        check_parameters(self)


class _FromScratch(_FittedToOneImage, ScratchParameters):
    """The methods of engines whose network begins with random weights."""

    def prepare(self, image: Image, device: str = "auto") -> FitState:
        """Scale the inputs; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.single_image.pipeline import prepare

        self.info.require(image)
        return prepare(self, image, device)

    @reads_strokes
    def segment(
        self, image: Image, scribbles: Scribbles, state: FitState, report: Report = silent
    ) -> Segmentation[FitState]:
        """Fit the network and segment; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        If strokes were only added since the last result, the fit continues from its weights.
        """
        from napari_scribseg.engines.single_image.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names that :meth:`picture` takes: the semantic features, where they are an input."""
        return (_SEMANTIC,) if self.is_semantic else ()

    def picture(self, name: str, state: FitState) -> NDArray[np.float32]:
        """The network's semantic inputs, as colours of shape (H, W, 3), from 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name, such as without semantic inputs.
        """
        found = state.semantic if name in self.pictures else None
        if found is None:
            raise InputError(f"there is no picture {name!r}; {self.info.name} has {', '.join(self.pictures) or 'none'}")
        return found


@dataclass(frozen=True)
class PWN(_FromScratch, LayerParameters):
    """A pixel-wise network: each pixel by its own colour, position and semantic features.

    Dröge & Moeller (2021) [1]_, section 3.1. The parameters are those of
    :class:`~napari_scribseg.engines.single_image.parameters.LayerParameters` and
    :class:`~napari_scribseg.engines.single_image.parameters.FitParameters`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    .. [1] H. Dröge and M. Moeller. Learning or Modelling? An Analysis of Single Image Segmentation Based on Scribble
       Information. ICIP 2021. :doi:`10.1109/ICIP42928.2021.9506264`
    """

    info: ClassVar[EngineInfo] = _info(
        "pwn",
        "Pixel-wise network (fitted to this image)",
        "Learns colours and places from your strokes, for unusual images.",
        group=_FITTED,
    )


@dataclass(frozen=True)
class CNN(_FromScratch, ConvolutionParameters):
    """A small convolutional network, which sees a pixel's surroundings too: of the source of :class:`PWN`.

    The parameters are those of :class:`~napari_scribseg.engines.single_image.parameters.ConvolutionParameters` and
    :class:`~napari_scribseg.engines.single_image.parameters.FitParameters`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.
    """

    info: ClassVar[EngineInfo] = _info(
        "cnn",
        "Small CNN (fitted to this image)",
        "Learns textures from your strokes, for unusual images.",
        group=_FITTED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise InputError(f"kernel is {self.kernel}; an odd number of pixels is expected")


@dataclass(frozen=True)
class CNNReg(CNN, PenaltyParameters):
    """A :class:`CNN` with a penalty on how the loss depends on the position of a pixel (equation 2 of the paper).

    The parameters are those of :class:`~napari_scribseg.engines.single_image.parameters.PenaltyParameters` and
    :class:`~napari_scribseg.engines.single_image.parameters.FitParameters`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range, or the penalised channels are not among the inputs.

    References
    ----------
    .. [1] H. Drucker and Y. LeCun. Improving Generalization Performance Using Double Backpropagation. IEEE Transactions
       on Neural Networks 3(6), 1992.
    """

    info: ClassVar[EngineInfo] = _info(
        "cnn-reg",
        "Small CNN with a gradient penalty (fitted to this image)",
        "Like the small CNN, but nearness to a stroke counts less.",
        group="Research",
    )

    inputs: Inputs = "colour+position"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty not in self.inputs.split("+"):
            raise InputError(
                f"penalty is {self.penalty!r}, but the inputs are {self.inputs!r}; 'colour+position', say, is expected"
            )


@dataclass(frozen=True)
class UNetSingle(_FromScratch, UNetParameters):
    """A U-Net fitted to one image: of the source of :class:`PWN`.

    The parameters are those of :class:`~napari_scribseg.engines.single_image.parameters.UNetParameters` and
    :class:`~napari_scribseg.engines.single_image.parameters.FitParameters`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox. U-Net: Convolutional Networks for Biomedical Image Segmentation.
       MICCAI 2015.
    """

    info: ClassVar[EngineInfo] = _info(
        "unet-single",
        "U-Net (fitted to this image)",
        "A U-Net learned from the strokes alone; slow and overfits; for comparison.",
        group="Research",
    )

    rate: Rate = 0.003


@dataclass(frozen=True)
class FineTune(_FittedToOneImage, FineTuneParameters):
    """A trained network with a new last layer, fine-tuned on the strokes: of the source of :class:`PWN`, section 3.3.

    The network sees the image alone. The parameters are those of
    :class:`~napari_scribseg.engines.single_image.parameters.TransferParameters` and
    :class:`~napari_scribseg.engines.single_image.parameters.FitParameters`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.
    """

    info: ClassVar[EngineInfo] = _info(
        "finetune",
        "Fine-tuned network (transfer learning)",
        "A trained network, yours too, learns the classes of this image from your strokes.",
        group=_FITTED,
        needs_weights=True,
    )

    def prepare(self, image: Image, device: str = "auto") -> FitState:
        """Load the network and scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.single_image.transfer import prepare

        self.info.require(image)
        return prepare(self, image, device)

    @reads_strokes
    def segment(
        self, image: Image, scribbles: Scribbles, state: FitState, report: Report = silent
    ) -> Segmentation[FitState]:
        """Fine-tune and segment; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        If strokes were only added since the last result, the fit continues from its weights.
        """
        from napari_scribseg.engines.single_image.transfer import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)
