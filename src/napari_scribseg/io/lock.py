"""Locks of output folders and files; the system releases a lock when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_scribseg.core import InputError

__all__ = ["FileLock", "InUseError", "is_in_use", "locked"]

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_ATTEMPTS = 100
_LONG = 240  # bytes of a name, beside which a file system has no room for ours


class InUseError(InputError):
    """Another process or session works on a file."""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of an output folder; on a file system without locks, do nothing.

    Parameters
    ----------
    file : Path
        Named ``lock``, in the output folder or in a folder of records inside it; made where it is missing.

    Raises
    ------
    InputError
        If another run holds it, or the lock file cannot be made.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{file.parent} cannot be written ({error.strerror})") from error
    try:
        if _is_taken(descriptor):
            raise InputError(f"another run is at work with {file}; wait for its end, or give another --out folder")
        yield
    finally:
        os.close(descriptor)


class FileLock:
    """A lock of a file until :meth:`release`, or until nothing refers to the lock any more.

    The lock is a hidden file beside it, as the file itself is replaced whenever it is written. Where none can be made,
    or the file system has no locks, nothing is locked.

    Parameters
    ----------
    path : Path
        It need not exist.

    Raises
    ------
    InUseError
        If another lock of this file is held, by this process or another one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        file = _lock_file(self.path)
        descriptor = _take(file)
        if descriptor is None:
            raise InUseError(f"{path} is being worked on by another session")
        self._release = weakref.finalize(self, _let_go, file, descriptor)

    def release(self) -> None:
        """Release the lock; may be called twice."""
        self._release()

    close = release


def is_in_use(path: Path) -> bool:
    """Whether a lock of a file is held; the lock file of a process that was killed is removed."""
    try:
        FileLock(path).release()
    except InUseError:
        return True
    return False


def _lock_file(path: Path) -> Path:
    name = path.name
    if len(name.encode()) > _LONG:
        name = f"{name[:40]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return path.with_name(f".{name}.lock")


def _take(file: Path) -> int | None:
    """A descriptor that holds a lock file, -1 where there cannot be one, None where another one holds it."""
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return -1
        if _is_taken(descriptor):
            os.close(descriptor)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        os.close(descriptor)  # its holder removed it after it had been opened here
    return -1


def _let_go(file: Path, descriptor: int) -> None:
    if descriptor >= 0:
        with contextlib.suppress(OSError):  # Windows removes no file that is open; an empty one stays there
            file.unlink()
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    """Lock an open file; whether another one has it. False, too, where there are no locks."""
    try:
        _lock(descriptor)
    except OSError as error:
        return error.errno in _TAKEN
    return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
