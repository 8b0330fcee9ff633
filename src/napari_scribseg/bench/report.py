"""The results of a run for people: Markdown with tables, a table file, and figures where matplotlib is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from napari_scribseg.bench.figures import FIGURES, figure_name
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.rows import Row
from napari_scribseg.bench.statistics import Interval, bootstrap_mean
from napari_scribseg.bench.summary import Summary, curves, summarize
from napari_scribseg.core.text import one_line
from napari_scribseg.io.atomic import replacing
from napari_scribseg.io.sheets import csv_text, markdown_row

__all__ = ["markdown", "write_report"]

_WHO = {
    "human": "a person's strokes, one answer",
    "strokes": "strokes of a simulated user, then corrections where the answer is most wrong",
    "clicks": "clicks of a simulated user on one object and the background",
    "mend": "what a network says alone, and clicks of a simulated user on what is wrong in it",
}
_NOTES = """\
Means over images; in brackets the 95 % interval of a bootstrap over groups (photographs, patients). Dice, IoU and the
distances are means over the classes that count: all but the background where there is one. HD95 is the 95th
percentile and ASSD the mean of the distances between the boundaries, both ways; a class missed altogether counts the
image's diagonal. Obeyed: share of the painted pixels that have their class; agreed: that a network gave their class by
itself, before they were set. First answer: median seconds of preparing
the image and answering. An answer: median and 95th percentile, with preparing where there is one answer only. MiB:
the most memory that any answer took beyond what the process held. AuC: area under the IoU over the interactions, 0 to
1. NoC: mean number of interactions until the IoU is reached, in brackets the share of the images that reach it; the
others count the most. Gain: IoU after a click less that before, in the pixels nearest to the object clicked on; images
with nothing left to click on are left out. A method that fails scores 0.
"""


def write_report(rows: Sequence[Row], rules: Rules, out: Path, command: str = "") -> list[Path]:
    """Write ``report.md``, ``summary.csv`` and the figures of a run into its folder.

    Parameters
    ----------
    rows : sequence of Row
        What was measured.
    rules : Rules
        That it was measured by.
    out : Path
        The run's folder; the settings are read from its ``run.json``.
    command : str
        What was typed, to be shown.

    Returns
    -------
    list of Path
        The files written.
    """
    summaries = summarize(rows, rules)
    figures: list[Path] = []
    if find_spec("matplotlib"):
        from napari_scribseg.bench.figures import write_figures

        figures = write_figures(rows, summaries, out)
    table, page = out / "summary.csv", out / "report.md"
    with replacing(table) as file:
        file.write(_csv(summaries).encode())
    with replacing(page) as file:
        file.write(markdown(rows, summaries, _machine(out), command, [f.name for f in figures]).encode())
    return [page, table, *figures]


def markdown(
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    machine: str = "",
    command: str = "",
    figures: Sequence[str] = (),
) -> str:
    """The report as Markdown: a section for each data set and protocol, then what failed."""
    lines = ["# Benchmark", ""]
    if machine:
        lines += [machine, ""]
    if command:
        lines += ["```sh", command, "```", ""]
    lines += [_NOTES]
    for data, protocol in dict.fromkeys((s.data, s.protocol) for s in summaries):
        part = [s for s in summaries if (s.data, s.protocol) == (data, protocol)]
        lines += [f"## {one_line(data)}: {_WHO[protocol]}", "", f"{part[0].images} images.", ""]
        if protocol == "mend":
            lines += _mended(part, [row for row in rows if (row.data, row.protocol) == (data, protocol)])
        else:
            lines += _one_answer(part) if part[0].interactions == 1 else _many_answers(part)
        own = [name for kind in FIGURES if (name := figure_name(kind, data, protocol)) in figures]
        lines += ["", *(f"![{name}]({quote(name)})" for name in own), ""]
    failures = [row for row in rows if row.failure]
    if failures:
        lines += ["## Failures", "", "| data | image | method | interaction | why |", "|---|---|---|---|---|"]
        lines += [_line(r.data, r.image, r.method, str(r.interaction), r.failure) for r in failures[:50]]
        lines += ["", f"{len(failures)} in all; `rows.csv` has them all.", ""]
    if not figures:
        lines += ["No figures: matplotlib is not installed (`pip install 'napari-scribseg[bench]'`).", ""]
    return "\n".join(lines)


def _one_answer(part: Sequence[Summary]) -> list[str]:
    unit = part[0].unit
    head = f"| method | Dice | IoU | HD95, {unit} | ASSD, {unit} | obeyed | answer, s | 95 %, s | MiB | failed |"
    lines = [head, "|---" * 10 + "|"]
    for s in sorted(part, key=lambda s: -s.dice.mean):
        cells = [
            s.method,
            _interval(s.dice),
            _interval(s.iou),
            f"{s.hausdorff95.mean:.1f}",
            f"{s.surface.mean:.2f}",
            _percent(s.obeyed.mean),
            f"{s.first_seconds:.3f}",
            f"{s.first_seconds95:.3f}",
            f"{s.peak_mib:.0f}",
            str(s.failures),
        ]
        lines.append(_line(*cells))
    return lines


def _many_answers(part: Sequence[Summary]) -> list[str]:
    n, unit = part[0].interactions, part[0].unit
    head = (
        f"| method | Dice at first | Dice after {n} | IoU at first | IoU after {n} | AuC | NoC@85 of {n} "
        f"| NoC@90 of {n} | HD95, {unit} | obeyed | agreed | first answer, s | an answer, s | 95 %, s | MiB | failed |"
    )
    lines = [head, "|---" * 16 + "|"]
    for s in sorted(part, key=lambda s: -s.area.mean):
        cells = [
            s.method,
            f"{s.first_dice.mean:.3f}",
            _interval(s.dice),
            f"{s.first_iou.mean:.3f}",
            _interval(s.iou),
            _interval(s.area),
            *(f"{noc:.2f} ({share:.0%})" for noc, share in zip(s.noc, s.reached, strict=True)),
            f"{s.hausdorff95.mean:.1f}",
            _percent(s.obeyed.mean),
            _percent(s.agreed.mean),
            f"{s.first_seconds:.3f}",
            f"{s.seconds:.3f}",
            f"{s.seconds95:.3f}",
            f"{s.peak_mib:.0f}",
            str(s.failures),
        ]
        lines.append(_line(*cells))
    return lines


def _mended(part: Sequence[Summary], rows: Sequence[Row]) -> list[str]:
    """IoU, gain, agreement and seconds of each method over the clicks (paper 003, table 4)."""
    n = part[0].interactions
    lines = [_line("method", "", "network alone", *(_clicks(k) for k in range(1, n))), "|---" * (n + 2) + "|"]
    for s in part:
        own = [row for row in rows if row.method == s.method]
        for score, name in (("iou", "IoU"), ("gain", "gain"), ("agreed", "agreed"), ("seconds", "median s")):
            table, groups = curves(own, score, n, stays=score in ("iou", "agreed"))
            if score == "seconds":
                cells = [f"{np.nanmedian(column):.3f}" if np.isfinite(column).any() else "" for column in table.T]
            else:
                cells = [_interval(bootstrap_mean(column, groups)) for column in table.T]
            lines.append(_line(s.method, name, *cells))
    return lines


def _clicks(number: int) -> str:
    return "1 click" if number == 1 else f"{number} clicks"


def _line(*cells: str) -> str:
    """A line of a table."""
    return markdown_row(cells)


def _interval(value: Interval) -> str:
    """Mean and ends; nothing where there were no values."""
    if math.isnan(value.mean):
        return ""
    return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _percent(share: float) -> str:
    if math.isnan(share):
        return ""
    return f"{100 * share:.2f} %" if share < 1 else "100 %"


def _csv(summaries: Sequence[Summary]) -> str:
    lines: list[list[Any]] = []
    for number, summary in enumerate(summaries):
        names, values = [], []
        for field in fields(Summary):
            value: Any = getattr(summary, field.name)
            if isinstance(value, Interval):
                names += [field.name, f"{field.name}_low", f"{field.name}_high"]
                values += [value.mean, value.low, value.high]
            elif isinstance(value, tuple):
                names += [f"{field.name}{target}" for target in (85, 90)]
                values += list(value)
            else:
                names.append(field.name)
                values.append(value)
        if number == 0:
            lines.append(names)
        lines.append(values)
    return csv_text(lines)


def _machine(out: Path) -> str:
    settings = json.loads((out / "run.json").read_text(encoding="utf-8"))
    shared = f" in {settings['workers']} processes at once" if settings["workers"] > 1 else ""
    return (
        f"napari-scribseg {settings['version']}, Python {settings['python']}, {settings['machine']}{shared}; "
        f"seed {settings['rules']['seed']}."
    )
