"""The table of a benchmark: one row for each interaction, kept so that a run can go on where it stopped."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from napari_scribseg.core import InputError
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import csv_rows, csv_text

__all__ = ["Job", "Row", "RowFile"]


@dataclass(frozen=True, slots=True, order=True)
class Job:
    """A method on a case by a protocol: what is done as a whole, or not at all."""

    data: str
    case: str
    protocol: str
    method: str


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one interaction.

    Attributes
    ----------
    data, case, protocol, method : str
        The job.
    image : str
        The case, its slice or its object.
    group : str
        Images of one group are not independent.
    interaction : int
        1 for the first strokes, then one for each correction; for clicks their number.
    n_classes : int
        Classes in the image.
    stroke_pixels : int
        Pixels painted so far.
    dice, iou : float
        Mean over the classes that count.
    hausdorff, hausdorff95, surface : float
        Distances between the boundaries, in ``unit``.
    unit : str
        ``"mm"`` or ``"px"``.
    obeyed : float
        Share of the painted pixels that have the class painted there.
    prepare_seconds : float
        Wall time of preparing the image, in the row of the first answer; else 0.
    seconds : float
        Wall time of the answer; NaN where there was none.
    peak_mib : float
        Most memory that preparing and answering took beyond what was held before.
    failure : str
        Why there is no answer; the scores are then 0, and the distances the image's diagonal.
    agreed : float
        Share of the painted pixels that the method gave their class by itself, before it set them; NaN where the
        method does not count it.
    gain : float
        In the protocol ``mend``: IoU in the surroundings of the object last clicked on, less that before the click.
    """

    data: str
    case: str
    protocol: str
    method: str
    image: str
    group: str
    interaction: int
    n_classes: int
    stroke_pixels: int
    dice: float
    iou: float
    hausdorff: float
    hausdorff95: float
    surface: float
    unit: str
    obeyed: float
    prepare_seconds: float
    seconds: float
    peak_mib: float
    failure: str
    agreed: float = math.nan
    gain: float = math.nan

    @property
    def job(self) -> Job:
        """What the row is a part of."""
        return Job(self.data, self.case, self.protocol, self.method)


_NAMES = tuple(f.name for f in fields(Row))
_KINDS: dict[str, Any] = get_type_hints(Row)


class RowFile:
    """The rows of a run in ``rows.csv``, and the jobs that are finished in ``finished.csv``.

    A job's rows are written before the job is called finished, so that a run killed in between does the job again, and
    its first rows are dropped.

    Parameters
    ----------
    folder : Path
        Existing; files of an earlier run in it are read.

    Raises
    ------
    InputError
        If a file there is not ours or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._rows, self._finished = folder / "rows.csv", folder / "finished.csv"
        self.finished = {Job(*line) for line in _read(self._finished, _job_names())}
        if not self._rows.exists():
            self.finished.clear()
        kept = [row for row in self.rows() if row.job in self.finished]
        _replace(self._rows, _NAMES, [astuple(row) for row in kept])
        _replace(self._finished, _job_names(), [astuple(job) for job in sorted(self.finished)])

    def rows(self) -> list[Row]:
        """All rows in the file, as they were written."""
        return [_row(line, self._rows) for line in _read(self._rows, _NAMES)]

    def add(self, job: Job, rows: Sequence[Row]) -> None:
        """Write the rows of a job, then that it is finished."""
        _append(self._rows, [astuple(row) for row in rows])
        _append(self._finished, [astuple(job)])
        self.finished.add(job)


def _job_names() -> tuple[str, ...]:
    return tuple(f.name for f in fields(Job))


def _row(line: Sequence[str], path: Path) -> Row:
    try:
        return Row(*(_KINDS[name](text) for name, text in zip(_NAMES, line, strict=True)))
    except ValueError as error:
        raise InputError(f"{path} holds a line that is no row of a benchmark ({error}); give another folder") from error


def _read(path: Path, names: Sequence[str]) -> list[list[str]]:
    """The complete lines after the header; a last line without its end was cut off by a crash, and is left out."""
    if not path.exists():
        return []
    content = path.read_bytes()
    try:
        text = content[: content.rfind(b"\n") + 1].decode()
        lines = csv_rows(text)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is no table of a benchmark ({error}); give another folder") from error
    if lines and tuple(lines[0]) != tuple(names):
        raise InputError(f"{path} was not written by this version of the benchmark; give another folder")
    for line in lines[1:]:
        if len(line) != len(names):
            raise InputError(
                f"{path} is damaged: a line has {len(line)} values, {len(names)} are expected; give another folder"
            )
    return lines[1:]


def _replace(path: Path, names: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as file:
        file.write(csv_text([names, *lines]).encode())


def _append(path: Path, lines: Iterable[Sequence[Any]]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(csv_text(lines))
        file.flush()
        os.fsync(file.fileno())
