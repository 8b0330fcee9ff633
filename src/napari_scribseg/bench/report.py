"""The report of a run: Markdown with tables, a table file, and figures where matplotlib is installed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from napari_scribseg.bench.columns import COLUMNS, Mean, Row
from napari_scribseg.bench.figures import FIGURES, figure_name
from napari_scribseg.bench.plan import MARK
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.statistics import Interval, bootstrap_mean
from napari_scribseg.bench.summary import curves, rows_frame, summarize
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.run_folder import RunFolder
from napari_scribseg.io.sheets import frame_csv, markdown_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = ["interval_text", "write_report"]

_PROTOCOLS = {
    "human": "a person's strokes, one answer",
    "strokes": "strokes of a simulated user, then corrections where the answer is most wrong",
    "clicks": "clicks of a simulated user on one object and the background",
    "initial-mask": "a network without strokes, then clicks of a simulated user where its mask is most wrong",
    "volume": "a simulated user who goes from slice to slice of a volume",
    "every-nth": "a person's strokes on every n-th slice of a volume",
    "every-nth-truth": "true labels on every n-th slice of a volume; the slices between count",
}
_NOTES = """\
Means over images; in brackets the 95 % interval of a bootstrap over groups (photographs, patients). Dice, IoU and the
distances are means over the classes that count: all but the background where there is one. HD95 is the 95th
percentile and ASSD the mean of the distances between the boundaries, both ways; a class missed altogether counts the
diagonal of the image. Seed accuracy: share of the painted pixels that have their class; raw seed accuracy: the same of
a network's own answer, before it is corrected. First answer: median seconds to prepare the image and to answer. An
answer: median and 95th percentile, with preparing where there is one answer only. MiB: the most memory that any answer
took beyond what the process held. AuC: area under the IoU over the interactions, 0 to 1. NoC: mean number of
interactions until the IoU is reached, in brackets the share of the images that reach it; the others count the most.
Gain: IoU after a click less that before, in the pixels nearest to the object clicked on; images with nothing left to
click on are left out. Of whole volumes the scores are those of all slices together, and a method is named with its fill
and the order of the slices. Strokes to a Dice: their mean, the most where it is not reached, with its interval, and how
many volumes reach it. Slices: those with strokes at the end. Seconds: of all answers together. A method that fails
scores 0.
"""
_MOST_FAILURES = 50
_STROKES = (30, 60, 100, 150)  # after which the Dice of a volume is shown


def write_report(rows: Sequence[Row], rules: Rules, out: Path, command: str = "") -> list[Path]:
    """Write ``report.md``, ``summary.csv`` and the figures of a run into its folder.

    Parameters
    ----------
    rows : sequence of Row
    rules : Rules
        Of the rows.
    out : Path
        Folder of the run; the settings are read from its ``run.json``.
    command : str
        The command, which is shown.

    Returns
    -------
    list of Path
        The files written.
    """
    frame = rows_frame(rows)
    summary = summarize(frame, rules)
    figures: list[Path] = []
    if find_spec("matplotlib"):
        from napari_scribseg.bench.figures import write_figures

        figures = write_figures(frame, summary, out)
    table, page = out / "summary.csv", out / "report.md"
    text = _markdown(frame, summary, _machine(RunFolder(out, MARK).settings()), command, [f.name for f in figures])
    for path, content in ((table, frame_csv(summary)), (page, text)):
        with replacing(path) as file:
            file.write(content.encode())
    return [page, table, *figures]


def _markdown(rows: DataFrame, summary: DataFrame, machine: str, command: str, figures: Sequence[str]) -> str:
    """A section for each data set and protocol, then the failures."""
    lines = ["# Benchmark", "", machine, ""]
    if command:
        lines += ["```sh", command, "```", ""]
    lines += [_NOTES]
    measured = dict(iter(rows.groupby(["data", "protocol"], sort=False)))
    for key, part in summary.groupby(["data", "protocol"], sort=False):
        data, protocol = key
        lines += [f"## {one_line(data)}: {_PROTOCOLS[protocol]}", "", f"{part['images'].iloc[0]} images.", ""]
        lines += markdown_table(_section(protocol, part, measured[key]))
        own = [name for kind in FIGURES if (name := figure_name(kind, data, protocol)) in figures]
        lines += ["", *(f"![{name}]({quote(name)})" for name in own), ""]
    lines += _failures(rows[rows["failure"] != ""])
    if not figures:
        lines += ["No figures: matplotlib is not installed (`pip install 'napari-scribseg[bench]'`).", ""]
    return "\n".join(lines)


def _section(protocol: str, summary: DataFrame, rows: DataFrame) -> DataFrame:
    """The table of one data set and protocol."""
    if protocol == "initial-mask":
        return _over_clicks(summary, rows)
    if protocol == "volume":
        return _over_strokes(summary, rows)
    return _without_corrections(summary) if summary["interactions"].iloc[0] == 1 else _with_corrections(summary)


def _without_corrections(summary: DataFrame) -> DataFrame:
    """A line for each method, the best Dice first."""
    best_first = summary.sort_values("dice", ascending=False, kind="stable")
    shown = [name for name, mean in _means() if mean.without_corrections]
    return _texts(
        best_first,
        {
            "method": lambda s: s["method"],
            **_mean_cells(shown, summary["unit"].iloc[0]),
            "answer, s": lambda s: f"{s['first_seconds']:.3f}",
            "95 %, s": lambda s: f"{s['first_seconds95']:.3f}",
            "MiB": lambda s: f"{s['peak_mib']:.0f}",
            "failed": lambda s: str(s["failures"]),
        },
    )


def _with_corrections(summary: DataFrame) -> DataFrame:
    """A line for each method, the largest area under the curve first."""
    best_first = summary.sort_values("area", ascending=False, kind="stable")
    n = summary["interactions"].iloc[0]
    shown = [name for name, mean in _means() if mean.with_corrections and name not in ("dice", "iou")]
    return _texts(
        best_first,
        {
            "method": lambda s: s["method"],
            "Dice at first": lambda s: f"{s['first_dice']:.3f}",
            f"Dice after {n}": lambda s: _cell(s, "dice"),
            "IoU at first": lambda s: f"{s['first_iou']:.3f}",
            f"IoU after {n}": lambda s: _cell(s, "iou"),
            "AuC": lambda s: _cell(s, "area"),
            f"NoC@85 of {n}": lambda s: f"{s['noc85']:.2f} ({s['reached85']:.0%})",
            f"NoC@90 of {n}": lambda s: f"{s['noc90']:.2f} ({s['reached90']:.0%})",
            **_mean_cells(shown, summary["unit"].iloc[0]),
            "first answer, s": lambda s: f"{s['first_seconds']:.3f}",
            "an answer, s": lambda s: f"{s['seconds']:.3f}",
            "95 %, s": lambda s: f"{s['seconds95']:.3f}",
            "MiB": lambda s: f"{s['peak_mib']:.0f}",
            "failed": lambda s: str(s["failures"]),
        },
    )


def _over_clicks(summary: DataFrame, rows: DataFrame) -> DataFrame:
    """IoU, gain, raw seed accuracy and seconds of each method over the clicks (paper 003, table 4)."""
    import pandas as pd

    n = int(summary["interactions"].iloc[0])
    head = ["method", "", "network alone", *("1 click" if k == 1 else f"{k} clicks" for k in range(1, n))]
    scores = {"iou": "IoU", "gain": "gain", "raw_seed_accuracy": "raw seed accuracy", "seconds": "median s"}
    lines = []
    for method in summary["method"]:
        own = rows[rows["method"] == method]
        for score, name in scores.items():
            table, groups = curves(own, score, n, keep_last=score in ("iou", "raw_seed_accuracy"))
            if score == "seconds":
                cells = [f"{np.nanmedian(column):.3f}" if np.isfinite(column).any() else "" for column in table.T]
            else:
                cells = [interval_text(bootstrap_mean(column, groups)) for column in table.T]
            lines.append([method, name, *cells])
    return pd.DataFrame(lines, columns=head)


def _over_strokes(summary: DataFrame, rows: DataFrame) -> DataFrame:
    """A line for each method on whole volumes, the fewest strokes to the higher Dice first."""
    import pandas as pd

    n = int(summary["interactions"].iloc[0])
    shown = [at for at in _STROKES if at < n] + [n]
    lines = []
    for _, line in summary.sort_values(["noc90", "noc85"], kind="stable").iterrows():
        own = rows[rows["method"] == line["method"]]
        dice, groups = curves(own, "dice", n)
        cells = {"method": line["method"], "volumes": str(line["images"])}
        for target in ("85", "90"):
            arrived = round(line[f"reached{target}"] * line["images"])
            needed = f"{line[f'noc{target}']:.0f} ({line[f'noc{target}_low']:.0f} to {line[f'noc{target}_high']:.0f})"
            cells[f"strokes to 0.{target}"] = f"{needed}, {arrived} of {line['images']}"
        cells |= {f"Dice after {at}": interval_text(bootstrap_mean(dice[:, at - 1], groups)) for at in shown}
        images = own.groupby(["case", "image"])
        cells["slices"] = f"{images['slices'].last().mean():.1f}"
        cells["seconds"] = f"{images['seconds'].sum().mean():.0f}"
        cells["an answer, s"] = f"{line['seconds']:.3f}"
        lines.append(cells | {"failed": str(line["failures"])})
    return pd.DataFrame(lines)


def _failures(failed: DataFrame) -> list[str]:
    """The section of the failures, the first ones in a table."""
    if failed.empty:
        return []
    shown = failed[["data", "image", "method", "interaction", "failure"]].head(_MOST_FAILURES)
    table = shown.astype({"interaction": str}).rename(columns={"failure": "why"})
    count = f"{len(failed)} in all; `rows.csv` has them all."
    return ["## Failures", "", *markdown_table(table), "", count, ""]


def _means() -> Iterable[tuple[str, Mean]]:
    """The columns whose mean the report shows."""
    return ((name, column.mean) for name, column in COLUMNS.items() if column.mean is not None)


def _mean_cells(names: Iterable[str], unit: str) -> dict[str, Callable[[Series], str]]:
    """For each column its heading, and a function from a line of the summary to a cell."""
    means = dict(_means())
    return {means[name].heading.format(unit=unit): partial(_cell, name=name) for name in names}


def _texts(summary: DataFrame, cells: dict[str, Callable[[Series], str]]) -> DataFrame:
    """The lines of a summary as a table of text, by a function for each column."""
    import pandas as pd

    lines = [line for _, line in summary.iterrows()]
    return pd.DataFrame({heading: [text(line) for line in lines] for heading, text in cells.items()}, dtype=object)


def _cell(line: Series, name: str) -> str:
    """The mean of a column as the column formats it; by default three digits and the ends of the interval."""
    text = next((mean.text for column, mean in _means() if column == name), None)
    if text is not None:
        return text(line[name])
    return interval_text(Interval(line[name], line[f"{name}_low"], line[f"{name}_high"]))


def interval_text(value: Interval) -> str:
    """The mean and the ends of its interval; empty where there are no values."""
    if math.isnan(value.mean):
        return ""
    return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _machine(settings: dict[str, Any]) -> str:
    shared = f" in {settings['workers']} processes at once" if settings["workers"] > 1 else ""
    return (
        f"napari-scribseg {settings['version']}, Python {settings['python']}, {settings['machine']}{shared}; "
        f"seed {settings['rules']['seed']}."
    )
