"""How near the labels of ``svcd`` are to those of the converged solution, and how many steps they take.

``python benchmarks/convergence.py --cases 7`` solves the energy of both models for people's strokes: photographs of
``graz_scribbles``, one slice of each volume of ``acdc_scribbles``, slices of ``medscribble_dev``, evenly chosen. The
converged solution is that after another 8000 steps. Compared are the rule of live answers and that of the published
model. Both device paths stop by the same rule; ``--torch`` adds the agreement between them, which takes minutes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from napari_scribseg import Image, Scribbles
from napari_scribseg.datasets import open_data_set
from napari_scribseg.datasets.views import drawn, slices
from napari_scribseg.engines.svcd import SVCD
from napari_scribseg.numerics.variational.multiscale import (
    LIVE,
    PUBLISHED,
    converge,
    halvings_of,
    open_backend,
    solve_coarse_to_fine,
)
from napari_scribseg.numerics.variational.tensors import TensorBackend
from napari_scribseg.numerics.warm import warm_up

SETS = ("graz_scribbles", "acdc_scribbles", "medscribble_dev")
CONVERGED = 8000  # steps


def images(n_cases):
    """Data set, image and strokes of each case."""
    for name in SETS:
        data = open_data_set(name)
        names = data.cases
        for one in [names[i * len(names) // n_cases] for i in range(min(n_cases, len(names)))]:
            case = data.read(one)
            if case.truth.ndim == 3:
                usable = list(slices(case, strokes_only=True))
                case = usable[len(usable) // 2]
            case = drawn(case)
            channels = np.moveaxis(case.image, -1, 0) if case.channels else case.image[None]
            ids = [i for i in np.unique(case.strokes) if i >= 0]
            seeds = np.full(case.strokes.shape, -1, dtype=np.int32)
            for k, identity in enumerate(ids):
                seeds[case.strokes == identity] = k
            yield name, Image(channels.astype(np.float32), case.spacing), Scribbles(seeds, len(ids))


def solve(backend, problem, stop):
    """A solver that ended by a rule, and its seconds."""
    start = time.perf_counter()
    solver = solve_coarse_to_fine(backend, halvings_of(backend, problem))
    converge(solver, lambda share: None, stop)
    return solver, time.perf_counter() - start


def labels(solver):
    return solver.primal().argmax(axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=7, help="of each data set")
    parser.add_argument("--torch", action="store_true", help="compare with the path of CUDA and MPS, run on the CPU")
    given = parser.parse_args()
    warm_up()
    found = {}
    for name, image, scribbles in images(given.cases):
        for model in ("paper", "auto"):
            engine = SVCD(model=model)
            backend = open_backend(engine, image, "cpu")
            problem = backend.pose(engine, scribbles, (), quick=False)
            (live, live_s), (strict, strict_s) = (solve(backend, problem, stop) for stop in (LIVE, PUBLISHED))
            ends, steps = [labels(live), labels(strict)], (live.steps_taken, strict.steps_taken)
            strict.advance(CONVERGED)
            row = [float((end == labels(strict)).mean()) for end in ends] + [*steps, live_s, strict_s]
            if given.torch:
                on_torch = TensorBackend(image, (1.0, 1.0), engine, "cuda" if torch.cuda.is_available() else "cpu")
                stop = PUBLISHED if model == "paper" else LIVE
                other = solve(on_torch, on_torch.pose(engine, scribbles, (), quick=False), stop)[0]
                row.append(float((labels(other) == ends[model == "paper"]).mean()))
            found.setdefault((name, model), []).append(row)
            print(name, model, image.shape, " ".join(f"{value:.4g}" for value in row), flush=True)
    print("\n| data | model | images | rule | least agreement | median | steps | seconds | least agreement of paths |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (name, model), rows in found.items():
        values = np.array(rows)
        for i, rule in enumerate(("live", "published")):
            paths = f"{values[:, 6].min():.4f}" if given.torch and (model == "paper") == i else ""
            print(
                f"| `{name}` | `{model}` | {len(rows)} | {rule} | {values[:, i].min():.4f} | "
                f"{np.median(values[:, i]):.4f} | {np.median(values[:, 2 + i]):.0f} | "
                f"{np.median(values[:, 4 + i]):.3f} | {paths} |"
            )


if __name__ == "__main__":
    main()
