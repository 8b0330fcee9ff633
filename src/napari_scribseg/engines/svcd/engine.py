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
    import numpy as np
    from numpy.typing import NDArray

    from napari_scribseg.engines.svcd.pipeline import SVCDState

__all__ = ["SVCD"]


@dataclass(frozen=True)
class SVCD:
    """Spatially varying colour distributions (Nieuwenhuis & Cremers 2013), as used by Droege & Moeller (2021).

    Parameters
    ----------
    model : {"auto", "paper"}
        ``"auto"`` estimates what it needs from the image and the strokes; ``"paper"`` is the published model with the
        parameters sigma, alpha, smoothness and gamma.
    sigma : float
        Width of the colour kernel, on the scale 0 to 255 (model ``"paper"``).
    alpha : float
        Width of the spatial kernel, in distances to the nearest stroke (model ``"paper"``).
    smoothness : float
        Weight of the boundary length: lambda of the model ``"paper"``, per cent of the estimated one in ``"auto"``.
    gamma : float
        How much cheaper the boundary is on edges of the image: ``exp(-gamma |gradient|)``.
    features : {"colour", "colour+semantic"}
        What the densities are estimated of: colours or intensities alone, or with the semantic features of a trained
        network's encoder as three more channels (Droege & Moeller 2021, section 3.1); edges are those of the image.
    backbone : str
        For semantic features: empty for the scribble network of the package, a ``.safetensors`` file of this package,
        or the name of a timm model, whose weights timm's hub downloads.

    Raises
    ------
    InputError
        If a parameter is outside its range.
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="svcd",
        title="SVCD (variational, no training)",
        summary="The best start for any image: fast, needs no training and no weights, 2 to 20 classes.",
        doi="10.1109/TPAMI.2012.183",
        ndim=(2,),
        max_classes=20,
        live=True,
    )

    model: Literal["auto", "paper"] = "auto"
    sigma: Annotated[float, Range(0.1, 100, 0.1, "model paper: width of the colour kernel, on the scale 0 to 255")] = (
        1.3
    )
    alpha: Annotated[
        float, Range(0.1, 50, 0.1, "model paper: width of the spatial kernel, in distances to the stroke")
    ] = 1.8
    smoothness: Annotated[
        float, Range(0, 1000, 1, "weight of the boundary length; in the model auto, per cent of its own")
    ] = 100.0
    gamma: Annotated[float, Range(0, 50, 0.1, "how much cheaper the boundary is on edges")] = 5.0
    features: Literal["colour", "colour+semantic"] = "colour"
    backbone: str = ""

    def __post_init__(self) -> None:
        check_parameters(self)

    def describe(self) -> tuple[str, ...]:
        """The published model's parameters, for the notes of an answer."""
        return (f"published model: sigma {self.sigma:g}, alpha {self.alpha:g}, smoothness {self.smoothness:g}",)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names that :meth:`picture` takes: semantic features, where they are looked at."""
        return ("semantic features",) if self.features == "colour+semantic" else ()

    def picture(self, name: str, state: SVCDState) -> NDArray[np.float32]:
        """What densities are estimated of besides colours, as colours of shape (H, W, 3), from 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name, such as without semantic features.
        """
        if name not in self.pictures:
            raise InputError(f"there is no picture {name!r}; svcd has {', '.join(self.pictures) or 'none'}")
        return state.backend.semantic(self).transpose(1, 2, 0)

    def prepare(self, image: Image, device: str = "auto") -> SVCDState:
        """Scale the intensities, find the edges; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.svcd.pipeline import prepare

        if len(image.shape) not in self.info.ndim:
            raise InputError(f"the image has {len(image.shape)} spatial axes; svcd takes 2 (one slice)")
        return prepare(self, image, device)

    def segment(
        self, image: Image, scribbles: Scribbles, state: SVCDState, report: Report = silent
    ) -> Segmentation[SVCDState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`."""
        from napari_scribseg.engines.svcd.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)
