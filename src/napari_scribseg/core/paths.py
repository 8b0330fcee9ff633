"""Paths that a user gives."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from napari_scribseg.core.errors import InputError

__all__ = ["check_regular", "user_path"]


def user_path(path: str | PathLike[str]) -> Path:
    """A path with ``~`` and ``~name`` at its beginning resolved.

    Raises
    ------
    InputError
        If it names a user whose home folder cannot be found, or holds a NUL character.
    """
    text = fspath(path)
    if "\0" in text:
        raise InputError(f"the path {text[:80]!r} holds a NUL character; a path without one is expected")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text[:80]}: the home folder of this user is not known; give the whole path") from error


def check_regular(file: Path) -> None:
    """Refuse what is no file before it is opened: reading a pipe would never end.

    Raises
    ------
    InputError
        If there is no such file, or it is neither a regular one nor a folder.
    """
    if not file.exists():
        raise InputError(f"there is no file {file}")
    if not (file.is_file() or file.is_dir()):
        raise InputError(f"{file} is a device, a pipe or a socket; a regular file is expected")
