"""What engines said, kept small: after undo and redo the answer that a slice then shows is there again."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.engine import Segmentation

__all__ = ["Packed"]

_LEVELS = 255


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An answer whose probabilities are rounded to 1/255 and compressed; takes some milliseconds to make.

    Attributes
    ----------
    values : bytes
        The probabilities.
    shape : tuple of int
        (K, H, W).
    ids : tuple of int
        Label id of each of the K classes.
    notes, curve
        As of the :class:`~napari_scribseg.core.Segmentation`.
    """

    values: bytes
    shape: tuple[int, ...]
    ids: tuple[int, ...]
    notes: tuple[str, ...]
    curve: LossCurve | None

    @classmethod
    def of(cls, segmentation: Segmentation[object], ids: tuple[int, ...]) -> Packed:
        """Pack an answer."""
        values = np.rint(segmentation.probabilities * _LEVELS).astype(np.uint8)
        return cls(zlib.compress(values.tobytes(), 1), values.shape, ids, segmentation.notes, segmentation.curve)

    def probabilities(self) -> NDArray[np.float32]:
        """What the engine said, shape (K, H, W); no value is off by more than 1/510."""
        values = np.frombuffer(zlib.decompress(self.values), np.uint8).reshape(self.shape)
        return values.astype(np.float32) / np.float32(_LEVELS)
