"""The registry of file formats: one entry says how a format is read and written, and what it keeps.

Other packages add formats through the entry-point group ``scribseg.formats``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.core.paths import check_regular, user_path
from napari_scribseg.core.plugins import add_installed
from napari_scribseg.io.atomic import Contents

__all__ = [
    "LABEL_MARK",
    "Format",
    "Keeps",
    "ReadOptions",
    "extension",
    "extension_for_labels",
    "format_of",
    "formats",
    "formats_table",
    "image_extensions",
    "label_extensions",
    "late",
    "read_volume",
    "register",
    "stem",
    "unregister",
]

FORMAT_GROUP = "scribseg.formats"

#: The mark of our own label files, in formats that have no mark of their own.
LABEL_MARK = "napari-scribseg labels"

_OTHER = (".zarr", ".tsv", ".txt", ".label")  # of folders of other programs, and of tables beside a volume


class Keeps(enum.Flag):
    """What a format keeps of a volume beside the voxels."""

    SPACING = enum.auto()  #: voxel size and its unit
    PLACEMENT = enum.auto()  #: position and directions
    SHEAR = enum.auto()  #: axes that are not at right angles, so that programs built on ITK open them
    TIME = enum.auto()  #: a time axis
    CHANNELS = enum.auto()  #: colours or other channels
    CLASSES = enum.auto()  #: names and colours of labels
    NOTHING = 0


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is to be read.

    Attributes
    ----------
    ids : bool
        Whether the values are label ids: the numbers of a palette are then read, not its colours.
    allow_outside : bool
        Whether files that a header names may lie outside of the header's folder.
    series : str or None
        The series of a folder to read.
    """

    ids: bool = False
    allow_outside: bool = False
    series: str | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
        For people.
    extensions : tuple of str
        In lower case with their dot; the first is the usual one.
    read : callable
        ``read(path, options)`` returns a :class:`Source`; raises InputError for a damaged file.
    keeps : Keeps
        What it keeps of a volume beside the voxels.
    write : callable, optional
        ``write(path, labels, geometry, classes)`` returns the contents of the files to write, as
        :func:`~napari_scribseg.io.atomic.write_files` takes them. Labels are uint8 or uint16 of shape ``(*S)`` in array
        order, the geometry has exactly these axes.
    is_labels : callable, optional
        ``is_labels(path)``: whether a file says by itself that it holds labels.
    detached : mapping of str to str
        Extensions of headers whose voxels are in a separate file, and the extension of that file.
    data_names : callable, optional
        ``data_names(path)``: the names of the data files that a header names.
    folders : bool
        Whether a folder is read as this format.
    """

    name: str
    extensions: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Source]
    keeps: Keeps
    write: Callable[[Path, NDArray[Any], Geometry, ClassTable], Contents] | None = None
    is_labels: Callable[[Path], bool] | None = None
    detached: Mapping[str, str] = field(default_factory=dict)
    data_names: Callable[[Path], Sequence[str]] | None = None
    folders: bool = False


def late(target: str) -> Callable[..., Any]:
    """A function of this package, named ``"module:function"``, whose module is imported when it is first called.

    The libraries that read the formats take long to import.
    """
    return lambda *arguments: resolve_name(f"napari_scribseg.io.{target}")(*arguments)


_ALL = Keeps.SPACING | Keeps.PLACEMENT | Keeps.SHEAR | Keeps.TIME | Keeps.CHANNELS

_OWN = (
    Format(
        "NIfTI",
        (".nii.gz", ".nii"),
        late("nifti:read_nifti"),
        _ALL & ~Keeps.SHEAR,
        write=late("nifti:nifti_label_files"),
        is_labels=late("nifti:has_label_intent"),
    ),
    Format(
        "3D Slicer segmentation",
        (".seg.nrrd",),
        late("nrrd:read_nrrd"),
        Keeps.SPACING | Keeps.PLACEMENT | Keeps.SHEAR | Keeps.CLASSES,
        write=late("nrrd:segmentation_files"),
        is_labels=lambda _path: True,
    ),
    Format(
        "NRRD",
        (".nrrd", ".nhdr"),
        late("nrrd:read_nrrd"),
        _ALL,
        write=late("nrrd:nrrd_label_files"),
        is_labels=late("nrrd:holds_labels"),
        detached={".nhdr": ".raw.gz"},
        data_names=late("nrrd:data_names"),
    ),
    Format(
        "MetaImage",
        (".mha", ".mhd"),
        late("metaimage:read_metaimage"),
        _ALL,
        write=late("metaimage:metaimage_label_files"),
        is_labels=late("metaimage:holds_labels"),
        detached={".mhd": ".zraw"},
        data_names=late("metaimage:data_names"),
    ),
    Format(
        "TIFF",
        (".tif", ".tiff", ".ome.tif", ".ome.tiff"),
        late("tiff:read_tiff"),
        Keeps.SPACING | Keeps.TIME | Keeps.CHANNELS,
        write=late("tiff:tiff_label_files"),
        is_labels=late("tiff:holds_labels"),
    ),
    Format(
        "DICOM",
        (".dcm",),
        late("dicom:read_dicom"),
        _ALL,
        folders=True,
    ),
    Format("PNG", (".png",), late("png_jpeg:read_picture"), Keeps.CHANNELS),
    Format("JPEG", (".jpg", ".jpeg"), late("png_jpeg:read_picture"), Keeps.CHANNELS),
)
_registered: list[Format] = []


@cache
def _installed() -> tuple[Format, ...]:
    """The formats of this package and of others."""
    found = list(_OWN)
    add_installed(FORMAT_GROUP, Format, lambda added: found.append(_checked(added, found)))
    return tuple(found)


def formats() -> tuple[Format, ...]:
    """All formats: those of this package, of other packages, and of :func:`register`."""
    return (*_installed(), *_registered)


def register(added: Format) -> None:
    """Add a format to those that are read and written.

    Raises
    ------
    InputError
        If one of its extensions has a format already, or does not begin with a dot.
    """
    _registered.append(_checked(added, formats()))


def unregister(added: Format) -> None:
    """Take away a format that :func:`register` added."""
    _registered.remove(added)


def _checked(added: Format, others: Iterable[Format]) -> Format:
    for ending in added.extensions:
        if not ending.startswith(".") or ending != ending.lower():
            raise InputError(f"the extension of {added.name} is {ending!r}; a dot and lower case are expected")
        taken = next((entry.name for entry in others if ending in entry.extensions), None)
        if taken is not None:
            raise InputError(f"{ending} is registered as {taken}; an extension has one format")
    return added


def image_extensions() -> tuple[str, ...]:
    """Extensions of the files that are read."""
    return tuple(ending for entry in formats() for ending in entry.extensions)


def label_extensions() -> tuple[str, ...]:
    """Extensions of the label volumes that are written."""
    return tuple(ending for entry in formats() if entry.write for ending in entry.extensions)


def extension_for_labels(image: Path) -> str:
    """The extension for new labels: ``".tif"`` where the image's format keeps no placement, else that of NIfTI."""
    kind = format_of(image)
    return ".tif" if kind is not None and Keeps.PLACEMENT not in kind.keeps else ".nii.gz"


