"""Feature-space annotation by an oracle, and its speed.

    python benchmarks/explore.py oracle --out FOLDER [--images 8] [--regions 100] [--others] [--data-set NAME ...]
    python benchmarks/explore.py speed [--images 100]
    python benchmarks/explore.py growth --segments 1000 5000 20000 50000
    python benchmarks/explore.py first [--images 4] [--repeats 3]
    python benchmarks/explore.py splits [--photographs 91]

explore_oracle.py describes what the oracle does. IoU is the mean over the classes, the background among them, of all
images together; segments without a class count as wrong. Compared are one click for each segment, the most valuable
first; boxes and lassos in the embedding; metric learning on and off; corrections on and off; and the two ablations of
the paper: perfect segments, and perfect labels (the best that the cut allows without corrections).
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from explore_oracle import Oracle
from scipy import ndimage
from skimage.measure import label as components
from skimage.segmentation import watershed

from napari_scribseg.datasets import open_data_set, slices
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.edits import split_mask
from napari_scribseg.explore.gradients import gaussian_edges

DATA_SETS = (
    "dsb2018_nuclei",
    "usiigaci_phase",
    "permissive_slices/ct_congenital_heart",
    "permissive_slices/mr_heart_hvsmr2",
)
LEARN_AFTER = 16  # actions since the last time, once two classes have segments
VARIANTS = {  # tool, learning, corrections, perfect segments
    "boxes": ("box", False, False, False),
    "boxes, learning": ("box", True, False, False),
    "boxes or lassos": ("either", False, False, False),
    "boxes or lassos, learning": ("either", True, False, False),
    "boxes or lassos, learning, corrections": ("either", True, True, False),
    "perfect segments, click": ("click", False, False, True),
    "perfect segments, boxes or lassos, learning": ("either", True, False, True),
}
SHARES = (0.9, 0.95, 0.99)  # of the IoU of perfect labels
STEPS = (5, 10, 20, 50, 100)  # actions in the table


def load(name: str, count: int, others: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and truths 0 to K - 1; of volumes, evenly taken slices. The others are of the cases behind the first."""
    found: list = []
    for case in open_data_set(name):
        found += list(slices(case, smallest=64)) if case.truth.ndim == 3 else [case]
        if len(found) >= 4 * count:
            if not others:
                break
            found, others = [], False
    found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]
    images = [np.asarray(case.image) for case in found]
    return images, [(c.truth > 0).astype(np.int32) if c.instances else np.maximum(c.truth, 0) for c in found]


def prepared(images: list[np.ndarray], truths: list[np.ndarray], perfect: bool, regions: float) -> Workspace:
    workspace = Workspace()
    workspace.add_images(images)
    if perfect:
        for i, truth in enumerate(truths):
            workspace.set_segments(i, components(truth + 1, connectivity=1))
    else:
        workspace.cut(regions=regions)
    return workspace


def play(
    workspace: Workspace, truths: list[np.ndarray], tool: str, *, learn: bool, correct: bool, most: int
) -> list[tuple[int, float]]:
    """IoU after each action."""
    oracle = Oracle(workspace, truths, tool, correct)
    curve, spent, learned = [(0, oracle.iou())], 0, 0
    while spent < most:
        cost = oracle.take_action()
        if not cost:
            break
        spent += cost
        curve.append((spent, oracle.iou()))
        if (
            learn
            and spent >= learned + LEARN_AFTER
            and oracle.knows_two_classes
            and len(workspace.filtered("unlabelled"))
        ):
            learned = spent
            workspace.learn()
    return curve


def clicks(workspace: Workspace, truths: list[np.ndarray]) -> list[tuple[int, float]]:
    """One click for each segment."""
    oracle = Oracle(workspace, truths, "click", False)
    curve = [(0, oracle.iou())]
    for n, i in enumerate(oracle.order.tolist(), 1):
        workspace.assign([i], int(oracle.truth(np.array([i]))[0]) + 1)
        curve.append((n, oracle.iou()))
    return curve


def first_at(curve: list[tuple[int, float]], iou: float) -> int | None:
    return next((n for n, value in curve if value >= iou), None)


def at(curve: list[tuple[int, float]], n: int) -> float:
    return [value for k, value in curve if k <= n][-1]


