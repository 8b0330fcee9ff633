"""A lazy image, read slice by slice, and the index of a slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.anatomy import slice_axis
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.geometry import AXIS_NAMES, Geometry
from napari_scribseg.core.image import Image
from napari_scribseg.core.slice_reader import SliceReader
from napari_scribseg.core.windows import DisplayWindow

__all__ = ["SliceIndex", "Source"]


def _axis_names(ndim: int) -> tuple[str, ...]:
    """The names of axes that nothing names otherwise: the last four are t, z, y and x."""
    return (*(f"axis {axis}" for axis in range(ndim - len(AXIS_NAMES))), *AXIS_NAMES[-ndim:])


@dataclass(frozen=True, slots=True, order=True)
class SliceIndex:
    """One slice: which two axes lie in it, and where it stands along the others.

    Attributes
    ----------
    displayed : tuple of 2 int
        The spatial axes that lie in the slice, in ascending order.
    position : tuple of int
        Index along each of the other axes, in ascending order of the axes.
    """

    displayed: tuple[int, int]
    position: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        first, second = (int(a) for a in self.displayed)
        ndim = len(self.position) + 2
        if not 0 <= first < second < ndim:
            raise InputError(
                f"the displayed axes are {self.displayed} with {len(self.position)} positions; expected two different "
                f"axes of 0 to {ndim - 1} in ascending order"
            )
        if any(int(p) < 0 for p in self.position):
            raise InputError(f"the slice stands at {self.position}; positions >= 0 are expected")
        object.__setattr__(self, "displayed", (first, second))
        object.__setattr__(self, "position", tuple(int(p) for p in self.position))

    @property
    def ndim(self) -> int:
        """Number of spatial axes of the volume that the slice lies in."""
        return len(self.position) + 2

    @property
    def others(self) -> tuple[int, ...]:
        """The axes that do not lie in the slice, ascending; ``position`` belongs to them."""
        return tuple(axis for axis in range(self.ndim) if axis not in self.displayed)

    @property
    def slicer(self) -> tuple[int | slice, ...]:
        """Index into the spatial array: the two displayed axes whole, the others at their position."""
        where = dict(zip(self.others, self.position, strict=True))
        return tuple(where.get(axis, slice(None)) for axis in range(self.ndim))

    def at(self, axis: int, index: int) -> SliceIndex:
        """The slice parallel to this one that stands at ``index`` along ``axis``."""
        if axis not in self.others:
            raise InputError(f"axis {axis} lies in the slice; expected one of {self.others}")
        moved = tuple(index if a == axis else p for a, p in zip(self.others, self.position, strict=True))
        return SliceIndex(self.displayed, moved)

    def crossing(self, other: SliceIndex) -> tuple[int | slice, int | slice] | None:
        """Index into this slice's 2D array of the voxels that also lie in ``other``; None where there are none."""
        where = dict(zip(self.others, self.position, strict=True))
        index: dict[int, int] = {}
        for axis, position in zip(other.others, other.position, strict=True):
            if axis in where:
                if where[axis] != position:
                    return None
            else:
                index[axis] = position
        first, second = (index.get(axis, slice(None)) for axis in self.displayed)
        return first, second

    def __str__(self) -> str:
        names = _axis_names(self.ndim)
        at = zip(self.others, self.position, strict=True)
        return ", ".join(f"{names[axis]} {index}" for axis, index in at) or "the image"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An image or a label volume of two or more spatial axes (time counts as one), read slice by slice.

    Attributes
    ----------
    array : array of shape (\\*S) or (\\*S, C)
        numpy, dask, zarr, or anything else with ``shape``, ``dtype`` and slicing; it is not copied. ``S`` is (y, x),
        (z, y, x) or (t, z, y, x).
    geometry : Geometry
        Grid of the spatial axes ``S``.
    name : str
        Of the file without its extension, or the description of a DICOM series.
    channels : bool
        Whether the last axis of ``array`` is channels.
    rgb : bool
        Whether the channels are red, green, blue and, where there are four, opacity, as the file says. Other channels,
        such as three stains, are not to be shown as colours.
    classes : ClassTable
        Names and colours of a label volume; empty for an image.
    path : str or None
        The file that it was read from.
    modality : str
        DICOM's word for the kind of image, such as ``"CT"`` or ``"MR"``; empty where the file names none.
    windows : tuple of DisplayWindow
        The ranges of values that the file is to be shown in; the first is the usual one.
    numbers : callable, optional
        ``numbers(slice_index)`` gives the number of a slice along each axis for its name, where it is not the index.

    Raises
    ------
    InputError
        If there are fewer than two spatial axes, an axis is empty, the values are not real numbers, or the geometry has
        another shape.
    """

    array: Any
    geometry: Geometry
    name: str = ""
    channels: bool = False
    rgb: bool = False
    classes: ClassTable = field(default_factory=ClassTable)
    path: str | None = None
    modality: str = ""
    windows: tuple[DisplayWindow, ...] = ()
    numbers: Callable[[SliceIndex], Sequence[int]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.array.shape)
        if np.dtype(self.array.dtype).kind not in "biuf":
            raise InputError(f"the image holds {self.array.dtype} values; real numbers are expected")
        spatial = shape[:-1] if self.channels else shape
        if len(spatial) < 2:
            raise InputError(f"the image has shape {shape}; at least two spatial axes are expected")
        if 0 in shape:
            raise InputError(f"the image has shape {shape}; every axis needs at least one element")
        if tuple(self.geometry.shape) != spatial:
            raise InputError(f"the geometry has shape {tuple(self.geometry.shape)}; the image has {spatial}")

    @classmethod
    def from_array(
        cls,
        array: Any,
        geometry: Geometry | None = None,
        *,
        spacing: tuple[float, ...] | None = None,
        channels: bool = False,
        path: str | PathLike[str] | None = None,
    ) -> Source:
        """Wrap an array without copying or reading it.

        Parameters
        ----------
        array : array_like of shape (\\*S) or (\\*S, C)
            Two or more spatial axes; channels last where ``channels`` is true.
        geometry : Geometry, optional
            Its shape must be ``S``.
        spacing : tuple of float, optional
            Voxel size for each spatial axis, where no geometry is given; 1 by default.
        channels : bool
            Whether the last axis is channels.
        path : str or PathLike, optional
            The file that it was read from.

        Raises
        ------
        InputError
            As of the class.
        """
        if not (hasattr(array, "shape") and hasattr(array, "dtype")):
            array = np.asarray(array)
        if geometry is None:
            shape = tuple(int(n) for n in array.shape)
            spatial = shape[:-1] if channels else shape
            geometry = Geometry(spatial, tuple(spacing) if spacing is not None else (1.0,) * len(spatial))
        return cls(array, geometry, channels=channels, path=None if path is None else str(path))

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape ``S``."""
        return tuple(int(n) for n in self.geometry.shape)

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.geometry.shape)

    def slice_index(self, index: int | None = None, axis: int | str | None = None) -> SliceIndex:
        """The slice at ``index`` along ``axis`` (the first by default); ``slice_index()`` of a 2D image is the image.

        ``axis`` is a number or ``"axial"``, ``"coronal"`` or ``"sagittal"``.

        Raises
        ------
        InputError
            If there is no such slice, the axis has a name and the directions in the patient are not known, or the
            volume has more than three axes: then give a :class:`SliceIndex`.
        """
        if self.ndim == 2:
            if index not in (None, 0):
                raise InputError(f"slice {index} was requested of a 2D image; it has one slice only")
            return SliceIndex((0, 1))
        if index is None:
            raise InputError(f"no slice was named; a volume of shape {self.shape} needs an index or a SliceIndex")
        if self.ndim > 3:
            raise InputError(f"a volume of {self.ndim} axes needs a SliceIndex; an index alone names no slice")
        axis = slice_axis(self.geometry, axis) or 0
        if not 0 <= axis < 3:
            raise InputError(f"axis {axis} was requested of a volume with axes 0 to 2")
        first, second = (a for a in range(3) if a != axis)
        return self.require(SliceIndex((first, second), (index,)))

    def slices(self, axis: int | str = 0, like: SliceIndex | None = None) -> Iterator[SliceIndex]:
        """All slices along ``axis``, in ascending order.

        ``like`` gives the axes that lie in them and the position along further axes; by default the last two axes
        other than ``axis`` lie in them, and further axes stand at 0.
        """
        if self.ndim == 2:
            yield SliceIndex((0, 1))
            return
        axis = slice_axis(self.geometry, axis) or 0
        if like is None:
            first, second = [a for a in range(self.ndim) if a != axis][-2:]
            like = SliceIndex((first, second), (0,) * (self.ndim - 2))
        for index in range(self.shape[axis]):
            yield like.at(axis, index)

    def require(self, slice_index: SliceIndex) -> SliceIndex:
        """``slice_index`` itself.

        Raises
        ------
        InputError
            If the slice does not lie in this volume.
        """
        if slice_index.ndim != self.ndim:
            raise InputError(f"the slice is one of a volume of {slice_index.ndim} axes; this volume has {self.ndim}")
        for axis, index in zip(slice_index.others, slice_index.position, strict=True):
            if index >= self.shape[axis]:
                raise InputError(f"index {index} along axis {axis} was requested; expected 0 to {self.shape[axis] - 1}")
        return slice_index

    def where(self, slice_index: SliceIndex) -> str:
        """A slice in the words of the axes: ``"z 14"``, ``"t 2, z 14"``; ``"the image"`` where there is one only."""
        names = self.geometry.axis_names
        numbers = slice_index.position if self.numbers is None else self.numbers(slice_index)
        at = zip(slice_index.others, numbers, strict=True)
        return ", ".join(f"{names[axis]} {number}" for axis, number in at) or "the image"

    def span(self, slices: Iterable[SliceIndex]) -> str:
        """Several slices in the words of the axes: ``"z 12 to z 14"``; ``"3 slices"`` where they leave gaps."""
        found = sorted(set(slices))
        if len(found) == 1:
            return self.where(found[0])
        gaps = np.diff([slice_index.position for slice_index in found], axis=0)
        if (
            len({slice_index.displayed for slice_index in found}) == 1
            and np.abs(gaps).sum(axis=1).max() == 1
            and (gaps >= 0).all()
        ):
            return f"{self.where(found[0])} to {self.where(found[-1])}"
        return f"{len(found)} slices"

    def slice_shape(self, slice_index: SliceIndex) -> tuple[int, int]:
        """Rows and columns of a slice."""
        return self.shape[slice_index.displayed[0]], self.shape[slice_index.displayed[1]]

    def image(self, slice_index: SliceIndex) -> Image:
        """Read one slice: float32, channels first, with the spacing of its two axes.

        Raises
        ------
        InputError
            If the slice does not lie in the volume, or a voxel in it is NaN or infinite.
        """
        index: tuple[Any, ...] = self.require(slice_index).slicer
        if self.channels:
            index = (*index, slice(None))
        return self.image_of(slice_index, np.asarray(self.array[index]))

    def image_of(self, slice_index: SliceIndex, values: NDArray[Any]) -> Image:
        """The image of a slice whose values were read by a :meth:`reader`; errors as of :meth:`image`."""
        rows, columns = slice_index.displayed
        return Image.from_array(values, (self.geometry.spacing[rows], self.geometry.spacing[columns]))

    def reader(self, like: SliceIndex, axis: int, first: int, last: int) -> SliceReader:
        """Reads the slices parallel to ``like`` from ``first`` to ``last`` along an axis, each chunk few times."""
        return SliceReader(self.array, like.slicer, axis, first, last)

    def around(self, slice_index: SliceIndex, n_slices: int) -> Image:
        """Read a slice with its neighbours, as 2.5D networks take them.

        Parameters
        ----------
        slice_index : SliceIndex
        n_slices : int
            An odd number of slices one behind the other, along the last axis that does not lie in them; at the ends of
            the volume, the last slice stands for those that are missing.

        Returns
        -------
        Image
            Of ``n_slices`` times as many channels: all of the first slice, then all of the next one.

        Raises
        ------
        InputError
            As for :meth:`image`.
        """
        self.require(slice_index)
        if not slice_index.others:
            slices = [slice_index] * n_slices
        else:
            axis, at = slice_index.others[-1], slice_index.position[-1]
            steps = range(at - n_slices // 2, at + n_slices // 2 + 1)
            slices = [slice_index.at(axis, min(max(index, 0), self.shape[axis] - 1)) for index in steps]
        read = {p: self.image(p) for p in dict.fromkeys(slices)}
        return Image(np.concatenate([read[p].data for p in slices]), read[slice_index].spacing)
