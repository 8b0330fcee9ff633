"""Measures of classes as a table: text for people, and CSV for spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.core.anatomy import slice_names
from napari_scribseg.core.measurement import Measurement
from napari_scribseg.io.atomic import check_writable, write_files
from napari_scribseg.io.formats import extension
from napari_scribseg.io.sheets import csv_text

__all__ = ["MeasurementTable", "check_measurements", "measurements_path"]

_DIRECTIONS = ("right", "anterior", "superior")
_Cell = int | float | str | None


@dataclass(frozen=True, slots=True)
class _Column:
    """One column: its name in files, its value of a row, and its name for people."""

    name: str
    of: Callable[[Measurement], _Cell]
    title: str = ""


_SIZES = (
    _Column("voxels", lambda m: m.voxels),
    _Column("volume_ml", lambda m: m.volume_ml, "ml"),
    _Column("mean", lambda m: m.mean),
    _Column("sd", lambda m: m.sd, "SD"),
    _Column("p5", lambda m: m.p5, "5 %"),
    _Column("median", lambda m: m.median),
    _Column("p95", lambda m: m.p95, "95 %"),
    _Column("surface_mm2", lambda m: m.surface_mm2, "surface mm²"),
    _Column("area_mm2", lambda m: m.area_mm2, "area mm²"),
    _Column("perimeter_mm", lambda m: m.perimeter_mm, "perimeter mm"),
)


@dataclass(frozen=True, slots=True)
class MeasurementTable:
    """Rows of measures with what their numbers mean.

    Attributes
    ----------
    rows : tuple of Measurement
        In the order of the table.
    classes : ClassTable
        Names; an id without one has its number.
    geometry : Geometry
        Of the label volume.
    axis : int or None
        The axis that the slices cut.
    """

    rows: tuple[Measurement, ...]
    classes: ClassTable
    geometry: Geometry
    axis: int | None = None

    @property
    def header(self) -> list[str]:
        """The names of all columns."""
        return [column.name for column in self._columns()]

    def cells(self) -> list[list[_Cell]]:
        """The values, row by row; None where something was not measured."""
        columns = self._columns()
        return [[column.of(row) for column in columns] for row in self.rows]

    def csv(self) -> str:
        """All columns as CSV; numbers with nine digits, empty cells for what was not measured."""
        return csv_text([self.header, *([_exact(cell) for cell in row] for row in self.cells())])

    def text(self) -> list[list[str]]:
        """For people: header and rows as text with few digits, without the columns that are empty everywhere."""
        header, rows = [column.title or column.name for column in self._columns()], self.cells()
        kept = [n for n in range(len(header)) if any(row[n] is not None for row in rows) or not rows]
        return [[header[n] for n in kept], *([_short(row[n]) for n in kept] for row in rows)]

    def write(self, path: Path) -> Path:
        """Write the CSV, whole or not at all.

        Raises
        ------
        InputError
            As of :func:`check_measurements`, or if it cannot be written.
        """
        check_measurements(path)
        write_files({path: self.csv().encode()})
        return path

    def _columns(self) -> tuple[_Column, ...]:
        names = slice_names(self.geometry)
        axis = self.axis
        shown = "" if axis is None else names[axis] if names else self.geometry.axis_names[axis]
        space = self.geometry.axis_names[-3:]
        return (
            _Column("id", lambda m: m.id),
            _Column("class", lambda m: self.classes[m.id].name if m.id in self.classes else str(m.id)),
            _Column("time", lambda m: m.time),
            _Column("slices", lambda m: None if m.slice is None else shown),
            _Column("slice", lambda m: m.slice),
            *_SIZES,
            *(_Column(f"centre_{name}", _voxel(n), name) for n, name in enumerate(space)),
            *(_Column(f"centre_{name}_mm", _mm(n), f"{name} mm") for n, name in enumerate(_DIRECTIONS)),
        )


def measurements_path(labels: Path) -> Path:
    """The table beside a label file: ``<stem>_measurements.csv``."""
    return labels.with_name(f"{labels.name[: -len(extension(labels)) or None]}_measurements.csv")


def check_measurements(path: Path) -> None:
    """Check the name of a table before the work begins.

    Raises
    ------
    InputError
        If it is no ``.csv``, or cannot be written there.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path.name}: a table of measures is saved as .csv; give this extension")
    check_writable(path)


def _voxel(axis: int) -> Callable[[Measurement], _Cell]:
    return lambda m: None if m.centre_voxel is None else m.centre_voxel[axis]


def _mm(axis: int) -> Callable[[Measurement], _Cell]:
    return lambda m: None if m.centre_mm is None else m.centre_mm[axis]


def _exact(cell: _Cell) -> str | int | None:
    return f"{cell:.9g}" if isinstance(cell, float) else cell


def _short(cell: _Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:.0f}"
