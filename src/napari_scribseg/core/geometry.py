"""The grid of an array: shape, spacing, and its affine to patient coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["AXIS_NAMES", "LPS_TO_RAS", "Geometry", "is_singular", "same_grid"]

AXIS_NAMES = ("t", "z", "y", "x")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_FLAT = 1e-5  # volume of three unit directions, below which they are coplanar within the rounding of 32 bits


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Grid of an image or label array, in array order (z, y, x).

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along each spatial axis.
    spacing : tuple of float
        Voxel size along each axis, in ``unit``.
    affine : ndarray of shape (4, 4) or None
        Maps an array index (z, y, x) of a 3D array to RAS+ in ``unit``; for a 2D array the first column belongs to a
        z axis of length one. None where the file has no physical position.
    unit : str
        ``"millimeter"``, or ``"pixel"`` where the size of a voxel is not known.
    axis_names : tuple of str
        One for each axis.
    reference : Any
        The reader's own header, from which a writer restores what this class does not hold; None gives a plain header.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None = None
    unit: str = "pixel"
    axis_names: tuple[str, ...] = ()
    reference: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.spacing) != len(self.shape):
            raise InputError(f"{len(self.spacing)} spacings were given for {len(self.shape)} axes; one each is needed")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise InputError(f"spacing is {self.spacing}; positive finite sizes are expected")
        if self.affine is not None and self.affine.shape != (4, 4):
            raise InputError(f"the affine has shape {self.affine.shape}; expected (4, 4)")
        if not self.axis_names:
            object.__setattr__(self, "axis_names", AXIS_NAMES[-len(self.shape) :])

    def without_time(self) -> Geometry:
        """The geometry of one volume of a time series: without the first of its axes."""
        return replace(self, shape=self.shape[1:], spacing=self.spacing[1:], axis_names=self.axis_names[1:])


def is_singular(linear: NDArray[np.float64]) -> bool:
    """Whether the columns of a (3, 3) matrix are coplanar or one has no length; their lengths do not matter."""
    lengths = np.linalg.norm(linear, axis=0)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return True
    return bool(abs(np.linalg.det(linear / lengths)) < _FLAT)


def same_grid(first: Geometry, second: Geometry, tolerance: float = 0.05) -> bool:
    """Whether two grids have the same shape and, where both have an affine, the same position.

    ``tolerance`` is the largest distance between the same corner of the two, in voxels of ``first``.
    """
    if first.shape != second.shape:
        return False
    if first.affine is None or second.affine is None:
        return True
    size = (1,) * (3 - len(first.shape[-3:])) + tuple(first.shape[-3:])
    corners = np.array([[z, y, x, 1] for z in (0, size[0] - 1) for y in (0, size[1] - 1) for x in (0, size[2] - 1)])
    difference = corners @ (first.affine - second.affine).T
    return bool(np.abs(difference).max() <= tolerance * min(first.spacing[-3:]))
