"""Paths as a user writes them."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from napari_scribseg.core.errors import InputError

__all__ = ["user_path"]


def user_path(path: str | PathLike[str]) -> Path:
    """A path with ``~`` and ``~name`` at its beginning resolved.

    Raises
    ------
    InputError
        If it names a user whose home is not known, or holds a NUL character.
    """
    text = fspath(path)
    if "\0" in text:
        raise InputError(f"the path {text[:80]!r} holds a NUL character; a path without one is expected")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text[:80]}: the home folder of this user is not known; give the whole path") from error
