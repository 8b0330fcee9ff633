"""Mean Dice on people's strokes, svcd and its peers in the same run: ``python benchmarks/accuracy.py [--out FILE]``.

Data: folders ``graz_scribbles`` (photographs, Dice over all labels) and ``acdc_scribbles`` (cardiac MR, Dice over the
foreground classes, every slice with background and class strokes) in ``SCRIBSEG_DATA``, by default ``../shared/data``
beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.segmentation import random_walker, watershed

from napari_scribseg import Image, Scribbles, get_engine

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Case:
    """One image with strokes and its truth; ``first`` is the first label that counts in the Dice."""

    name: str
    pixels: np.ndarray  # (H, W) or (H, W, 3)
    seeds: np.ndarray
    truth: np.ndarray
    n_labels: int
    first: int


def photographs(folder: Path) -> Iterator[Case]:
    """The Graz data set; its files hold run lengths of labels and of seeds."""
    for path in sorted(folder.rglob("*.gt")):
        fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        fields = {k.strip(): v for k, v in fields.items()}
        shape = int(fields["HEIGHT"]), int(fields["WIDTH"])
        pixels = np.asarray(Picture.open(folder / "images" / fields["IMAGE"].strip()).convert("RGB"))
        truth, seeds = (_runs(fields[key]).reshape(shape) for key in ("LABELS", "SEEDS"))
        yield Case(path.name, pixels, (seeds - 1).astype(np.int32), truth, int(fields["#LABELS"]), 0)


def _runs(text: str) -> np.ndarray:
    values, lengths = np.asarray(text.split(), dtype=np.int64).reshape(-1, 2).T
    return np.repeat(values, lengths)


def cardiac(folder: Path) -> Iterator[Case]:
    """The slices of the ACDC strokes that have background strokes and those of a class; other classes are left out."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            volumes = [arrays[key] for key in ("image", "scribble", "label")]
        for z, (pixels, strokes, labels) in enumerate(zip(*volumes, strict=True)):
            classes = [0, *(c for c in (1, 2, 3) if (strokes == c).any())]
            if len(classes) < 2 or not (strokes == 0).any():
                continue
            seeds = np.full(strokes.shape, -1, dtype=np.int32)
            truth = np.zeros(strokes.shape, dtype=np.int64)
            for index, c in enumerate(classes):
                seeds[strokes == c] = index
                if index:
                    truth[labels == c] = index
            yield Case(f"{path.stem} slice {z}", pixels, seeds, truth, len(classes), 1)


def svcd(case: Case, **parameters: object) -> np.ndarray:
    """Our labels."""
    engine = get_engine("svcd", **parameters)
    image = Image.from_array(case.pixels, (1.0, 1.0))
    return engine.segment(image, Scribbles(case.seeds, case.n_labels), engine.prepare(image, "cpu")).labels


def published(case: Case) -> np.ndarray:
    """The published model's labels."""
    return svcd(case, model="paper")


def walker(case: Case) -> np.ndarray:
    """scikit-image's random walker with its default beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        colour = case.pixels.ndim == 3
        pixels = case.pixels / 255 if colour else case.pixels.astype(float)
        return random_walker(pixels, case.seeds + 1, mode="cg_j", channel_axis=-1 if colour else None) - 1


def flooding(case: Case) -> np.ndarray:
    """Seeded watershed on the Sobel gradient of the grey image."""
    grey = rgb2gray(case.pixels) if case.pixels.ndim == 3 else case.pixels.astype(float)
    return watershed(sobel(grey), case.seeds + 1) - 1


METHODS: dict[str, Callable[[Case], np.ndarray]] = {
    "svcd, default": svcd,
    "svcd, published model": published,
    "random walker": walker,
    "watershed on Sobel": flooding,
}


def mean_dice(case: Case, labels: np.ndarray) -> float:
    """Mean over the labels that count."""
    scores = []
    for k in range(case.first, case.n_labels):
        found, true = labels == k, case.truth == k
        total = found.sum() + true.sum()
        scores.append(2 * (found & true).sum() / total if total else 1.0)
    return float(np.mean(scores))


def evaluate(job: tuple[Case, tuple[str, ...]]) -> list[tuple[float, float]]:
    """Score and CPU seconds of each method on one case."""
    case, methods = job
    rows = []
    for name in methods:
        start = time.process_time()
        labels = METHODS[name](case)
        rows.append((mean_dice(case, labels), time.process_time() - start))
    return rows


def main() -> None:
    """Run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides the terminal")
    parser.add_argument("--every", type=int, default=1, help="take every n-th case only")
    parser.add_argument("--only", choices=["svcd"], help="leave the peers out")
    parser.add_argument("--cases", type=Path, help="CSV file for the score of every case")
    parser.add_argument("--workers", type=int, default=max((os.cpu_count() or 2) // 2, 1))
    arguments = parser.parse_args()
    data = Path(os.environ.get("SCRIBSEG_DATA", DEFAULT_DATA))
    sets = {"graz_scribbles": photographs, "acdc_scribbles": cardiac}
    if not all((data / name).is_dir() for name in sets):
        sys.exit(f"{data} does not hold {' and '.join(sets)}; name their folder in SCRIBSEG_DATA")
    methods = tuple(m for m in METHODS if not arguments.only or m.startswith(arguments.only))
    lines = ["| data | cases | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    rows = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name, read in sets.items():
            cases = list(read(data / name))[:: arguments.every]
            results = np.asarray(list(pool.map(evaluate, [(c, methods) for c in cases])))
            scores, seconds = results[..., 0].mean(0), results[..., 1].mean(0)
            cells = [f"{d:.4f} ({s:.2f} s)" for d, s in zip(scores, seconds, strict=True)]
            lines.append(f"| {name} | {len(cases)} | " + " | ".join(cells) + " |")
            rows += [[name, c.name, *map(str, r[:, 0])] for c, r in zip(cases, results, strict=True)]
    lines += ["", "Mean Dice, and mean CPU seconds for an image."]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")
    if arguments.cases:
        table = [["data", "case", *methods], *rows]
        arguments.cases.write_text("\n".join(",".join(row) for row in table) + "\n")


if __name__ == "__main__":
    main()
