"""How good, and how fast, is filling between slices? ``python benchmarks/filling.py hippocampus ct speed session``.

``hippocampus``: the volumes that no network of the package was trained on, every 3rd and every 6th slice (and the last)
labelled by truth, along the first and the second axis. ``ct``: TotalSegmentator's example CT, ten organs, axial, every
5th and every 10th slice. Printed: Dice over the slices between, mean over the classes and, with a standard deviation,
over the volumes; of signed-distance interpolation (per class, the arg max over classes), of signed distances moved as
the image moves, of these corrected by the network (the filling), and of the filling cut in 3D. ``speed``: 512 x 512
pixels, 20 slices between two anchors, 4 classes; ``session``: the same in a session, then a stroke that corrects the
slice in the middle, and how long what is delivered takes the owner's thread. Data is read from the folder named by
``SCRIBSEG_DATA``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import pairwise

import numpy as np
from scipy import ndimage

from napari_scribseg.annotate import Inbox, Session, Worker
from napari_scribseg.core.source import Source
from napari_scribseg.datasets import HELD_OUT, open_data_set
from napari_scribseg.numerics.filling import FilledSlice, Refine, fill_span
from napari_scribseg.numerics.volume_cut import cut_span
from napari_scribseg.prompting.between import shipped_fill_between

ORGANS = (
    "spleen", "right kidney", "left kidney", "liver", "stomach", "colon", "urinary bladder", "aorta",
    "inferior vena cava", "spinal cord",
)  # fmt: skip
ABSENT = -2.0
Fill = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]], np.ndarray]
Volume = tuple[str, np.ndarray, np.ndarray, tuple[float, ...]]


def interpolation(first: np.ndarray, last: np.ndarray, images: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The slices between by linear blending of signed distances; of a class that a slice lacks these are ABSENT."""

    def distances(labels: np.ndarray, label: int) -> np.ndarray:
        inside = labels == label
        if not inside.any() or inside.all():
            return np.full(labels.shape, 1e3 if inside.all() else ABSENT)
        outer, inner = (ndimage.distance_transform_edt(part, spacing[1:]) for part in (~inside, inside))
        return inner - outer

    ids = np.union1d(first, last)
    before, after = (np.stack([distances(labels, label) for label in ids]) for labels in (first, last))
    n = len(images) - 1
    return np.stack([ids[np.argmax(before * (n - k) + after * k, axis=0)] for k in range(1, n)])


