"""The engines' parameters and their two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import (
    EngineInfo,
    Image,
    InputError,
    Report,
    Scribbles,
    Segmentation,
    Shown,
    check_parameters,
    silent,
)
from napari_scribseg.engines.brs.parameters import (
    Evaluations,
    Inertia,
    ModelPath,
    Objective,
    Refine,
    RefinementParameters,
    Seconds,
    Trust,
    WeightsPath,
    Zoom,
)
from napari_scribseg.numerics.reading import StrokeReading, reads_strokes

if TYPE_CHECKING:
    from napari_scribseg.engines.brs.state import BRSState

__all__ = ["BRS", "FBRS"]


class _Refinement(RefinementParameters):
    """The methods of both engines."""

    info: ClassVar[EngineInfo]

    def __post_init__(self) -> None:
        check_parameters(self)
        for name, value in (("trust", self.trust), ("zoom", self.zoom)):
            if not isinstance(value, bool):
                raise InputError(f"{name} is {value!r}; True or False is expected")

    def prepare(self, image: Image, device: str = "auto") -> BRSState:
        """Load the network and scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.brs.pipeline import prepare

        self.info.require(image)
        return prepare(self, image, device)

    @property
    def slices(self) -> int:
        """How many slices of a volume the network takes at once: more than one for 2.5D networks.

        A session gives :meth:`prepare` the slice with those around it as further channels, all of the first slice
        first; a slice alone is repeated.
        """
        from napari_scribseg.engines.brs.model_source import card_of

        card = card_of(self.model, self.weights)
        return 1 if card is None else card.slices

    def unprompted(self, state: BRSState) -> NDArray[np.float32]:
        """Probabilities of the network's own classes without strokes, the background first.

        Parameters
        ----------
        state : BRSState
            From :meth:`prepare`.

        Returns
        -------
        ndarray of shape (K, H, W), float32

        Raises
        ------
        InputError
            If the network was trained to be given strokes.
        """
        from napari_scribseg.engines.brs.pipeline import unprompted

        return unprompted(state)

    @reads_strokes
    def segment(
        self, image: Image, scribbles: Scribbles, state: BRSState, report: Report = silent
    ) -> Segmentation[BRSState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        Strokes of one of two classes are enough: every other pixel then belongs to the other class. So are those of one
        class for a network that predicts several classes without strokes.
        """
        from napari_scribseg.engines.brs.pipeline import segment

        several = state.own is not None and state.network.n_classes > 2
        least = 0 if several else self.info.min_classes
        scribbles.require(image.shape, max_classes=self.info.max_classes, min_classes=least)
        return segment(self, scribbles, state, report)


@dataclass(frozen=True)
class BRS(_Refinement):
    """Backpropagating refinement (Jang & Kim 2019): a network's input is corrected until it agrees with the strokes.

    Parameters
    ----------
    model : str
        The network: a ``.safetensors`` file of this package, a ``.pt2`` file of ``torch.export``, a TorchScript file,
        the folder of a MONAI bundle, ``package.module:factory`` (a function, or class, that makes it), or the name of a
        network that comes with the package; empty for ``scribble-net``. A file beside it
        describes its input, see :class:`ModelCard <napari_scribseg.engines.brs.ModelCard>`.
    weights : str
        For a factory: a ``.safetensors`` file, or one of ``torch.save`` that holds tensors only.
    trust : bool
        Whether code that comes with the model may run; needed for all but ``.safetensors``, see
        :func:`runs_code <napari_scribseg.engines.brs.runs_code>`.
    evaluations : int
        Most forward and backward passes for a result (for each class, if the network predicts one object only).
    seconds : float
        Time after which the best result so far is taken.
    inertia : float
        Cost of a change of the maps: lambda of the paper.
    objective : {"cross-entropy", "squared"}
        Disagreement with the strokes: ``"squared"`` as published; ``"cross-entropy"``, whose gradient does not vanish
        where the network is certain and wrong.
    zoom : bool
        Whether a network that takes strokes is shown objects in crops. One of this package that was trained on
        scribbles predicts every painted class, the background too, each in a crop around its strokes and with its last
        prediction as an input, as the engine ``scribble-net`` does; one that was trained on clicks predicts objects
        only, in such a crop; other networks see the whole image until there is a first result and, of an object with
        dots only, four dots (Sofiuk et al.; not published for this method).
    precision : {"float32", "bfloat16"}
        Type that the network computes in while its input is corrected. ``"bfloat16"`` is not exact; it is faster
        where the processor has instructions for it (AMX, AVX512-BF16, graphics cards), and slower elsewhere.
    refine : {"edges", "none"}
        ``"edges"``: boundaries by a network of this package that takes strokes, which sees 128 pixels along a side, are
        moved to edges at the image's full resolution. The results of other networks are unchanged.
    strokes : {"auto", "exact", "loose"}
        How strokes are read, see :func:`~napari_scribseg.numerics.reading.reads_strokes`: ``"exact"``: every stroke
        pixel has its class; ``"loose"``: strokes follow a structure under the pen; ``"auto"``: loose where the image
        shows that the structure is thinner than the pen.
    decoder : {"last", "coarse"}
        Of a network of the paper's shape (``brs-net``), whose output is corrected and taken: that of the fine decoder,
        or that of the coarse one, a quarter of the resolution, without the fine decoder being computed (table 2).

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    Jang and Kim, Interactive Image Segmentation via Backpropagating Refinement Scheme (2019).
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="brs",
        title="Your network with strokes (BRS)",
        summary="Makes a trained network agree with every stroke, your own U-Net too.",
        doi="10.1109/CVPR.2019.00544",
        ndim=(2,),
        min_classes=1,
        needs_weights=True,
        group="Your own network",
        needs="the file of your network and one stroke",
    )

    model: ModelPath = ""
    weights: WeightsPath = ""
    trust: Trust = False
    evaluations: Evaluations = 20
    seconds: Seconds = 10.0
    inertia: Inertia = 1e-3
    objective: Objective = "cross-entropy"
    zoom: Zoom = True
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Shown("Numbers", "Exact, or shorter ones, which some processors are quicker with.", choices=("exact", "short")),
    ] = "float32"
    refine: Refine = "edges"
    strokes: StrokeReading = "auto"
    decoder: Annotated[
        Literal["last", "coarse"],
        Shown("Output", "Of a network of the published shape: fine, or coarse, quicker.", choices=("fine", "coarse")),
    ] = "last"


