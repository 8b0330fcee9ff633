"""Simulated strokes against people's: ``python benchmarks/human_strokes.py [--fit] [--figure FILE] [--out FILE]``.

The robot user draws strokes into the labels that people drew into, with values chosen by eye (before) and with the
presets of ``napari_scribseg.simulate.robot`` (after); both are measured as people's strokes are. Photographs and
patients are halved: the presets were fitted to those at even places (``--fit`` repeats the fit), and those at odd
places test them, so that the table shows how well the fit generalises. Data: ``graz_scribbles`` and
``acdc_scribbles`` in ``SCRIBSEG_DATA``, by default ``../shared/data`` beside the checkout. Only Graz sets drawn in
lines count: in the others a quick mouse left scattered dots, whose order is unknown.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_scribseg.datasets import Case, drawn, open_data_set, slices
from napari_scribseg.simulate import HumanError, RobotUser, ScribbleStyle
from napari_scribseg.simulate.measures import StrokeMeasures, compare, measure_strokes, pool
from napari_scribseg.simulate.robot import human_like

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
SETS = {"photographs": "graz_scribbles", "cardiac": "acdc_scribbles"}
GAPS = {"photographs": 8.0, "cardiac": 1.5}  # pixels that a stroke may leave out
TITLES = {
    "length": "length, px",
    "relative_length": "length / √area",
    "width": "width, px",
    "curvature": "curvature, rad/px",
    "depth": "distance from the border, relative",
    "covered": "share of the object covered",
    "number": "strokes for each part",
    "outside": "share outside (mean)",
}
# lower and upper end of each parameter, and whether it is searched on a logarithmic scale
SPACE = {
    "tiles": (1, 8, False),
    "smallest_tile": (2, 64, True),
    "tile_share": (0.001, 0.5, True),
    "skeleton_reach": (0, 40, False),
    "point_distance": (0, 60, False),
    "deviation": (0, 8, False),
    "radius": (0, 2.5, False),
    "torn_share": (0, 1, False),
    "jitter": (0, 6, False),
    "jitter_length": (1, 20, True),
    "shortened": (0, 1, False),
    "band": (4, 400, True),
}
WHOLE = ("tiles", "smallest_tile", "skeleton_reach")


def read(kind: str, odd: bool | None) -> list[Case]:
    """The cases of one half, or of both: 2D, with strokes that are lines."""
    data = open_data_set(SETS[kind], os.environ.get("SCRIBSEG_DATA", DEFAULT_DATA))
    cases = [c for case in data for c in (slices(case, strokes_only=True) if case.truth.ndim == 3 else [case])]
    cases = [drawn(c) for c in cases if _lines(c)]
    groups = sorted({c.group for c in cases})
    return [c for c in cases if odd is None or groups.index(c.group) % 2 == odd]


def _lines(case: Case) -> bool:
    """Whether less than a tenth of the painted pixels have no other within 3 pixels; 0 to 5 % or 15 to 90 % occur."""
    pixels = np.argwhere(case.strokes >= 0)
    return (cKDTree(pixels).query(pixels, 2)[0][:, 1] > 3).mean() < 0.1


def measure(case: Case, seeds: np.ndarray, kind: str) -> list[StrokeMeasures]:
    """Of the labels that the person drew into."""
    ids = [k for k in case.ids if (case.strokes == k).any()]
    return [measure_strokes(seeds == k, case.truth == k, gap=GAPS[kind]) for k in ids]


def simulate(user: RobotUser, cases: list[Case], kind: str) -> StrokeMeasures:
    """Strokes of a robot, drawn with the same random numbers whoever it is."""
    found = []
    for number, case in enumerate(cases):
        found += measure(case, user.begin(case.truth, int(case.truth.max()) + 1, number), kind)
    return pool(found)


def human(cases: list[Case], kind: str) -> StrokeMeasures:
    """Strokes of the people."""
    return pool([m for case in cases for m in measure(case, case.strokes, kind)])


def distances(reference: StrokeMeasures, other: StrokeMeasures) -> np.ndarray:
    """For each measure the Kolmogorov-Smirnov statistic, and w / (1 + w) for the Wasserstein distance w; shape (M, 2).

    For the share outside, w is the difference of the means in percent. 1 where the other has no strokes to measure.
    """
    table = np.ones((len(TITLES), 2))
    for line, name in zip(table, TITLES, strict=True):
        a, b = getattr(reference, name), getattr(other, name)
        if np.isfinite(b).any():
            found = compare(a, b)
            far = 100 * abs(a.mean() - b.mean()) if name == "outside" else found.wasserstein
            line[:] = found.ks, far / (1 + far)
    return table


def spilled(cases: list[Case], kind: str) -> tuple[float, float, float]:
    """Share of people's strokes that reach past their label, how far on average, and share mostly in another label."""
    beyond, wrong = [], []
    for case in cases:
        for k in case.ids:
            label = case.truth == k
            away = ndimage.distance_transform_edt(~label)
            pixels = np.argwhere(case.strokes == k)
            if not len(pixels):
                continue
            near = ndimage.distance_transform_edt(case.strokes != k) <= GAPS[kind] / 2
            strokes = ndimage.label(near, np.ones((3, 3)))[0][tuple(pixels.T)]
            numbers = np.unique(strokes)
            beyond += list(np.atleast_1d(ndimage.maximum(away[tuple(pixels.T)], strokes, numbers)))
            wrong += list(np.atleast_1d(ndimage.mean(~label[tuple(pixels.T)], strokes, numbers)) > 0.5)
    far = np.asarray(beyond)
    return float((far > 0).mean()), float(far[far > 0].mean()) if (far > 0).any() else 0.0, float(np.mean(wrong))