def filling(first: np.ndarray, last: np.ndarray, images: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The final slices between by ``fill_span``."""
    return _final(first, last, images, spacing, shipped_fill_between())


def shapes_alone(first: np.ndarray, last: np.ndarray, images: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The same without the network: signed distances moved as the image moves."""
    return _final(first, last, images, spacing, None)


def cut_after(first: np.ndarray, last: np.ndarray, images: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """What ``cut_span`` makes of the final slices."""
    return _final(first, last, images, spacing, shipped_fill_between(), cut_span)


def _final(
    first: np.ndarray,
    last: np.ndarray,
    images: np.ndarray,
    spacing: tuple[float, ...],
    refine: Refine | None,
    solve: Callable[..., Iterator[FilledSlice]] = fill_span,
) -> np.ndarray:
    parts = solve(first, last, images[:, np.newaxis], spacing, refine=refine)
    filled = {part.offset: part.labels for part in parts if part.final}
    return np.stack([filled[k] for k in sorted(filled)])


FILLS = (interpolation, shapes_alone, filling, cut_after)


def dice(fill: Fill, every: int, volume: Volume) -> dict[int, float]:
    """Dice of each class, without the background, over the slices between."""
    _, images, truth, spacing = volume
    anchors = [*range(0, len(truth) - 1, every), len(truth) - 1]
    result = truth.copy()
    for i, j in pairwise(anchors):
        if j - i > 1:
            result[i + 1 : j] = fill(truth[i], truth[j], images[i : j + 1], spacing)
    between = np.setdiff1d(np.arange(len(truth)), anchors)
    found, right = result[between], truth[between]
    scores = {}
    for k in np.unique(right[right != 0]):
        both, sizes = (
            np.count_nonzero((found == k) & (right == k)),
            np.count_nonzero(found == k) + np.count_nonzero(right == k),
        )
        scores[int(k)] = 2 * both / sizes
    return scores


def hippocampi(axis: int, count: int) -> Iterator[Volume]:
    """The held-out volumes, slices along an axis."""
    data_set = open_data_set("msd_hippocampus")
    for name in HELD_OUT["msd_hippocampus"][:count]:
        case = data_set.read(name)
        order = (axis, *(a for a in range(3) if a != axis))
        images, truth = (np.transpose(np.asarray(array), order) for array in (case.image, case.truth))
        yield name, images.astype(np.float32), truth.astype(np.int32), tuple(case.spacing[a] for a in order)


def ct() -> Volume:
    """TotalSegmentator's example, with the ten organs only."""
    case = open_data_set("totalsegmentator").read("ct")
    truth = np.asarray(case.truth)
    ids = [k for k, name in case.names.items() if name in ORGANS]
    return "ct", np.asarray(case.image, np.float32), np.where(np.isin(truth, ids), truth, 0), tuple(case.spacing)


def print_hippocampus(count: int) -> None:
    """Mean and standard deviation over the volumes."""
    print("| hippocampus, labelled every | axis | interpolation | moved shapes | filled | then cut in 3D |")
    print("|---|---|---|---|---|---|")
    for axis in (0, 1):
        volumes = list(hippocampi(axis, count))
        for every in (3, 6):
            cells = []
            for fill in FILLS:
                scores = [statistics.mean(dice(fill, every, volume).values()) for volume in volumes]
                cells.append(f"{statistics.mean(scores):.3f} ({statistics.stdev(scores):.3f})")
            print(f"| {every} | {axis} | {' | '.join(cells)} |", flush=True)


def print_ct() -> None:
    """Each organ."""
    volume = ct()
    names = {k: name for k, name in open_data_set("totalsegmentator").read("ct").names.items() if name in ORGANS}
    print("| CT, labelled every | organ | interpolation | moved shapes | filled | then cut in 3D |")
    print("|---|---|---|---|---|---|")
    for every in (5, 10):
        scores = [dice(fill, every, volume) for fill in FILLS]
        for k in scores[0]:
            print(f"| {every} | {names[k]} | {' | '.join(f'{of[k]:.3f}' for of in scores)} |")
        means = [statistics.mean(of.values()) for of in scores]
        print(f"| {every} | mean | {' | '.join(f'{mean:.3f}' for mean in means)} |", flush=True)


def moving_shapes(n: int, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A noisy volume of three blobs that move and grow, and its labels, of n slices."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    labels = np.zeros((n, size, size), np.int32)
    for z, t in enumerate(np.linspace(0, 1, n)):
        for k, (y, x, r) in enumerate(((0.35, 0.35, 0.16), (0.6, 0.45, 0.1), (0.5, 0.7, 0.13)), start=1):
            labels[z][np.hypot(rows - y - 0.04 * t * k, columns - x + 0.03 * t) < r * (1 + 0.3 * t)] = k
    smooth = ndimage.gaussian_filter(rng.normal(size=labels.shape).astype(np.float32), (1, 2, 2))
    return (labels * 60 + 200 * smooth).astype(np.float32), labels


def print_speed(repeats: int) -> None:
    """Median seconds until both neighbours have a preview, until all have one, and until all is final; CPU seconds."""
    images, labels = moving_shapes(22)
    print("| 512 x 512, 20 slices between, 4 classes | two previews, s | all previews, s | all, s | CPU, s |")
    print("|---|---|---|---|---|")
    for name, solve in (("filled", fill_span), ("then cut in 3D", cut_span)):
        times = []
        for _ in range(repeats + 1):
            start, cpu = time.perf_counter(), time.process_time()
            parts = solve(labels[0], labels[-1], images[:, np.newaxis], (3.0, 1.0, 1.0), refine=shipped_fill_between())
            at = [(time.perf_counter() - start, part.final) for part in parts]
            previews = [seconds for seconds, final in at if not final]
            times.append((previews[1], previews[-1], at[-1][0], time.process_time() - cpu))
        medians = (statistics.median(column) for column in zip(*times[1:], strict=True))
        print(f"| {name} | {' | '.join(f'{seconds:.2f}' for seconds in medians)} |", flush=True)


def print_session(repeats: int) -> None:
    """Median seconds of a fill and of a corrected one in a session, and of what its owner's thread does for them."""
    images, labels = moving_shapes(22)
    print("| in a session | until the slice shows it, s | until all slices do, s | CPU, s | longest call, ms (CPU) |")
    print("|---|---|---|---|---|")
    rows: dict[str, list[tuple[float, ...]]] = {"fill": [], "a stroke on the slice in the middle": []}
    lines, columns = np.nonzero(labels[11] == 1)
    painted = np.zeros(labels.shape[1:], np.uint8)  # beside the lower border of the first blob
    painted[lines.max() + 2 : lines.max() + 8, int(np.median(columns)) : int(np.median(columns)) + 40] = 1
    for _ in range(repeats + 1):
        session = _TimedSession(images, labels)
        rows["fill"].append(session.time(lambda own: own.fill()))
        rows["a stroke on the slice in the middle"].append(session.time(lambda own: own.draw(painted, 11)))
        session.close()
    for name, times in rows.items():
        first, everything, cpu, wall, own = (statistics.median(column) for column in zip(*times[1:], strict=True))
        longest = f"{1000 * wall:.1f} ({1000 * own:.1f})"
        print(f"| {name} | {first:.2f} | {everything:.2f} | {cpu:.2f} | {longest} |", flush=True)


class _TimedSession:
    """A session with two accepted slices, whose owner notes how long each call takes that is delivered to it."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._inbox, self._worker = Inbox(), Worker()
        self._taken: list[tuple[float, float]] = []
        self._shown: list[float] = []
        given = np.zeros(labels.shape, np.uint8)
        given[[0, -1]] = labels[[0, -1]]
        source = Source.from_array(images, spacing=(3.0, 1.0, 1.0))
        self.session = Session(source, labels=given, executor=self._worker, deliver=self._deliver)
        for index in (0, len(labels) - 1):
            self.session.accept(index)
        self.session.events.restored.connect(lambda *_: self._shown.append(time.perf_counter()))
        self.session.events.updated.connect(lambda *_: self._shown.append(time.perf_counter()))

    def _deliver(self, call: Callable[[], None]) -> None:
        def timed() -> None:
            start, cpu = time.perf_counter(), time.thread_time()
            call()
            self._taken.append((time.perf_counter() - start, time.thread_time() - cpu))

        self._inbox.deliver(timed)

    def time(self, request: Callable[[Session], Future[object]]) -> tuple[float, ...]:
        """Seconds until something is shown, until all is; CPU seconds; seconds and CPU seconds of the longest call."""
        self._taken.clear()
        self._shown.clear()
        start, cpu = time.perf_counter(), time.process_time()
        self._inbox.wait(request(self.session), 600)
        while self.session.is_busy or self.session.doing is not None:
            self._inbox.run()
            time.sleep(0.002)
        walls, owns = zip(*self._taken, strict=True)
        return (
            self._shown[0] - start, time.perf_counter() - start, time.process_time() - cpu, max(walls), max(owns),
        )  # fmt: skip

    def close(self) -> None:
        """End the session and its worker."""
        self.session.close()
        self._worker.shutdown(wait=False)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["hippocampus", "ct", "speed", "session"])
    parser.add_argument("--count", type=int, default=20, help="hippocampi")
    parser.add_argument("--repeats", type=int, default=5, help="runs that are timed, after one that is not")
    given = parser.parse_args()
    if "hippocampus" in given.what:
        print_hippocampus(given.count)
    if "ct" in given.what:
        print_ct()
    if "speed" in given.what:
        print_speed(given.repeats)
    if "session" in given.what:
        print_session(given.repeats)


if __name__ == "__main__":
    main()
