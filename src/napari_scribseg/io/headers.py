"""The text headers of NRRD and MetaImage files, read to learn what they declare before any memory is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.limits import check_declared

__all__ = ["check_metaimage", "check_nrrd", "nrrd_fields"]

_MOST_HEADER = 16 << 20
_NRRD_BYTES = {
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
_NRRD_ENCODINGS = {
    "raw": "raw", "gzip": "deflate", "gz": "deflate", "bzip2": "bzip2", "bz2": "bzip2",
    "ascii": "text", "text": "text", "txt": "text", "hex": "hex",
}  # fmt: skip
_META_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4,
    "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a header says: the shape, bytes of one voxel, how it is stored, and how many bytes are really there."""

    shape: tuple[int, ...]
    voxel_bytes: int
    encoding: str
    stored: int | None


def check_nrrd(path: Path) -> dict[str, str]:
    """Compare what an NRRD header declares with the file and the memory; returns its fields.

    Raises
    ------
    InputError
        If the file is no NRRD, a field that is needed is missing or senseless, the data file is missing, or the data is
        shorter than declared or larger than the memory.
    """
    fields, offset = nrrd_fields(path)
    shape = _numbers(path, "sizes", fields.get("sizes"))
    if fields.get("dimension", "").strip() != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares the dimension {fields.get('dimension', 'nothing')!r} and "
            f"{len(shape)} sizes; they must agree"
        )
    kind = fields.get("type", "").lower()
    if kind not in _NRRD_BYTES:
        raise InputError(f"{path.name}: its header declares the type {kind!r}; a number type of NRRD is expected")
    encoding = fields.get("encoding", "").lower()
    if encoding not in _NRRD_ENCODINGS:
        raise InputError(f"{path.name}: its header declares the encoding {encoding!r}; raw or gzip is expected")
    skip = _whole(fields.get("byte skip", fields.get("byteskip", "0")))
    data = fields.get("data file", fields.get("datafile"))
    stored = path.stat().st_size - offset if data is None else _bytes_in(path, data)
    if stored is not None and skip > 0:
        stored -= skip
    _check(path, _Declared(shape, _NRRD_BYTES[kind], _NRRD_ENCODINGS[encoding], stored))
    return fields


def nrrd_fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields and key/value pairs of an NRRD header, field names in lower case, and where the data begins."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        if not re.fullmatch(rb"NRRD\d{4}\s*", file.readline(64)):
            raise InputError(f"{path.name}: it does not begin as an NRRD file does")
        for raw in iter(lambda: file.readline(_MOST_HEADER), b""):
            if file.tell() > _MOST_HEADER:
                raise InputError(f"{path.name}: its header is longer than {_MOST_HEADER >> 20} MiB; it is damaged")
            line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
            if not line:
                break
            if line.startswith("#"):
                continue
            key, pair, value = line.partition(":=")
            field, colon, text = line.partition(": ")
            if pair and not (colon and len(field) < len(key)):
                fields[key] = _unescaped(value)
            elif colon:
                fields[field.strip().lower()] = text.strip()
        return fields, file.tell()


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def check_metaimage(path: Path) -> None:
    """Compare what a MetaImage header (.mha, .mhd) declares with the file and the memory.

    Raises
    ------
    InputError
        As :func:`check_nrrd`.
    """
    fields, offset = _metaimage_fields(path)
    shape = _numbers(path, "DimSize", fields.get("DimSize"))
    if fields.get("NDims", "") != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares NDims {fields.get('NDims', 'nothing')!r} and {len(shape)} sizes; "
            "they must agree"
        )
    kind = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _META_BYTES:
        raise InputError(f"{path.name}: its header declares the type {kind!r}; a number type of MetaImage is expected")
    channels = _whole(fields.get("ElementNumberOfChannels", "1"))
    encoding = "deflate" if fields.get("CompressedData", "").lower() in ("true", "1") else "raw"
    if fields.get("BinaryData", "true").lower() in ("false", "0"):
        encoding = "text"
    data = fields["ElementDataFile"]
    stored = path.stat().st_size - offset if data.upper() == "LOCAL" else _bytes_in(path, data)
    if stored is not None and "CompressedDataSize" in fields and encoding == "deflate":
        size = _whole(fields["CompressedDataSize"])
        if size > stored:
            raise InputError(
                f"{path.name}: its header declares {size} bytes of compressed data, but there are {stored}; it is "
                "truncated or its header is damaged"
            )
    _check(path, _Declared((*shape, channels) if channels != 1 else shape, _META_BYTES[kind], encoding, stored))


def _metaimage_fields(path: Path) -> tuple[dict[str, str], int]:
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields:
            line = file.readline(1 << 16)
            key, equals, value = line.decode("latin-1").partition("=")
            if not equals or file.tell() > _MOST_HEADER:
                raise InputError(f"{path.name}: its header is no MetaImage header, or it is cut off")
            fields[key.strip()] = value.strip()
        return fields, file.tell()


def _numbers(path: Path, field: str, text: str | None) -> tuple[int, ...]:
    words = (text or "").split()
    if not words or not all(re.fullmatch(r"-?\d{1,18}", word) for word in words):
        raise InputError(f"{path.name}: its header declares the {field} {text!r}; whole numbers are expected")
    return tuple(map(int, words))


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text.strip()) else 0


def _bytes_in(path: Path, data: str) -> int | None:
    """The size of a detached data file; None for lists and patterns of files, which their reader checks."""
    if data.upper().split()[:1] == ["LIST"] or "%" in data:
        return None
    file = path.parent / data
    if not file.is_file():
        raise InputError(
            f"{path.name}: its data file {data or 'without a name'} is missing; it is expected in the same folder"
        )
    return file.stat().st_size


def _check(path: Path, declared: _Declared) -> None:
    """Two copies are taken: the library's and the array's."""
    check_declared(
        path,
        declared.shape,
        declared.voxel_bytes,
        declared.stored or 0,
        encoding=declared.encoding if declared.stored is not None else "unknown",
        copies=2,
    )
