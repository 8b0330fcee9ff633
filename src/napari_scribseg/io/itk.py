"""NRRD and MetaImage, read through SimpleITK."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.io.headers import check_metaimage, check_nrrd
from napari_scribseg.io.loaded import LoadedVolume
from napari_scribseg.io.rasters import label_axes
from napari_scribseg.io.segments import SEGMENTATION, is_segmentation, merge_layers
from napari_scribseg.io.units import LengthUnit, in_seconds, length_or_warn
from napari_scribseg.io.volumes import extension, stem

__all__ = [
    "LPS_TO_RAS",
    "array_of",
    "geometry_of",
    "open_quietly",
    "read_metaimage",
    "read_nrrd",
    "reader_of",
    "volume_of",
]

_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}
_COLOURS = {"rgb-color", "rgba-color", "3-color", "4-color"}  # kinds of an axis
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nrrd(path: Path, *, allow_outside: bool = False) -> LoadedVolume:
    """Read an NRRD file; a segmentation of 3D Slicer becomes one label volume with its classes.

    Parameters
    ----------
    path : Path
        The file with the header.
    allow_outside : bool
        Whether data files that it names may lie outside of its folder.

    Raises
    ------
    InputError
        If the file is no NRRD, is truncated, declares more than it holds or than fits the memory, or cannot be
        understood as a 2D, 3D or 4D image.
    """
    fields = check_nrrd(path, allow_outside=allow_outside)
    volume = volume_of(_read(path, "NrrdImageIO"), stem(path), path.name, label_axes(path))
    affine = _declared_affine(fields)
    if affine is not None:
        volume = replace(volume, geometry=replace(volume.geometry, affine=affine))
    names = re.findall(r'"([^"]*)"', fields.get("space units") or fields.get("units", ""))
    sized = "spacings" in fields or "space directions" in fields
    volume = _in_units(volume, names, sized=sized, shown=path.name)
    if is_segmentation(fields) or extension(path) == SEGMENTATION:
        return merge_layers(volume, fields)
    kinds = fields.get("kinds", "").lower().split()
    if volume.channels and "list" in kinds:  # a list of volumes is a series, not colours
        return _as_time(volume)
    return replace(volume, rgb=volume.channels and not _COLOURS.isdisjoint(kinds))


def _declared_affine(fields: dict[str, str]) -> NDArray[np.float64] | None:
    """Index (z, y, x) to RAS+ as the header says it; None where it names no anatomical space or is not 3D.

    Early SimpleITK (2.4.0) turns a left-anterior-superior space the wrong way round.
    """
    signs = _SPACES.get(fields.get("space", "").lower().removesuffix("-time").removesuffix("t"))
    vectors = [v for v in re.findall(r"\(([^()]*)\)", fields.get("space directions", "")) if "nan" not in v.lower()]
    origin = re.findall(r"\(([^()]*)\)", fields.get("space origin", "")) or ["0,0,0"]
    if signs is None or len(vectors) < 3:
        return None
    try:
        columns = [[float(word) for word in vector.split(",")][:3] for vector in (*vectors[:3], origin[0])]
        steps = np.array(columns).T * np.array(signs)[:, None]
    except ValueError:
        return None
    affine = np.eye(4)
    affine[:3] = steps
    return affine[:, [2, 1, 0, 3]] + 0.0


def read_metaimage(path: Path, *, allow_outside: bool = False) -> LoadedVolume:
    """Read a MetaImage (``.mha``, or ``.mhd`` with its data file).

    Parameters and errors as of :func:`read_nrrd`.
    """
    fields = check_metaimage(path, allow_outside=allow_outside)
    volume = volume_of(_read(path, "MetaImageIO"), stem(path), path.name, label_axes(path))
    sized = "ElementSpacing" in fields or "ElementSize" in fields
    return _in_units(volume, [fields.get("DistanceUnits", "").rstrip("?")], sized=sized, shown=path.name)


def _in_units(volume: LoadedVolume, names: list[str], *, sized: bool, shown: str) -> LoadedVolume:
    """Millimetres and seconds where a header names other units, of which ITK takes no notice.

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


def _read(path: Path, library: str) -> Any:
    return open_quietly(reader_of(library), path)


def reader_of(library: str) -> Any:
    """A reader that asks this one of ITK's libraries only."""
    reader: Any = SimpleITK.ImageFileReader()  # type: ignore[no-untyped-call]
    reader.SetImageIO(library)
    return reader


def open_quietly(reader: Any, path: Path) -> Any:
    """Read a file; ITK's several lines about what is wrong become one sentence."""
    reader.SetFileName(str(path))
    try:
        return reader.Execute()
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines() if line.strip()]
        last = reasons[-1].rpartition("): ")[2] if reasons else ""
        told = last and "Success" not in last  # the last error of the system, where there was none
        raise InputError(
            f"{path.name}: it cannot be read, it is damaged or of a kind that ITK does not know"
            + (f" ({last[:200]})" if told else "")
        ) from error


def volume_of(image: Any, name: str, shown: str, axes: str | None = None) -> LoadedVolume:
    """An ITK image as a volume in array order.

    A series of one volume is a volume, and a volume of one plane stays one, unless ``axes`` says otherwise.

    Parameters
    ----------
    image : SimpleITK.Image
        Of 2 to 4 dimensions.
    name, shown : str
        What the volume is called, and what a message calls it.
    axes : str, optional
        Those that the file says it has, such as ``"YX"``.
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
    return LoadedVolume(array, geometry, name, channels, rgb=rgb)


def array_of(image: Any, shown: str) -> NDArray[Any]:
    """The values in array order, float32 where they were stored with more digits."""
    array: NDArray[Any] = SimpleITK.GetArrayFromImage(image)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{shown}: it holds {array.dtype} values; real numbers are expected")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def geometry_of(image: Any) -> Geometry:
    """The grid of an ITK image in array order; the place is turned from LPS to RAS.

    ITK holds the physical point of the index i as ``origin + direction @ (spacing * i)``; a 2D image lies in the plane
    at height zero, and a fourth axis is time.
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


def _as_time(volume: LoadedVolume) -> LoadedVolume:
    geometry = volume.geometry
    array = np.moveaxis(volume.array, -1, 0)
    if array.ndim != 4:
        return volume
    grid = Geometry(array.shape, (1.0, *geometry.spacing), geometry.affine, geometry.unit)
    return LoadedVolume(array, grid, volume.name)
