"""Checks of the files that a command writes: never its inputs, and other files only with ``overwrite``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.data_files import named_data

__all__ = ["check_folder", "check_outputs", "files_of"]


def files_of(path: Path) -> list[Path]:
    """The files that are read with ``path``: itself, the data files of a header, all files of a folder.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    found = [path]
    if path.is_file():
        with suppress(InputError):  # the reader of a damaged header refuses it
            found += named_data(path)
    return found


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
    """Check before long work that its results may be written where they are to go.

    Parameters
    ----------
    outputs : iterable of Path
        Files that will be written.
    inputs : iterable of Path
        Files and folders that are read, with the files that belong to them, such as the data of a header. Links of both
        kinds are followed.
    overwrite : bool
        Whether other files that are there may be replaced.

    Raises
    ------
    InputError
        If an output is an input, two outputs are one file, or an output is there and ``overwrite`` is false.
    """
    read: dict[object, Path] = {}
    for source in inputs:
        try:
            read |= {_identity(file): source for file in files_of(source)}
        except OSError as error:
            raise InputError(f"{source}: it cannot be read ({error.strerror or error})") from error
    taken: dict[object, Path] = {}
    for path in outputs:
        identity = _identity(path)
        if identity in read:
            raise InputError(f"{path} would be written over the input {read[identity]}; give another file to write")
        if identity in taken:
            raise InputError(f"{taken[identity]} and {path} are one file; give each output a file of its own")
        if path.exists() and not overwrite:
            raise InputError(f"{path} is there already; --overwrite replaces it")
        taken[identity] = path


def check_folder(folder: Path, mark: str, names: Iterable[str]) -> None:
    """Refuse a folder in which files of other origin have the names of those that will be written.

    Parameters
    ----------
    folder : Path
        The output folder; it need not be there.
    mark : str
        A file that an earlier run of the same command left in it; then all those names are the command's own.
    names : iterable of str
        Of the files that will be written, below the folder; patterns as of ``glob``.

    Raises
    ------
    InputError
        If such a file is there, and ``mark`` is not.
    """
    if (folder / mark).exists() or not folder.is_dir():
        return
    found = next((path for name in names for path in sorted(folder.glob(name))), None)
    if found is not None:
        raise InputError(
            f"{found} is there already, and {folder} holds no earlier run of this command; give a new folder"
        )


def _identity(path: Path) -> object:
    """The same for all names of one file: by links of both kinds, and in any case where the system sees none."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return Path(os.path.realpath(path))
    return stat.st_dev, stat.st_ino
