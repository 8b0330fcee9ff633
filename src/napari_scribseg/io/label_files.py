"""Read and write label volumes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.paths import user_path
from napari_scribseg.io.atomic import Contents, check_writable, remove, write_files
from napari_scribseg.io.class_tables import (
    bids_path,
    classes_beside,
    default_table,
    itksnap_path,
    read_classes,
    render_classes,
    shares_table,
    tables_beside,
)
from napari_scribseg.io.data_files import superseded
from napari_scribseg.io.formats import Keeps, format_of, label_extensions, read_volume

__all__ = [
    "check_label_path",
    "is_label_file",
    "label_outputs",
    "lost_placement",
    "read_labels",
    "write_labels",
]

_STRAIGHT = 1e-4  # cosine, below which two axes are at a right angle
_MOST_NAME = 230  # of the 255 bytes that file systems take; the name of a table is longer


def read_labels(path: str | PathLike[str], *, allow_outside: bool = False) -> Source:
    """Read a label volume.

    Parameters
    ----------
    path : str or PathLike
        A file with one of the extensions of images.
    allow_outside : bool
        As of :func:`read_volume`.

    Returns
    -------
    Source
        The array has the smallest unsigned integer type that holds its ids; ``classes`` has the names and colours that
        the file or a table beside it gives, and default ones for the other ids.

    Raises
    ------
    InputError
        If the file cannot be read, has channels, or does not hold whole numbers from 0 to 65535.
    """
    file = user_path(path)
    loaded = _without_channels(read_volume(file, allow_outside=allow_outside, ids=True))
    if loaded.channels:
        raise InputError(f"{file.name}: it has {loaded.array.shape[-1]} channels; a label volume has one")
    array, ids = as_labels(loaded.array, file.name)
    classes = loaded.classes or classes_beside(file)
    return replace(loaded, array=array, classes=classes.with_ids(ids))


def _without_channels(loaded: Source) -> Source:
    """Grey values that were stored as equal colours."""
    colors = loaded.array[..., :3] if loaded.channels and loaded.array.shape[-1] in (3, 4) else None
    if colors is None or not (
        np.array_equal(colors[..., 0], colors[..., 1]) and np.array_equal(*np.moveaxis(colors[..., 1:], -1, 0))
    ):
        return loaded
    return replace(loaded, array=colors[..., 0], channels=False)


def is_label_file(path: str | PathLike[str]) -> bool:
    """Whether a file is marked as a label volume, by itself or by a table beside it.

    Marks are NIfTI's label intent, segments of 3D Slicer, and the mark that :func:`write_labels` leaves in the other
    formats. A table counts only where no other volume has the name of the file.

    Raises
    ------
    InputError
        If its header cannot be read.
    """
    file = user_path(path)
    if not file.is_file():
        return False
    kind = format_of(file)
    marked = kind is not None and kind.is_labels is not None and kind.is_labels(file)
    return marked or (bool(tables_beside(file)) and not shares_table(file))


def as_labels(array: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Whole numbers in the smallest sufficient type, and the ids found."""
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name}: it holds {array.dtype} values; whole label ids from 0 to {MAX_ID} are expected")
    if array.dtype.kind == "f":
        fractional = next((part for part in array if not np.array_equal(part, np.rint(part))), None)
        if fractional is not None:
            raise InputError(f"{name}: it holds fractions or NaN; whole label ids from 0 to {MAX_ID} are expected")
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > MAX_ID:
        raise InputError(f"{name}: its values reach from {low} to {high}; label ids from 0 to {MAX_ID} are expected")
    dtype = np.uint8 if high <= 255 else np.uint16
    labels = array.astype(dtype, copy=False)
    counts = np.zeros(int(high) + 1, dtype=np.int64)
    for part in labels.reshape(labels.shape[0], -1) if labels.ndim > 1 else [labels]:
        counts += np.bincount(part.ravel(), minlength=len(counts))
    return labels, tuple(int(i) for i in np.flatnonzero(counts) if i)


def write_labels(
    path: str | PathLike[str],
    labels: NDArray[np.integer[Any]],
    geometry: Geometry,
    classes: ClassTable | None = None,
    *,
    bids_tsv: bool | None = None,
    itksnap: bool = False,
) -> tuple[Path, ...]:
    """Write a label volume with its geometry; the format follows the extension.

    Parameters
    ----------
    path : str or PathLike
        With one of the extensions in :func:`~napari_scribseg.io.label_extensions`.
    labels : ndarray of shape ``(*S)``, integer
        Ids from 0 (background) to 65535, axes as in ``geometry``; written with the smallest sufficient unsigned type.
    geometry : Geometry
        Of the image that was annotated; of a time series' geometry the last three axes also do.
    classes : ClassTable, optional
        Names and colours; ids that it does not know get default ones. The class marked as background is named only
        where its id stands in ``labels``, as it does in scribbles: in a label volume it is 0.
    bids_tsv : bool, optional
        Whether to write a BIDS table of the classes beside the volume (``x_dseg.tsv``). By default, a table is written
        where the format cannot hold names and colours, no other table is requested, and there are some to keep or
        a former table to replace: BIDS's, or ITK-SNAP's where the BIDS table of this name is that of another volume.
    itksnap : bool
        Whether to write the classes as ITK-SNAP has them (``x_labels.txt``).

    Returns
    -------
    tuple of Path
        The files written, the volume first.

    Raises
    ------
    InputError
        If the labels do not fit the geometry or are not ids, the format is unknown or cannot hold them, or a file
        cannot be written; every file that was there is then unchanged.
    """
    file = user_path(path)
    write = _label_writer(file)
    array, ids = as_labels(np.asarray(labels), "the label volume")
    grid = matching(geometry, array.shape)
    table = _named(classes or ClassTable(), ids)
    tables = [
        name
        for name in _tables(file, bids_tsv, itksnap)
        if (bids_tsv if name == bids_path(file) else itksnap) or not table.is_plain or name.is_file()
    ]
    contents = write(file, array, grid, table)
    former = superseded(file)
    with _tables_of_both(file, tables, table) as still:
        written = (*write_files(contents | still, named=file), *(name for name in tables if name not in still))
    for data in former:
        if data not in written:
            remove(data)
    lost = lost_placement(file, grid)
    if lost:
        warnings.warn(lost, UserWarning, stacklevel=2)
    return (file, *(other for other in written if other != file))