@dataclass(frozen=True)
class FBRS(_Refinement):
    """Feature backpropagating refinement (Sofiuk et al. 2020): as :class:`BRS`, but faster.

    The channels of a layer are corrected instead of the maps, each by a scale and a bias. Everything before the layer
    is computed once.

    Parameters
    ----------
    model : str
        The network, as for :class:`BRS`; empty for the network that comes with the package.
    weights : str
        For a factory: a ``.safetensors`` file, or one of ``torch.save`` that holds tensors only.
    trust : bool
        Whether code that comes with the model may run; needed for all but ``.safetensors``.
    layer : {"A", "B", "C"}
        Where: ``"A"`` the coarsest scale, ``"B"`` before the finest scale, ``"C"`` before the last convolution; the
        later, the quicker and the less is corrected together.
    evaluations : int
        Most passes through the part behind the layer.
    seconds : float
        Time after which the best result so far is taken.
    inertia : float
        Cost of a change of the scales; that of the biases is ten times as high.
    objective : {"cross-entropy", "squared"}
        Disagreement with the strokes, as for :class:`BRS`.
    zoom : bool
        Whether a network that takes strokes is shown objects in crops, as for :class:`BRS`.
    refine : {"edges", "none"}
        ``"edges"``: boundaries by a network of this package that takes strokes are moved to edges at the image's full
        resolution, as for :class:`BRS`.
    strokes : {"auto", "exact", "loose"}
        How strokes are read, see :func:`~napari_scribseg.numerics.reading.reads_strokes`: ``"exact"``: every stroke
        pixel has its class; ``"loose"``: strokes follow a structure under the pen; ``"auto"``: loose where the image
        shows that the structure is thinner than the pen.

    Notes
    -----
    A scale and a bias hold for the whole image: where it shows many objects and the network was never trained with
    strokes, a correction of one spoils others. :class:`BRS` corrects where the strokes are.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    Sofiuk et al., f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation (2020).
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="f-brs",
        title="Your network with strokes, quicker (f-BRS)",
        summary="Like BRS, with less work for each stroke; for large networks.",
        doi="10.1109/CVPR42600.2020.00865",
        ndim=(2,),
        min_classes=1,
        needs_weights=True,
        group="Your own network",
        needs="the file of your network and one stroke",
    )

    model: ModelPath = ""
    weights: WeightsPath = ""
    trust: Trust = False
    layer: Annotated[
        Literal["A", "B", "C"],
        Shown(
            "Corrects",
            "The whole object together (slowest), the surroundings of a stroke, or what is close to it (quickest).",
            choices=("whole objects", "surroundings", "close to the stroke"),
        ),
    ] = "B"
    evaluations: Evaluations = 20
    seconds: Seconds = 10.0
    inertia: Inertia = 1e-3
    objective: Objective = "cross-entropy"
    zoom: Zoom = True
    refine: Refine = "edges"
    strokes: StrokeReading = "auto"
