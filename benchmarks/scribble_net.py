"""Settings of the engine scribble-net on people's strokes: ``python benchmarks/scribble_net.py WEIGHTS [--cases 8]``.

Every setting segments the same tasks as ``scribseg bench --protocol human`` has them, of evenly chosen cases of
``acdc_scribbles`` and ``graz_scribbles`` in ``SCRIBSEG_DATA``, by default ``../shared/data`` beside the checkout.
Printed for each: mean Dice, that of the preview, the mean difference to the first setting with its bootstrap interval
over photographs or patients, and median milliseconds of preview and result.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.metrics import score
from napari_scribseg.bench.statistics import bootstrap_mean
from napari_scribseg.bench.tasks import BenchTask, evenly, tasks
from napari_scribseg.core import Scribbles, parse_parameters
from napari_scribseg.datasets import open_data_set
from napari_scribseg.engines.scribble_net import ScribbleNet

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
SETTINGS = (
    "", "refine=none", "passes=1", "passes=1,refine=none", "crop=whole", "hybrid=0.3", "hybrid=0.6", "hybrid=1",
    "hybrid=0.6,refine=none",
)  # fmt: skip


@dataclass
class Column:
    """What one setting gave, a value for each task."""

    dice: list[float] = field(default_factory=list)
    preview: list[float] = field(default_factory=list)
    preview_ms: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


def segment_task(engine, task: BenchTask, column: Column) -> None:
    """Let an engine segment a task, cold, and note what came of it."""
    state = engine.prepare(task.image, "cpu")
    start, first = time.perf_counter(), []

    def report(fraction, preview=None):
        if preview is not None and not first:
            first.append((1e3 * (time.perf_counter() - start), preview))

    result = engine.segment(task.image, Scribbles(task.strokes, task.n_classes), state, report)
    column.ms.append(1e3 * (time.perf_counter() - start))
    spacing = task.image.spacing
    column.dice.append(score(result.labels, task.truth, task.counted, spacing).dice)
    milliseconds, preview = first[0] if first else (np.nan, result)
    column.preview_ms.append(milliseconds)
    column.preview.append(score(preview.labels, task.truth, task.counted, spacing).dice)


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a .safetensors file")
    parser.add_argument("--cases", type=int, default=8, help="of each data set")
    parser.add_argument("--slices", type=int, default=4, help="of a volume")
    parser.add_argument("--settings", nargs="*", default=SETTINGS, help="field=value,field=value")
    parser.add_argument("--others", nargs="*", default=["svcd"], help="engines and peers of scribseg bench")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    engines = {
        text or "defaults": ScribbleNet(
            weights=given.weights, **parse_parameters(ScribbleNet, text.split(",") if text else [])
        )
        for text in given.settings
    } | {name: parse_method(name).engine for name in given.others}
    for name in ("acdc_scribbles", "graz_scribbles"):
        data = open_data_set(name, os.environ.get("SCRIBSEG_DATA", DEFAULT_DATA))
        columns, groups = {text: Column() for text in engines}, []
        for case in evenly(data.cases, given.cases):
            for task in tasks(data.load(case), "human", most_slices=given.slices):
                groups.append(task.group)
                for text, engine in engines.items():
                    segment_task(engine, task, columns[text])
        print(f"\n| {name}, {len(groups)} images | Dice | preview | difference (95 %) | preview ms | ms |")
        print("|---" * 6 + "|")
        base = np.asarray(next(iter(columns.values())).dice)
        for text, c in columns.items():
            d = bootstrap_mean(c.dice - base, groups)
            cells = [text, f"{np.mean(c.dice):.3f}", f"{np.mean(c.preview):.3f}"]
            cells += [f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f})"]
            cells += [f"{np.median(times):.0f}" for times in (c.preview_ms, c.ms)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
