"""MetaImage; the format: https://itk.org/Wiki/ITK/MetaIO/Documentation.

Images are read through SimpleITK; labels are written here.
"""

from __future__ import annotations

import math
import re
import sys
import zlib
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
from napari_scribseg.io.limits import check_declared, unpacked_size
from napari_scribseg.io.text_headers import (
    MOST_HEADER,
    ZLIB,
    axis_sizes,
    digest,
    header_line,
    label_axes,
    lps_grid,
    packed,
    whole_number,
)

__all__ = ["data_names", "holds_labels", "metaimage_label_files", "read_metaimage"]

_CHUNK = 1 << 20
_MOST_LINE = 1 << 14
_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4,
    "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip
_LOCAL = ("LOCAL", "Local", "local")
_UNITS = ("um", "mm", "cm")
_TYPES = {np.dtype(np.uint8): "MET_UCHAR", np.dtype(np.uint16): "MET_USHORT"}


def read_metaimage(path: Path, options: ReadOptions) -> Source:
    """Read a MetaImage (``.mha``, or ``.mhd`` with its data file).

    Parameters and returns as of :attr:`Format.read <napari_scribseg.io.formats.Format>`.

    Raises
    ------
    InputError
        If the file is no MetaImage, is truncated, declares more than it holds or than fits the memory, or cannot be
        understood as a 2D, 3D or 4D image.
    """
    fields = _checked_header(path, allow_outside=options.allow_outside)
    volume = volume_of(read_image(path, "MetaImageIO"), stem(path), path.name, label_axes(path))
    modality, windows = described_by_keys(fields)
    volume = replace(volume, modality=modality, windows=windows)
    sized = "ElementSpacing" in fields or "ElementSize" in fields
    return in_units(volume, [fields.get("DistanceUnits", "").rstrip("?")], sized=sized, shown=path.name)


def _checked_header(path: Path, *, allow_outside: bool) -> dict[str, str]:
    """The fields of a header whose declarations agree with the file and the memory."""
    fields, offset, listed = _read_header(path)
    shape = axis_sizes(path, "DimSize", fields.get("DimSize"))
    if fields.get("NDims", "") != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares NDims {fields.get('NDims', 'nothing')[:80]!r} and {len(shape)} sizes; "
            "they must agree"
        )
    kind = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _BYTES:
        raise InputError(
            f"{path.name}: its header declares the type {kind[:80]!r}; a number type of MetaImage is expected"
        )
    channels = whole_number(path, "ElementNumberOfChannels", fields.get("ElementNumberOfChannels", "1"), least=1)
    skip = whole_number(path, "HeaderSize", fields.get("HeaderSize", "0"), least=-1)
    encoding = "deflate" if fields.get("CompressedData", "").lower() in ("true", "1") else "raw"
    if fields.get("BinaryData", "true").lower() in ("false", "0"):
        encoding = "text"
    files = _data_files(path, fields["ElementDataFile"], listed, shape, allow_outside=allow_outside)
    start = 0 if files else offset
    stored = min(file.stat().st_size for file in files) * len(files) if files else path.stat().st_size - offset
    if "CompressedDataSize" in fields and encoding == "deflate":
        size = whole_number(path, "CompressedDataSize", fields["CompressedDataSize"])
        if size > stored:
            raise InputError(
                f"{path.name}: its header declares {size} bytes of compressed data, but there are {stored}; it is "
                "truncated or its header is damaged"
            )
    stored -= max(skip, 0)
    channels_last = (*shape, channels) if channels != 1 else shape
    check_declared(path, channels_last, _BYTES[kind], stored, encoding=encoding, copies=2)
    if encoding == "deflate" and len(files) < 2:
        _check_stream(path, [*files, path][0], start + max(skip, 0), math.prod(shape) * channels * _BYTES[kind])
    return fields


def _check_stream(path: Path, data: Path, start: int, declared: int) -> None:
    """Unpack the voxels once and count them: where they are fewer, ITK leaves what the memory held before."""
    try:
        with data.open("rb") as file:
            file.seek(start)
            count = unpacked_size(iter(lambda: file.read(_CHUNK), b""), declared)
    except zlib.error as error:
        raise InputError(f"{path.name}: its compressed voxels cannot be read, they are damaged ({error})") from error
    if count < declared:
        raise InputError(
            f"{path.name}: its header declares {declared} bytes of voxels, but its compressed data hold {count}; it is "
            "truncated or its header is damaged"
        )


