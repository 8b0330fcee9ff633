"""Saving that never damages what was there: a temporary file in the same folder, then a rename."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from napari_scribseg.core import InputError

__all__ = ["replacing"]

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


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write to a temporary file beside ``path``; on success it takes the place of ``path``, on failure it is removed.

    Yields
    ------
    BinaryIO
        The temporary file, open for writing.

    Raises
    ------
    InputError
        If the system refuses (full disk, read-only folder, missing folder); ``path`` is then what it was before.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        kept = "; the file that was there is unchanged" if path.is_file() else ""
        raise InputError(f"cannot save {path}: {reason}{kept}") from error
