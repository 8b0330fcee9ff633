"""Label volumes as NRRD (also 3D Slicer's segmentations) and MetaImage, written as their specifications say.

NRRD: https://teem.sourceforge.net/nrrd/format.html; MetaImage: https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import hashlib
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.io.atomic import LabelFiles
from napari_scribseg.io.outputs import data_path
from napari_scribseg.io.segments import SEGMENTATION, segment_fields
from napari_scribseg.io.units import LengthUnit
from napari_scribseg.io.volumes import LABEL_MARK, extension

__all__ = ["label_axes", "metaimage_label_files", "nrrd_label_files"]

_CHUNK = 16 << 20
_HEAD = 1 << 12
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to ask for a gzip header
_META_UNITS = ("um", "mm", "cm")
_TYPES = {np.dtype(np.uint8): ("uint8", "MET_UCHAR"), np.dtype(np.uint16): ("uint16", "MET_USHORT")}


@dataclass(frozen=True, slots=True)
class _Grid:
    """A grid in file order (x, y[, z[, t]]) and LPS: sizes, the step along each axis as columns, the first voxel.

    ``unit`` names the unit of length where it is not the millimetre.
    """

    size: tuple[int, ...]
    steps: NDArray[np.float64]
    origin: NDArray[np.float64]
    unit: str = ""


def nrrd_label_files(path: Path, labels: NDArray[Any], geometry: Geometry, classes: ClassTable) -> LabelFiles:
    """Labels as NRRD; ``.seg.nrrd`` is a segmentation of 3D Slicer with names and colours.

    Parameters
    ----------
    path : Path
        ``.nrrd``, ``.seg.nrrd``, or ``.nhdr`` with the data in ``<stem>.<digest>.raw.gz``.
    labels : ndarray of shape ``(*S)``, uint8 or uint16
        In array order.
    geometry : Geometry
        Of exactly these axes.
    classes : ClassTable
        The segments of a ``.seg.nrrd``; the other two have no place for them.

    Returns
    -------
    dict of Path to callable
        As :func:`napari_scribseg.io.atomic.write_files` takes it.

    Raises
    ------
    InputError
        If a time series is to be a ``.seg.nrrd``: Slicer's segmentations have three axes.
    """
    segmentation = extension(path) == SEGMENTATION
    if segmentation and labels.ndim > 3:
        raise InputError(f"{path.name}: a segmentation of 3D Slicer has 3 axes, the labels {labels.ndim}; use .nrrd")
    grid = _grid(geometry, flat=not segmentation, units=None)
    lines = _nrrd_lines(grid, labels.dtype, "TZYX"[-labels.ndim :])
    if segmentation:
        size = (grid.size[0], grid.size[1], grid.size[2])
        lines += [f"{key}:={_escaped(value)}" for key, value in segment_fields(classes, size).items()]
    if extension(path) == ".nhdr":
        data = data_path(path, _digest(labels))
        header = "\n".join([*lines, f"data file: {data.name}"]) + "\n"
        return {data: _compressed(labels), path: _bytes(header.encode())}
    return {path: _compressed(labels, "\n".join(lines) + "\n\n")}


def metaimage_label_files(path: Path, labels: NDArray[Any], geometry: Geometry) -> LabelFiles:
    """Labels as MetaImage: ``.mha``, or ``.mhd`` with the data in ``<stem>.<digest>.zraw``.

    Parameters and returns as of :func:`nrrd_label_files`.
    """
    grid = _grid(geometry, flat=True, units=_META_UNITS)
    lengths = np.linalg.norm(grid.steps, axis=0)
    detached = extension(path) == ".mhd"
    data = data_path(path, _digest(labels)) if detached else path
    packed = b"".join(_packed(labels, zlib.MAX_WBITS))  # the header says how long it is
    lines = [
        "ObjectType = Image",
        f"NDims = {len(grid.size)}",
        f"Comment = {LABEL_MARK} {'TZYX'[-labels.ndim :]}",
        "BinaryData = True",
        f"BinaryDataByteOrderMSB = {sys.byteorder == 'big'}",
        "CompressedData = True",
        f"CompressedDataSize = {len(packed)}",
        f"TransformMatrix = {_words((grid.steps / lengths).T.ravel())}",
        f"Offset = {_words(grid.origin)}",
        f"CenterOfRotation = {_words(np.zeros(len(grid.size)))}",
        *([f"DistanceUnits = {grid.unit}"] if grid.unit else []),
        f"ElementSpacing = {_words(lengths)}",
        f"DimSize = {' '.join(map(str, grid.size))}",
        f"ElementType = {_TYPES[labels.dtype][1]}",
        f"ElementDataFile = {data.name if detached else 'LOCAL'}",
    ]
    header = "\n".join(lines) + "\n"
    if detached:
        return {data: _bytes(packed), path: _bytes(header.encode())}
    return {path: _bytes(header.encode(), packed)}


def label_axes(path: Path) -> str | None:
    """The axes that a header of NRRD or MetaImage says its labels have, as those written here do; else None."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    match = re.search(rf"^(?:content: |Comment = ){LABEL_MARK} ([TZYX]{{2,4}})\r?$".encode(), head, re.MULTILINE)
    return match[1].decode() if match else None


