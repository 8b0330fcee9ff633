"""Names and colours of classes in tables: BIDS ``_dseg.tsv`` and ITK-SNAP label descriptions."""

from __future__ import annotations

import glob
import re
import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.classes import MAX_ID, Color, default_color
from napari_scribseg.core.paths import user_path
from napari_scribseg.io.atomic import write_files
from napari_scribseg.io.formats import extension, stem
from napari_scribseg.io.limits import read_text

__all__ = [
    "bids_path",
    "classes_beside",
    "default_table",
    "itksnap_path",
    "read_classes",
    "render_classes",
    "shares_table",
    "tables_beside",
    "write_classes",
]

_MOST_BYTES = 16 << 20
_SNAP_LINE = re.compile(r'^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.eE+-]+)\s+([01])\s+([01])\s+"(.*)"\s*$')
_SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    MSH:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def bids_path(labels: Path) -> Path:
    """The path of the BIDS table of a label volume: ``x_dseg.tsv`` for ``x_dseg.nii.gz`` and for ``x.nii.gz``."""
    name = stem(labels)
    return labels.with_name(f"{name.removesuffix('_dseg')}_dseg.tsv")


def itksnap_path(labels: Path) -> Path:
    """The path of the ITK-SNAP table of a label volume: ``x_labels.txt`` for ``x.nii.gz``."""
    return labels.with_name(f"{stem(labels)}_labels.txt")


def tables_beside(labels: Path) -> tuple[Path, ...]:
    """The existing tables of this volume: BIDS first, then ITK-SNAP.

    ``x_dseg.tsv`` is that of ``x_dseg.nii.gz`` where there is one, and not of the image ``x.nii.gz`` beside it.
    """
    tables = (itksnap_path(labels),) if _is_taken(labels) else (bids_path(labels), itksnap_path(labels))
    try:
        return tuple(path for path in tables if path.is_file())
    except OSError:  # a name that is too long: such a volume does not exist either
        return ()


def default_table(labels: Path) -> Path:
    """The table for names and colours that the volume itself cannot hold: the one that is read first beside it."""
    return itksnap_path(labels) if _is_taken(labels) else bids_path(labels)


def shares_table(labels: Path) -> bool:
    """Whether another volume has the same name up to its extension, so that a table may belong to it."""
    return _has_volume(labels.parent, stem(labels), labels)


def _is_taken(labels: Path) -> bool:
    """Whether the BIDS table of this name belongs to another volume, ``x_dseg.nii.gz`` beside ``x.nii.gz``."""
    name = stem(bids_path(labels))
    return stem(labels) != name and _has_volume(labels.parent, name, labels)


def _has_volume(folder: Path, name: str, other: Path) -> bool:
    """Whether a folder holds a volume called ``name``, whatever its extension, other than one file."""
    found = (p for p in folder.glob(f"{glob.escape(name)}.*") if p != other and stem(p) == name)
    return any(extension(p) not in ("", *_TABLES) for p in found)


def read_classes(path: str | PathLike[str]) -> ClassTable:
    """Read a table of names and colours.

    Parameters
    ----------
    path : str or PathLike
        ``.tsv`` (BIDS: columns ``index``, ``name`` and optionally ``color``), or an ITK-SNAP label description
        (``.txt`` or ``.label``).

    Returns
    -------
    ClassTable
        In the order of the file, without the index 0.

    Raises
    ------
    InputError
        If the file is missing, is neither of the two, or a line of it cannot be understood.
    """
    file = user_path(path)
    kind = extension(file)
    if kind not in _TABLES:
        raise InputError(f"{file.name}: a class table is a BIDS .tsv or an ITK-SNAP .txt or .label file")
    parse, _ = _TABLES[kind]
    classes = parse(file.name, read_text(file, _MOST_BYTES, "class table"))
    try:
        return ClassTable(tuple(classes))
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def write_classes(path: str | PathLike[str], classes: ClassTable) -> Path:
    """Write a table of names and colours, as BIDS for ``.tsv`` and as ITK-SNAP has it for ``.txt`` and ``.label``.

    Raises
    ------
    InputError
        If the extension is another one or the file cannot be written; a file that was there is then unchanged.
    """
    file = user_path(path)
    write_files({file: render_classes(file, classes)})
    return file


