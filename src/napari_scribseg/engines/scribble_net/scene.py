"""An image that the network can look at, and the strokes on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.engines.scribble_net.networks import Network
from napari_scribseg.engines.scribble_net.views import Box, Level

__all__ = ["Scene", "Strokes"]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image, ready to be looked at.

    Attributes
    ----------
    levels : tuple of Level
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest side.
    shape : tuple of 2 int
        Pixels along rows and columns.
    network : Network
    """

    levels: tuple[Level, ...]
    pixel: tuple[float, float]
    shape: tuple[int, int]
    network: Network

    @property
    def extent(self) -> tuple[float, float]:
        """Lengths of the image's sides."""
        return self.shape[0] * self.pixel[0], self.shape[1] * self.pixel[1]


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """The stroke pixels of an image.

    Attributes
    ----------
    seeds : ndarray of shape (H, W), int32
        Class index, -1 elsewhere.
    painted : tuple of 2 ndarray
        Rows and columns of the stroke pixels.
    """

    seeds: NDArray[np.int32]
    painted: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def of(cls, seeds: NDArray[np.int32]) -> Strokes:
        """From a seed map."""
        rows, columns = np.nonzero(seeds >= 0)
        return cls(seeds, (rows, columns))

    def box(self, label: int, pixel: tuple[float, float]) -> Box:
        """Borders of a class's strokes."""
        own = self.seeds[self.painted] == label
        rows, columns = self.painted[0][own], self.painted[1][own]
        return (
            float(rows.min()) * pixel[0],
            float(columns.min()) * pixel[1],
            float(rows.max() + 1) * pixel[0],
            float(columns.max() + 1) * pixel[1],
        )

    def changed(self, before: Strokes) -> tuple[NDArray[np.bool_], bool]:
        """Where these differ from earlier ones, and whether something was only added to those."""
        differs = self.seeds != before.seeds
        return differs, not (differs & (before.seeds >= 0)).any()
