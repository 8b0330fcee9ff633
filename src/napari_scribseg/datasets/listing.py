"""The content of a folder by names; no file is opened."""

from __future__ import annotations

import os
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.io import image_extensions
from napari_scribseg.io.formats import extension, stem

__all__ = ["images_in", "listed", "require_folder"]


def require_folder(folder: Path) -> Path:
    """The absolute path of a folder, so that also ``.`` has a name.

    Raises
    ------
    InputError
        If the folder is missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; the folder of a data set is expected")
    return Path(os.path.abspath(folder))  # noqa: PTH100 resolve() would follow links, and lose their names


def listed(folder: Path, ending: str) -> tuple[str, ...]:
    """The names, less their ending, of the files with that ending, sorted.

    Raises
    ------
    InputError
        If the folder is missing, or holds none.
    """
    entries = [p.name for p in require_folder(folder).iterdir()]
    names = sorted(n.removesuffix(ending) for n in entries if n.endswith(ending) and not n.startswith("."))
    if not names:
        some = ", ".join(sorted(entries)[:4]) or "nothing"
        raise InputError(f"{folder}: it holds no file that ends in {ending}, but {some}")
    return tuple(names)


def images_in(folder: Path) -> dict[str, Path]:
    """The image files of a folder by their stem, sorted, without hidden ones.

    Raises
    ------
    InputError
        If two of them differ in their extension only.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or extension(path) not in image_extensions() or not path.is_file():
            continue
        name = stem(path)
        if name in found:
            raise InputError(f"{folder}: {found[name].name} and {path.name} have one name; each name is expected once")
        found[name] = path
    return found
