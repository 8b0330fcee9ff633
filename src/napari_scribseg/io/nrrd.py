"""NRRD, and the segmentations of 3D Slicer that are stored in it.

The format: https://teem.sourceforge.net/nrrd/format.html. Images are read through SimpleITK; labels are written here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.io.atomic import Contents
from napari_scribseg.io.data_files import data_files, data_path, numbered_names
from napari_scribseg.io.descriptions import described_by_keys
from napari_scribseg.io.formats import LABEL_MARK, ReadOptions, extension, stem
from napari_scribseg.io.itk import in_units, read_image, volume_of
from napari_scribseg.io.limits import check_declared
from napari_scribseg.io.slicer_segments import is_segmentation, merge_layers, segment_fields
from napari_scribseg.io.text_headers import (
    MOST_HEADER,
    LpsGrid,
    axis_sizes,
    compressed,
    digest,
    header_line,
    label_axes,
    lps_grid,
    whole_number,
)

__all__ = ["data_names", "holds_labels", "nrrd_label_files", "read_nrrd", "segmentation_files"]

# Where a line cannot be understood, ITK's copy of teem writes it into a message of 1024 characters, however long it is.
_MOST_LINE = 500
_NAMES = (
    "axis maxs", "axis mins", "block size", "byte skip", "centers", "content", "data file", "dimension", "encoding",
    "endian", "kinds", "labels", "line skip", "max", "measurement frame", "min", "number", "old max", "old min",
    "sample units", "sizes", "space", "space dimension", "space directions", "space origin", "space units", "spacings",
    "thicknesses", "type", "units",
)  # fmt: skip
_FIELDS = {name.replace(" ", ""): name for name in _NAMES} | {"centerings": "centers"}
_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
}
_ENCODINGS = {
    "raw": "raw", "gzip": "deflate", "gz": "deflate", "bzip2": "bzip2", "bz2": "bzip2",
    "ascii": "text", "text": "text", "txt": "text", "hex": "hex",
}  # fmt: skip
_SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
}
_COLOURS = {"rgb-color", "rgba-color", "3-color", "4-color"}  # kinds of an axis
_TYPES = {np.dtype(np.uint8): "uint8", np.dtype(np.uint16): "uint16"}


def read_nrrd(path: Path, options: ReadOptions) -> Source:
    """Read an NRRD file; a segmentation of 3D Slicer becomes one label volume with its classes.

    Parameters and returns as of :attr:`Format.read <napari_scribseg.io.formats.Format>`.

    Raises
    ------
    InputError
        If the file is no NRRD, is truncated, declares more than it holds or than fits the memory, or cannot be
        understood as a 2D, 3D or 4D image.
    """
    fields = _checked_header(path, allow_outside=options.allow_outside)
    volume = volume_of(read_image(path, "NrrdImageIO"), stem(path), path.name, label_axes(path))
    affine = _declared_affine(fields)
    if affine is not None:
        volume = replace(volume, geometry=replace(volume.geometry, affine=affine))
    modality, windows = described_by_keys(fields)
    volume = replace(volume, modality=modality, windows=windows)
    names = re.findall(r'"([^"]*)"', fields.get("space units") or fields.get("units", ""))
    sized = "spacings" in fields or "space directions" in fields
    volume = in_units(volume, names, sized=sized, shown=path.name)
    if is_segmentation(fields) or extension(path) == ".seg.nrrd":
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


def _as_time(volume: Source) -> Source:
    geometry = volume.geometry
    array = np.moveaxis(volume.array, -1, 0)
    if array.ndim != 4:
        return volume
    grid = Geometry(array.shape, (1.0, *geometry.spacing), geometry.affine, geometry.unit)
    return replace(volume, array=array, geometry=grid, channels=False)


def _checked_header(path: Path, *, allow_outside: bool) -> dict[str, str]:
    """The fields of a header whose declarations agree with the file and the memory."""
    fields, offset, listed = _read_header(path)
    shape = axis_sizes(path, "sizes", fields.get("sizes"))
    if fields.get("dimension", "").strip() != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares the dimension {fields.get('dimension', 'nothing')[:80]!r} and "
            f"{len(shape)} sizes; they must agree"
        )
    kind = fields.get("type", "").lower()
    if kind not in _BYTES:
        raise InputError(f"{path.name}: its header declares the type {kind[:80]!r}; a number type of NRRD is expected")
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise InputError(f"{path.name}: its header declares the encoding {encoding[:80]!r}; raw or gzip is expected")
    skip = whole_number(path, "byte skip", fields.get("byte skip", "0"), least=-1)
    whole_number(path, "line skip", fields.get("line skip", "0"))
    if "data file" in fields:
        files = data_files(path, _data_names(path, fields, listed), allow_outside=allow_outside)
        stored = sum(max(file.stat().st_size - max(skip, 0), 0) for file in files)
    else:
        stored = path.stat().st_size - offset - max(skip, 0)
    check_declared(path, shape, _BYTES[kind], stored, encoding=_ENCODINGS[encoding], copies=2)
    return fields


def data_names(path: Path) -> Sequence[str]:
    """The names of the data files that a header names; none where the voxels follow the header.

    Raises
    ------
    InputError
        If it is no header of NRRD, or its numbered names make no sense.
    """
    fields, _, listed = _read_header(path)
    return _data_names(path, fields, listed)


def _data_names(path: Path, fields: dict[str, str], listed: list[str] | None) -> Sequence[str]:
    data = fields.get("data file")
    if listed is not None or data is None:
        return listed or ()
    return numbered_names(path, data) if "%" in data else (data,)


def holds_labels(path: Path) -> bool:
    """Whether a file says that it holds labels: by Slicer's segments, or by the mark of our own files.

    Raises
    ------
    InputError
        If it is no header of NRRD.
    """
    return is_segmentation(_read_header(path)[0]) or label_axes(path) is not None


def _read_header(path: Path) -> tuple[dict[str, str], int, list[str] | None]:
    """The fields, where the data begins, and the names below ``data file: LIST``."""
    fields: dict[str, str] = {}
    listed: list[str] | None = None
    with path.open("rb") as file:
        if not re.fullmatch(rb"NRRD000[1-5]\r?\n", file.readline(64)):
            raise InputError(f"{path.name}: it does not begin as an NRRD file does")
        for raw in iter(lambda: file.readline(MOST_HEADER), b""):
            if file.tell() > MOST_HEADER:
                raise InputError(f"{path.name}: its header is longer than {MOST_HEADER >> 20} MiB; it is damaged")
            line = header_line(path, raw)
            if listed is not None:
                listed.append(line)
            elif not line:
                break
            elif not line.startswith("#"):
                _add_field(path, fields, line)
                if fields.get("data file", "").split()[:1] == ["LIST"]:
                    listed = []
        return fields, file.tell(), listed


def _add_field(path: Path, fields: dict[str, str], line: str) -> None:
    key, pair, value = line.partition(":=")
    field, colon, text = line.partition(": ")
    if pair and not (colon and len(field) < len(key)):
        fields[key] = _unescaped(value)
        return
    name = _FIELDS.get(field.strip().lower().replace(" ", "")) if colon else None
    if name is None:
        raise InputError(f"{path.name}: the line {line[:60]!r} of its header is no field of NRRD and no key:=value")
    if name in fields:
        raise InputError(f"{path.name}: its header has the field {name!r} twice; once is expected")
    if len(line) > _MOST_LINE and name != "content":
        raise InputError(
            f"{path.name}: its header field {name!r} has {len(line)} characters; at most {_MOST_LINE} are expected"
        )
    fields[name] = text.strip()


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def nrrd_label_files(path: Path, labels: NDArray[Any], geometry: Geometry, _classes: ClassTable) -> Contents:
    """Contents of a label volume: ``.nrrd``, or ``.nhdr`` with the data in ``<stem>.<digest>.raw.gz``.

    Parameters and returns as of :attr:`Format.write <napari_scribseg.io.formats.Format>`; names and colours are
    not kept.
    """
    lines = _header_lines(lps_grid(geometry, flat=True, units=None), labels)
    if extension(path) == ".nhdr":
        data = data_path(path, digest(labels))
        header = "\n".join([*lines, f"data file: {data.name}"]) + "\n"
        return {data: compressed(labels), path: header.encode()}
    return {path: compressed(labels, "\n".join(lines) + "\n\n")}


def segmentation_files(path: Path, labels: NDArray[Any], geometry: Geometry, classes: ClassTable) -> Contents:
    """Contents of a segmentation of 3D Slicer, ``.seg.nrrd``, with names and colours.

    Parameters and returns as of :attr:`Format.write <napari_scribseg.io.formats.Format>`.

    Raises
    ------
    InputError
        If the labels have a time axis: Slicer's segmentations have three axes.
    """
    if labels.ndim > 3:
        raise InputError(f"{path.name}: a segmentation of 3D Slicer has 3 axes, the labels {labels.ndim}; use .nrrd")
    grid = lps_grid(geometry, flat=False, units=None)
    segments = segment_fields(classes, (grid.size[0], grid.size[1], grid.size[2]))
    lines = [*_header_lines(grid, labels), *(f"{key}:={_escaped(value)}" for key, value in segments.items())]
    return {path: compressed(labels, "\n".join(lines) + "\n\n")}


def _header_lines(grid: LpsGrid, labels: NDArray[Any]) -> list[str]:
    n = len(grid.size)
    space = {2: "space dimension: 2", 3: "space: left-posterior-superior", 4: "space: left-posterior-superior-time"}
    kinds = ["domain"] * min(n, 3) + ["time"] * (n == 4)
    units = [f'"{grid.unit}"'] * min(n, 3) + ['"s"'] * (n == 4)
    return [
        "NRRD0005" if n == 4 else "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {_TYPES[labels.dtype]}",
        f"content: {LABEL_MARK} {'TZYX'[-labels.ndim :]}",
        f"dimension: {n}",
        space[n],
        *([f"space units: {' '.join(units)}"] if grid.unit else []),
        f"sizes: {' '.join(map(str, grid.size))}",
        f"space directions: {' '.join(_vector(step) for step in grid.steps.T)}",
        f"kinds: {' '.join(kinds)}",
        *([f"endian: {sys.byteorder}"] if labels.itemsize > 1 else []),
        "encoding: gzip",
        f"space origin: {_vector(grid.origin)}",
    ]


def _vector(values: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\r", "").replace("\n", "\\n")
