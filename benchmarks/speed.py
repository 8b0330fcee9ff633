"""Measure the svcd engine and write the table: ``python benchmarks/speed.py [--out speed.md] [--quick]``."""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_svcd import first_result
from scenes import scene, with_one_more_stroke
from skimage.segmentation import random_walker

from napari_scribseg import get_engine
from napari_scribseg.numerics.device import n_threads
from napari_scribseg.numerics.variational.problem import Solver
from napari_scribseg.numerics.warm import warm_up

GROWTH = [
    *[(size, 4, 2000) for size in (256, 512, 1024, 2048)],
    *[(512, labels, 2000) for labels in (2, 4, 8, 12)],
    *[(512, 4, strokes) for strokes in (100, 500, 2000, 5000, 20000)],
]


def measure(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall and CPU time of a call, in milliseconds; one call more goes before."""
    call()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return 1e3 * statistics.median(t[0] for t in times), 1e3 * statistics.median(t[1] for t in times)


def converged_labels(engine, scribbles, state) -> np.ndarray:
    """The labels after 4000 steps on the finest level."""
    problem = state.backend.pose(engine, scribbles, None, quick=False)
    solver: Solver = state.backend.start(problem, None)
    solver.advance(4000)
    return solver.primal().argmax(0)


def standard_table(repeats: int) -> list[str]:
    """The table for 512 x 512 pixels, 4 labels, 2000 stroke pixels."""
    engine = get_engine("svcd")
    lines = ["| 512 x 512, 4 labels, 2000 stroke pixels | wall ms | CPU ms |", "|---|---|---|"]
    for channels, kind in ((3, "colour"), (1, "grey")):
        image, scribbles = scene(channels=channels)
        more = with_one_more_stroke(scribbles)
        state = engine.prepare(image, "cpu")
        result = engine.segment(image, scribbles, state)
        converged = converged_labels(engine, scribbles, state)
        preview = first_result(engine, image, scribbles, state)
        picture = image.data.transpose(1, 2, 0)
        rows = {
            "prepare": lambda image=image: engine.prepare(image, "cpu"),
            "cold: prepare and first result": lambda image=image, scribbles=scribbles: first_result(
                engine, image, scribbles, engine.prepare(image, "cpu")
            ),
            "update: first result after 100 stroke pixels more": lambda image=image, more=more, result=result: (
                first_result(engine, image, more, result.state)
            ),
            "refined: prepare and final result": lambda image=image, scribbles=scribbles: engine.segment(
                image, scribbles, engine.prepare(image, "cpu")
            ),
            "random_walker(cg_mg)": lambda picture=picture, scribbles=scribbles: random_walker(
                picture, scribbles.seeds + 1, mode="cg_mg", channel_axis=-1
            ),
        }
        cpu = {}
        for name, call in rows.items():
            wall, cpu[name] = measure(call, max(repeats // 3, 1) if "walker" in name else repeats)
            lines.append(f"| {kind}: {name} | {wall:.0f} | {cpu[name]:.0f} |")
        walker = cpu["random_walker(cg_mg)"]
        lines.append(
            f"| {kind}: CPU share of random_walker, cold | | {cpu['cold: prepare and first result'] / walker:.2f} |"
        )
        lines.append(f"| {kind}: CPU share, refined | | {cpu['refined: prepare and final result'] / walker:.2f} |")
        for name, labels in (("first", preview.labels), ("final", result.labels)):
            lines.append(
                f"| {kind}: {name} result, agreement with the converged labels | {(labels == converged).mean():.2%} | |"
            )
    return lines


def growth_table(repeats: int) -> list[str]:
    """How the times grow with pixels, labels and stroke pixels."""
    engine = get_engine("svcd")
    lines = ["| pixels | labels | stroke pixels | first result, wall ms | CPU ms | final result, wall ms | CPU ms |"]
    lines.append("|---|---|---|---|---|---|---|")
    for size, labels, strokes in GROWTH:
        image, scribbles = scene(size, labels, strokes)
        state = engine.prepare(image, "cpu")
        first = measure(lambda i=image, s=scribbles, t=state: first_result(engine, i, s, t), repeats)
        final = measure(lambda i=image, s=scribbles, t=state: engine.segment(i, s, t), max(repeats // 2, 1))
        cells = (f"{size} x {size}", labels, strokes, *(f"{v:.0f}" for v in (*first, *final)))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides the terminal")
    parser.add_argument("--quick", action="store_true", help="one repetition each")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else 9
    warm_up()
    lines = [f"{platform.machine()}, {n_threads()} cores, Python {platform.python_version()}", ""]
    lines += [*standard_table(repeats), "", *growth_table(max(repeats // 2, 1))]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
