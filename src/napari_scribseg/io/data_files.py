"""Data files of headers whose voxels are in separate files: which are read, and the names of those that are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io.formats import extension, format_of, formats

__all__ = ["data_files", "data_path", "header_stem", "named_data", "numbered_names", "superseded"]

_PATTERN = re.compile(r"[^%\s]*%(0[1-9])?d[^%\s]*")
_MOST_FILES = 100_000


def data_files(
    header: Path, names: Iterable[str], *, allow_outside: bool, may_be_missing: bool = False
) -> tuple[Path, ...]:
    """The files that a header names, each of them a regular file in the header's folder or below it.

    Parameters
    ----------
    header : Path
        The header file; relative names start at its folder.
    names : iterable of str
        As the header has them.
    allow_outside : bool
        Whether they may lie anywhere.
    may_be_missing : bool
        Whether names of files that there are not are passed over.

    Raises
    ------
    InputError
        If there is no name, a file is missing, is no regular file (a device, a pipe, a folder), or lies elsewhere.
    """
    folders = {header.parent.resolve(), header.resolve().parent}
    found = []
    for name in names:
        # ITK takes these two for whole paths, and would look for them where the program was started.
        if name[:1] == "~" or (name[1:2] == ":" and not Path(name).is_absolute()):
            raise InputError(f"{header.name}: its data file is called {name[:80]!r}; a plain file name is expected")
        file = (header.parent / name).resolve()
        if not allow_outside and not any(file.is_relative_to(folder) for folder in folders):
            raise InputError(
                f"{header.name}: its data file {name[:80]!r} lies outside of its folder; copy it there, or allow it "
                "(--allow-outside on the command line, allow_outside=True in Python)"
            )
        if may_be_missing and not file.exists():
            continue
        if not name or not file.exists():
            raise InputError(
                f"{header.name}: its data file {name[:80] or 'without a name'} is missing; it is expected in the same "
                "folder"
            )
        if not file.is_file():
            raise InputError(f"{header.name}: its data file {name[:80]!r} is not a regular file")
        found.append(file)
    if not found:
        raise InputError(f"{header.name}: its list of data files is empty; at least one name is expected")
    return tuple(found)


def numbered_names(header: Path, text: str, last: int | None = None) -> tuple[str, ...]:
    """The names that a pattern with one number stands for, such as ``slice%03d.raw 1 20 1``.

    The pattern becomes a format string of C in ITK, so that it may hold one ``%d`` or ``%0Nd`` with N from 1 to 9, and
    nothing else.

    Parameters
    ----------
    header : Path
        The header file.
    text : str
        The pattern, and the first number, the last number and the step.
    last : int, optional
        Of a MetaImage, the last number where it is left out, and with it the step; the first one may be, too. Of an
        NRRD, whose numbers may run backwards, all three are needed.

    Raises
    ------
    InputError
        If the pattern is another one, or the numbers make no range, or one of more than 100,000 files.
    """
    pattern, *words = text.split() or [""]
    numbers = [int(word) if re.fullmatch(r"[+-]?\d{1,9}", word) else None for word in words[:3]]
    if last is not None and len(numbers) < 2:  # from two numbers alone ITK computes a step of 0, and divides by it
        numbers += [1, last, 1][len(numbers) :]
    if not _PATTERN.fullmatch(pattern) or "%" in str(header.parent) or None in numbers or len(numbers) < 3:
        raise InputError(
            f"{header.name}: its data files are {text[:80]!r}; a pattern such as 'slice%03d.raw 1 20 1' is expected, "
            "with one %d or %0Nd, N from 1 to 9, and no % elsewhere in the path"
        )
    first, end, step = (n for n in numbers if n is not None)
    count = 0 if step == 0 or (last is not None and step < 0) else (end - first) // step + 1
    if not 0 < count <= _MOST_FILES:
        raise InputError(
            f"{header.name}: its data files are numbered from {first} to {end} in steps of {step}; 1 to {_MOST_FILES} "
            "files are expected"
        )
    return tuple(pattern % n for n in range(first, first + count * step, step))


def named_data(header: Path) -> list[Path]:
    """The data files that a header names and that are there; none of a file of another format.

    Raises
    ------
    InputError
        If the header is damaged.
    OSError
        If it cannot be read.
    """
    kind = format_of(header)
    if kind is None or kind.data_names is None or extension(header) not in kind.detached:
        return []
    found = [header.parent / name for name in kind.data_names(header) if name]
    return [path for path in found if path.is_file() and path != header]


def data_path(header: Path, digest: str) -> Path:
    """The file for the voxels of a header; it has another name for other voxels, so that no header gets wrong ones.

    Parameters
    ----------
    header : Path
        ``.mhd`` or ``.nhdr``.
    digest : str
        Ten hexadecimal digits of a hash of the voxels.
    """
    return header.with_name(f"{header.stem}.{digest}{_data_extension(header)}")


def header_stem(data: str) -> str:
    """The stem of the header that a data file called ``data`` was written with; another file's name unchanged."""
    endings = (ending for kind in formats() for ending in kind.detached.values())
    ending = next((ending for ending in endings if data.endswith(ending)), "")
    return re.sub(r"\.[0-9a-f]{10}$", "", data.removesuffix(ending)) if ending else data


def superseded(header: Path) -> list[Path]:
    """The data files that an earlier version of a header left, which no other header beside it names.

    Empty for a file that is no header, and where one of the others cannot be understood.
    """
    ending = _data_extension(header)
    if not ending or not header.parent.is_dir():
        return []
    ours = [p for p in header.parent.iterdir() if p.name.endswith(ending) and header_stem(p.name) == header.stem]
    others = [p for p in header.parent.iterdir() if ours and p != header and _data_extension(p) and p.is_file()]
    try:
        named = {path for other in others for path in named_data(other)}
    except (InputError, OSError):
        return []
    return [path for path in ours if path not in named]


def _data_extension(header: Path) -> str:
    """The extension of the data file beside a header; empty where the voxels are in the file itself."""
    kind = format_of(header)
    return "" if kind is None else kind.detached.get(extension(header), "")
