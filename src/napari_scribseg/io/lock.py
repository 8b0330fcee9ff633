"""One run at a time in an output folder; the system frees the lock when a process ends, however it does."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_scribseg.core import InputError

__all__ = ["locked"]

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of an output folder; on a file system that knows no locks, go without.

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
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in _TAKEN:
                raise InputError(
                    f"another run is at work with {file}; wait for its end, or give another --out folder"
                ) from error
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
