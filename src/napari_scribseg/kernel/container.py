"""The container of session and workspace files: numpy's .npz without pickle, with a JSON header inside.

The header is an array of bytes named ``header``; the other members are arrays. A file is written beside its target,
flushed to the disk and renamed.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.classes import ClassTable, LabelClass
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.paths import check_regular
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.limits import available_memory, human_size

__all__ = ["Arrays", "ContainerFormat", "ContainerWriter", "classes_from_json", "classes_to_json"]

T = TypeVar("T")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ContainerFormat:
    """A kind of file.

    Attributes
    ----------
    name : str
        Stands in the header under ``format``.
    version : int
        Stands in the header under ``version``; newer files are refused.
    noun : str
        What a file holds, for messages: ``"session"``.
    deflated : bool
        Whether the members are compressed; where not, what they hold is.
    """

    name: str
    version: int
    noun: str
    deflated: bool

    def read(self, path: Path, parse: Callable[[dict[str, Any], Arrays], T]) -> T:
        """Read a file, and make something of its header and arrays.

        Parameters
        ----------
        path : Path
        parse : callable
            ``parse(header, arrays)``; whatever it raises means that the file is damaged, but an InputError that names
            the file, or an OSError.

        Raises
        ------
        InputError
            If the file is missing, of another kind, written by a newer version, too large for the memory, or damaged.
        """
        try:
            return parse(*self._read(path))
        except OSError as error:
            raise InputError(f"the {self.noun} {path} cannot be read: {error.strerror or error}") from error
        except InputError as error:
            if str(path) in str(error):
                raise
            raise InputError(f"the {self.noun} {path} is damaged: {error}") from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise InputError(f"{self._foreign(path)}, or it is damaged: {error}") from error
        except Exception as error:  # zip, numpy and parsers raise many kinds of errors for nonsense
            raise InputError(f"the {self.noun} {path} is damaged: {type(error).__name__}: {error}") from error

    def _foreign(self, path: Path) -> str:
        return f"{path} is not a {self.noun} file of napari-scribseg"

    def _read(self, path: Path) -> tuple[dict[str, Any], Arrays]:
        if path.exists():
            check_regular(path)
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if "header.npy" not in members:
                raise InputError(self._foreign(path))
            if len(members) != len(archive.infolist()) or not all(name.endswith(".npy") for name in members):
                raise InputError(f"{self._foreign(path)}: its parts have other names")
            self._check_sizes(path, list(members.values()))
            header = json.loads(_read_array(archive, members.pop("header.npy")).tobytes())
            if not isinstance(header, dict) or header.get("format") != self.name:
                raise InputError(self._foreign(path))
            if int(header["version"]) > self.version:
                found = header["version"]
                raise InputError(
                    f"{path} was written by a newer version (format {found}); this one reads up to {self.version}"
                )
            return header, {name[: -len(".npy")]: _read_array(archive, member) for name, member in members.items()}

    def _check_sizes(self, path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
        """Refuse a file that needs more memory than it holds or there is."""
        stored = path.stat().st_size
        deflated = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if (deflated and not self.deflated) or any(
            member.file_size > stored for member in members if member.compress_type == zipfile.ZIP_STORED
        ):
            raise InputError(f"{self._foreign(path)}: its parts are larger than the file")
        needed, free = sum(member.file_size for member in members), available_memory()
        if needed > free:
            raise InputError(f"{path} needs {human_size(needed)} of memory, but {human_size(free)} is free")


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """A member as an array, writable; its header must agree with its size."""
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            raise ValueError(f"{member.filename} is an array of an unknown version")
        content = bytearray(file.read())
    if dtype.hasobject or len(content) != int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize:
        raise ValueError(f"{member.filename} has {len(content)} bytes, but its header names shape {shape} of {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """An array, and the bytes that stand for it in a file."""

    array: NDArray[Any]
    content: bytes
    size: int
    crc: int

    @classmethod
    def of(cls, array: NDArray[Any], deflated: bool) -> _Member:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
        raw = buffer.getbuffer()
        if deflated:
            deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
            content = deflater.compress(raw) + deflater.flush()
        else:
            content = bytes(raw)
        return cls(array, content, len(raw), zlib.crc32(raw))

    def holds(self, array: NDArray[Any]) -> bool:
        """Whether it is of this array, or of one that is equal byte by byte."""
        if self.array is array:
            return True
        if (self.array.dtype, self.array.shape) != (array.dtype, array.shape):
            return False
        one, other = (np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (self.array, array))
        return bool(np.array_equal(one, other))


class ContainerWriter:
    """Writes a file again and again; arrays that have not changed since the last time are not compressed anew.

    Parameters
    ----------
    kind : ContainerFormat
    """

    def __init__(self, kind: ContainerFormat) -> None:
        self._kind = kind
        self._members: dict[str, _Member] = {}

    def write(self, path: Path, header: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the file; on failure the former one stays as it was.

        Parameters
        ----------
        path : Path
        header : str
            A JSON object; format and version are added.
        arrays : mapping of str to ndarray
            Must not be written into later.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        head = json.dumps({"format": self._kind.name, "version": self._kind.version})
        text = (head if header == "{}" else f"{head[:-1]}, {header[1:]}").encode()
        everything = {"header": np.frombuffer(text, np.uint8), **arrays}
        former = self._members
        self._members = {
            name: former[name]
            if name in former and former[name].holds(array)
            else _Member.of(array, self._kind.deflated)
            for name, array in everything.items()
        }
        try:
            with replacing(path) as file:
                self._write(file)
        except OSError as error:
            noun = self._kind.noun
            raise InputError(f"the {noun} cannot be saved to {path}: {error.strerror or error}") from error
        if not self._kind.deflated:
            self._members = {}

    def _write(self, file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, member in self._members.items():
                info = zipfile.ZipInfo(f"{name}.npy")
                if member.size > zipfile.ZIP64_LIMIT:
                    with archive.open(info, "w", force_zip64=True) as large:
                        np.lib.format.write_array(large, member.array, version=(1, 0), allow_pickle=False)
                    continue
                archive.writestr(info, member.content)
                if not self._kind.deflated:
                    continue
                info.compress_type, info.file_size, info.CRC = zipfile.ZIP_DEFLATED, member.size, member.crc
                end = file.tell()
                file.seek(info.header_offset)
                file.write(info.FileHeader())  # now marks the bytes behind it as deflated
                file.seek(end)


def classes_to_json(classes: ClassTable) -> list[list[Any]]:
    """A class table as a header holds it."""
    return [[c.id, c.name, list(c.color), c.visible, c.locked, c.background] for c in classes]


def classes_from_json(rows: Sequence[Sequence[Any]]) -> ClassTable:
    """The inverse of :func:`classes_to_json`; raises what nonsense raises."""
    return ClassTable(
        tuple(
            LabelClass(int(i), str(name), tuple(color), bool(visible), bool(locked), bool(background))  # type: ignore[arg-type]
            for i, name, color, visible, locked, background in rows
        )
    )
