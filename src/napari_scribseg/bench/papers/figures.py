"""Figures of the study: IoU over a parameter, and agreement over the size of the outlines' error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_scribseg.bench.papers.findings import Cell, Level
from napari_scribseg.bench.papers.parts import Part
from napari_scribseg.io.atomic import replacing

__all__ = ["draw_axis", "draw_levels"]


def draw_axis(path: Path, part: Part, cells: Sequence[Cell]) -> None:
    """Mean IoU over the values of a parameter, a line with its 95 % band for each row of the part."""
    figure, (axes,) = _figure(1)
    for number, row in enumerate(dict.fromkeys(cell.row for cell in cells)):
        own = [cell for cell in cells if cell.row == row and cell.images]
        _line(axes, list(range(len(own))), [cell.iou for cell in own], row, f"C{number}")
        axes.set_xticks(range(len(own)), [f"{float(cell.column):g}" for cell in own])
    axes.set_xlabel(part.axis)
    axes.set_ylabel("mean IoU, 95 % band")
    axes.legend(fontsize=8)
    _save(figure, path)


def draw_levels(path: Path, levels: Sequence[Level], names: dict[str, str]) -> None:
    """Agreement, and IoU with the truth, over the size of the error; the outlines themselves in black."""
    figure, (left, right) = _figure(2)
    for number, method in enumerate(dict.fromkeys(level.method for level in levels)):
        own = [level for level in levels if level.method == method]
        errors = [level.error for level in own]
        if number == 0:
            _line(left, errors, [level.drawn_agreement for level in own], "the outlines", "k")
            _line(right, errors, [level.drawn_iou for level in own], "the outlines", "k")
        name = names.get(method, method)
        _line(left, errors, [level.answer_agreement for level in own], name, f"C{number}")
        _line(right, errors, [level.answer_iou for level in own], name, f"C{number}")
    left.set_ylabel("mean IoU of each pair")
    right.set_ylabel("mean IoU with the truth")
    for axes in (left, right):
        axes.set_xlabel("error of the outlines, in diameters")
    left.legend(fontsize=8)
    _save(figure, path)


def _figure(count: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * count, 4.2), dpi=110, layout="constrained")
    grid = figure.subplots(1, count, squeeze=False)[0]
    for axes in grid:
        axes.grid(alpha=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, grid


def _line(axes: Any, x: Sequence[float], values: Sequence[Any], label: str, colour: str) -> None:
    axes.plot(x, [v.mean for v in values], "o-", color=colour, label=label)
    axes.fill_between(x, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.12, lw=0)


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="png")
