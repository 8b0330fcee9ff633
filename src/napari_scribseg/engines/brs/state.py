"""The state of an image: the network, its input, and the last corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_scribseg.engines.brs.network import WrappedNetwork
from napari_scribseg.prompting.crops import Crop, Level
from napari_scribseg.prompting.predictions import ClassLogits, Grid

__all__ = ["BRSState", "LastCorrections", "ZoomIn"]


@dataclass(frozen=True, slots=True, eq=False)
class ZoomIn:
    """The crop in which the network saw a class, and its prediction.

    Attributes
    ----------
    crop : Crop or None
        None for the whole image.
    previous : ClassLogits or None
        The earlier prediction that was an input of the network.
    prediction : ClassLogits or None
        Corrected; without a patch where the network saw the whole image. None where it always sees the whole image.
    change : Tensor
        The correction.
    """

    crop: Crop | None
    previous: ClassLogits | None
    prediction: ClassLogits | None
    change: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LastCorrections:
    """The corrections of the last result.

    Attributes
    ----------
    seeds : ndarray of shape (H, W), int32
        Its strokes, as label ids; -1 elsewhere.
    zoom_ins : mapping of int to ZoomIn
        By the label id of the class (-1: all classes at once).
    layer : str
        The layer of f-BRS that was corrected; empty for the network's input.
    """

    seeds: NDArray[np.int32]
    zoom_ins: Mapping[int, ZoomIn]
    layer: str


@dataclass(frozen=True, slots=True, eq=False)
class BRSState:
    """A prepared image, and the last corrections.

    Attributes
    ----------
    network : WrappedNetwork
    x : Tensor of shape (1, C, h, w)
        The image as the network takes it.
    own : Tensor of shape (1, n, h, w) or None
        The network's output without strokes; None where it needs some.
    levels : tuple of Level
        The image on the network's scale and its own grid; empty if the network always sees the whole image.
    grid : Grid
        The image's own.
    boundaries : ndarray of shape (H, W), float32, or None
        Weight of the boundary length, where boundaries are moved to edges.
    former : LastCorrections or None
    """

    network: WrappedNetwork
    x: Tensor
    own: Tensor | None
    levels: tuple[Level, ...]
    grid: Grid
    boundaries: NDArray[np.float32] | None = None
    former: LastCorrections | None = None
