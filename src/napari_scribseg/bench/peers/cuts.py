"""Graph cuts: Boykov and Jolly's by PyMaxflow, GrabCut by OpenCV; each class against all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_scribseg.bench.peers.shared import channels_last, hard_segmentation, nearest_class, one_vs_rest
from napari_scribseg.core import EngineInfo, Image, Range, Report, Scribbles, Segmentation, check_parameters, silent

__all__ = ["GrabCut", "GraphCut"]

_BINS = {1: 64, 3: 16}  # of a histogram, for each channel
_HARD = 1e6


@dataclass(frozen=True)
class GraphCut:
    """Minimum cut with histograms of the strokes and contrast-weighted neighbours (Boykov & Jolly 2001).

    Parameters
    ----------
    smoothness : float
        Weight of the boundary against the histograms.
    """

    smoothness: Annotated[float, Range(0, 1000)] = 100.0

    info: ClassVar[EngineInfo] = EngineInfo(
        "graph-cut", "Graph cut", "histograms and a minimum cut by PyMaxflow", doi="10.1109/ICCV.2001.937505"
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.float32]:
        """Intensities from 0 to 1, channels last."""
        return channels_last(image)

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.float32], report: Report = silent
    ) -> Segmentation[NDArray[np.float32]]:
        """One cut for each class with strokes; of two classes, one cut."""
        scribbles.require(image.shape)
        labels = one_vs_rest(scribbles, lambda k: self._cut(state, scribbles.seeds, k))
        return hard_segmentation(labels, scribbles, state)

    def _cut(self, pixels: NDArray[np.float32], seeds: NDArray[np.int32], k: int) -> NDArray[np.bool_]:
        """The mask (H, W) of class k."""
        import maxflow

        inside, outside = seeds == k, (seeds >= 0) & (seeds != k)
        graph = maxflow.Graph[float]()
        nodes = graph.add_grid_nodes(inside.shape)
        differences = [((np.diff(pixels, axis=axis)) ** 2).sum(axis=-1) for axis in (0, 1)]
        mean = np.concatenate([d.ravel() for d in differences]).mean() + 1e-12
        for axis, difference in enumerate(differences):
            weights = np.zeros(inside.shape)
            weights[tuple(slice(-1) if a == axis else slice(None) for a in (0, 1))] = self.smoothness * np.exp(
                -difference / (2 * mean)
            )
            structure = np.zeros((3, 3))
            structure[(2, 1) if axis == 0 else (1, 2)] = 1
            graph.add_grid_edges(nodes, weights, structure=structure, symmetric=True)
        cost_in, cost_out = (-np.log(_likelihood(pixels, side)) for side in (inside, outside))
        cost_in[outside], cost_out[inside] = _HARD, _HARD
        graph.add_grid_tedges(nodes, cost_out, cost_in)  # the cost of a node on the other side
        graph.maxflow()
        return ~np.asarray(graph.get_grid_segments(nodes), dtype=bool)


def _likelihood(pixels: NDArray[np.float32], seeds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probability of each intensity, (H, W), by a smoothed histogram of the seeds; of one or three channels."""
    used = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
    bins = _BINS[used.shape[-1]]
    index = tuple(np.moveaxis(np.minimum((used * bins).astype(np.intp), bins - 1), -1, 0))
    histogram = np.zeros((bins,) * len(index))
    np.add.at(histogram, tuple(i[seeds] for i in index), 1)
    histogram = gaussian_filter(histogram, 1.0)
    histogram /= histogram.sum()
    likelihood: NDArray[np.float64] = histogram[index] + 1e-6
    return likelihood


@dataclass(frozen=True)
class GrabCut:
    """OpenCV's GrabCut (Rother et al. 2004); pixels without a stroke start as probably of the class of the nearest one.

    Parameters
    ----------
    iterations : int
        Rounds of fitting the mixtures and cutting.
    """

    iterations: Annotated[int, Range(1, 20)] = 5

    info: ClassVar[EngineInfo] = EngineInfo("grabcut", "GrabCut", "OpenCV's GrabCut", doi="10.1145/1015706.1015720")

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.uint8]:
        """The image as three 8-bit channels."""
        pixels = channels_last(image)
        three = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels[..., :1], 3, axis=-1)
        return np.ascontiguousarray(np.rint(three * 255).astype(np.uint8))

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.uint8], report: Report = silent
    ) -> Segmentation[NDArray[np.uint8]]:
        """One run for each class with strokes; of two classes, one run."""
        scribbles.require(image.shape)
        nearest = nearest_class(scribbles)
        labels = one_vs_rest(scribbles, lambda k: self._run(state, scribbles.seeds, nearest, k))
        return hard_segmentation(labels, scribbles, state)

    def _run(
        self, pixels: NDArray[np.uint8], seeds: NDArray[np.int32], nearest: NDArray[np.intp], k: int
    ) -> NDArray[np.bool_]:
        """The mask (H, W) of class k."""
        import cv2

        mask = np.where(nearest == k, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[seeds == k] = cv2.GC_FGD
        mask[(seeds >= 0) & (seeds != k)] = cv2.GC_BGD
        cv2.setRNGSeed(0)
        models = np.zeros((2, 1, 65))
        whole = (0, 0, 0, 0)  # not read with GC_INIT_WITH_MASK
        cv2.grabCut(pixels, mask, whole, models[0], models[1], self.iterations, cv2.GC_INIT_WITH_MASK)
        inside: NDArray[np.bool_] = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
        return inside
