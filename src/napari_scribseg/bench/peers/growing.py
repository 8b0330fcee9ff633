"""GrowCut, by the ITK module of the algorithm that 3D Slicer calls *Grow from seeds*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.peers.shared import channels_last, hard_segmentation
from napari_scribseg.core import EngineInfo, Image, Report, Scribbles, Segmentation, silent

__all__ = ["GrowCut"]

_MOST = 254  # classes: seeds are 8 bits, and 0 is unknown
_LEAST = 3  # voxels along each axis; a smaller image is continued


@dataclass(frozen=True)
class GrowCut:
    """The class whose seeds lie nearest along paths of like intensity (Zhu et al. 2014), by itk-growcut."""

    info: ClassVar[EngineInfo] = EngineInfo(
        "grow-cut", "GrowCut", "the fast GrowCut of itk-growcut", ndim=(2, 3), max_classes=_MOST
    )

    def prepare(self, image: Image, device: str = "auto") -> NDArray[np.float32]:
        """The mean of the channels, from 0 to 255."""
        return np.ascontiguousarray(channels_last(image).mean(axis=-1) * np.float32(255))

    def segment(
        self, image: Image, scribbles: Scribbles, state: NDArray[np.float32], report: Report = silent
    ) -> Segmentation[NDArray[np.float32]]:
        """Grow from the seeds of all classes at once."""
        import itk

        scribbles.require(image.shape)
        missing = [(0, max(_LEAST - n, 0)) for n in (1, *image.shape)[-3:]]
        grids = []
        for values in (state, (scribbles.seeds + 1).astype(np.uint8)):
            volume = values[np.newaxis] if values.ndim == 2 else values
            grid = itk.image_from_array(np.pad(volume, missing, mode="edge"))
            grid.SetSpacing([float(s) for s in reversed((min(image.spacing), *image.spacing)[-3:])])
            grids.append(grid)
        grown = itk.array_from_image(itk.fast_grow_cut(grids[0], seed_image=grids[1])).astype(np.intp)
        whole = grown[tuple(slice(n) for n in (1, *image.shape)[-3:])].reshape(image.shape)
        return hard_segmentation(np.clip(whole - 1, 0, None), scribbles, state)
