"""The report of the study: a page in Markdown, a table file for each part, and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.figures import new_figure, save_figure
from napari_scribseg.bench.papers.findings import cells_of, differences_of, levels_of, verdict
from napari_scribseg.bench.papers.parts import Part
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.report import interval_text
from napari_scribseg.bench.statistics import Interval
from napari_scribseg.bench.summary import rows_frame
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import frame_csv, markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame, Series

__all__ = ["write_study"]

_HEIGHT = 4.2  # inches, of a figure
_NOTES = """\
Mean IoU over images, each the mean over its classes (all but the background where there is one), after one result; in
brackets the 95 % interval of a bootstrap over groups (photographs, patients). A method that fails scores 0. "Paper":
the mean IoU in the paper, on other images: compare the order, not the numbers.
"""
_SLOPPY = """\
One object of each image, its holes filled, was outlined ten times for each size of error: half of the squared error
is a shift, half a slow drift along the line; its size is in diameters of a disc of the area of the object. Agreement:
mean IoU of each pair of the ten, of the outlines and of the results. Seconds are processor time; the first result
includes the fit.
"""


def write_study(
    out: Path,
    parts: Sequence[Part],
    rows: Sequence[Row],
    sloppy: Sequence[Sloppiness],
    *,
    names: Mapping[str, str],
    command: str,
    left_out: Sequence[str] = (),
) -> list[Path]:
    """Write ``study.md``, ``PART.csv`` and ``PART-DATA.png``, as far as there are results.

    Parameters
    ----------
    out : Path
        Existing folder.
    parts : sequence of Part
        That were requested.
    rows : sequence of Row
        Of the methods of the parts.
    sloppy : sequence of Sloppiness
        Of the sloppiness experiment; empty where it was not requested.
    names : mapping of str to str
        Names of the methods of the sloppiness experiment for the tables.
    command : str
        The command, which is shown.
    left_out : sequence of str
        A message for each method that could not be run.

    Returns
    -------
    list of Path
        The files written.
    """
    page = _Page(out, ["# Study: networks fitted to one image", "", "```sh", command, "```", "", _NOTES])
    frame = rows_frame(rows)
    for part in parts:
        _write_part(page, part, frame)
    if sloppy:
        _write_levels(page, levels_of(sloppy), names)
    if left_out:
        page.lines += ["## Left out", "", *(f"- {message}" for message in left_out), ""]
    return [page.write_text("study.md", "\n".join(page.lines)), *page.written]


class _Page:
    """The lines of the page so far, and the files written beside it."""

    def __init__(self, folder: Path, lines: list[str]) -> None:
        self.folder, self.lines = folder, lines
        self.written: list[Path] = []

    def write_text(self, name: str, text: str) -> Path:
        with replacing(self.folder / name) as file:
            file.write(text.encode())
        return self.folder / name

    def add_table(self, name: str, frame: DataFrame) -> None:
        """Write a table file."""
        self.written.append(self.write_text(name, frame_csv(frame) if frame.shape[1] else ""))

    def add_figure(self, name: str, draw: Callable[..., Path], *what: Any) -> None:
        """Draw a figure, where matplotlib is installed, and show it."""
        if find_spec("matplotlib"):
            path = self.folder / f"{name}.png".replace("/", "-")
            self.written.append(draw(path, *what))
            self.lines += [f"![{path.stem}]({path.name})", ""]


def _write_part(page: _Page, part: Part, rows: DataFrame) -> None:
    """The section of one part: for each data set its cells and the paper's conclusions."""
    import pandas as pd

    page.lines += [f"## {part.title}", ""]
    cells, differences = [], []
    for data in rows["data"].unique():
        own, found = cells_of(part, rows, data), differences_of(part, rows, data)
        if not own["images"].any():
            continue
        cells.append(own)
        page.lines += [f"### {one_line(data)}, {own['images'].max()} images", "", *markdown_table(_cell_table(own)), ""]
        if not found.empty:
            differences.append(found)
            page.lines += [*markdown_table(_difference_table(found)), ""]
        if part.axis:
            page.add_figure(f"{part.name}-{data}", _draw_axis, part, own)
    page.add_table(f"{part.name}.csv", pd.concat(cells) if cells else pd.DataFrame())
    if differences:
        page.add_table(f"{part.name}-differences.csv", pd.concat(differences))


def _write_levels(page: _Page, levels: DataFrame, names: Mapping[str, str]) -> None:
    """The section of the sloppiness experiment."""
    page.lines += ["## Ten sloppy outlines of one object (paper 002)", "", _SLOPPY]
    for data, own in levels.groupby("data", sort=False):
        page.lines += [f"### {one_line(data)}, {own['objects'].max()} objects", ""]
        page.lines += [*markdown_table(_level_table(own, names)), ""]
        page.add_figure(f"sloppiness-{data}", _draw_levels, own, names)
    page.add_table("sloppiness.csv", levels)


def _cell_table(cells: DataFrame) -> DataFrame:
    """Text for each row and column, ours before the paper's."""
    texts = cells.assign(text=[_cell(cell) for _, cell in cells.iterrows()])
    rows, columns = cells["row"].unique(), cells["column"].unique()
    table = texts.pivot(index="row", columns="column", values="text").reindex(index=rows, columns=columns).fillna("")
    return table.rename_axis(index="", columns=None).reset_index()


def _cell(cell: Series) -> str:
    ours = [_interval(cell, "iou")] if cell["images"] else []
    return ", ".join([*ours, *([] if cell["published"] is None else [f"paper {cell['published']:.3f}"])])


def _difference_table(differences: DataFrame) -> DataFrame:
    import pandas as pd

    lines = [
        [d["text"], f"`{d['better']}`", f"`{d['worse']}`", _interval(d, "iou"), verdict(d["iou_low"], d["iou_high"])]
        for _, d in differences.iterrows()
    ]
    return pd.DataFrame(lines, columns=["conclusion of the paper", "better", "worse", "difference of IoU", "here"])


def _level_table(levels: DataFrame, names: Mapping[str, str]) -> DataFrame:
    import pandas as pd

    lines = [
        {
            "method": names.get(v["method"], v["method"]),
            "error": f"{v['error']:.2f}",
            "outlines agree": f"{v['drawn_agreement']:.3f}",
            "answers agree": f"{v['result_agreement']:.3f}",
            "gain": _interval(v, "gain"),
            "outlines' IoU": f"{v['drawn_iou']:.3f}",
            "answers' IoU": f"{v['result_iou']:.3f}",
            "first, s": f"{v['first_seconds']:.1f}",
            "next, s": f"{v['seconds']:.3f}",
        }
        for _, v in levels.iterrows()
    ]
    return pd.DataFrame(lines)


def _interval(line: Series, name: str) -> str:
    return interval_text(Interval(line[name], line[f"{name}_low"], line[f"{name}_high"]))


def _draw_axis(path: Path, part: Part, cells: DataFrame) -> Path:
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


def _draw_levels(path: Path, levels: DataFrame, names: Mapping[str, str]) -> Path:
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
