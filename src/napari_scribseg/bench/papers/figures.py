"""Figures of the study: IoU over a parameter, and agreement over the size of the outlines' error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scribseg.bench.figures import new_figure, save_figure
from napari_scribseg.bench.papers.parts import Part

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame, Series

__all__ = ["draw_axis", "draw_levels"]

_HEIGHT = 4.2  # inches


def draw_axis(path: Path, part: Part, cells: DataFrame) -> Path:
    """Mean IoU over the values of a parameter, a line with its 95 % band for each row of the part."""
    figure, (axes,) = new_figure(1, (6, _HEIGHT))
    for number, (row, own) in enumerate(cells.groupby("row", sort=False)):
        measured = own[own["images"] > 0]
        ticks = range(len(measured))
        _line(axes, ticks, measured, "iou", row, f"C{number}")
        axes.set_xticks(ticks, [f"{float(value):g}" for value in measured["column"]])
    axes.set_xlabel(part.axis)
    axes.set_ylabel("mean IoU, 95 % band")
    axes.legend(fontsize=8)
    return save_figure(figure, path)


def draw_levels(path: Path, levels: DataFrame, names: Mapping[str, str]) -> Path:
    """Agreement, and IoU with the truth, over the size of the error; the outlines themselves in black."""
    figure, (left, right) = new_figure(2, (12, _HEIGHT))
    for number, (method, own) in enumerate(levels.groupby("method", sort=False)):
        for axes, score in ((left, "agreement"), (right, "iou")):
            if number == 0:
                _line(axes, own["error"], own, f"drawn_{score}", "the outlines", "k")
            _line(axes, own["error"], own, f"result_{score}", names.get(method, method), f"C{number}")
    left.set_ylabel("mean IoU of each pair")
    right.set_ylabel("mean IoU with the truth")
    for axes in (left, right):
        axes.set_xlabel("error of the outlines, in diameters")
    left.legend(fontsize=8)
    return save_figure(figure, path)


def _line(axes: Axes, x: Series | range, frame: DataFrame, name: str, label: str, colour: str) -> None:
    axes.plot(x, frame[name], "o-", color=colour, label=label)
    axes.fill_between(x, frame[f"{name}_low"], frame[f"{name}_high"], color=colour, alpha=0.12, lw=0)
