"""How good is a volume from strokes on few slices, of one or three orientations? ``benchmarks/orientations.py ct``.

A simulated user paints every class, and the background near the objects, on 3 and on 5 slices: all along the first
axis, from end to end of the objects, or on central slices along all three. The engine labels these slices, and from
them the volume is labelled by each method. Printed: mean Dice over the classes in the whole volume and, over the
volumes, its mean; and the median seconds of the method, without those of the engine.

- interpolation: signed distances, linear between two slices of one axis, of several axes weighted by distance
- filled: ``fill_span`` between and beyond the slices along the first axis
- cut: ``cut_span`` of the same spans, with the strokes and the labelled slices of every orientation
- strokes alone: ``cut_volume`` from the strokes, without the engine's labels

Data is read from the folder named by ``SCRIBSEG_DATA``: the hippocampi that no network of the package was trained on,
and TotalSegmentator's example CT with ten organs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from napari_scribseg.annotate import Session
from napari_scribseg.core import ClassTable, Source
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.datasets import HELD_OUT, open_data_set
from napari_scribseg.numerics.filling import FilledSlice, fill_span
from napari_scribseg.numerics.volume_cut import cut_span, cut_volume
from napari_scribseg.simulate.robot import RobotUser

ORGANS = (
    "liver", "spleen", "right kidney", "left kidney", "stomach", "small bowel", "colon", "urinary bladder", "class 77",
    "class 78",
)  # fmt: skip
CENTRAL = {
    1: (0.5,),
    2: (0.3, 0.7),
    3: (0.2, 0.5, 0.8),
}  # places of the slices of one axis of three, in extents of the objects
BAND = 12.0  # pixels around the objects where the background is painted


@dataclass(frozen=True, eq=False)
class Painted:
    """A volume with painted slices: ``strokes`` are classes, -1 elsewhere; ``slices`` hold the engine's labels."""

    image: np.ndarray
    truth: np.ndarray
    spacing: tuple[float, ...]
    strokes: np.ndarray
    slices: list[tuple[int, int, np.ndarray]]

    @property
    def seeds(self) -> np.ndarray:
        """The strokes, and the labelled slices."""
        seeds = np.full(self.truth.shape, -1, np.int32)
        for axis, index, labels in self.slices:
            np.moveaxis(seeds, axis, 0)[index] = labels
        return np.where(self.strokes >= 0, self.strokes, seeds)


def places(truth: np.ndarray, count: int, orientations: int) -> list[tuple[int, int]]:
    """Axis and index of the slices that are painted."""
    found = []
    for axis in range(orientations):
        n = count if orientations == 1 else (count + 2 - axis) // 3
        shares = np.linspace(0.08, 0.92, n) if orientations == 1 else CENTRAL[n]
        at = np.flatnonzero((truth > 0).any(axis=tuple(a for a in range(3) if a != axis)))
        found += [(axis, round(float(at[0] + (at[-1] - at[0]) * share))) for share in shares]
    return found


def paint(image: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], count: int, orientations: int) -> Painted:
    """Paint slices, and let the default engine label them."""
    n_classes = int(truth.max()) + 1
    classes = ClassTable.from_ids([*range(1, n_classes), n_classes], background=n_classes)
    session = Session(Source.from_array(image, spacing=spacing), classes=classes)
    seed, user, done = np.random.default_rng(0), RobotUser(band=BAND), []
    for axis, index in places(truth, count, orientations):
        slice_index = SliceIndex(tuple(a for a in range(3) if a != axis), (index,))
        new = user.begin(truth[slice_index.slicer], n_classes, seed)
        ids, before = np.where(new == 0, n_classes, np.maximum(new, 0)), session.painted(slice_index)
        session.draw(np.where(before == 0, ids, before).astype(np.uint8), slice_index, demand=True).result()
        done.append((axis, index, slice_index))
    painted = np.stack([session.painted(SliceIndex((1, 2), (z,))) for z in range(len(truth))]).astype(np.int32)
    strokes = np.where(painted == 0, -1, painted % n_classes)
    return Painted(image, truth, spacing, strokes, [(a, i, session.slice_labels(s)) for a, i, s in done])


def signed(labels: np.ndarray, k: int, spacing: tuple[float, ...]) -> np.ndarray:
    """Signed distance to the border of a class, positive inside; -30 for one that is not there."""
    inside = labels == k
    if inside.all() or not inside.any():
        return np.full(labels.shape, 30.0 if inside.all() else -30.0)
    outer, inner = (ndimage.distance_transform_edt(part, spacing) for part in (~inside, inside))
    return inner - outer


