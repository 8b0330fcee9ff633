"""A set of voxels of a volume, and which of them are neighbours."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.fused.kernel import kernel

__all__ = ["Band"]

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """Some voxels of a volume.

    Attributes
    ----------
    shape : tuple of 3 int
        Of the volume.
    flat : ndarray of shape (N,), int64
        Index of each voxel in the flat volume, ascending.
    after, before : ndarray of shape (3, N), int32
        Number of the next and of the former voxel along each axis among these; -1 where that is none of them.
    """

    shape: tuple[int, int, int]
    flat: NDArray[np.int64]
    after: NDArray[np.int32]
    before: NDArray[np.int32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Band:
        """The voxels of a mask of shape (Z, Y, X)."""
        flat = np.flatnonzero(mask).astype(np.int64)
        after, before = np.empty((3, flat.size), np.int32), np.empty((3, flat.size), np.int32)
        strides = (mask.shape[1] * mask.shape[2], mask.shape[2], 1)
        for axis, stride in enumerate(strides):
            _link(flat, stride, mask.shape[axis], after[axis], before[axis])
        shape = (int(mask.shape[0]), int(mask.shape[1]), int(mask.shape[2]))
        return cls(shape, flat, after, before)

    def take(self, volume: NDArray[Value]) -> NDArray[Value]:
        """The values of the voxels in a volume, shape (N,): a copy."""
        return volume.reshape(-1)[self.flat]

    def __len__(self) -> int:
        return int(self.flat.size)


@kernel
def _link(flat, stride, length, after, before):
    """Find the neighbours along one axis: both lists ascend, so that one pass is enough."""
    n = flat.size
    for i in range(n):
        after[i] = -1
        before[i] = -1
    j = 0
    for i in range(n):
        if (flat[i] // stride) % length == length - 1:
            continue
        wanted = flat[i] + stride
        while j < n and flat[j] < wanted:
            j += 1
        if j < n and flat[j] == wanted:
            after[i] = j
            before[j] = i
