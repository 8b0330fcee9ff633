"""The engines' parameters and their two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

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
    import numpy as np
    from numpy.typing import NDArray

    from napari_scribseg.engines.single_image.pipeline import FitState, PixelEngine

__all__ = ["CNN", "PWN", "CNNReg", "FineTune", "Inputs", "UNetSingle"]

Inputs = Literal[
    "colour",
    "position",
    "semantic",
    "colour+position",
    "colour+semantic",
    "position+semantic",
    "colour+position+semantic",
]
_DOI = "10.1109/ICIP42928.2021.9506264"
_Steps = Annotated[int, Range(1, 100000, 10, "most steps of Adam for the first strokes; a further stroke takes fewer")]
_Rate = Annotated[float, Range(1e-6, 1, 1e-3, "step size of Adam")]
_Width = Annotated[int, Range(1, 512, 1, "channels of a layer")]
_Depth = Annotated[int, Range(1, 16, 1, "layers before the last one")]
_Kernel = Annotated[int, Range(1, 15, 2, "side of the convolutions, in pixels; odd")]
_Seed = Annotated[int, Range(0, 2**31 - 1, 1, "of the first weights; the same seed gives the same answer")]
_SEMANTIC = "semantic features"
_HeldBack = Annotated[float, Range(0, 0.5, 0.05, "share of the strokes that only judges when to stop")]


class _FittedToOneImage:
    """What all of them do alike."""

    info: ClassVar[EngineInfo]

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> FitState:
        """Scale the inputs; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.single_image.pipeline import prepare

        if len(image.shape) not in self.info.ndim:
            raise InputError(f"the image has {len(image.shape)} spatial axes; {self.info.name} takes 2 (one slice)")
        return prepare(cast("PixelEngine", self), image, device)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names that :meth:`picture` takes: semantic features, where they are an input."""
        return (_SEMANTIC,) if "semantic" in str(getattr(self, "inputs", "")).split("+") else ()

    def picture(self, name: str, state: FitState) -> NDArray[np.float32]:
        """What the network sees, as colours of shape (H, W, 3), from 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name, such as without semantic inputs.
        """
        found = state.semantic if name in self.pictures else None
        if found is None:
            raise InputError(f"there is no picture {name!r}; {self.info.name} has {', '.join(self.pictures) or 'none'}")
        return found

    def segment(
        self, image: Image, scribbles: Scribbles, state: FitState, report: Report = silent
    ) -> Segmentation[FitState]:
        """Fit the network and segment; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        If strokes were only added since the state's last answer, the fit goes on from that answer's weights.
        """
        from napari_scribseg.engines.single_image.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(cast("PixelEngine", self), scribbles, state, report)


def _info(name: str, title: str, summary: str, **more: Any) -> EngineInfo:
    return EngineInfo(name=name, title=title, summary=summary, doi=_DOI, ndim=(2,), **more)


@dataclass(frozen=True)
class PWN(_FittedToOneImage):
    """A pixel-wise network: each pixel by its own colour, place and meaning (Dröge & Moeller 2021, section 3.1).

    Parameters
    ----------
    inputs : str
        What the network sees of a pixel: any of ``colour``, ``position`` and ``semantic``, joined by ``+`` in this
        order.
    backbone : str
        For semantic features: empty for the scribble network of the package, a ``.safetensors`` file of this package,
        or the name of a timm model, whose weights timm's hub downloads.
    width, depth : int
        Channels of a layer, and layers before the last one.
    steps, rate : int, float
        Most steps of Adam, and their size.
    held_back : float
        Share of the strokes that the network is not fitted to but judged by: the weights that suit these best are
        kept, and the fit ends when they get no better. 0: all steps are taken.
    seed : int
        Of the first weights and of what is held back.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    Dröge and Moeller, Learning or Modelling? An Analysis of Single Image Segmentation Based on Scribble Information
    (2021).
    """

    info: ClassVar[EngineInfo] = _info(
        "pwn",
        "Pixel-wise network (fitted to this image)",
        "A tiny network learns colours and places from the strokes; for images of a kind nobody trained for.",
    )

    inputs: Inputs = "colour"
    backbone: str = ""
    width: _Width = 16
    depth: _Depth = 2
    steps: _Steps = 100
    rate: _Rate = 0.01
    held_back: _HeldBack = 0.2
    seed: _Seed = 0


@dataclass(frozen=True)
class CNN(_FittedToOneImage):
    """A small convolutional network, which sees a pixel's surroundings too (Dröge & Moeller 2021, section 3.1).

    Parameters
    ----------
    inputs : str
        What the network sees of a pixel: any of ``colour``, ``position`` and ``semantic``, joined by ``+``.
    backbone : str
        For semantic features: empty for the scribble network of the package, a file, or the name of a timm model.
    width, depth, steps, rate, held_back, seed
        As for :class:`PWN`.
    kernel : int
        Side of the convolutions, in pixels, odd.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    As for :class:`PWN`.
    """

    info: ClassVar[EngineInfo] = _info(
        "cnn",
        "Small CNN (fitted to this image)",
        "Like pwn, but it sees the surroundings of a pixel: for textures; no weights needed.",
    )

    inputs: Inputs = "colour"
    backbone: str = ""
    width: _Width = 16
    depth: _Depth = 2
    kernel: _Kernel = 3
    steps: _Steps = 100
    rate: _Rate = 0.01
    held_back: _HeldBack = 0.2
    seed: _Seed = 0

    def __post_init__(self) -> None:
        check_parameters(self)
        _check_kernel(self.kernel)


@dataclass(frozen=True)
class CNNReg(_FittedToOneImage):
    """A small CNN whose loss must not hang on where a pixel lies (Dröge & Moeller 2021, equation 2).

    Parameters
    ----------
    inputs : str
        What the network sees of a pixel: any of ``colour``, ``position`` and ``semantic``, joined by ``+``.
    backbone : str
        For semantic features: empty for the scribble network of the package, a file, or the name of a timm model.
    width, depth, kernel, steps, rate, held_back, seed
        As for :class:`CNN`.
    beta : float
        Weight of the penalty, in units of 1e-7 as in the paper: ``L + 1e-7 beta |grad L|_1``. The default is for
        positions; on colours it wants a hundred times less.
    penalty : {"position", "colour"}
        The inputs that the gradient is taken with respect to.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range, or the penalised channels are not among the inputs.

    References
    ----------
    As for :class:`PWN`; Drucker and LeCun, Improving Generalization Performance Using Double Backpropagation (1992).
    """

    info: ClassVar[EngineInfo] = _info(
        "cnn-reg",
        "Small CNN with a gradient penalty (fitted to this image)",
        "Like cnn, with positions, but what lies near a stroke need not belong to it; no weights needed.",
    )

    inputs: Inputs = "colour+position"
    backbone: str = ""
    width: _Width = 16
    depth: _Depth = 2
    kernel: _Kernel = 3
    beta: Annotated[float, Range(0, 1e9, 1e4, "weight of the penalty, in units of 1e-7")] = 1e7
    penalty: Literal["position", "colour"] = "position"
    steps: _Steps = 100
    rate: _Rate = 0.01
    held_back: _HeldBack = 0.2
    seed: _Seed = 0

    def __post_init__(self) -> None:
        check_parameters(self)
        _check_kernel(self.kernel)
        if self.penalty not in self.inputs.split("+"):
            raise InputError(
                f"penalty is {self.penalty!r}, but the inputs are {self.inputs!r}; 'colour+position', say, is expected"
            )


@dataclass(frozen=True)
class UNetSingle(_FittedToOneImage):
    """A U-Net fitted to one image (Dröge & Moeller 2021, section 3.1; Ronneberger et al. 2015).

    Parameters
    ----------
    inputs : str
        What the network sees of a pixel: any of ``colour``, ``position`` and ``semantic``, joined by ``+``.
    backbone : str
        For semantic features: empty for the scribble network of the package, a file, or the name of a timm model.
    steps, rate, held_back, seed
        As for :class:`PWN`.
    width : int
        Channels of the finest scale; each coarser one has twice as many.
    levels : int
        Downscalings, 0 to 4.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    As for :class:`PWN`; Ronneberger et al., U-Net (2015).
    """

    info: ClassVar[EngineInfo] = _info(
        "unet-single",
        "U-Net (fitted to this image)",
        "A U-Net learned from the strokes alone: slow, and overfits; for comparison.",
    )

    inputs: Inputs = "colour"
    backbone: str = ""
    width: _Width = 16
    levels: Annotated[int, Range(0, 4, 1, "downscalings")] = 1
    steps: _Steps = 100
    rate: _Rate = 0.003
    held_back: _HeldBack = 0.2
    seed: _Seed = 0


@dataclass(frozen=True)
class FineTune(_FittedToOneImage):
    """A trained network with a new last layer, fine-tuned on the strokes (Dröge & Moeller 2021, section 3.3).

    The network sees the image alone; what it learned from many images is all that it brings along.

    Parameters
    ----------
    weights : str
        Path of a ``.safetensors`` file with a network of this package, one that was converted too; empty for the one
        that comes with it.
    frozen : {"nothing", "encoder", "all but the last layer"}
        What stays as it was trained. Batch norms always keep their statistics.
    size : int
        Pixels along the longer side of what the network is shown; a smaller image is shown as it is.
    steps, rate, held_back, seed
        As for :class:`PWN`.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    As for :class:`PWN`.
    """

    info: ClassVar[EngineInfo] = _info(
        "finetune",
        "Fine-tuned network (transfer learning)",
        "A trained network, yours too, learns this image's classes from the strokes; slow; for comparison.",
        needs_weights=True,
    )

    weights: str = ""
    frozen: Literal["nothing", "encoder", "all but the last layer"] = "encoder"
    size: Annotated[int, Range(32, 2048, 32, "pixels along the longer side of what the network is shown")] = 256
    steps: _Steps = 60
    rate: _Rate = 0.003
    held_back: _HeldBack = 0.2
    seed: _Seed = 0

    def prepare(self, image: Image, device: str = "auto") -> FitState:
        """Load the network and scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.single_image.transfer import prepare

        if len(image.shape) not in self.info.ndim:
            raise InputError(f"the image has {len(image.shape)} spatial axes; {self.info.name} takes 2 (one slice)")
        return prepare(self, image, device)

    def segment(
        self, image: Image, scribbles: Scribbles, state: FitState, report: Report = silent
    ) -> Segmentation[FitState]:
        """Fine-tune and segment; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        If strokes were only added since the state's last answer, the fit goes on from that answer's weights.
        """
        from napari_scribseg.engines.single_image.transfer import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)


def _check_kernel(kernel: int) -> None:
    if kernel % 2 == 0:
        raise InputError(f"kernel is {kernel}; an odd number of pixels is expected")
