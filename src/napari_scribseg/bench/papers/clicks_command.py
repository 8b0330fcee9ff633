"""The command ``scribseg study-clicks``."""

from __future__ import annotations

import csv
import io
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scribseg.bench.command import INTERRUPTED, Cases, LargerError, Root, Seed, open_data_sets
from napari_scribseg.options import Device, DeviceOption
from napari_scribseg.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scribseg.bench.papers.network_clicks import ClickRow

__all__ = ["study_clicks"]

_Out = Annotated[Path, typer.Option(help="Folder for the page, its table, and precision and recall.")]
_Engine = Annotated[
    str, typer.Option(metavar="NAME:model=FILE[,P=V...]", help="brs or f-brs with a network that needs no strokes.")
]
_Data = Annotated[
    list[str],
    typer.Option(metavar="NAME|DIR", help="Data whose label ids are those of the network's outputs; may be repeated."),
]
_Slices = Annotated[int | None, typer.Option(min=1, help="Slices of a volume, evenly chosen.")]
_Clicks = Annotated[int, typer.Option(min=1, help="Most clicks.")]
_Larger = Annotated[LargerError, typer.Option(help="Which error is clicked: the deeper one, or that of more pixels.")]


def study_clicks(
    out: _Out,
    data: _Data,
    engine: _Engine = "brs:model=nuclei-unet",
    root: Root = None,
    cases: Cases = None,
    slices: _Slices = None,
    clicks: _Clicks = 5,
    larger: _Larger = LargerError.pixels,
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
) -> None:
    """Measure what clicks make of a network that was trained without: accuracy, precision and recall."""
    from napari_scribseg.bench.papers.network_clicks import ClickPlan, click
    from napari_scribseg.io.atomic import write_files
    from napari_scribseg.io.run_folder import RunFolder
    from napari_scribseg.simulate import RobotUser

    names = ("study-clicks.md", "clicks.csv", "precision-recall.csv")
    user = RobotUser("clicks", tolerance=0.0, larger=larger.value)
    plan = ClickPlan(engine, open_data_sets(data, root), cases, slices, clicks, user, seed, device.value)
    settings = {"engine": engine, "data": data, "cases": cases, "slices": slices, "clicks": clicks,
                "larger": larger.value, "seed": seed}  # fmt: skip
    try:
        with RunFolder(out, "study-clicks.json").open(names, settings), show_progress("clicking", "images") as progress:
            rows = click(plan, progress)
            command = shlex.join(["scribseg", *sys.argv[1:]])
            texts = (_page(rows, command), _table(rows), _curves(rows))
            write_files({out / name: text.encode() for name, text in zip(names, texts, strict=True)})
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED, err=True)
        raise
    for name in names:
        typer.echo(out / name)


def _page(rows: Sequence[ClickRow], command: str) -> str:
    """The table for people; means over images."""
    from napari_scribseg.bench.papers.network_clicks import table_of

    lines = [
        "# Clicks on a converted network (paper 003, table 3 and figure 11)\n",
        f"`{command}`\n",
        "Accuracy is the share of pixels with their class; clicked, that of the clicked pixels; F is the best over",
        "thresholds of (1.3 precision recall) / (0.3 precision + recall).\n",
        "| data | images | clicks | accuracy | mean IoU | clicked | F |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in table_of(rows).itertuples():
        values = (line.accuracy, line.iou, line.seed_accuracy, line.f_score)
        shown = " | ".join("" if value != value else f"{value:.3f}" for value in values)
        lines.append(f"| {line.data} | {line.images} | {line.clicks} | {shown} |")
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[ClickRow]) -> str:
    names = ("data", "image", "group", "clicks", "accuracy", "iou", "seed_accuracy")
    return _csv(names, [[getattr(row, name) for name in names] for row in rows])


def _curves(rows: Sequence[ClickRow]) -> str:
    """Precision and recall at each threshold, means over images."""
    import numpy as np

    from napari_scribseg.bench.papers.network_clicks import THRESHOLDS

    lines = []
    for data, clicks in dict.fromkeys((row.data, row.clicks) for row in rows):
        own = [row for row in rows if (row.data, row.clicks) == (data, clicks) and row.precision]
        if own:
            means = (np.mean([getattr(row, name) for row in own], axis=0) for name in ("precision", "recall"))
            lines += [[data, clicks, f"{t:.4g}", *pair] for t, *pair in zip(THRESHOLDS, *means, strict=True)]
    return _csv(("data", "clicks", "threshold", "precision", "recall"), lines)


def _csv(names: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(lines)
    return text.getvalue()
