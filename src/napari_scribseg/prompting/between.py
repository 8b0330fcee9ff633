"""Corrects the shapes blended between two anchors by the network that comes with the package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from napari_scribseg.core import InputError
from napari_scribseg.nets.pixel_net import PixelNet
from napari_scribseg.nets.weights import load_shipped
from napari_scribseg.numerics.filling.features import N_FEATURES, REACH, UNIT, features, maps_of, prior_logits
from napari_scribseg.numerics.filling.sides import Side

__all__ = ["BAND", "FillBetween", "shipped_fill_between"]

BAND = 8.0  # finest pixels around the blended border within which the network decides
SURROUNDINGS = 8  # pixels around them that it sees

Float32 = NDArray[np.float32]
_SHIPPED = "fill-net"


class FillBetween:
    """A :class:`~napari_scribseg.numerics.filling.Refine` by a network that looks at one pixel of one class at a time.

    Parameters
    ----------
    model : PixelNet
        Of the features of :func:`~napari_scribseg.numerics.filling.features.features`; adds to the prior logits.

    Raises
    ------
    InputError
        If it expects another number of features.
    """

    def __init__(self, model: PixelNet) -> None:
        if model.config.in_channels != N_FEATURES:
            raise InputError(f"the network takes {model.config.in_channels} features; {N_FEATURES} are expected")
        self._model = model.eval()

    def __call__(self, sides: Sequence[Side], steps: Sequence[int], image: Float32) -> Float32:
        """Logits of each class against the others, shape (K, H, W)."""
        reach = np.max([side.distances for side in sides], axis=0)
        logits = np.full(reach.shape, -REACH, np.float32)
        two = len(reach) == 2
        chosen = [int(np.argmin((reach > 0).sum(axis=(1, 2))))] if two else range(len(reach))
        for k in chosen:
            box = _box(reach[k] > -REACH)
            if box is not None:
                logits[k][box] = self._of_class([side.part(k, box) for side in sides], steps, image[box])
        if two:  # either is what the other leaves
            logits[1 - chosen[0]] = -logits[chosen[0]]
        return logits

    @torch.inference_mode()
    def _of_class(self, sides: Sequence[Side], steps: Sequence[int], image: Float32) -> Float32:
        maps = maps_of(sides, steps, image, 0)
        logits = prior_logits(maps)
        near = np.abs(maps[5]) < BAND / UNIT
        described = torch.from_numpy(np.ascontiguousarray(features(maps)[:, near].T))
        logits[near] += self._model(described).numpy()
        return logits


@lru_cache(maxsize=1)
def shipped_fill_between() -> FillBetween:
    """With the network that comes with the package.

    Raises
    ------
    InputError
        If its file is missing or damaged.
    """
    model = load_shipped(_SHIPPED, (PixelNet,))[0]
    if not isinstance(model, PixelNet):
        raise InputError(f"{_SHIPPED} is a {type(model).__name__}; a PixelNet is expected")
    return FillBetween(model)


def _box(near: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    if not near.any():
        return None
    sides = []
    for axis in (1, 0):
        at = np.flatnonzero(near.any(axis=axis))
        sides.append(slice(max(int(at[0]) - SURROUNDINGS, 0), int(at[-1]) + SURROUNDINGS + 1))
    return sides[0], sides[1]
