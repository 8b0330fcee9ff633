"""Receptive fields of the outputs at the strokes, each pixel computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Fields", "gather", "scatter"]


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """The receptive fields of some pixels in a stack of convolutions.

    Attributes
    ----------
    sources : Tensor of shape (N,), int64
        Flat indices of the input's pixels in the fields, ascending.
    tables : tuple of Tensor of shape (M, kernel * kernel), int64
        For each convolution and each pixel of its output in the fields, the rows of its input (the ``sources`` for the
        first, else the output of the one before) below its kernel, in row order; one past the last row stands for the
        zeros outside the image.
    """

    sources: Tensor
    tables: tuple[Tensor, ...]

    @classmethod
    def of(cls, pixels: NDArray[np.intp], shape: tuple[int, int], kernel: int, depth: int) -> Fields:
        """The receptive fields of some pixels.

        Parameters
        ----------
        pixels : ndarray of shape (M,)
            Flat indices; the last table's rows are in their order.
        shape : tuple of 2 int
            Of the image.
        kernel : int
            Side of each convolution, odd.
        depth : int
            Number of convolutions.
        """
        tables = []
        for _ in range(depth):
            below = _below(pixels, shape, kernel)
            sources = np.unique(below)
            sources = sources[sources >= 0]
            rows = np.searchsorted(sources, below)
            rows[below < 0] = len(sources)
            tables.append(torch.from_numpy(rows))
            pixels = sources
        return cls(torch.from_numpy(pixels.astype(np.int64)), tuple(reversed(tables)))

    def to(self, device: str) -> Fields:
        """The same on a device."""
        return Fields(self.sources.to(device), tuple(table.to(device) for table in self.tables))


def _below(pixels: NDArray[np.intp], shape: tuple[int, int], kernel: int) -> NDArray[np.intp]:
    """Flat indices of the pixels below a kernel, shape (M, kernel * kernel); -1 outside the image."""
    reach = np.arange(kernel) - kernel // 2
    rows = (pixels // shape[1])[:, None] + np.repeat(reach, kernel)
    columns = (pixels % shape[1])[:, None] + np.tile(reach, kernel)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return np.where(inside, rows * shape[1] + columns, -1)


def gather(rows: Tensor, table: Tensor) -> Tensor:
    """The values below the kernel of each output.

    Parameters
    ----------
    rows : Tensor of shape (N, C)
        One row for each pixel.
    table : Tensor of shape (M, kernel * kernel), int64
        From :class:`Fields`.

    Returns
    -------
    Tensor of shape (M, kernel * kernel * C)
    """
    padded = torch.cat((rows, rows.new_zeros((1, rows.shape[1]))))
    return padded.index_select(0, table.reshape(-1)).reshape(len(table), table.shape[1] * rows.shape[1])


def scatter(patches: Tensor, table: Tensor, count: int) -> Tensor:
    """The adjoint of :func:`gather`: the sum over all patches for each of ``count`` rows, shape (count, C)."""
    rows = patches.reshape(table.numel(), -1)
    summed = rows.new_zeros((count + 1, rows.shape[1])).index_add_(0, table.reshape(-1), rows)
    return summed[:count]
