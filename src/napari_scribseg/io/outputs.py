"""What a command may write: never over what it reads, and over other files only where that is asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.volumes import extension

__all__ = ["check_folder", "check_outputs", "data_path", "files_of", "header_data", "header_stem", "superseded"]

_DETACHED = {".mhd": ".zraw", ".nhdr": ".raw.gz"}  # headers that name other files with the voxels, and ours of these
_DATA_FILE = re.compile(
    rb"^(?:ElementDataFile[ \t]*=|data ?file:)[ \t]*([^\r\n]*?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE
)
_MOST_HEADER = 1 << 20


def header_data(header: Path) -> list[Path]:
    """The files with the voxels that a header (``.mhd``, ``.nhdr``) names and that are there.

    Raises
    ------
    OSError
        If the header cannot be read.
    """
    with header.open("rb") as file:
        content = file.read(_MOST_HEADER)
    match = _DATA_FILE.search(content)
    if match is None:
        return []
    named = os.fsdecode(match[1])
    if named.upper().split()[:1] == ["LIST"]:
        names = [os.fsdecode(line).strip() for line in content[match.end() :].splitlines()]
    elif "%" in named:  # a pattern with the first and the last number, and the step
        folder, pattern = os.path.split(named.split()[0])
        found = sorted((header.parent / folder).glob(re.sub(r"%\d*d", "*", pattern)))
        return [path for path in found if path.is_file()]
    else:
        names = [named]
    paths = [header.parent / name for name in names if name and "\0" not in name]
    return [path for path in paths if path.is_file() and path != header]


def files_of(path: Path) -> list[Path]:
    """The files that are read with ``path``: itself, the data of a header, all that a folder holds.

    Raises
    ------
    OSError
        If it cannot be looked at.
    """
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    if extension(path) in _DETACHED and path.is_file():
        return [path, *header_data(path)]
    return [path]


def data_path(header: Path, digest: str) -> Path:
    """Where the voxels of a header go: a name of their own for other voxels, so that no header is left with others'.

    Parameters
    ----------
    header : Path
        ``.mhd`` or ``.nhdr``.
    digest : str
        Ten hexadecimal digits that follow from the voxels.
    """
    return header.with_name(f"{header.stem}.{digest}{_DETACHED[extension(header)]}")


def header_stem(data: str) -> str:
    """The stem of the header that a file called ``data`` holds the voxels of; what has another name keeps it."""
    return re.sub(r"(\.[0-9a-f]{10})?\.(zraw|raw\.gz)$", "", data)


def superseded(header: Path) -> list[Path]:
    """The data files that an earlier version of a header left, which no other header beside it names.

    Empty for a file that is no header.
    """
    ending = _DETACHED.get(extension(header))
    if ending is None or not header.parent.is_dir():
        return []
    of_ours = (p for p in header.parent.iterdir() if p.name.endswith(ending))
    found = [p for p in of_ours if header_stem(p.name) == header.stem]
    beside = header.parent.iterdir() if found else ()
    others = [p for p in beside if p != header and extension(p) in _DETACHED and p.is_file()]
    try:
        named = {path for other in others for path in header_data(other)}
    except OSError:
        return []
    return [path for path in found if path not in named]


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
    """Ask before long work whether its results may take the places that they are given.

    Parameters
    ----------
    outputs : iterable of Path
        Files that will be written.
    inputs : iterable of Path
        Files and folders that are read; what belongs to them, such as the data of a header, is theirs too. Links of
        both kinds are followed.
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
