"""A cohort from a table of images and scribbles."""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from napari_scribseg.batch.batch_jobs import BatchJob
from napari_scribseg.core import InputError
from napari_scribseg.core.anatomy import parse_axis
from napari_scribseg.core.paths import user_path
from napari_scribseg.io.formats import extension_for_labels, stem
from napari_scribseg.io.limits import read_text

__all__ = ["COLUMNS", "read_table"]

NEEDED = ("image", "scribbles")
COLUMNS = (*NEEDED, "out", "background", "axis")
_MOST_BYTES = 256 << 20
_MISSING = ("", "n/a")


def read_table(
    path: str | PathLike[str], *, background: int | None = None, axis: int | str | None = None
) -> tuple[BatchJob, ...]:
    """Read a table of images and scribbles.

    Parameters
    ----------
    path : str or PathLike
        UTF-8 text whose first line names the columns: ``image`` and ``scribbles`` (files, relative to the table's
        folder), and optionally ``out`` (label file to write, relative to the output folder), ``background`` (id) and
        ``axis``. Other columns are passed over. Cells are separated by commas, semicolons or tabs.
    background : int, optional
    axis : int or str, optional
        For the rows that have no value of their own.

    Returns
    -------
    tuple of BatchJob
        In the order of the table. Without ``out``, labels get the image's path below the table's folder, with
        ``_labels.nii.gz`` (``_labels.tif`` for pictures). The files need not exist: one that cannot be read is a
        failure of its image, not of the cohort.

    Raises
    ------
    InputError
        If the table cannot be read, a column is missing, or a row cannot be understood: the message names the line.
    """
    file = user_path(path).absolute()
    text = read_text(file, _MOST_BYTES, "table of a cohort")
    head, separator = _head(file.name, text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    jobs: list[BatchJob] = []
    try:
        for cells in rows:
            line = rows.line_num
            if line == 1 or not any(cell.strip() for cell in cells):
                continue
            place = f"{file.name}, line {line}"
            if len(cells) > len(head):
                raise InputError(f"{place}: it has {len(cells)} cells; {len(head)} are expected, as in the first line")
            values = {name: cell.strip() for name, cell in zip(head, cells, strict=False)}
            jobs.append(_job(values, place, file.parent, background, axis))
    except csv.Error as error:
        raise InputError(f"{file.name}, line {rows.line_num}: it cannot be read as a table ({error})") from error
    if not jobs:
        raise InputError(f"{file.name}: it has no row below its first line; one row for each image is expected")
    return tuple(jobs)


def _head(name: str, text: str) -> tuple[list[str], str]:
    """The names of the columns, in lower case, and what separates them."""
    first = text.split("\n", 1)[0].strip("\r")
    separator = max("\t;,", key=first.count)
    head = [cell.strip().strip('"').lower() for cell in first.split(separator)]
    for column in NEEDED:
        if column not in head:
            raise InputError(
                f"{name}, line 1: there is no column {column!r} among {', '.join(c for c in head if c) or 'none'}; "
                f"{', '.join(NEEDED)} are expected, and optionally {', '.join(COLUMNS[len(NEEDED) :])}"
            )
    for column in head:
        if column in COLUMNS and head.count(column) > 1:
            raise InputError(f"{name}, line 1: the column {column!r} is there twice; once is expected")
        meant = difflib.get_close_matches(column, COLUMNS, 1, cutoff=0.85)
        if meant and column not in COLUMNS and meant[0] not in head:
            raise InputError(f"{name}, line 1: the column {column!r} is not known; is {meant[0]!r} meant?")
    return head, separator


def _job(
    values: Mapping[str, str], place: str, folder: Path, background: int | None, axis: int | str | None
) -> BatchJob:
    for column in NEEDED:
        if not values.get(column):
            raise InputError(f"{place}: the cell {column!r} is empty; a file is expected")
    image, scribbles = (_path(values[column], folder) for column in NEEDED)
    own_background = _number(values, "background", place, 1)
    own_axis = _axis(values.get("axis", ""), place)
    return BatchJob(
        image,
        scribbles,
        values.get("out", "").replace("\\", "/") or _default_out(image, folder),
        background=background if own_background is None else own_background,
        axis=axis if own_axis is None else own_axis,
        where=place,
    )


def _path(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / user_path(text)))


def _axis(text: str, place: str) -> int | str | None:
    try:
        return None if text.lower() in _MISSING else parse_axis(text)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _number(values: Mapping[str, str], column: str, place: str, least: int) -> int | None:
    text = values.get(column, "")
    if text.lower() in _MISSING:
        return None
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise InputError(f"{place}: {column} is {text!r}; a whole number from {least} is expected")
    return number


def _default_out(image: Path, folder: Path) -> str:
    """The image's path below the table's folder, or its name where it lies elsewhere, with a name for labels."""
    inside = image.parent.relative_to(folder) if image.parent.is_relative_to(folder) else Path()
    return (inside / f"{stem(image)}_labels{extension_for_labels(image)}").as_posix()
