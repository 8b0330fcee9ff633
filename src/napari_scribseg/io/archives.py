"""Archives from elsewhere, zip or tar.gz: files are read from them into memory, and none is unpacked."""

from __future__ import annotations

import gzip
import hashlib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from napari_scribseg.core import InputError
from napari_scribseg.io.limits import human_size

__all__ = ["Archive", "open_archive"]

_MOST_MEMBERS = 200_000
_PIECE = 1 << 20
_DAMAGED = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tarfile.TarError,
            zlib.error)  # fmt: skip


class Archive:
    """The files in an archive; made by :func:`open_archive`.

    Attributes
    ----------
    path : Path
        The archive.
    digests : dict of str to str
        The SHA-256 of each file that was read, by its name in the archive.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.digests: dict[str, str] = {}
        self._limit = limit
        self._sizes: dict[str, int] = {}
        self._reads: dict[str, Callable[[], bytes]] = {}

    def _add(self, name: str, size: int, read: Callable[[], bytes] | None) -> None:
        """Add a member; without ``read``, one that is no regular file."""
        if "\\" in name or ":" in name.partition("/")[0] or name.startswith("/") or ".." in name.split("/"):
            raise InputError(f"{self.path.name}: a file in it is called {name[:80]!r}; a name within it is expected")
        if name in self._sizes:
            raise InputError(f"{self.path.name}: it holds {name[:80]!r} twice; each name is expected once")
        if len(self._sizes) == _MOST_MEMBERS:
            raise InputError(f"{self.path.name}: it holds more than {_MOST_MEMBERS} files; that is no data set known")
        self._sizes[name] = size
        if read is not None:
            self._reads[name] = read

    def select(self, pattern: str) -> dict[str, re.Match[str]]:
        """The files whose whole names match a regular expression, with the matches.

        Raises
        ------
        InputError
            If one is a link or a device, or all of them are larger than the limit; no file is read before.
        """
        matches = {name: match for name in self._sizes if (match := re.fullmatch(pattern, name))}
        for name in matches:
            if name not in self._reads:
                raise InputError(f"{self.path.name}: {name[:80]!r} is a link or a device; a regular file is expected")
        total = sum(self._sizes[name] for name in matches)
        if total > self._limit:
            raise InputError(
                f"{self.path.name}: its files have {human_size(total)} unpacked; {human_size(self._limit)} at most are "
                "expected"
            )
        return matches

    def read(self, name: str) -> bytes:
        """The content of a file that :meth:`select` returned.

        Raises
        ------
        InputError
            If it is damaged, or is not as long as the archive declares.
        """
        with _damage(self.path):
            data = self._reads[name]()
        if len(data) != self._sizes[name]:
            raise InputError(f"{self.path.name}: {name[:80]!r} has {len(data)} bytes; {self._sizes[name]} are declared")
        self.digests[name] = hashlib.sha256(data).hexdigest()
        return data


@contextmanager
def open_archive(path: Path, *, limit: int) -> Iterator[Archive]:
    """Open a zip or tar.gz file.

    Parameters
    ----------
    path : Path
        The archive.
    limit : int
        Most bytes that the files which are read may have, unpacked.

    Raises
    ------
    InputError
        If it is damaged or of another kind, unpacks to more, or a name in it leads out of it.
    """
    archive = Archive(path, limit)
    with ExitStack() as stack:
        with _damage(path):
            if zipfile.is_zipfile(path):
                _list_zip(archive, stack.enter_context(zipfile.ZipFile(path)))
            else:
                packed = _Bounded(stack.enter_context(gzip.open(path)), path, limit)
                _list_tar(archive, stack.enter_context(tarfile.open(fileobj=packed, mode="r:")))  # type: ignore[call-overload]
                while packed.read(_PIECE):  # the checksum of gzip stands at its end
                    pass
        yield archive


def _list_zip(archive: Archive, file: zipfile.ZipFile) -> None:
    for info in file.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was packed on Windows
        if not info.is_dir():
            regular = kind in (0, stat.S_IFREG)
            archive._add(info.filename, info.file_size, partial(_read_zip, file, info) if regular else None)


def _read_zip(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with file.open(info) as member:
        return member.read(info.file_size + 1)


def _list_tar(archive: Archive, file: tarfile.TarFile) -> None:
    for info in file:
        if not info.isdir():
            regular = info.isreg() and not info.issparse()
            archive._add(info.name.removeprefix("./"), info.size, partial(_read_tar, file, info) if regular else None)


def _read_tar(file: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    member = file.extractfile(info)
    return b"" if member is None else member.read()


class _Bounded:
    """An unpacked stream that ends with an error behind ``limit`` bytes, whatever is skipped."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, path: Path, limit: int) -> None:
        self._stream, self._path, self._limit = stream, path, limit

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise InputError(f"{self._path.name}: it unpacks to more than {human_size(self._limit)}; less is expected")

    def read(self, n: int = -1) -> bytes:
        data = self._stream.read(n)
        self._check(self.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path.name}: it cannot be read as zip or tar.gz, it is damaged ({error})") from error