def interpolation(given: Painted) -> np.ndarray:
    """The arg max of interpolated signed distances; beyond the outermost slice objects shrink by the distance to it."""
    n_classes, shape = int(given.truth.max()) + 1, given.truth.shape
    total, weights = np.zeros((n_classes, *shape), np.float32), np.zeros(shape, np.float32)
    for axis in range(3):
        along = {index: labels for a, index, labels in given.slices if a == axis}
        slices = [(index, along[index]) for index in sorted(along)]
        if not slices:
            continue
        pixel = tuple(s for a, s in enumerate(given.spacing) if a != axis)
        at = [index for index, _ in slices]
        fields = [np.stack([signed(labels, k, pixel) for k in range(n_classes)]) for _, labels in slices]
        sums, masses = np.moveaxis(total, axis + 1, 0), np.moveaxis(weights, axis, 0)
        for i in range(shape[axis]):
            j = int(np.searchsorted(at, i))
            if 0 < j < len(at):
                share = (i - at[j - 1]) / (at[j] - at[j - 1])
                field, far = (1 - share) * fields[j - 1] + share * fields[j], min(i - at[j - 1], at[j] - i)
            else:
                nearest = min(j, len(at) - 1)
                field, far = fields[nearest].copy(), abs(i - at[nearest])
                field[1:] -= far * given.spacing[axis]
            weight = 1 / (far * given.spacing[axis] + 0.1) ** 2
            sums[i] += weight * field
            masses[i] += weight
    return total.argmax(axis=0)


def spans(given: Painted, solve: Callable[..., Iterator[FilledSlice]], *, strokes: bool) -> np.ndarray:
    """The volume, span by span along the first axis."""
    anchors = {index: labels for axis, index, labels in given.slices if axis == 0}
    found, at = np.zeros(given.truth.shape, np.int32), sorted(anchors)
    seeds, images = given.seeds, given.image[:, np.newaxis]
    for index, labels in anchors.items():
        found[index] = labels
    for low, high in ((None, at[0]), *pairwise(at), (at[-1], None)):
        part = slice(low or 0, len(found) if high is None else high + 1)
        if part.stop - part.start < (3 if low is not None and high is not None else 2):
            continue
        ends = [None if k is None else anchors[k] for k in (low, high)]
        more = {"strokes": seeds[part]} if strokes else {}
        for each in solve(*ends, images[part], given.spacing, **more):
            if each.final:
                found[part.start + each.offset] = each.labels
    return found


METHODS: dict[str, Callable[[Painted], np.ndarray]] = {
    "interpolation": interpolation,
    "filled": lambda given: spans(given, fill_span, strokes=False),
    "cut": lambda given: spans(given, cut_span, strokes=True),
    "strokes alone": lambda given: (
        cut_volume(given.image, given.strokes, int(given.truth.max()) + 1, given.spacing).labels
    ),
}


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes, without the background."""
    scores = [
        2
        * np.count_nonzero((found == k) & (truth == k))
        / (np.count_nonzero(found == k) + np.count_nonzero(truth == k))
        for k in np.unique(truth[truth > 0])
    ]
    return statistics.mean(scores)


def volumes(what: str, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[float, ...]]]:
    """Image, labels of consecutive ids from 0, and spacing."""
    data_set = open_data_set("msd_hippocampus" if what == "hippocampus" else "totalsegmentator")
    for name in HELD_OUT["msd_hippocampus"][:count] if what == "hippocampus" else ("ct",):
        case = data_set.read(name)
        truth = np.maximum(np.asarray(case.truth), 0)
        if what == "ct":
            ids = {name: k for k, name in case.names.items()}
            truth = sum(np.where(truth == ids[organ], k, 0) for k, organ in enumerate(ORGANS, start=1))
        yield np.asarray(case.image, np.float32), truth, tuple(float(s) for s in case.spacing)


def main() -> None:
    """Print a line for each number of slices and orientations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["hippocampus", "ct"])
    parser.add_argument("--count", type=int, default=6, help="hippocampi")
    parser.add_argument("--slices", type=int, nargs="+", default=[3, 5])
    given = parser.parse_args()
    heads = [f"{name} (s)" for name in METHODS]
    print(f"| volumes | slices | orientations | {' | '.join(heads)} |\n|---|---|---|{'---|' * len(heads)}")
    for what in given.what:
        for count in given.slices:
            for orientations in (1, 3):
                rows = []
                for image, truth, spacing in volumes(what, given.count):
                    painted, cells = paint(image, truth, spacing, count, orientations), []
                    for method in METHODS.values():
                        begun = time.perf_counter()
                        labels = method(painted)
                        cells.append((time.perf_counter() - begun, dice(labels, truth)))
                    rows.append(cells)
                columns = []
                for column in zip(*rows, strict=True):
                    seconds, scores = (list(each) for each in zip(*column, strict=True))
                    columns.append(f"{statistics.mean(scores):.3f} ({statistics.median(seconds):.1f})")
                print(f"| {what} | {count} | {orientations} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
