"""The parameters of the networks that are fitted to one image, each declared and documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from napari_scribseg.core import Range, Shown
from napari_scribseg.numerics.reading import StrokeReading

__all__ = [
    "ConvolutionParameters",
    "FineTuneParameters",
    "FitParameters",
    "InputParameters",
    "Inputs",
    "LayerParameters",
    "PenaltyParameters",
    "Rate",
    "ScratchParameters",
    "Steps",
    "TransferParameters",
    "UNetParameters",
]

Steps = Annotated[
    int,
    Range(1, 100000, 10, "most steps of Adam for the first strokes; a further stroke takes fewer"),
    Shown("Learning steps", "How long it learns from the first strokes at most; a further stroke takes fewer steps."),
]
Rate = Annotated[
    float,
    Range(1e-6, 1, 1e-3, "step size of Adam"),
    Shown("Learning rate", "How much a step changes; too large a value makes it restless."),
]

_Channels = Literal[
    "colour",
    "position",
    "semantic",
    "colour+position",
    "colour+semantic",
    "position+semantic",
    "colour+position+semantic",
]
Inputs = Annotated[
    _Channels,
    Shown("Looks at", "What it is given of a pixel: its colour, its place, what a trained network sees there."),
]


@dataclass(frozen=True)
class InputParameters:
    """The input and the width of a network.

    Parameters
    ----------
    inputs : str
        Input channels: any of ``colour``, ``position`` and ``semantic``, joined by ``+`` in this order.
    backbone : str
        For semantic features: empty for the scribble network of the package, a ``.safetensors`` file of this package,
        or the name of a timm model, whose weights are downloaded from the Hugging Face hub.
    width : int
        Channels of a layer; of a U-Net, of the finest scale, and each coarser one has twice as many.
    """

    inputs: Inputs = "colour"
    backbone: Annotated[
        str,
        Shown(
            "Feature network",
            "Empty: the one that comes with the package. Or a .safetensors file, or the name of a timm model, which is "
            "downloaded once.",
            when=("inputs", tuple(choice for choice in get_args(_Channels) if "semantic" in choice)),
        ),
    ] = ""
    width: Annotated[
        int,
        Range(1, 512, 1, "channels of a layer"),
        Shown("Network width", "Larger: it can tell more apart, and is slower."),
    ] = 16

    @property
    def is_semantic(self) -> bool:
        """Whether semantic features are an input."""
        return "semantic" in self.inputs.split("+")


@dataclass(frozen=True)
class LayerParameters(InputParameters):
    """Layers; further parameters as :class:`InputParameters`.

    Parameters
    ----------
    depth : int
        Layers before the last one.
    """

    depth: Annotated[
        int,
        Range(1, 16, 1, "layers before the last one"),
        Shown("Layers", "More: it can tell more apart, and is slower."),
    ] = 2


@dataclass(frozen=True)
class ConvolutionParameters(LayerParameters):
    """Convolutions; further parameters as :class:`LayerParameters`.

    Parameters
    ----------
    kernel : int
        Side of the convolutions, in pixels, odd.
    """

    kernel: Annotated[
        int,
        Range(1, 15, 2, "side of the convolutions, in pixels; odd"),
        Shown("Neighbourhood", "Side of the square around a pixel that a layer sees, in pixels; an odd number."),
    ] = 3


@dataclass(frozen=True)
class PenaltyParameters(ConvolutionParameters):
    """Gradient penalty; further parameters as :class:`ConvolutionParameters`.

    Parameters
    ----------
    beta : float
        Weight of the penalty, in units of 1e-7 as in the paper: ``L + 1e-7 beta |grad L|_1``. The default is for
        positions; on colours it should be a hundred times smaller.
    penalty : {"position", "colour"}
        The inputs that the gradient is taken with respect to.
    """

    beta: Annotated[
        float,
        Range(0, 1e9, 1e4, "weight of the penalty, in units of 1e-7"),
        Shown("Penalty", "Larger: the result depends less on what the penalty is for."),
    ] = 1e7
    penalty: Annotated[
        Literal["position", "colour"], Shown("Penalty for", "Dependence on the place of a pixel, or on its colour.")
    ] = "position"


@dataclass(frozen=True)
class UNetParameters(InputParameters):
    """Scales of a U-Net; further parameters as :class:`InputParameters`.

    Parameters
    ----------
    levels : int
        Downscalings, 0 to 4.
    """

    levels: Annotated[
        int,
        Range(0, 4, 1, "downscalings"),
        Shown("Coarser scales", "How often the image is halved to see more around a pixel."),
    ] = 1


@dataclass(frozen=True)
class TransferParameters:
    """A trained network.

    Parameters
    ----------
    weights : str
        Path of a ``.safetensors`` file with a network of this package, also a converted one; empty for the one that
        comes with it.
    frozen : {"nothing", "encoder", "all but the last layer"}
        The weights that stay as they were trained. Batch norms always keep their statistics.
    size : int
        Pixels along the longer side of the network's input; a smaller image keeps its size.
    """

    weights: Annotated[str, Shown("Network file", "Empty: the network that comes with the package.")] = ""
    frozen: Annotated[
        Literal["nothing", "encoder", "all but the last layer"],
        Shown("Stays as trained", "Which part of the network your strokes do not change."),
    ] = "encoder"
    size: Annotated[
        int,
        Range(32, 2048, 32, "pixels along the longer side of the network's input"),
        Shown("Resolution", "Pixels along the longer side of what the network sees."),
    ] = 256


@dataclass(frozen=True)
class FitParameters:
    """The fit.

    Parameters
    ----------
    steps : int
        Most steps of Adam for the first strokes; a further stroke takes fewer.
    rate : float
        Step size of Adam.
    held_back : float
        Share of the strokes that the network is not fitted to. The weights with the least loss at these are kept, and
        the fit ends when that loss stops falling. 0: all steps are taken.
    seed : int
        Of the initial weights and of the held-back strokes; the same seed gives the same result.
    strokes : {"auto", "exact", "loose"}
        How strokes are read, see :func:`~napari_scribseg.numerics.reading.reads_strokes`: ``"exact"``: every stroke
        pixel has its class; ``"loose"``: strokes follow a structure under the pen; ``"auto"``: loose where the image
        shows that the structure is thinner than the pen.
    """

    steps: Steps = 100
    rate: Rate = 0.01
    held_back: Annotated[
        float,
        Range(0, 0.5, 0.05, "share of the strokes that only judges when to stop"),
        Shown("Held back", "Share of the strokes that it does not learn from, to see when it has learned enough."),
    ] = 0.2
    seed: Annotated[
        int,
        Range(0, 2**31 - 1, 1, "of the first weights; the same seed gives the same result"),
        Shown("Random start", "The same number gives the same result again."),
    ] = 0
    strokes: StrokeReading = "auto"


@dataclass(frozen=True)
class ScratchParameters(FitParameters, InputParameters):
    """Parameters of a network that begins with random weights."""


@dataclass(frozen=True)
class FineTuneParameters(FitParameters, TransferParameters):
    """Parameters of a trained network that is fine-tuned; it takes fewer and smaller steps."""

    steps: Steps = 60
    rate: Rate = 0.003