@contextmanager
def _tables_of_both(file: Path, tables: list[Path], classes: ClassTable) -> Iterator[Contents]:
    """Write tables with the classes of the former volume and of the new one: both have their names at any moment.

    Yields the files to write after the volume: tables of the new one alone. Where that fails, the former tables are
    put back.
    """
    before = {name: name.read_bytes() if name.is_file() else b"" for name in tables}
    last = {name: render_classes(name, classes) for name in tables}
    both = {name: render_classes(name, _joined(_former_classes(name), classes)) for name in tables}
    changed = {name: data for name, data in both.items() if data != before[name]}
    if changed:
        write_files(changed, named=file)
    try:
        yield {name: last[name] for name in tables if last[name] != both[name]}
    except BaseException:
        for name in changed:
            if before[name]:
                with suppress(InputError):
                    write_files({name: before[name]})
            else:
                remove(name)
        raise


def _joined(former: ClassTable, classes: ClassTable) -> ClassTable:
    return ClassTable((*former, *(replace(c, background=False) for c in classes if c.id not in former)))


def _former_classes(table: Path) -> ClassTable:
    """The classes of a table that is there; none where it cannot be read."""
    with suppress(InputError):
        return read_classes(table) if table.is_file() else ClassTable()
    return ClassTable()


def label_outputs(
    path: str | PathLike[str], *, bids_tsv: bool | None = None, itksnap: bool = False
) -> tuple[Path, ...]:
    """The files that :func:`write_labels` may replace, given the same; the data of a header gets a new name."""
    file = user_path(path)
    return (file, *_tables(file, bids_tsv, itksnap))


def _tables(file: Path, bids_tsv: bool | None, itksnap: bool) -> list[Path]:
    """The tables of names and colours that may be written beside a volume."""
    wanted = [bids_path(file)] if bids_tsv else []
    if bids_tsv is None and not _keeps(file, Keeps.CLASSES) and (not itksnap or default_table(file).is_file()):
        wanted.append(default_table(file))
    if itksnap:
        wanted.append(itksnap_path(file))
    return list(dict.fromkeys(wanted))


def lost_placement(path: Path, geometry: Geometry) -> str:
    """The part of a placement that the format of a label file cannot keep, as a user message; empty where it keeps all.

    A NIfTI file keeps a shear, but programs built on ITK refuse it.
    """
    if geometry.affine is None:
        return ""
    steps = geometry.affine[:3, [2, 1, 0]] / np.linalg.norm(geometry.affine[:3, [2, 1, 0]], axis=0)
    if not _keeps(path, Keeps.PLACEMENT):
        turned = not np.allclose(steps, np.eye(3), atol=_STRAIGHT)
        moved = bool(geometry.affine[:3, 3].any())
        what = " and ".join(["position"] * moved + ["directions"] * turned)
        return (
            f"{path.name} keeps the voxel size, but not the grid's {what}; .nii.gz, .nrrd and .mha do" if what else ""
        )
    if not _keeps(path, Keeps.SHEAR) and not np.allclose(steps.T @ steps, np.eye(3), atol=_STRAIGHT):
        return f"the grid of {path.name} is sheared: 3D Slicer and other programs built on ITK open it as .nrrd only"
    return ""


def _keeps(path: Path, what: Keeps) -> bool:
    kind = format_of(path)
    return kind is not None and what in kind.keeps


def check_label_path(path: str | PathLike[str]) -> None:
    """Check before long work that labels could be saved here.

    Raises
    ------
    InputError
        If the extension is none of :func:`~napari_scribseg.io.label_extensions`, or the folder is missing or may not
        be written.
    """
    file = user_path(path)
    _label_writer(file)
    check_writable(file)


def _label_writer(file: Path) -> Callable[[Path, NDArray[Any], Geometry, ClassTable], Contents]:
    kind = format_of(file)
    if kind is None or kind.write is None:
        raise InputError(
            f"{file.name[:200]}: labels can be saved as {', '.join(label_extensions())}; give one of these extensions"
        )
    if len(os.fsencode(file.name)) > _MOST_NAME:
        raise InputError(f"{file.name[:80]}...: the name is longer than {_MOST_NAME} bytes; a shorter one is expected")
    return kind.write


def _named(classes: ClassTable, ids: tuple[int, ...]) -> ClassTable:
    """The classes to write: all but a background that is 0 in the volume, and default ones for unknown ids."""
    background = classes.background
    if background is not None and background not in ids:
        classes = classes.without(background)
    return classes.with_ids(ids)


def matching(geometry: Geometry, shape: tuple[int, ...]) -> Geometry:
    """The geometry of an array of shape ``shape`` on this grid: itself, or without its time axis."""
    if geometry.shape == shape:
        return geometry
    if len(geometry.shape) == 4 and geometry.shape[1:] == shape:
        return geometry.without_time()
    raise InputError(f"the labels have the shape {shape}; the image has {geometry.shape}")
