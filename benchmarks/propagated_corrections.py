"""Does a right stroke correct labels that were propagated? ``python benchmarks/propagated_corrections.py FOLDER``.

FOLDER holds volumes as ``.npz`` with ``image``, ``label`` and ``scribble`` of shape (slices, rows, columns): values of
``label`` from 0 (background), strokes of people in ``scribble``, where the value ``--unlabelled`` is unpainted. A slice
is segmented by its strokes and propagated to the next one. There a robot paints one right stroke into the largest
error. Printed for each engine: mean Dice over the classes before and after it, mean of the change, the share of slices
where the stroke made it worse by more than 0.01, and the share where it was refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_scribseg.annotate import Session
from napari_scribseg.core import ClassTable, InputError, Source
from napari_scribseg.simulate.robot import RobotUser

WORSE = 0.01


def mean_dice(labels: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice over the classes, without the background, that are in one of both."""
    scores = [
        2
        * np.count_nonzero((labels == k) & (truth == k))
        / (np.count_nonzero(labels == k) + np.count_nonzero(truth == k))
        for k in np.union1d(labels, truth)
        if k != 0
    ]
    return float(np.mean(scores)) if scores else 1.0


def corrected(engine: str, case: Path, every: int, unlabelled: int, overlap: str) -> list[tuple[float, float, bool]]:
    """Mean Dice before and after a right stroke on the slices behind every so manyeth one; was it refused."""
    with np.load(case) as archive:
        image, truth, strokes = (
            archive["image"],
            archive["label"].astype(np.int64),
            archive["scribble"].astype(np.int64),
        )
    background = int(truth.max()) + 2
    painted = np.where(strokes == 0, background, strokes)
    painted[strokes == unlabelled] = 0
    classes = ClassTable.from_ids([*range(1, int(truth.max()) + 1), background], background=background)
    found = []
    for start in range(0, len(image) - 1, every):
        session = Session(Source.from_array(image), engine, classes=classes, overlap=overlap)
        try:
            session.draw(painted[start], start, demand=True).result()
            if not session.propagate(start, start + 1).result():
                continue
        except InputError:
            continue
        before = session.labels[start + 1].astype(np.int64)
        target = truth[start + 1]
        seeds = RobotUser().correct(before, target, np.full(target.shape, -1), seed=start)
        if seeds is None:
            continue
        stroke = np.where(seeds == 0, background, np.where(seeds < 0, 0, seeds))
        refused = session.draw(stroke, start + 1, demand=True).exception() is not None
        found.append((mean_dice(before, target), mean_dice(session.labels[start + 1], target), refused))
    return found


def main() -> None:
    """Print a line for each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engines", nargs="+", default=["scribble-net", "svcd"])
    parser.add_argument("--every", type=int, default=1, help="begin at every so manyeth slice")
    parser.add_argument("--unlabelled", type=int, default=4, help="value of scribble where nothing is painted")
    parser.add_argument("--overlap", default="overwrite", choices=["overwrite", "keep"])
    given = parser.parse_args()
    cases = sorted(given.folder.glob("*.npz"))
    print("| engine | slices | propagated | corrected | change | worse | refused |\n|---|---|---|---|---|---|---|")
    for engine in given.engines:
        rows = [row for case in cases for row in corrected(engine, case, given.every, given.unlabelled, given.overlap)]
        before, after, refused = np.asarray(rows).T
        change = after - before
        print(
            f"| {engine} | {len(rows)} | {before.mean():.3f} | {after.mean():.3f} | {change.mean():+.3f} | "
            f"{np.mean(change < -WORSE):.1%} | {refused.mean():.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
