"""An image with its geometry, as every engine sees it."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core.errors import InputError

__all__ = ["Image"]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A 2D or 3D image of one or more channels.

    Attributes
    ----------
    data : ndarray of shape (C, \\*S), float32
        Channels first; ``S`` are the spatial axes (z, y, x) or (y, x). All values are finite.
    spacing : tuple of float
        Size of a voxel along each spatial axis, in mm (in pixels where the physical size is unknown).
    affine : ndarray of shape (4, 4) or None
        Maps a voxel index, in array order, to RAS+ millimetres; of a 2D image the first column belongs to a z axis
        of length one, as in :class:`~napari_scribseg.core.Geometry`. Of a 2D image also (3, 3), for its own axes.
    """

    data: NDArray[np.float32]
    spacing: tuple[float, ...]
    affine: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.data.dtype != np.float32:
            raise InputError(f"Image.data is {self.data.dtype}; float32 is expected (use Image.from_array to convert)")
        if self.data.ndim != len(self.spacing) + 1:
            raise InputError(
                f"Image.data has shape {self.data.shape}, but {len(self.spacing)} spacings were given; expected one "
                "channel axis and one axis for each spacing (use Image.from_array to add the channel axis)"
            )
        if 0 in self.data.shape:
            raise InputError(f"the image has shape {self.data.shape}; every axis needs at least one element")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise InputError(f"spacing is {self.spacing}; positive finite millimetres are expected")
        ndim = len(self.spacing)
        if self.affine is not None and self.affine.shape not in ((4, 4), (ndim + 1, ndim + 1)):
            raise InputError(f"affine has shape {self.affine.shape}; (4, 4) is expected")

    @classmethod
    def from_array(
        cls, array: ArrayLike, spacing: tuple[float, ...], affine: NDArray[np.float64] | None = None
    ) -> Image:
        """Make an image from an array in the axis order of napari.

        Parameters
        ----------
        array : array_like of shape (\\*S) or (\\*S, C)
            Any real number type. ``len(spacing)`` axes are spatial; one further axis, the last, is channels.
        spacing : tuple of float
            Voxel size for each spatial axis, in mm.
        affine : ndarray of shape (4, 4), optional
            Voxel index to RAS+ mm; of a 2D image also (3, 3).

        Raises
        ------
        InputError
            If the number of axes does not fit the spacing, an axis is empty, the values are not real numbers, or a
            voxel is NaN or infinite.
        """
        values = np.asarray(array)
        if values.dtype.kind not in "biuf":
            raise InputError(f"the image holds {values.dtype} values; real numbers are expected")
        ndim = len(spacing)
        if values.ndim == ndim:
            channels = values[np.newaxis]
        elif values.ndim == ndim + 1:
            channels = np.moveaxis(values, -1, 0)
        else:
            raise InputError(
                f"the image has shape {values.shape}, but {ndim} spacings were given; expected {ndim} axes, or "
                f"{ndim + 1} with channels last"
            )
        data = np.ascontiguousarray(channels, dtype=np.float32)
        if values.dtype.kind == "f":
            bad = int(data.size - np.count_nonzero(np.isfinite(data)))
            if bad:
                raise InputError(
                    f"{bad} of the image's {data.size} values are NaN or infinite; finite values are expected"
                )
        return cls(data, tuple(float(s) for s in spacing), affine)

    @classmethod
    def read(cls, path: str | PathLike[str], *, allow_outside: bool = False) -> Image:
        """Read a 2D or 3D image file with its geometry; see :func:`napari_scribseg.io.read_volume` for the formats and
        for ``allow_outside``.

        Raises
        ------
        InputError
            If the file is missing, damaged, of an unknown format, too large for the memory, or a series.
        """
        from napari_scribseg.io import read_volume

        volume = read_volume(path, allow_outside=allow_outside)
        axes = volume.geometry.axis_names
        if len(axes) > 3:
            raise InputError(
                f"{volume.name}: it is a series with the axes {', '.join(axes)}; an image of 2 or 3 axes is expected "
                "(napari_scribseg.io.read_volume reads series)"
            )
        return cls.from_array(np.asarray(volume.array), volume.geometry.spacing, volume.geometry.affine)

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape ``S``."""
        return self.data.shape[1:]

    @property
    def n_channels(self) -> int:
        """Number of channels ``C``."""
        return int(self.data.shape[0])

    def __repr__(self) -> str:
        parts: list[Any] = [f"shape={self.shape}", f"channels={self.n_channels}", f"spacing={self.spacing}"]
        return f"Image({', '.join(map(str, parts))})"
