"""Figures of a run: scores and seconds over interactions with bands, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scribseg.bench.peers import PEERS
from napari_scribseg.bench.statistics import bootstrap_mean
from napari_scribseg.bench.summary import curves
from napari_scribseg.io.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

__all__ = ["FIGURES", "figure_name", "new_figure", "save_figure", "write_figures"]

FIGURES = ("cost", "curves", "raw-seed-accuracy", "seconds")
_OVER = {"curves": "iou", "raw-seed-accuracy": "raw_seed_accuracy", "seconds": "seconds"}  # over the interactions
_AXES = {
    "iou": "mean IoU, 95 % band; area in brackets",
    "raw_seed_accuracy": "mean raw seed accuracy, 95 % band",
    "seconds": "mean seconds an answer, 95 % band",
}


def figure_name(kind: str, data: str, protocol: str) -> str:
    """Name of the file; a data set may be called ``SET/SOURCE``."""
    return f"{kind}-{data}-{protocol}.png".replace("/", "-")


def write_figures(rows: DataFrame, summary: DataFrame, out: Path) -> list[Path]:
    """Write the figures for each data set and protocol.

    ``cost-DATA-PROTOCOL.png``; where corrections follow, ``curves-...`` and ``seconds-...`` (paper 003, figure 10) and,
    of methods that correct a network, ``raw-seed-accuracy-...`` (figure 9).

    Parameters
    ----------
    rows : DataFrame
        Of :func:`~napari_scribseg.bench.summary.rows_frame`.
    summary : DataFrame
        Of :func:`~napari_scribseg.bench.summary.summarize` of the same rows.
    out : Path
        Existing folder.
    """
    written = []
    colours = {method: f"C{i % 10}" for i, method in enumerate(summary["method"].unique())}
    measured = dict(iter(rows.groupby(["data", "protocol"], sort=False)))
    for key, part in summary.groupby(["data", "protocol"], sort=False):
        own = measured[key]
        written.append(_write(out, "cost", key, _cost, part, colours))
        if part["interactions"].iloc[0] > 1:
            shown = {kind: score for kind, score in _OVER.items() if np.isfinite(own[score]).any()}
            written += [_write(out, kind, key, _curves, part, colours, own, score) for kind, score in shown.items()]
    return written


def _write(out: Path, kind: str, key: tuple[str, str], draw: Callable[..., None], *what: Any) -> Path:
    figure, (axes,) = new_figure(1, (7, 4.5))
    draw(axes, *what)
    axes.set_title(", ".join(key))
    return save_figure(figure, out / figure_name(kind, *key))


def new_figure(count: int, size: tuple[float, float]) -> tuple[Figure, Sequence[Axes]]:
    """A figure with ``count`` axes beside each other, its size in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, layout="constrained")
    row = figure.subplots(1, count, squeeze=False)[0]
    for axes in row:
        axes.grid(alpha=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, row


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path


def _cost(axes: Axes, summary: DataFrame, colours: dict[str, str]) -> None:
    """Dice after the last interaction against the seconds of an answer."""
    uncorrected = summary["interactions"].iloc[0] == 1
    for _, s in summary.iterrows():
        span = np.clip([[s["dice"] - s["dice_low"]], [s["dice_high"] - s["dice"]]], 0, None)
        seconds = s["first_seconds"] if uncorrected else s["seconds"]
        marker = "s" if s["method"].split(":")[0] in PEERS else "o"
        colour = colours[s["method"]]
        axes.errorbar(seconds, s["dice"], yerr=span, fmt=marker, color=colour, capsize=3, label=s["method"])
    axes.set_xscale("log")
    axes.set_xlabel("seconds an answer, median" + (", with preparing" if uncorrected else ""))
    axes.set_ylabel("mean Dice, 95 % interval")
    axes.legend(fontsize=8, loc="best")


def _curves(axes: Axes, summary: DataFrame, colours: dict[str, str], rows: DataFrame, score: str) -> None:
    """A mean over the interactions, with the bootstrap's band."""
    from matplotlib.ticker import MaxNLocator

    number = np.arange(1, summary["interactions"].iloc[0] + 1)
    for _, s in summary.iterrows():
        own = rows[rows["method"] == s["method"]]
        table, groups = curves(own, score, number.size, keep_last=score != "seconds")
        band = [bootstrap_mean(column, groups) for column in table.T]
        if not any(np.isfinite(b.mean) for b in band):
            continue
        label, colour = f"{s['method']} ({s['area']:.3f})" if score == "iou" else s["method"], colours[s["method"]]
        axes.plot(number, [b.mean for b in band], color=colour, label=label)
        axes.fill_between(number, [b.low for b in band], [b.high for b in band], color=colour, alpha=0.12, lw=0)
    axes.set_xlabel("interactions")
    axes.set_ylabel(_AXES[score])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if score == "seconds":
        axes.set_yscale("log")
    axes.legend(fontsize=8, loc="best" if score == "seconds" else "lower right")
