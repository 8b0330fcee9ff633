"""Where the voxels of an array lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["Geometry"]


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Grid of an image or label array, in array order (plane, row, column).

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along each spatial axis.
    spacing : tuple of float
        Voxel size along each axis, in ``unit``.
    affine : ndarray of shape (4, 4) or None
        Maps an array index (plane, row, column) of a 3D array to RAS+ millimetres; for a 2D array the first column
        belongs to a plane axis of length one. None where the file has no physical position.
    unit : str
        ``"millimeter"`` or ``"pixel"``.
    axis_names : tuple of str
        One for each axis.
    reference : Any
        The reader's own header, from which a writer restores what this class does not hold. Never unpickled, never
        needed: None gives a plain header.
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
            names = ("t", "z", "y", "x")[-len(self.shape) :]
            object.__setattr__(self, "axis_names", names)