def oracle(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in arguments.data_set or DATA_SETS:
        images, truths = load(name, arguments.images, arguments.others)
        base = {}
        for perfect in (False, True):
            base[perfect] = clicks(prepared(images, truths, perfect, arguments.regions), truths)
        n, limit = base[False][-1]
        print(f"\n{name}: {len(images)} images, {n} segments; perfect labels {limit:.3f}", end="")
        print(f"; {base[True][-1][0]} perfect segments")
        print(f"{'':44s}{''.join(f'{k:>7d}' for k in STEPS)}    end  | actions to 90, 95, 99 % (factor)")
        print_row("click", base[False], base[False])
        rows += [(name, "click", *point) for point in base[False]]
        for key, (tool, learn, correct, perfect) in VARIANTS.items():
            curve = base[True]
            if tool != "click":
                workspace = prepared(images, truths, perfect, arguments.regions)
                workspace.embed()
                curve = play(workspace, truths, tool, learn=learn, correct=correct, most=n // 8)
            print_row(key, curve, base[perfect])
            rows += [(name, key, *point) for point in curve]
            with (out / "explore.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("data set", "method", "actions", "iou"))
                writer.writerows(rows)
    figure(rows, out / "explore.png")


def print_row(key: str, curve: list[tuple[int, float]], base: list[tuple[int, float]]) -> None:
    """A line of the table; how many times fewer actions than one click for each segment."""
    line = "".join(f"{at(curve, k):7.3f}" for k in STEPS)
    reached = []
    for share in SHARES:
        wanted = share * base[-1][1]
        spent, clicked = first_at(curve, wanted), first_at(base, wanted)
        reached.append("-" if not spent or not clicked else f"{spent} ({clicked / spent:.1f})")
    print(f"{key:44s}{line}{curve[-1][1]:7.3f}  | {'  '.join(reached)}", flush=True)


def figure(rows: list[tuple[str, str, int, float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row[0] for row in rows))
    _, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 3.6), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for method in dict.fromkeys(row[1] for row in rows if row[0] == name):
            points = [(k, value) for found, key, k, value in rows if (found, key) == (name, method)]
            axis.plot(*zip(*points, strict=True), label=method)
        axis.set(title=name, xlabel="actions", xscale="symlog", ylim=(0, 1))
    axes[0][0].set_ylabel("mean IoU")
    axes[0][-1].legend(fontsize=7)
    plt.tight_layout()
    plt.savefig(path, dpi=110)


def timed(name: str, work: object, *arguments: object, **keywords: object) -> object:
    cpu, wall = time.process_time(), time.perf_counter()
    result = work(*arguments, **keywords)  # type: ignore[operator]
    print(f"{name:34s} {time.process_time() - cpu:8.3f} s CPU {time.perf_counter() - wall:8.3f} s wall", flush=True)
    return result


def made(count: int, side: int = 512) -> list[np.ndarray]:
    """Images of blobs of two kinds on a ground with a gradient and noise."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        field = ndimage.gaussian_filter(rng.normal(size=(side, side)), 12)
        kind = ndimage.gaussian_filter(rng.normal(size=(side, side)), 60) > 0
        image = 90 + 50 * (field > field.std() / 2) * np.where(kind, 1, -1) + rng.normal(scale=6, size=(side, side))
        images.append(ndimage.gaussian_filter(image, 1).clip(0, 255).astype(np.uint8))
    return images


def speed(arguments: argparse.Namespace) -> None:
    """Times of each step; the first round on two images, which compiles, does not count."""
    warm = Workspace(cache=arguments.cache)
    warm.add_images(made(2, 256))
    warm.cut(regions=60)
    warm.embed()
    ids = warm.ids()
    warm.assign(ids[::2], 1)
    warm.assign(ids[1::2], 2)
    warm.learn()
    workspace = Workspace(cache=arguments.cache)
    workspace.add_images(made(arguments.images))
    timed("cut", workspace.cut, regions=50)
    timed("embed", workspace.embed)
    ids = workspace.ids()
    print(f"{len(ids)} segments")
    for _ in range(3):
        timed("assign 100", workspace.assign, ids[np.random.default_rng(0).permutation(len(ids))[:100]], 1)
        workspace.undo()
    workspace.assign(ids[: len(ids) // 4 : 2], 1)
    workspace.assign(ids[1 : len(ids) // 4 : 2], 2)
    timed("learning round", workspace.learn)
    for segment in ids[np.argsort(-workspace.table.area[ids])[:3]].tolist():
        pixels = np.argwhere(workspace.segments(int(workspace.table.image[segment])) == segment)
        workspace.gradient(int(workspace.table.image[segment]))
        timed("split, first of an image", workspace.split, segment, pixels[:2], pixels[-2:])
        workspace.undo()
        timed("split", workspace.split, segment, pixels[:2], pixels[-2:])
    timed("embed the parts", workspace.embed)
    timed("uncertainty", workspace.uncertainty)


def growth(arguments: argparse.Namespace) -> None:
    """Embedding and learning by the number of segments, on made features."""
    from napari_scribseg.explore.embedding import add_to_embedding, fit_embedding
    from napari_scribseg.explore.metric import learn_head, unit_rows
    from napari_scribseg.explore.uncertainty import uncertainty

    rng = np.random.default_rng(0)
    for n in (200, *arguments.segments):
        kinds = rng.integers(0, 8, n)
        features = unit_rows((rng.normal(size=(8, 346))[kinds] + rng.normal(size=(n, 346))).astype(np.float32))
        labels = np.where(rng.random(n) < 0.2, kinds + 1, 0).astype(np.int32)
        labelled = labels > 0
        print(f"{n} segments")
        xy = timed("  embedding", fit_embedding, features, labels)
        timed("  positions for 20 more", add_to_embedding, features[:20] + 0.001, features, xy)
        timed("  learning, without the embedding", learn_head, features[labelled], labels[labelled])
        timed("  uncertainty", uncertainty, features, features[labelled], labels[labelled])


def first(arguments: argparse.Namespace) -> None:
    """The first embedding of a new process: with kernels to compile, as after an installation, and with compiled ones.

    Describing the segments is part of it; nothing is cached of earlier runs.
    """
    if arguments.alone:
        with tempfile.TemporaryDirectory() as cache:
            workspace = Workspace(subprocess=True, cache=cache)
            workspace.add_images(made(arguments.images))
            workspace.cut(regions=50)
            began = time.perf_counter()
            workspace.embed()
            print(len(workspace.ids()), time.perf_counter() - began)
        return
    for name, kept in (("compiling", False), ("compiled", True)):
        seconds, count = [], 0
        with tempfile.TemporaryDirectory() as shared:
            for repeat in range(arguments.repeats + kept):
                folder = shared if kept else f"{shared}/{repeat}"
                command = [sys.executable, __file__, "first", "--alone", "--images", str(arguments.images)]
                environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                count, spent = (float(word) for word in done.stdout.split())
                seconds += [] if kept and not repeat else [spent]  # the first one compiles
        times = ", ".join(f"{s:.1f}" for s in seconds)
        print(f"{name:10s} {count:.0f} segments: {statistics.median(seconds):5.1f} s, median of {times}", flush=True)


def splits(arguments: argparse.Namespace) -> None:
    """A split over edges, as the explorer does it, and one that floods pixels in the order of their own gradient.

    In a photograph, the pixels of the two labels with most strokes are the segment, and people's strokes split it.
    """
    cases = open_data_set("graz_scribbles")
    print(f"{'photograph':34s}{'differ':>9s}{'over edges':>12s}{'own gradient':>14s}")
    rows = []
    for number in np.linspace(0, len(cases.cases) - 1, arguments.photographs).astype(int):
        case = cases.read(cases.cases[number])
        drawn = case.strokes[case.strokes >= 0]
        first_label, second_label = np.argsort(-np.bincount(drawn), kind="stable")[:2].tolist()
        mask = np.isin(case.truth, (first_label, second_label))
        positive, negative = (mask & (case.strokes == label) for label in (first_label, second_label))
        gradient = gaussian_edges(np.moveaxis(np.asarray(case.image, dtype=np.float32), -1, 0))
        parts, n_positive = split_mask(gradient, mask, positive, negative)
        over_edges = parts[mask] < n_positive
        own = (watershed(gradient, positive + 2 * negative, mask=mask) == 1)[mask]
        truth = case.truth[mask] == first_label
        rows.append([np.mean(over_edges != own), np.mean(over_edges == truth), np.mean(own == truth)])
        print(f"{case.name:34s}{rows[-1][0]:9.4f}{rows[-1][1]:12.3f}{rows[-1][2]:14.3f}", flush=True)
    for name, value in (("mean", np.mean(rows, axis=0)), ("median", np.median(rows, axis=0))):
        print(f"{name:34s}{value[0]:9.4f}{value[1]:12.3f}{value[2]:14.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("oracle")
    part.add_argument("--out", required=True)
    part.add_argument("--images", type=int, default=8)
    part.add_argument("--others", action="store_true", help="images that the rules were not chosen on")
    part.add_argument("--regions", type=float, default=100)
    part.add_argument("--data-set", action="append")
    part.set_defaults(run=oracle)
    part = parts.add_parser("speed")
    part.add_argument("--images", type=int, default=100)
    part.add_argument("--cache", default=None)
    part.set_defaults(run=speed)
    part = parts.add_parser("growth")
    part.add_argument("--segments", type=int, nargs="+", default=[1000, 5000, 20000, 50000])
    part.set_defaults(run=growth)
    part = parts.add_parser("first")
    part.add_argument("--images", type=int, default=4)
    part.add_argument("--repeats", type=int, default=3)
    part.add_argument("--alone", action="store_true", help="one measurement, in this process")
    part.set_defaults(run=first)
    part = parts.add_parser("splits")
    part.add_argument("--photographs", type=int, default=91, help="with one person's strokes")
    part.set_defaults(run=splits)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