def make_user(place: np.ndarray, spill: tuple[float, float, float]) -> RobotUser:
    """The robot at a place in the unit cube."""
    values = {}
    for (name, (low, high, logarithmic)), x in zip(SPACE.items(), place, strict=True):
        value = low * (high / low) ** x if logarithmic else low + x * (high - low)
        values[name] = round(value) if name in WHOLE else float(f"{value:.3g}")
    band = values.pop("band")
    error = HumanError(
        jitter=values.pop("jitter"),
        jitter_length=values.pop("jitter_length"),
        steered=True,
        shortened=values.pop("shortened"),
        spill=spill[1],
        spill_rate=spill[0],
        wrong_label=spill[2],
    )
    return RobotUser(style=ScribbleStyle(**values), error=error, band=band)


def where(user: RobotUser) -> np.ndarray:
    """The place of a robot in the unit cube."""
    error, place = user.error or HumanError(), []
    for name, (low, high, logarithmic) in SPACE.items():
        value = next(getattr(part, name) for part in (user, user.style, error) if hasattr(part, name))
        place.append(np.log(value / low) / np.log(high / low) if logarithmic else (value - low) / (high - low))
    return np.clip(place, 0, 1)


def fit(kind: str, most_cases: int, first: int, rounds: int) -> RobotUser:
    """Random search that starts with the values by eye and the thinnest pen, then coordinate descent with steps that
    halve; fixed seeds, so that it always ends the same."""
    half = read(kind, odd=False)
    spill = spilled(half, kind)
    cases = half[:: -(-len(half) // most_cases)]
    target, rng = human(cases, kind), np.random.default_rng(0)

    by_eye = distances(target, simulate(RobotUser(), cases, kind))

    def loss(place: np.ndarray) -> float:
        """Mean distance, and what a measure got farther off than the values by eye."""
        found = distances(target, simulate(make_user(place, spill), cases, kind))
        return float(found.mean() + np.maximum(found - by_eye, 0).mean())

    start = time.perf_counter()
    places = [where(RobotUser(style=ScribbleStyle(radius=0), band=SPACE["band"][1])), *rng.random((first, len(SPACE)))]
    best, place = min(((loss(place), place) for place in places), key=lambda pair: pair[0])
    for step in 0.2 * 0.5 ** np.arange(rounds):
        for axis in rng.permutation(len(SPACE)):
            for sign in (1, -1):
                moved = place.copy()
                moved[axis] = np.clip(moved[axis] + sign * step, 0, 1)
                if (found := loss(moved)) < best:
                    best, place = found, moved
                    break
    took = time.perf_counter() - start
    print(f"{kind}: {len(cases)} cases, {by_eye.mean():.2f} by eye, {best:.2f} fitted, {took:.0f} s")
    return make_user(place, spill)


def rows(kind: str, samples: dict[str, StrokeMeasures]) -> list[str]:
    """Lines of the table."""
    people, *others = samples.values()
    lines = []
    for name, title in TITLES.items():
        reference = getattr(people, name)
        middle = np.nanmean if name == "outside" else np.nanmedian
        found = [compare(reference, getattr(other, name)) for other in others]
        cells = [f"{middle(getattr(sample, name)):.3g}" for sample in samples.values()]
        cells += [" / ".join(f"{getattr(f, what):.2f}" for f in found) for what in ("ks", "wasserstein")]
        lines.append(f"| {kind} | {title} | {' | '.join(cells)} |")
    return lines


def draw(all_samples: dict[str, dict[str, StrokeMeasures]], path: Path) -> None:
    """Distribution functions of the measures, people's and the robot's."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in TITLES if name not in ("outside", "number")]
    figure, axes = plt.subplots(len(all_samples), len(names), figsize=(15, 5.2), layout="constrained", sharey=True)
    line_styles = (("black", "-", 2.2), ("#c8571b", "--", 1.4), ("#1b6ec8", "-", 1.4))
    for row, (kind, samples) in zip(axes, all_samples.items(), strict=True):
        for axis, name in zip(row, names, strict=True):
            for (who, sample), (color, line, width) in zip(samples.items(), line_styles, strict=True):
                values = np.sort(getattr(sample, name)[np.isfinite(getattr(sample, name))])
                share = np.arange(1, len(values) + 1) / len(values)
                axis.step(values, share, where="post", color=color, linestyle=line, linewidth=width, label=who)
            axis.set_xlabel(TITLES[name])
            axis.spines[["top", "right"]].set_visible(False)
            if name in ("covered", "length"):
                axis.set_xscale("symlog", linthresh=0.001 if name == "covered" else 1)
                axis.set_xlim(left=0)
        row[0].set_ylabel(f"{kind}\nshare of strokes up to")
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=80)


def main() -> None:
    """Fit where ``--fit`` is given, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="search for the presets anew, and judge what was found")
    parser.add_argument("--cases", type=int, default=28, help="cases that are fitted to, at most")
    parser.add_argument("--first", type=int, default=50, help="places tried at random")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of coordinate descent")
    parser.add_argument("--figure", type=Path, help="PNG file for the distributions")
    parser.add_argument("--out", type=Path, help="Markdown file to write besides the terminal")
    given = parser.parse_args()
    users = {kind: human_like(kind) for kind in SETS}
    if given.fit:
        with ProcessPoolExecutor(len(SETS)) as workers:
            jobs = {kind: workers.submit(fit, kind, given.cases, given.first, given.rounds) for kind in SETS}
            users = {kind: job.result() for kind, job in jobs.items()}
        for kind, user in users.items():
            print(kind, user.style, user.error, f"band={user.band}", sep="\n  ")
    head = "| strokes | measure | people | by eye | fitted | KS by eye / fitted | Wasserstein by eye / fitted |"
    lines, everything = [head, "|---" * 7 + "|"], {}
    for kind, user in users.items():
        cases = read(kind, odd=True)
        robots = {"robot, by eye": RobotUser(), "robot, fitted": user}
        samples = {"people": human(cases, kind)} | {who: simulate(u, cases, kind) for who, u in robots.items()}
        lines += rows(kind, samples)
        everything[kind] = samples
        ends = [distances(samples["people"], samples[who]).mean() for who in robots]
        print(f"{kind}: {len(cases)} cases judged; mean distance {ends[0]:.2f} by eye, {ends[1]:.2f} fitted")
        past = "  people past the border: {:.3f} of the strokes, by {:.1f} px; in another label: {:.4f}"
        print(past.format(*spilled(cases, kind)))
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")
    if given.figure:
        draw(everything, given.figure)


if __name__ == "__main__":
    main()
