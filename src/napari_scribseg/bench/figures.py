"""Figures of a run: scores and seconds over interactions with bands, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.bench.peers import PEERS
from napari_scribseg.bench.rows import Row
from napari_scribseg.bench.statistics import bootstrap_mean
from napari_scribseg.bench.summary import Summary, curves
from napari_scribseg.io.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURES", "figure_name", "write_figures"]

FIGURES = ("cost", "curves", "agreed", "seconds")
_OVER = {"curves": "iou", "agreed": "agreed", "seconds": "seconds"}  # kinds of figures over the interactions
_AXES = {
    "iou": "mean IoU, 95 % band; area in brackets",
    "agreed": "stroke pixels right before they were set, mean share, 95 % band",
    "seconds": "mean seconds an answer, 95 % band",
}


def figure_name(kind: str, data: str, protocol: str) -> str:
    """Name of the file; a data set may be called ``SET/SOURCE``."""
    return f"{kind}-{data}-{protocol}.png".replace("/", "-")


def write_figures(rows: Sequence[Row], summaries: Sequence[Summary], out: Path) -> list[Path]:
    """Write the figures for each data set and protocol.

    ``cost-DATA-PROTOCOL.png``; where answers follow, ``curves-...`` and ``seconds-...`` (paper 003, figure 10) and, of
    methods that tell how many stroke pixels they got right by themselves, ``agreed-...`` (figure 9).

    Parameters
    ----------
    rows : sequence of Row
        What was measured.
    summaries : sequence of Summary
        Of the same rows.
    out : Path
        Existing folder.
    """
    written = []
    colours = {method: f"C{i % 10}" for i, method in enumerate(dict.fromkeys(s.method for s in summaries))}
    for data, protocol in dict.fromkeys((s.data, s.protocol) for s in summaries):
        part = [s for s in summaries if (s.data, s.protocol) == (data, protocol)]
        those = [row for row in rows if (row.data, row.protocol) == (data, protocol)]
        written.append(_save(out / figure_name("cost", data, protocol), f"{data}, {protocol}", _cost, part, colours))
        if part[0].interactions > 1:
            for kind, score in _OVER.items():
                if any(np.isfinite(getattr(row, score)) for row in those):
                    path = out / figure_name(kind, data, protocol)
                    written.append(_save(path, f"{data}, {protocol}", _curves, part, colours, those, score))
    return written


def _save(path: Path, title: str, draw: Any, *what: Any) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    draw(axes, *what)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path


def _cost(axes: Axes, part: Sequence[Summary], colours: dict[str, str]) -> None:
    """Dice after the last interaction against the seconds of an answer."""
    for s in part:
        span = np.clip([[s.dice.mean - s.dice.low], [s.dice.high - s.dice.mean]], 0, None)
        seconds = s.first_seconds if s.interactions == 1 else s.seconds
        marker = "s" if s.method.split(":")[0] in PEERS else "o"
        axes.errorbar(seconds, s.dice.mean, yerr=span, fmt=marker, color=colours[s.method], capsize=3, label=s.method)
    axes.set_xscale("log")
    axes.set_xlabel("seconds an answer, median" + (", with preparing" if part[0].interactions == 1 else ""))
    axes.set_ylabel("mean Dice, 95 % interval")
    axes.legend(fontsize=8, loc="best")


def _curves(axes: Axes, part: Sequence[Summary], colours: dict[str, str], rows: Sequence[Row], score: str) -> None:
    """A mean over the interactions, with the bootstrap's band."""
    from matplotlib.ticker import MaxNLocator

    number = np.arange(1, part[0].interactions + 1)
    for s in part:
        own = [row for row in rows if row.method == s.method]
        table, groups = curves(own, score, number.size, stays=score != "seconds")
        band = [bootstrap_mean(column, groups) for column in table.T]
        if not any(np.isfinite(b.mean) for b in band):
            continue
        label = f"{s.method} ({s.area.mean:.3f})" if score == "iou" else s.method
        axes.plot(number, [b.mean for b in band], color=colours[s.method], label=label)
        axes.fill_between(
            number, [b.low for b in band], [b.high for b in band], color=colours[s.method], alpha=0.12, lw=0
        )
    axes.set_xlabel("interactions")
    axes.set_ylabel(_AXES[score])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if score == "seconds":
        axes.set_yscale("log")
    axes.legend(fontsize=8, loc="best" if score == "seconds" else "lower right")
