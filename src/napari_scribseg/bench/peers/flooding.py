"""Seeded watersheds: scikit-image's on the pixels, higra's on the edges between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from napari_scribseg.bench.peers.shared import channels_last, edge_strength, hard_segmentation
from napari_scribseg.core import EngineInfo, Image, Report, Scribbles, Segmentation, silent

__all__ = ["HigraWatershed", "Watershed"]


@dataclass(frozen=True)
class Watershed:
    """Seeded watershed on the Sobel gradient of the grey image."""

    info: ClassVar[EngineInfo] = EngineInfo(
        "watershed", "Seeded watershed", "scikit-image's watershed on the Sobel gradient", doi="10.1109/34.87344"
    )

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.float64]:
        """The gradient."""
        return edge_strength(image)

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.float64], report: Report = silent
    ) -> Segmentation[NDArray[np.float64]]:
        """Flood from the seeds."""
        scribbles.require(image.shape)
        labels = watershed(state, scribbles.seeds + 1) - 1  # type: ignore[no-untyped-call]
        return hard_segmentation(labels, scribbles, state)


@dataclass(frozen=True)
class HigraWatershed:
    """Seeded watershed cut of the 4-adjacency graph, edges weighted by the difference of their ends' intensities."""

    info: ClassVar[EngineInfo] = EngineInfo(
        "higra-watershed", "Watershed cut", "higra's seeded watershed on graph edges", doi="10.1109/TPAMI.2008.173"
    )

    def prepare(self, image: Image, device: str = "auto") -> tuple[Any, NDArray[np.float64]]:
        """The graph and its weights."""
        import higra

        graph = higra.get_4_adjacency_graph(image.shape)
        pixels = channels_last(image).astype(np.float64)
        flat = pixels.reshape(-1, pixels.shape[-1])
        return graph, higra.weight_graph(graph, flat, higra.WeightFunction.L2)

    def segment(
        self,
        image: Image,
        scribbles: Scribbles,
        state: tuple[Any, NDArray[np.float64]],
        report: Report = silent,
    ) -> Segmentation[tuple[Any, NDArray[np.float64]]]:
        """Flood from the seeds."""
        import higra

        scribbles.require(image.shape)
        graph, weights = state
        found = higra.labelisation_seeded_watershed(graph, weights, (scribbles.seeds + 1).ravel())
        labels = np.clip(np.asarray(found).reshape(image.shape).astype(np.intp) - 1, 0, None)
        return hard_segmentation(labels, scribbles, state)