def render_classes(path: Path, classes: Iterable[LabelClass]) -> bytes:
    """The table in the format of the extension of ``path``."""
    kind = extension(path)
    if kind not in _TABLES:
        raise InputError(f"{path.name}: a class table can be saved as BIDS .tsv or ITK-SNAP .txt or .label")
    _, render = _TABLES[kind]
    return render(classes).encode()


def classes_beside(labels: Path) -> ClassTable:
    """The classes that a table beside a label volume gives: its BIDS table, else its ITK-SNAP file, else none.

    A table that cannot be read becomes a warning, not an error: the volume itself is whole.
    """
    for path in tables_beside(labels):
        try:
            return read_classes(path)
        except InputError as error:
            warnings.warn(f"names and colours are not used: {error}", UserWarning, stacklevel=2)
    return ClassTable()


def _parse_bids(name: str, text: str) -> list[LabelClass]:
    first, *lines = text.splitlines() or [""]
    head = [cell.strip().lower() for cell in first.split("\t")]
    if not {"index", "name"} <= set(head):
        raise InputError(f"{name}: its first line is {head}; the columns 'index' and 'name' are expected")
    found = []
    for line in lines:
        row = dict(zip(head, (cell.strip() for cell in line.split("\t")), strict=False))
        if not any(row.values()):
            continue
        identity = _identity(name, row.get("index", ""))
        if identity:
            color = _from_hex(name, row.get("color", ""), identity)
            found.append(LabelClass(identity, row.get("name") or f"class {identity}", color))
    return found


def _identity(name: str, text: str) -> int:
    try:
        identity = int(text)
    except ValueError:
        identity = -1
    if not 0 <= identity <= MAX_ID:
        raise InputError(f"{name}: it holds the index {text!r}; whole numbers from 0 to {MAX_ID} are expected")
    return identity


def _from_hex(name: str, text: str, identity: int) -> Color:
    if text.lower() in ("", "n/a"):
        return default_color(identity)
    digits = text.removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", digits):
        raise InputError(f"{name}: it holds the colour {text!r}; #rrggbb is expected")
    r, g, b, a = bytes.fromhex(f"{digits}ff"[:8])
    return (r / 255, g / 255, b / 255, a / 255)


def _parse_itksnap(name: str, text: str) -> list[LabelClass]:
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SNAP_LINE.match(line)
        if match is None:
            raise InputError(
                f"{name}: it holds the line {line.strip()[:60]!r}; 'index r g b alpha visible mesh \"name\"' is "
                "expected"
            )
        index, r, g, b, alpha, visible, _mesh, title = match.groups()
        identity = _identity(name, index)
        if not identity:
            continue
        try:
            color = (int(r) / 255, int(g) / 255, int(b) / 255, float(alpha))
            found.append(LabelClass(identity, title or f"class {identity}", color, visible=visible == "1"))
        except ValueError as error:  # alpha is no number, or a component is out of range
            raise InputError(f"{name}: {error}") from error
    return found


def _bytes(color: Color) -> tuple[int, int, int]:
    r, g, b = (round(255 * c) for c in color[:3])
    return r, g, b


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _render_bids(classes: Iterable[LabelClass]) -> str:
    lines = ["index\tname\tcolor"]
    for c in classes:
        r, g, b = _bytes(c.color)
        lines.append(f"{c.id}\t{_one_line(c.name)}\t#{r:02x}{g:02x}{b:02x}")
    return "\n".join(lines) + "\n"


def _render_itksnap(classes: Iterable[LabelClass]) -> str:
    lines = []
    for c in classes:
        r, g, b = _bytes(c.color)
        name = _one_line(c.name).replace('"', "'")
        lines.append(f'{c.id:5d} {r:5d} {g:4d} {b:4d} {c.color[3]:8.3g}  {c.visible:d}  {c.visible:d}    "{name}"')
    return _SNAP_HEAD + "".join(f"{line}\n" for line in lines)


_TABLES = {  # by extension: what parses the text, and what renders the classes
    ".tsv": (_parse_bids, _render_bids),
    ".txt": (_parse_itksnap, _render_itksnap),
    ".label": (_parse_itksnap, _render_itksnap),
}