def _data_files(
    path: Path, data: str, listed: list[str], shape: tuple[int, ...], *, allow_outside: bool
) -> tuple[Path, ...]:
    """The data files, of which there must be as many as the shape needs: ITK does not count them; none in one file."""
    if data in _LOCAL:
        return ()
    wanted = 1
    if data.startswith("LIST"):
        word = re.match(r"\S+\s+(\d)", data)
        axes = int(word[1]) if word and 0 < int(word[1]) <= len(shape) else len(shape) - 1
        wanted = math.prod(shape[axes:])
    elif "%" in data:
        wanted = shape[-1]
    files = data_files(path, _data_names(path, data, listed, shape), allow_outside=allow_outside)
    if len(files) != wanted:
        raise InputError(
            f"{path.name}: its header names {len(files)} data files; {wanted} are expected for its DimSize"
        )
    return files


def data_names(path: Path) -> Sequence[str]:
    """The names of the data files that a header names; none where the voxels follow the header.

    Raises
    ------
    InputError
        If it is no header of MetaImage, or its numbered names make no sense.
    """
    fields, _, listed = _read_header(path)
    data = fields["ElementDataFile"]
    shape = axis_sizes(path, "DimSize", fields.get("DimSize")) if "%" in data else ()
    return _data_names(path, data, listed, shape)


def _data_names(path: Path, data: str, listed: list[str], shape: tuple[int, ...]) -> Sequence[str]:
    if data in _LOCAL:
        return ()
    if data.startswith("LIST"):
        return listed
    return numbered_names(path, data, last=shape[-1]) if "%" in data else (data,)


def holds_labels(path: Path) -> bool:
    """Whether a file has the mark of our own label files."""
    return label_axes(path) is not None


def _read_header(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """The fields, where the data begins, and the names below ``ElementDataFile = LIST``."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields:
            raw = file.readline(_MOST_LINE)
            key, equals, value = header_line(path, raw).partition("=")
            key = key.strip()
            if not (equals and raw.endswith(b"\n") and re.fullmatch(r"[^:]{1,200}", key)) or file.tell() > MOST_HEADER:
                raise InputError(f"{path.name}: its header is no MetaImage header, or it is cut off")
            if key in fields:
                raise InputError(f"{path.name}: its header has the field {key[:80]!r} twice; once is expected")
            fields[key] = value.strip()
        offset = file.tell()
        listed = []
        if fields["ElementDataFile"].startswith("LIST"):
            listed = [header_line(path, raw).strip() for raw in file.read(MOST_HEADER).splitlines()]
        return fields, offset, [name for name in listed if name]


def metaimage_label_files(path: Path, labels: NDArray[Any], geometry: Geometry, _classes: ClassTable) -> Contents:
    """Contents of a label volume: ``.mha``, or ``.mhd`` with the data in ``<stem>.<digest>.zraw``.

    Parameters and returns as of :attr:`Format.write <napari_scribseg.io.formats.Format>`; names and colours are
    not kept.
    """
    grid = lps_grid(geometry, flat=True, units=_UNITS)
    lengths = np.linalg.norm(grid.steps, axis=0)
    detached = extension(path) == ".mhd"
    data = data_path(path, digest(labels)) if detached else path
    voxels = b"".join(packed(labels, ZLIB))  # the header says how long it is
    lines = [
        "ObjectType = Image",
        f"NDims = {len(grid.size)}",
        f"Comment = {LABEL_MARK} {'TZYX'[-labels.ndim :]}",
        "BinaryData = True",
        f"BinaryDataByteOrderMSB = {sys.byteorder == 'big'}",
        "CompressedData = True",
        f"CompressedDataSize = {len(voxels)}",
        f"TransformMatrix = {_words((grid.steps / lengths).T.ravel())}",
        f"Offset = {_words(grid.origin)}",
        f"CenterOfRotation = {_words(np.zeros(len(grid.size)))}",
        *([f"DistanceUnits = {grid.unit}"] if grid.unit else []),
        f"ElementSpacing = {_words(lengths)}",
        f"DimSize = {' '.join(map(str, grid.size))}",
        f"ElementType = {_TYPES[labels.dtype]}",
        f"ElementDataFile = {data.name if detached else 'LOCAL'}",
    ]
    header = "\n".join(lines) + "\n"
    if detached:
        return {data: voxels, path: header.encode()}
    return {path: header.encode() + voxels}


def _words(values: NDArray[np.float64]) -> str:
    return " ".join(repr(float(v)) for v in values)
