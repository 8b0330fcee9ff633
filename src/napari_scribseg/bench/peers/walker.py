"""The random walker of scikit-image."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from napari_scribseg.bench.peers.shared import channels_last, hard_segmentation
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

__all__ = ["RandomWalker"]

_DIRECT = 2**18  # pixels, up to which the direct solution takes no longer, both betas of the benchmark together


@dataclass(frozen=True)
class RandomWalker:
    """Random walker (Grady 2006), solved directly; in images of more than 2^18 pixels by conjugate gradients, which are
    slower below and leave errors at a high beta, preconditioned by multigrid where pyamg is installed.

    Parameters
    ----------
    beta : float
        How much harder a walker crosses an edge; scikit-image's default is 130.
    """

    beta: Annotated[float, Range(0, 1e6)] = 130.0

    info: ClassVar[EngineInfo] = EngineInfo(
        "random-walker", "Random walker", "scikit-image's random walker", doi="10.1109/TPAMI.2006.233"
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.float32]:
        """Intensities from 0 to 1, channels last."""
        return channels_last(image)

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.float32], report: Report = silent
    ) -> Segmentation[NDArray[np.float32]]:
        """Solve for every class anew."""
        scribbles.require(image.shape)
        if state.max() == state.min():
            raise InputError("all pixels of the image are alike; the random walker needs edges")
        drawn = np.flatnonzero(scribbles.counts)
        markers = np.zeros(scribbles.n_classes + 1, dtype=np.intp)  # the last stands for unknown, seed -1
        markers[drawn] = np.arange(1, drawn.size + 1)
        mode = "bf" if scribbles.seeds.size <= _DIRECT else "cg_mg" if find_spec("pyamg") else "cg_j"
        spacing = tuple(size / min(image.spacing) for size in image.spacing)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pixels that no walker reaches
            found = random_walker(
                state, markers[scribbles.seeds], beta=self.beta, mode=mode, channel_axis=-1, spacing=spacing
            )
        labels = drawn[np.clip(found - 1, 0, None)]
        return hard_segmentation(labels, scribbles, state)
