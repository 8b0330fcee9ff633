"""Atomic writes: temporary files in the same folder, then renames, so that a failure leaves what was there."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from napari_scribseg.core import InputError

__all__ = [
    "TEMPORARY",
    "Contents",
    "check_writable",
    "clean_up",
    "refusal",
    "remove",
    "replacing",
    "temporary_name",
    "write_files",
]

_DAY = 86_400.0  # seconds
TEMPORARY = re.compile(r"\.(?P<target>.+)\.(?P<host>\w+)-(?P<pid>\d{1,9})-[0-9a-f]{12}\.(tmp|old)")
_cleaned: set[tuple[Path, int]] = set()

Content = bytes | Callable[[BinaryIO], object]
Contents = dict[Path, Content]

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than allowed here",
    errno.EACCES: "the folder or the file may not be written",
    errno.EPERM: "the folder or the file may not be written",
    errno.EROFS: "the folder is read-only",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "its parent is not a folder",
    errno.EISDIR: "it is a folder",
}


def check_writable(path: Path) -> None:
    """Check before long work that its result could be saved; the disk may still be full then.

    Raises
    ------
    InputError
        If the folder is missing or may not be written, or the file is a folder or may not be replaced.
    """
    with _as_input_error([path]):
        folder = _writable(path).parent
        code = 0 if os.access(folder, os.W_OK) else errno.EACCES
        code = code if folder.is_dir() else errno.ENOENT
        if code:
            raise OSError(code, os.strerror(code), str(folder))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write to a temporary file beside ``path``; on success it replaces ``path``, on failure it is removed.

    Yields
    ------
    BinaryIO
        The temporary file, open for writing.

    Raises
    ------
    OSError
        If the system refuses (full disk, read-only folder, missing folder); ``path`` is then what it was before.
    """
    with _temporaries([path]) as temporaries, temporaries[path].open("xb") as file:
        yield file
        _finish(file)


def write_files(contents: Mapping[Path, Content], named: Path | None = None) -> tuple[Path, ...]:
    """Write files that belong together, such as a header and its data: all of them, or none.

    Parameters
    ----------
    contents : mapping of Path to bytes or callable
        For each file its content, or a function that writes it into an open binary file. All are written before
        the first is renamed; they are renamed in this order, so a header follows its data.
    named : Path, optional
        The file that the message of an error names; the last one by default.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the system refuses; every file that was there is then what it was before.
    """
    paths = list(contents)
    with _as_input_error([*paths, named or paths[-1]]), _temporaries(paths) as temporaries:
        for path, content in contents.items():
            with temporaries[path].open("xb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content(file)
                _finish(file)
    return tuple(paths)


@contextmanager
def _temporaries(paths: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """A temporary file for each path: on success they replace the files, all or none; on failure they are removed."""
    targets = {path: _writable(path) for path in paths}
    temporaries = {path: _beside(target, "tmp") for path, target in targets.items()}
    try:
        yield temporaries
        _replace_all({targets[path]: temporary for path, temporary in temporaries.items()})
    finally:
        for temporary in temporaries.values():
            remove(temporary)


def _writable(path: Path) -> Path:
    """The file itself where ``path`` is a link; a file that its owner made read-only is not replaced."""
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return target


def _beside(target: Path, kind: str) -> Path:
    clean_up(target.parent)
    return temporary_name(target, kind)


def temporary_name(target: Path, kind: str = "tmp") -> Path:
    """A hidden name beside a file or folder that says which process made it, so that :func:`clean_up` knows it."""
    return target.with_name(f".{target.name[:100]}.{_host()}-{os.getpid()}-{secrets.token_hex(6)}.{kind}")


def clean_up(folder: Path) -> None:
    """Remove what processes that were killed left in a folder; once for each folder and process.

    What was made on another computer is removed after a day, as its process cannot be checked here.
    """
    if (folder, os.getpid()) in _cleaned:
        return
    _cleaned.add((folder, os.getpid()))
    with suppress(OSError):
        for entry in os.scandir(folder):
            made = TEMPORARY.fullmatch(entry.name)
            if made and _is_left(entry, made["host"], int(made["pid"])):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    remove(Path(entry.path))


def _is_left(entry: os.DirEntry[str], host: str, pid: int) -> bool:
    if host == _host():
        import psutil  # slow to import, and rarely needed

        return not psutil.pid_exists(pid)
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", platform.node())[:40] or "unknown"


def _finish(file: BinaryIO) -> None:
    """Force the file onto the disk: a full disk may show as late as here."""
    file.flush()
    os.fsync(file.fileno())


def remove(path: Path) -> None:
    """Remove a file that is needed no more; one that cannot be removed does no harm."""
    with suppress(OSError):
        path.unlink()


def _replace_all(temporaries: Mapping[Path, Path]) -> None:
    """Rename every temporary file to its target; where one cannot be, put back the former content of the others."""
    former: dict[Path, Path | None] = {}
    try:
        for target, temporary in temporaries.items():
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            if len(temporaries) > 1:
                former[target] = _second_name(target)
            temporary.replace(target)
    except BaseException:
        for target, copy in former.items():
            if copy is not None:
                copy.replace(target)
            elif not temporaries[target].exists():  # it was renamed to the target, where nothing had been
                remove(target)
        raise
    finally:
        for copy in former.values():
            if copy is not None:
                remove(copy)


def _second_name(target: Path) -> Path | None:
    """Another name for the same content, a hard link or a copy; None where there is no file."""
    if not target.is_file():
        return None
    copy = _beside(target, "old")
    try:
        copy.hardlink_to(target)
    except OSError:  # a file system without hard links
        copy.write_bytes(target.read_bytes())
    return copy


def refusal(error: OSError) -> str | None:
    """Why the system refuses to write, for a message; None for errors of another kind."""
    return _REASONS.get(error.errno or 0)


@contextmanager
def _as_input_error(paths: list[Path]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = refusal(error) or error.strerror or str(error)
        unchanged = "; what was there is unchanged" if any(path.is_file() for path in paths) else ""
        raise InputError(f"cannot save {paths[-1]}: {reason}{unchanged}") from error