def extension(path: Path) -> str:
    """The extension of a format, in lower case, double ones whole; empty where the name has none of them."""
    name = path.name.lower()
    found = (ending for ending in (*image_extensions(), *_OTHER) if name.endswith(ending))
    return max(found, key=len, default="")


def stem(path: Path) -> str:
    """The file's name without the extension that names its format."""
    cut = len(extension(path))
    return (path.name[:-cut] if cut else path.name) or path.name


def format_of(path: Path) -> Format | None:
    """The format of a file, by its extension."""
    ending = extension(path)
    return next((entry for entry in formats() if ending in entry.extensions), None)


def read_volume(
    path: str | PathLike[str], *, series: str | None = None, allow_outside: bool = False, ids: bool = False
) -> Source:
    """Read an image.

    Parameters
    ----------
    path : str or PathLike
        A file with one of the extensions of :func:`~napari_scribseg.io.image_extensions`, or a folder of DICOM files.
    series : str, optional
        Which series of the folder, by its ``identity`` in :func:`napari_scribseg.io.list_series`; needed where there
        are several.
    allow_outside : bool
        Whether files that a header names (``.mhd``, ``.nhdr``, ``.ome.tif``) may lie outside of the header's folder.
        Say so only for a file whose origin you trust: it can name any file that you may read.
    ids : bool
        Whether its values are label ids: then the numbers of a palette are read, not its colours.

    Returns
    -------
    Source
        Axes in the order of napari, with the file's own affine. ``classes`` is filled where the file itself has names
        (``.seg.nrrd``).

    Raises
    ------
    InputError
        If the file is missing, damaged, of an unknown format, or too large for the memory; or if a folder holds no
        DICOM series, or several and none is named.
    """
    file = user_path(path)
    try:
        check_regular(file)
        kind = next(kind for kind in formats() if kind.folders) if file.is_dir() else format_of(file)
        if kind is None:
            expected = ", ".join(image_extensions())
            raise InputError(f"{file.name}: the format is not known; expected one of {expected}")
        read = kind.read(file, ReadOptions(ids=ids, allow_outside=allow_outside, series=series))
        return replace(read, path=str(path))
    except OSError as error:
        raise InputError(f"{file}: it cannot be read ({error.strerror or error})") from error


def formats_table() -> str:
    """The registered formats as a Markdown table, as the documentation shows it."""
    columns = {
        "voxel size": Keeps.SPACING,
        "position, directions": Keeps.PLACEMENT,
        "time": Keeps.TIME,
        "channels": Keeps.CHANNELS,
    }
    titles = ["format", "extensions", "labels written", *columns, "names, colours"]
    lines = [titles, ["---"] * len(titles)]
    for entry in formats():
        endings = ", ".join(f"`{ending}`" for ending in entry.extensions)
        kept = ["yes" if flag in entry.keeps else "" for flag in columns.values()]
        classes = "in the file" if Keeps.CLASSES in entry.keeps else "in a table beside it"
        written = "yes" if entry.write else ""
        lines.append([entry.name, endings + ", a folder" * entry.folders, written, *kept, classes])
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  ", "| ") for cells in lines)
