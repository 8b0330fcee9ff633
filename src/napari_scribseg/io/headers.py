"""The text headers of NRRD and MetaImage files, read to learn what they declare before any memory is taken."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.data_files import data_files, numbered_names
from napari_scribseg.io.limits import check_declared

__all__ = ["check_metaimage", "check_nrrd", "nrrd_fields"]

_MOST_HEADER = 16 << 20
_CHUNK = 1 << 20
# Where a line cannot be understood, ITK's copy of teem writes it into a message of 1024 characters, however long it is.
_MOST_LINE = 500
_MOST_META_LINE = 1 << 14
_NRRD_NAMES = (
    "axis maxs", "axis mins", "block size", "byte skip", "centers", "content", "data file", "dimension", "encoding",
    "endian", "kinds", "labels", "line skip", "max", "measurement frame", "min", "number", "old max", "old min",
    "sample units", "sizes", "space", "space dimension", "space directions", "space origin", "space units", "spacings",
    "thicknesses", "type", "units",
)  # fmt: skip
_NRRD_FIELDS = {name.replace(" ", ""): name for name in _NRRD_NAMES} | {"centerings": "centers"}
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
    stored: int


def check_nrrd(path: Path, *, allow_outside: bool = False) -> dict[str, str]:
    """Compare what an NRRD header declares with the file and the memory; returns its fields.

    Parameters
    ----------
    path : Path
        The file with the header.
    allow_outside : bool
        Whether its data files may lie outside of its folder.

    Raises
    ------
    InputError
        If the file is no NRRD, a line of its header is none, a field that is needed is missing or senseless, a data
        file is missing, no regular file or not allowed, or the data is shorter than declared or larger than the memory.
    """
    fields, offset, listed = _nrrd_header(path)
    shape = _numbers(path, "sizes", fields.get("sizes"))
    if fields.get("dimension", "").strip() != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares the dimension {fields.get('dimension', 'nothing')[:80]!r} and "
            f"{len(shape)} sizes; they must agree"
        )
    kind = fields.get("type", "").lower()
    if kind not in _NRRD_BYTES:
        raise InputError(f"{path.name}: its header declares the type {kind[:80]!r}; a number type of NRRD is expected")
    encoding = fields.get("encoding", "").lower()
    if encoding not in _NRRD_ENCODINGS:
        raise InputError(f"{path.name}: its header declares the encoding {encoding[:80]!r}; raw or gzip is expected")
    skip = _whole(path, "byte skip", fields.get("byte skip", "0"), least=-1)
    _whole(path, "line skip", fields.get("line skip", "0"))
    data = fields.get("data file")
    if data is None:
        stored = path.stat().st_size - offset - max(skip, 0)
    else:
        if listed is not None:
            names: Sequence[str] = listed
        else:
            names = numbered_names(path, data) if "%" in data else (data,)
        files = data_files(path, names, allow_outside=allow_outside)
        stored = sum(max(file.stat().st_size - max(skip, 0), 0) for file in files)
    _check(path, _Declared(shape, _NRRD_BYTES[kind], _NRRD_ENCODINGS[encoding], stored))
    return fields


def nrrd_fields(path: Path) -> dict[str, str]:
    """The fields and key/value pairs of an NRRD header; fields by their names in the format's description.

    Raises
    ------
    InputError
        If the file is no NRRD, or a line of its header is no field, pair or comment.
    """
    return _nrrd_header(path)[0]


def _nrrd_header(path: Path) -> tuple[dict[str, str], int, list[str] | None]:
    """The fields, where the data begins, and the names below ``data file: LIST``."""
    fields: dict[str, str] = {}
    listed: list[str] | None = None
    with path.open("rb") as file:
        if not re.fullmatch(rb"NRRD000[1-5]\r?\n", file.readline(64)):
            raise InputError(f"{path.name}: it does not begin as an NRRD file does")
        for raw in iter(lambda: file.readline(_MOST_HEADER), b""):
            if file.tell() > _MOST_HEADER:
                raise InputError(f"{path.name}: its header is longer than {_MOST_HEADER >> 20} MiB; it is damaged")
            line = _line(path, raw)
            if listed is not None:
                listed.append(line)
            elif not line:
                break
            elif not line.startswith("#"):
                _add_nrrd(path, fields, line)
                if fields.get("data file", "").split()[:1] == ["LIST"]:
                    listed = []
        return fields, file.tell(), listed


def _line(path: Path, raw: bytes) -> str:
    """A line of a header without its end; bytes that end a line or a text for one library only are refused."""
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line):
        raise InputError(f"{path.name}: its header holds control characters in {line[:40]!r}; it is damaged")
    return line.decode("utf-8", errors="replace")


def _add_nrrd(path: Path, fields: dict[str, str], line: str) -> None:
    key, pair, value = line.partition(":=")
    field, colon, text = line.partition(": ")
    if pair and not (colon and len(field) < len(key)):
        fields[key] = _unescaped(value)
        return
    name = _NRRD_FIELDS.get(field.strip().lower().replace(" ", "")) if colon else None
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


def check_metaimage(path: Path, *, allow_outside: bool = False) -> dict[str, str]:
    """Compare what a MetaImage header (.mha, .mhd) declares with the file and the memory; returns its fields.

    Parameters and errors as of :func:`check_nrrd`.
    """
    fields, offset, listed = _metaimage_header(path)
    shape = _numbers(path, "DimSize", fields.get("DimSize"))
    if fields.get("NDims", "") != str(len(shape)):
        raise InputError(
            f"{path.name}: its header declares NDims {fields.get('NDims', 'nothing')[:80]!r} and {len(shape)} sizes; "
            "they must agree"
        )
    kind = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _META_BYTES:
        raise InputError(
            f"{path.name}: its header declares the type {kind[:80]!r}; a number type of MetaImage is expected"
        )
    channels = _whole(path, "ElementNumberOfChannels", fields.get("ElementNumberOfChannels", "1"), least=1)
    skip = _whole(path, "HeaderSize", fields.get("HeaderSize", "0"), least=-1)
    encoding = "deflate" if fields.get("CompressedData", "").lower() in ("true", "1") else "raw"
    if fields.get("BinaryData", "true").lower() in ("false", "0"):
        encoding = "text"
    files = _metaimage_files(path, fields["ElementDataFile"], listed, shape, allow_outside=allow_outside)
    start = 0 if files else offset
    stored = min(file.stat().st_size for file in files) * len(files) if files else path.stat().st_size - offset
    if "CompressedDataSize" in fields and encoding == "deflate":
        size = _whole(path, "CompressedDataSize", fields["CompressedDataSize"])
        if size > stored:
            raise InputError(
                f"{path.name}: its header declares {size} bytes of compressed data, but there are {stored}; it is "
                "truncated or its header is damaged"
            )
    stored -= max(skip, 0)
    _check(path, _Declared((*shape, channels) if channels != 1 else shape, _META_BYTES[kind], encoding, stored))
    if encoding == "deflate" and len(files) < 2:
        _check_stream(path, [*files, path][0], start + max(skip, 0), math.prod(shape) * channels * _META_BYTES[kind])
    return fields


def _check_stream(path: Path, data: Path, start: int, declared: int) -> None:
    """Unpack the voxels once and count them: where they are fewer, ITK leaves what the memory held before."""
    packed, count = zlib.decompressobj(32 + zlib.MAX_WBITS), 0  # with the header of zlib or gzip
    try:
        with data.open("rb") as file:
            file.seek(start)
            while count <= declared and not packed.eof and (part := packed.unconsumed_tail or file.read(_CHUNK)):
                count += len(packed.decompress(part, _CHUNK))
    except zlib.error as error:
        raise InputError(f"{path.name}: its compressed voxels cannot be read, they are damaged ({error})") from error
    if count < declared:
        raise InputError(
            f"{path.name}: its header declares {declared} bytes of voxels, but its compressed data hold {count}; it is "
            "truncated or its header is damaged"
        )


def _metaimage_files(
    path: Path, data: str, listed: list[str], shape: tuple[int, ...], *, allow_outside: bool
) -> tuple[Path, ...]:
    """The data files, of which there must be as many as the shape needs: ITK does not count them; none in one file."""
    if data in ("LOCAL", "Local", "local"):
        return ()
    if data.startswith("LIST"):
        word = re.match(r"\S+\s+(\d)", data)
        axes = int(word[1]) if word and 0 < int(word[1]) <= len(shape) else len(shape) - 1
        names: Sequence[str] = listed
        wanted = math.prod(shape[axes:])
    elif "%" in data:
        names, wanted = numbered_names(path, data, last=shape[-1]), shape[-1]
    else:
        names, wanted = (data,), 1
    files = data_files(path, names, allow_outside=allow_outside)
    if len(files) != wanted:
        raise InputError(
            f"{path.name}: its header names {len(files)} data files; {wanted} are expected for its DimSize"
        )
    return files


def _metaimage_header(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """The fields, where the data begins, and the names below ``ElementDataFile = LIST``."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields:
            raw = file.readline(_MOST_META_LINE)
            key, equals, value = _line(path, raw).partition("=")
            key = key.strip()
            if not (equals and raw.endswith(b"\n") and re.fullmatch(r"[^:]{1,200}", key)) or file.tell() > _MOST_HEADER:
                raise InputError(f"{path.name}: its header is no MetaImage header, or it is cut off")
            if key in fields:
                raise InputError(f"{path.name}: its header has the field {key[:80]!r} twice; once is expected")
            fields[key] = value.strip()
        offset = file.tell()
        listed = []
        if fields["ElementDataFile"].startswith("LIST"):
            listed = [_line(path, raw).strip() for raw in file.read(_MOST_HEADER).splitlines()]
        return fields, offset, [name for name in listed if name]


def _numbers(path: Path, field: str, text: str | None) -> tuple[int, ...]:
    """Sizes of 2 to 5 axes: four, and the list or the channels of an NRRD file."""
    words = (text or "").split()
    if not words or not all(re.fullmatch(r"-?\d{1,18}", word) for word in words):
        shown = text if text is None else text[:80]
        raise InputError(f"{path.name}: its header declares the {field} {shown!r}; whole numbers are expected")
    if not 2 <= len(words) <= 5:
        raise InputError(f"{path.name}: it has {len(words)} axes; 2 to 4 are expected")
    return tuple(map(int, words))


def _whole(path: Path, field: str, text: str, *, least: int = 0) -> int:
    if not re.fullmatch(r"-?\d{1,18}", text.strip()) or int(text) < least:
        raise InputError(
            f"{path.name}: its header declares the {field} {text[:80]!r}; a whole number from {least} is expected"
        )
    return int(text)


def _check(path: Path, declared: _Declared) -> None:
    """Two copies are taken: the library's and the array's."""
    check_declared(
        path, declared.shape, declared.voxel_bytes, max(declared.stored, 0), encoding=declared.encoding, copies=2
    )
