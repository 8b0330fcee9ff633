"""Images of ITK as sources: LPS becomes RAS, and the axes (x, y, z, t) are reversed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.core.geometry import LPS_TO_RAS
from napari_scribseg.io.units import LengthUnit, in_seconds, length_or_warn

__all__ = [
    "array_of",
    "geometry_of",
    "in_units",
    "read_image",
    "reader_of",
    "volume_of",
]


def read_image(path: Path, library: str) -> Any:
    """Read a file with one of ITK's libraries, such as ``"NrrdImageIO"``; an error of ITK becomes one message."""
    reader = reader_of(library)
    reader.SetFileName(str(path))
    try:
        return reader.Execute()
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines() if line.strip()]
        last = reasons[-1].rpartition("): ")[2] if reasons else ""
        reason = f" ({last[:200]})" if last and "Success" not in last else ""  # "Success": there was no system error
        raise InputError(
            f"{path.name}: it cannot be read, it is damaged or of a kind that ITK does not know" + reason
        ) from error


def reader_of(library: str) -> Any:
    """A reader that uses this one of ITK's libraries only."""
    import SimpleITK

    reader: Any = SimpleITK.ImageFileReader()
    reader.SetImageIO(library)
    return reader


def volume_of(image: Any, name: str, shown: str, axes: str | None = None) -> Source:
    """An ITK image as a volume in array order.

    A series of one volume becomes a volume, and a volume of one slice stays one, unless ``axes`` names others.

    Parameters
    ----------
    image : SimpleITK.Image
        Of 2 to 4 dimensions.
    name, shown : str
        Of the volume, and of the file in messages.
    axes : str, optional
        The axes that the file declares, such as ``"YX"``.
    """
    if not 2 <= image.GetDimension() <= 4:
        raise InputError(f"{shown}: it has {image.GetDimension()} axes; 2 to 4 are expected")
    array = array_of(image, shown)
    n_channels = image.GetNumberOfComponentsPerPixel()
    channels = n_channels > 1
    rgb = n_channels == 3 and array.dtype == np.uint8  # neither MetaImage nor GDCM says what bytes mean
    geometry = geometry_of(image)
    series_of_one = image.GetDimension() == 4 and axes != "TZYX"
    if array.shape[0] == 1 and (series_of_one or (image.GetDimension() == 3 and axes == "YX")):
        array = array[0]
        geometry = Geometry(geometry.shape[1:], geometry.spacing[1:], geometry.affine, geometry.unit)
    return Source(array, geometry, name, channels, rgb=rgb)


def array_of(image: Any, shown: str) -> NDArray[Any]:
    """The values in array order, float32 where they were stored with more digits."""
    import SimpleITK

    array: NDArray[Any] = SimpleITK.GetArrayFromImage(image)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{shown}: it holds {array.dtype} values; real numbers are expected")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def geometry_of(image: Any) -> Geometry:
    """The grid of an ITK image in array order, with LPS turned into RAS.

    ITK holds the physical point of the index i as ``origin + direction @ (spacing * i)``; a 2D image lies at
    z = 0, and a fourth axis is time.
    """
    n = image.GetDimension()
    spacing = np.array(image.GetSpacing())
    direction = np.array(image.GetDirection()).reshape(n, n)
    flat = min(n, 3)
    lps = np.eye(4)
    lps[:flat, :flat] = (direction * spacing)[:flat, :flat]
    lps[:flat, 3] = image.GetOrigin()[:flat]
    affine = (LPS_TO_RAS @ lps)[:, [2, 1, 0, 3]]
    affine += 0.0  # no negative zeros
    return Geometry(tuple(image.GetSize()[::-1]), tuple(float(s) for s in spacing[::-1]), affine, "millimeter")


def in_units(volume: Source, names: list[str], *, sized: bool, shown: str) -> Source:
    """Millimetres and seconds where a header names other units, which ITK ignores.

    ``names`` holds the units of the axes in the order of the file; ``sized`` says whether it has voxel sizes at all.
    """
    grid = volume.geometry
    lengths = [name for name in names[:3] if name]
    size = length_or_warn(lengths[0], shown) if lengths else 1.0
    if not sized or size is None:
        return replace(volume, geometry=replace(grid, unit="pixel"))
    spacing = [step * size for step in grid.spacing]
    if len(spacing) == 4:
        spacing[0] = grid.spacing[0] * ((in_seconds(names[3]) if len(names) > 3 else None) or 1.0)
    affine = None if grid.affine is None else np.diag([size, size, size, 1.0]) @ grid.affine
    reference = LengthUnit(lengths[0], size) if size != 1 else None
    return replace(volume, geometry=replace(grid, spacing=tuple(spacing), affine=affine, reference=reference))
