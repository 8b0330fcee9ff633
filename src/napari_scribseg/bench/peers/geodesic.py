"""Nearest stroke by geodesic distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from napari_scribseg.bench.peers.shared import edge_strength, hard_segmentation
from napari_scribseg.core import EngineInfo, Image, Range, Report, Scribbles, Segmentation, check_parameters, silent

__all__ = ["Geodesic"]


@dataclass(frozen=True)
class Geodesic:
    """The class whose stroke lies nearest along paths that edges make longer (Bai & Sapiro 2009), by scikit-image.

    Parameters
    ----------
    edge_cost : float
        A step costs 1 + this times the gradient in units of its 90th percentile.
    """

    edge_cost: Annotated[float, Range(0, 1000)] = 100.0

    info: ClassVar[EngineInfo] = EngineInfo(
        "geodesic", "Geodesic distance", "nearest stroke by geodesic distance", doi="10.1007/s11263-008-0191-z"
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.float64]:
        """What a step costs at each pixel."""
        edges = edge_strength(image)
        scale = max(float(np.percentile(edges, 90)), 1e-12)
        return 1 + self.edge_cost * edges / scale

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.float64], report: Report = silent
    ) -> Segmentation[NDArray[np.float64]]:
        """Distances from every class; the smallest wins."""
        scribbles.require(image.shape)
        sampling = tuple(size / min(image.spacing) for size in image.spacing)
        distances = np.full((scribbles.n_classes, *image.shape), np.inf)
        for k in np.flatnonzero(scribbles.counts):
            distances[k] = MCP_Geometric(state, sampling=sampling).find_costs(np.argwhere(scribbles.seeds == k))[0]
        return hard_segmentation(distances.argmin(axis=0), scribbles, state)
