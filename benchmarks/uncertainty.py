"""Fit and validate ``numerics.uncertainty``: how likely a label is wrong.

``python benchmarks/uncertainty.py`` lets the simulated user paint on images of sources that no network is trained on,
first strokes and two corrections, and takes the errors of ``scribble-net`` and ``svcd``. For each source it prints the
area under the curve of error detection (mean over results) and the expected calibration error, with weights fitted to
the other sources; then the weights fitted to all, for ``numerics/uncertainty.py``. Sources where every sixth label is
wrong are measured, and left out of the fit: with them, risk is overestimated everywhere else.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from napari_scribseg import Scribbles, get_engine
from napari_scribseg.bench.metrics import calibration_error, error_auc
from napari_scribseg.bench.tasks import BenchTask, evenly, random_generator, tasks
from napari_scribseg.datasets import open_data_set
from napari_scribseg.datasets.held_out import HELD_OUT, HELD_OUT_SOURCES
from napari_scribseg.numerics.uncertainty import MEASURES, error_measures
from napari_scribseg.simulate import RobotUser
from napari_scribseg.train.settings import VALIDATION_SOURCES

ENGINES = ("scribble-net", "svcd")
PIXELS = 3000  # of each result
NOT_FITTED = ("fundus_hrf_vessel", "usiigaci_phase")


@dataclass(frozen=True)
class Sample:
    """Pixels of one result without strokes, and whether their labels are wrong."""

    source: str
    engine: str
    measures: NDArray[np.float32]
    raw: NDArray[np.float32]
    wrong: NDArray[np.bool_]


def cases(most: int) -> Iterator[tuple[str, BenchTask]]:
    """Tasks by source, the same number of cases of each."""
    slices = open_data_set("permissive_slices")
    for source in (*VALIDATION_SOURCES, *HELD_OUT_SOURCES, *HELD_OUT):
        names = [name for name in slices.cases if source in name]
        data = slices if names else open_data_set(source)
        for name in evenly(names or list(HELD_OUT.get(source, data.cases)), most):
            for task in tasks(data.load(name), "strokes", most_slices=1):
                yield source, task


def results(source: str, task: BenchTask, engine_name: str, random: np.random.Generator) -> Iterator[Sample]:
    """First strokes and two corrections."""
    engine, user = get_engine(engine_name), RobotUser()
    drawn = random_generator(0, task.name, "strokes")
    seeds = user.begin(task.truth, task.n_classes, drawn)
    state = engine.prepare(task.image, "cpu")
    for _ in range(3):
        found = engine.segment(task.image, Scribbles(seeds, task.n_classes), state)
        state = found.state
        counted = np.flatnonzero((task.truth >= 0) & (seeds < 0))
        chosen = random.choice(counted, min(PIXELS, len(counted)), replace=False)
        measures = error_measures(found.probabilities, seeds).reshape(-1, len(MEASURES))[chosen]
        wrong = (found.labels != task.truth).ravel()[chosen]
        yield Sample(source, engine_name, measures, 1 - found.probabilities.max(axis=0).ravel()[chosen], wrong)
        corrected = user.correct(found.labels, task.truth, seeds, drawn)
        if corrected is None:
            return
        seeds = corrected


def fit(samples: list[Sample]) -> LogisticRegression:
    """The regression on all samples; every source has the same weight."""
    weight = {s.source: 1 / sum(len(t.wrong) for t in samples if t.source == s.source) for s in samples}
    weights = np.concatenate([np.full(len(s.wrong), weight[s.source]) for s in samples])
    x, y = np.concatenate([s.measures for s in samples]), np.concatenate([s.wrong for s in samples])
    return LogisticRegression(C=1e6, max_iter=1000).fit(x, y, sample_weight=weights * len(weights) / weights.sum())


def table(samples: list[Sample]) -> Iterator[str]:
    """For each source and engine: errors, and their detection by 1 - p and by the risk fitted to the other sources."""
    yield "| source | method | results | errors | AUC of 1 - p | AUC | calibration error of 1 - p | calibration error |"
    yield "|---|---|---|---|---|---|---|---|"
    for source in dict.fromkeys(s.source for s in samples):
        model = fit([s for s in samples if s.source not in (source, *NOT_FITTED)])
        for engine in ENGINES:
            mine = [s for s in samples if s.source == source and s.engine == engine]
            wrong = np.concatenate([s.wrong for s in mine])
            both = [s.raw for s in mine], [model.predict_proba(s.measures)[:, 1] for s in mine]
            auc = [np.nanmean([error_auc(r, s.wrong) for r, s in zip(risk, mine, strict=True)]) for risk in both]
            error = [calibration_error(np.concatenate(risk), wrong) for risk in both]
            cells = source, engine, len(mine), f"{100 * wrong.mean():.1f} %", *(f"{v:.3f}" for v in (*auc, *error))
            yield "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Print the tables and the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=12, help="of each source")
    most = parser.parse_args().cases
    random = np.random.default_rng(0)
    samples = [s for source, task in cases(most) for name in ENGINES for s in results(source, task, name, random)]
    print(*table(samples), sep="\n")
    model = fit([s for s in samples if s.source not in NOT_FITTED])
    weights = {name: round(float(v), 3) for name, v in zip(MEASURES, model.coef_[0], strict=True)}
    print(weights, "bias", round(float(model.intercept_[0]), 3))


if __name__ == "__main__":
    main()
