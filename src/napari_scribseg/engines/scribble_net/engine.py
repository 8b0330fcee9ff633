"""The engine's parameters and its two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from napari_scribseg.core import (
    EngineInfo,
    Image,
    Report,
    Scribbles,
    Segmentation,
    silent,
)
from napari_scribseg.engines.scribble_net.parameters import ScribbleNetParameters
from napari_scribseg.numerics.reading import reads_strokes

if TYPE_CHECKING:
    from napari_scribseg.engines.scribble_net.pipeline import NetState

__all__ = ["ScribbleNet"]


@dataclass(frozen=True)
class ScribbleNet(ScribbleNetParameters):
    """A network trained on simulated strokes (Lowes et al. 2023), run on a crop for each class.

    The network computes the logits of one class against all others; the classes' logits are merged on the image grid.
    With strokes of two classes or more, its probabilities are then a data term of the energy of ``svcd``.

    Parameters
    ----------
    weights : str
        Path of a .safetensors file with a network of this package; empty for the one that comes with it.
    crop : {"auto", "whole"}
        ``"auto"``: the network is shown each class in a crop around its strokes, enlarged until its object fits;
        ``"whole"``: always the whole image, with less resolution.
    refine : {"edges", "none"}
        ``"edges"``: boundaries are moved to edges of the image at its full resolution; ``"none"``: the prediction is
        only enlarged. Ignored where ``hybrid`` is above 0.
    hybrid : float
        Share of the variational model (``svcd``: the colours near the strokes, paths to them, edges) in the result for
        strokes of two classes or more, from 0 (the network alone) to 1 (the model alone).
    passes : int
        2: a second pass in a crop that fits the object, with the first prediction as an input; 1: one pass only, as
        previews do.
    strokes : {"auto", "exact", "loose"}
        How strokes are read, see :func:`~napari_scribseg.numerics.reading.reads_strokes`: ``"exact"``: every stroke
        pixel has its class; ``"loose"``: strokes follow a structure under the pen; ``"auto"``: loose where the image
        shows that the structure is thinner than the pen.

    Raises
    ------
    InputError
        If a parameter has a wrong type or is outside its range.

    References
    ----------
    Lowes et al., Interactive Scribble Segmentation (2023).
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="scribble-net",
        title="Scribble network (trained)",
        summary="Best for most images: one stroke is enough, and the result follows the pen.",
        doi="10.7557/18.6823",
        ndim=(2,),
        min_classes=1,
        needs_weights=True,
        live=True,
        group="Start here",
    )

    def prepare(self, image: Image, device: str = "auto") -> NetState:
        """Load the network and scale the image; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.scribble_net.pipeline import prepare

        self.info.require(image)
        return prepare(self, image, device)

    @reads_strokes
    def segment(
        self, image: Image, scribbles: Scribbles, state: NetState, report: Report = silent
    ) -> Segmentation[NetState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.

        Strokes of one of two classes are enough: every other pixel then belongs to the other class.
        """
        from napari_scribseg.engines.scribble_net.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes, min_classes=self.info.min_classes)
        return segment(self, scribbles, state, report)
