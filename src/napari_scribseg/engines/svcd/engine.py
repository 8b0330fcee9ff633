"""The engine's parameters and its two methods; the work is done in ``pipeline``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from napari_scribseg.core import (
    EngineInfo,
    Image,
    InputError,
    Report,
    Scribbles,
    Segmentation,
    Shown,
    silent,
)
from napari_scribseg.numerics.reading import StrokeReading, reads_strokes
from napari_scribseg.numerics.variational.parameters import EnergyParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_scribseg.engines.svcd.pipeline import SVCDState

__all__ = ["SVCD"]


@dataclass(frozen=True)
class SVCD(EnergyParameters):
    r"""Spatially varying colour distributions with a convex relaxation: the minimal partition that fits the strokes.

    The labelling :math:`u`, relaxed to the probability simplex at each pixel, minimises

    .. math::

        \sum_x \sum_{i=1}^{K} u_i(x) f_i(x) + \lambda \sum_x g(x) |\nabla u(x)|
        \quad\text{with}\quad u_i(x) \ge 0,\; \sum_i u_i(x) = 1,

    where :math:`f_i(x)` is the cost of class :math:`i`, :math:`g(x)` is small on edges, and the norm of the gradient is
    taken over all classes together. Stroke pixels cost 0 in their class and 1000 in every other. The label of a pixel
    is its largest :math:`u_i`.

    **Published model** (``model="paper"``). The density of class :math:`i` is estimated from its stroke pixels
    :math:`x_{ij}` with the colours :math:`I_{ij}`, by a spatial kernel that widens with the distance to the strokes:

    .. math::

        p_i(x) = \frac{1}{m_i} \sum_{j=1}^{m_i} k_{\rho_i(x)}(x - x_{ij}) \, k_\sigma(I(x) - I_{ij}), \quad
        \rho_i(x) = \alpha \min_j |x - x_{ij}|, \quad f_i(x) = -\log p_i(x),

    with Gaussian kernels :math:`k`, and all densities together scaled to (1e-7, 1]. Edges have
    :math:`g(x) = \exp(-\gamma |\nabla I(x)|)`, each component of the gradient divided by its maximum.

    **Self-tuning model** (``model="auto"``). The cost is a weighted sum,

    .. math::

        f_i(x) = w_1 [-\log \tfrac{p_i(x)}{\sum_k p_k(x)}] + w_2 \log(1 + d_i(x)) + w_3 \log(1 + g_i(x))
        + w_4 [-\log q_i(x)],

    of the share of the densities above, the Euclidean distance :math:`d_i` to the strokes, the geodesic distance
    :math:`g_i` along paths that avoid edges, and the density :math:`q_i` of colours alone. In RGB pictures only the
    first term has a weight. Elsewhere the weights, and the width of the colour kernels, follow from how well colours
    separate stroke pixels that are held back.

    Parameters
    ----------
    model : {"auto", "paper"}
        Self-tuning or published model.
    sigma : float
        Width :math:`\sigma` of the colour kernel, on the scale 0 to 255 (model ``"paper"``).
    alpha : float
        Width :math:`\alpha` of the spatial kernel, in distances to the nearest stroke (model ``"paper"``).
    smoothness : float
        Weight :math:`\lambda` of the boundary length in the model ``"paper"``; in ``"auto"`` per cent of the weight
        that it chose.
    gamma : float
        How much cheaper a boundary is on an edge; in ``"auto"``, 5 is the model's own choice.
    features : {"colour", "colour+semantic"}
        Channels that densities are estimated from: colours or intensities alone, or also the semantic features of a
        trained network's encoder (Dröge & Moeller 2021, section 3.1). Edges are always those of the image.
    backbone : str
        For semantic features: empty for the scribble network of the package, a ``.safetensors`` file of this package,
        or the name of a timm model, whose weights are downloaded from the Hugging Face hub.
    strokes : {"auto", "exact", "loose"}
        How strokes are read, see :func:`~napari_scribseg.numerics.reading.reads_strokes`: ``"exact"``: every stroke
        pixel has its class; ``"loose"``: strokes follow a structure under the pen; ``"auto"``: loose where the image
        shows that the structure is thinner than the pen.

    Raises
    ------
    InputError
        If a parameter is outside its range.

    Notes
    -----
    The energy is minimised by the primal-dual method of Chambolle and Pock, from a coarse resolution to the full one.
    On the CPU the loops are compiled with numba; on other devices the same arithmetic runs in torch.

    References
    ----------
    .. [1] C. Nieuwenhuis and D. Cremers. Spatially Varying Color Distributions for Interactive Multilabel Segmentation.
       IEEE Transactions on Pattern Analysis and Machine Intelligence 35(5), 2013. :doi:`10.1109/TPAMI.2012.183`
    .. [2] H. Dröge and M. Moeller. Learning or Modelling? An Analysis of Single Image Segmentation Based on Scribble
       Information. ICIP 2021. :doi:`10.1109/ICIP42928.2021.9506264`
    .. [3] A. Chambolle and T. Pock. A First-Order Primal-Dual Algorithm for Convex Problems with Applications to
       Imaging. Journal of Mathematical Imaging and Vision 40, 2011. :doi:`10.1007/s10851-010-0251-1`

    Examples
    --------
    >>> from napari_scribseg import get_engine
    >>> engine = get_engine("svcd", model="paper", sigma=1.3, alpha=1.8, smoothness=100.0, gamma=5.0)
    """

    info: ClassVar[EngineInfo] = EngineInfo(
        name="svcd",
        title="Colours and edges (SVCD, nothing trained)",
        summary="Quickest: from brightness, colours and edges alone; nothing was trained.",
        doi="10.1109/TPAMI.2012.183",
        ndim=(2,),
        max_classes=20,
        live=True,
        group="Start here",
    )

    features: Annotated[
        Literal["colour", "colour+semantic"],
        Shown(
            "Compares",
            "The brightness or colour of pixels, or also what a trained network sees in them.",
            choices=("colours", "colours and network features"),
        ),
    ] = "colour"
    backbone: Annotated[
        str,
        Shown(
            "Feature network",
            "Empty: the one that comes with the package. Or a .safetensors file, or the name of a timm model, which is "
            "downloaded once.",
            when=("features", ("colour+semantic",)),
        ),
    ] = ""
    strokes: StrokeReading = "auto"

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names that :meth:`picture` takes: the semantic features, where they are used."""
        return ("semantic features",) if self.features == "colour+semantic" else ()

    def picture(self, name: str, state: SVCDState) -> NDArray[np.float32]:
        """The semantic features that densities are estimated from, as colours of shape (H, W, 3), from 0 to 1.

        Raises
        ------
        InputError
            If there is no picture of this name, such as without semantic features.
        """
        if name not in self.pictures:
            raise InputError(f"there is no picture {name!r}; svcd has {', '.join(self.pictures) or 'none'}")
        return state.backend.semantic().transpose(1, 2, 0)

    def prepare(self, image: Image, device: str = "auto") -> SVCDState:
        """Scale the intensities, find the edges; see :meth:`Engine.prepare <napari_scribseg.core.Engine.prepare>`."""
        from napari_scribseg.engines.svcd.pipeline import prepare

        self.info.require(image)
        return prepare(self, image, device, self.backbone if self.features == "colour+semantic" else None)

    @reads_strokes
    def segment(
        self, image: Image, scribbles: Scribbles, state: SVCDState, report: Report = silent
    ) -> Segmentation[SVCDState]:
        """Segment the image; see :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`."""
        from napari_scribseg.engines.svcd.pipeline import segment

        scribbles.require(image.shape, max_classes=self.info.max_classes)
        return segment(self, scribbles, state, report)