def _grid(geometry: Geometry, *, flat: bool, units: tuple[str, ...] | None) -> _Grid:
    """The grid in LPS; a 2D array stays flat where it is allowed and its place fits a plane at height zero.

    It is in the unit of the file that was read, if that is one of ``units``: programs that take no notice of units
    then show image and labels at the same place.
    """
    n = len(geometry.shape)
    affine = np.eye(4)
    if geometry.affine is not None:
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine[:, [2, 1, 0, 3]] + 0.0
    else:
        steps = geometry.spacing[::-1][:3]
        affine[range(len(steps)), range(len(steps))] = steps
    unit, kept = "", geometry.reference
    if isinstance(kept, LengthUnit) and (units is None or kept.name in units):
        unit = kept.name
        affine[:3] /= kept.millimetres
    size = geometry.shape[::-1]
    if n == 2:
        in_plane = not affine[2, [0, 1, 3]].any()
        n = 2 if flat and in_plane else 3
        size = size if n == 2 else (*size, 1)
    if n < 4:
        return _Grid(size, affine[:n, :n], affine[:n, 3], unit)
    steps4 = np.zeros((4, 4))
    steps4[:3, :3] = affine[:3, :3]
    steps4[3, 3] = geometry.spacing[0]
    return _Grid(size, steps4, np.append(affine[:3, 3], 0.0), unit)


def _nrrd_lines(grid: _Grid, dtype: np.dtype[Any], axes: str) -> list[str]:
    n = len(grid.size)
    space = {2: "space dimension: 2", 3: "space: left-posterior-superior", 4: "space: left-posterior-superior-time"}
    kinds = ["domain"] * min(n, 3) + ["time"] * (n == 4)
    return [
        "NRRD0005" if n == 4 else "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_TYPES[dtype][0]}",
        f"content: {LABEL_MARK} {axes}",
        f"dimension: {n}",
        space[n],
        *(
            [f"space units: {' '.join([*[_quoted(grid.unit)] * min(n, 3), *[_quoted('s')] * (n == 4)])}"]
            if grid.unit
            else []
        ),
        f"sizes: {' '.join(map(str, grid.size))}",
        f"space directions: {' '.join(_vector(step) for step in grid.steps.T)}",
        f"kinds: {' '.join(kinds)}",
        *([f"endian: {sys.byteorder}"] if dtype.itemsize > 1 else []),
        "encoding: gzip",
        f"space origin: {_vector(grid.origin)}",
    ]


def _quoted(unit: str) -> str:
    return f'"{unit}"'


def _vector(values: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"


def _words(values: NDArray[np.float64]) -> str:
    return " ".join(repr(float(v)) for v in values)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\r", "").replace("\n", "\\n")


def _parts(labels: NDArray[Any]) -> Iterator[memoryview]:
    """The voxels, x running fastest, part by part: a transposed view is never copied whole."""
    for part in np.nditer(labels, flags=["external_loop", "buffered", "zerosize_ok"], order="C", buffersize=_CHUNK):
        yield np.ascontiguousarray(part).data


def _digest(labels: NDArray[Any]) -> str:
    """Ten digits that are the same for the same voxels only."""
    found = hashlib.blake2b(f"{labels.dtype} {labels.shape}".encode(), digest_size=5)
    for part in _parts(labels):
        found.update(part)
    return found.hexdigest()


def _packed(labels: NDArray[Any], window: int) -> Iterator[bytes]:
    """The voxels compressed."""
    packer = zlib.compressobj(4, zlib.DEFLATED, window)
    for part in _parts(labels):
        yield packer.compress(part)
    yield packer.flush()


def _compressed(labels: NDArray[Any], header: str = "") -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.write(header.encode())
        for part in _packed(labels, _GZIP):
            file.write(part)

    return write


def _bytes(*parts: bytes) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        for part in parts:
            file.write(part)

    return write
