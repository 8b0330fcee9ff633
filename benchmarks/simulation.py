"""Time of a simulated scribble on one core: ``python benchmarks/simulation.py [--size 128] [--seeds 10]``.

Shapes from a dot to the whole image, and blobs of noise; each line holds the median and the slowest over the seeds of
the best of three runs, in ms. The best of three is taken because other programs share the computer; the tables that
earlier calls with the same pen have filled stay, as they do in training.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_scribseg.simulate import simulate_correction, simulate_scribble, training_clicks


def labels(size: int) -> dict[str, np.ndarray]:
    """Labels of shape (size, size)."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    r, rng = np.hypot(y, x), np.random.default_rng(0)
    noise = rng.standard_normal((size, size))
    return {
        "dot": r <= 0.5 / size,
        "disc": r < 0.35,
        "ring": (r < 0.45) & (r > 0.36),
        "thin wave": np.abs(y - 0.3 * np.sin(9 * x)) < 0.02,
        "20 blobs": gaussian_filter(noise, size / 25) > 1 / (size / 7),
        "noise": noise > 0,
        "whole image": r < 2,
    }


def milliseconds(job, seeds: int) -> tuple[float, float]:
    """Median and largest over the seeds of the best of three runs."""
    found = []
    for seed in range(seeds):
        best = np.inf
        for _ in range(3):
            start = time.perf_counter()
            job(seed)
            best = min(best, time.perf_counter() - start)
        found.append(best * 1e3)
    return float(np.median(found)), max(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    print("| label | scribble | correction | clicks |\n|---|---|---|---|")
    for name, label in labels(given.size).items():
        moved = np.roll(label, given.size // 10, axis=0)
        jobs = (
            lambda seed, label=label: simulate_scribble(label, seed),
            lambda seed, label=label, moved=moved: simulate_correction(moved, label, np.zeros_like(label, int), seed),
            lambda seed, label=label: training_clicks(label, seed),
        )
        cells = ["{:.1f} ({:.1f})".format(*milliseconds(job, given.seeds)) for job in jobs]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
