"""The study for people: a page in Markdown, a table file for each part, and figures where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_scribseg.bench.papers.findings import Cell, Difference, Level, cells_of, differences_of, levels_of
from napari_scribseg.bench.papers.parts import Part
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.rows import Row
from napari_scribseg.bench.statistics import Interval
from napari_scribseg.core.text import one_line
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import csv_text, markdown_row

__all__ = ["write_study"]

_NOTES = """\
Mean IoU over images, each the mean over its classes (all but the background where there is one), after one answer; in
brackets the 95 % interval of a bootstrap over groups (photographs, patients). A method that fails scores 0. "Paper":
what the paper reports, on other images: compare the order, not the numbers.
"""
_SLOPPY = """\
Of each image one object, its holes filled, outlined ten times for each size of error: half of the squared error is a
shift, half a slow drift along the line; its size is given in diameters of a disc of the object's area. Agreement: mean
IoU of each pair of the ten, of the outlines themselves and of the answers. Seconds are processor time, with the fit in
the first answer.
"""


def write_study(
    out: Path,
    parts: Sequence[Part],
    rows: Sequence[Row],
    sloppy: Sequence[Sloppiness],
    *,
    names: dict[str, str],
    command: str,
    left_out: Sequence[str] = (),
) -> list[Path]:
    """Write ``study.md``, ``PART.csv`` and ``PART-DATA.png``, as far as there are results.

    Parameters
    ----------
    out : Path
        Existing folder.
    parts : sequence of Part
        That were asked for.
    rows : sequence of Row
        What the methods of the parts scored.
    sloppy : sequence of Sloppiness
        What came of the sloppiness experiment; empty where it was not asked for.
    names : dict of str to str
        For people, the names of the methods of the sloppiness experiment.
    command : str
        What was typed, to be shown.
    left_out : sequence of str
        A sentence for each method that could not be run.

    Returns
    -------
    list of Path
        The files written.
    """
    lines = ["# Study: networks fitted to one image", "", "```sh", command, "```", "", _NOTES]
    written: list[Path] = []
    for part in parts:
        lines += [f"## {part.title}", ""]
        cells: list[Cell] = []
        differences: list[Difference] = []
        for data in dict.fromkeys(row.data for row in rows):
            own, found = cells_of(part, rows, data), differences_of(part, rows, data)
            if not any(cell.images for cell in own):
                continue
            cells, differences = cells + own, differences + found
            lines += [f"### {one_line(data)}, {max(cell.images for cell in own)} images", "", *_cell_table(own), ""]
            lines += _difference_table(found)
            written += _figure(out / f"{part.name}-{data}.png".replace("/", "-"), lines, own, part)
        written.append(_write_csv(out / f"{part.name}.csv", cells))
        if differences:
            written.append(_write_csv(out / f"{part.name}-differences.csv", differences))
    if sloppy:
        levels = levels_of(sloppy)
        lines += ["## Ten sloppy outlines of one object (paper 002)", "", _SLOPPY]
        for data in dict.fromkeys(level.data for level in levels):
            own_levels = [level for level in levels if level.data == data]
            lines += [f"### {one_line(data)}, {max(level.objects for level in own_levels)} objects", ""]
            lines += [*_level_table(own_levels, names), ""]
            written += _figure(out / f"sloppiness-{data}.png".replace("/", "-"), lines, own_levels, names)
        written.append(_write_csv(out / "sloppiness.csv", levels))
    if left_out:
        lines += ["## Left out", "", *(f"- {sentence}" for sentence in left_out), ""]
    page = out / "study.md"
    with replacing(page) as file:
        file.write("\n".join(lines).encode())
    return [page, *written]


def _cell_table(cells: Sequence[Cell]) -> list[str]:
    """A line for each row, a column for each column, ours above the paper's."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    at = {(cell.row, cell.column): cell for cell in cells}
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in dict.fromkeys(cell.row for cell in cells):
        shown = [at.get((row, column)) for column in columns]
        lines.append(markdown_row([row, *("" if cell is None else _cell(cell) for cell in shown)]))
    return lines


def _cell(cell: Cell) -> str:
    paper = f"paper {cell.published:.3f}" if cell.published is not None else ""
    return ", ".join(text for text in (_interval(cell.iou) if cell.images else "", paper) if text)


def _difference_table(differences: Sequence[Difference]) -> list[str]:
    if not differences:
        return []
    lines = ["| what the paper says | better | worse | difference of IoU | here |", "|---" * 5 + "|"]
    lines += [f"| {d.text} | `{d.better}` | `{d.worse}` | {_interval(d.iou)} | {d.verdict} |" for d in differences]
    return [*lines, ""]


def _level_table(levels: Sequence[Level], names: dict[str, str]) -> list[str]:
    head = (
        "| method | error | outlines agree | answers agree | gain | outlines' IoU | answers' IoU | first, s | next, s |"
    )
    lines = [head, "|---" * 9 + "|"]
    for v in levels:
        numbers = [f"{i.mean:.3f}" for i in (v.drawn_agreement, v.answer_agreement)]
        ious = [f"{i.mean:.3f}" for i in (v.drawn_iou, v.answer_iou)]
        shown = [names.get(v.method, v.method), f"{v.error:.2f}", *numbers, _interval(v.gain), *ious]
        lines.append(markdown_row([*shown, f"{v.first_seconds:.1f}", f"{v.seconds:.3f}"]))
    return lines


def _interval(value: Interval) -> str:
    return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _figure(path: Path, lines: list[str], values: Any, about: Any) -> list[Path]:
    """Draw a part's figure, if it has one and matplotlib is there; the page shows it."""
    if not find_spec("matplotlib") or (isinstance(about, Part) and not about.axis):
        return []
    from napari_scribseg.bench.papers.figures import draw_axis, draw_levels

    if isinstance(about, Part):
        draw_axis(path, about, values)
    else:
        draw_levels(path, values, about)
    lines += [f"![{path.stem}]({path.name})", ""]
    return [path]


def _write_csv(path: Path, values: Sequence[Any]) -> Path:
    """A line for each dataclass, an interval as three columns."""
    lines: list[list[Any]] = []
    for number, value in enumerate(values):
        line: dict[str, Any] = {}
        for field in fields(value):
            content = getattr(value, field.name)
            if isinstance(content, Interval):
                line |= {field.name: content.mean, f"{field.name}_low": content.low, f"{field.name}_high": content.high}
            else:
                line[field.name] = content
        if number == 0:
            lines.append(list(line))
        lines.append(list(line.values()))
    with replacing(path) as file:
        file.write(csv_text(lines).encode())
    return path
