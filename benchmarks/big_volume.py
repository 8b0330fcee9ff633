"""What a large volume takes of the memory while it is filled: ``python benchmarks/big_volume.py [--out FILE]``.

A CT of 512 x 512 x 600 voxels of int16 with eight organs and noise, in the memory, and the same as zarr in chunks of
64 x 64 x 64 and as dask over it, where only blocks are read. Nine slices, 20 to 100 apart, get strokes of the eight
organs and of the background, the default engine segments them, and the slices between are filled; one is corrected,
undone, redone and saved as NIfTI and as a session. Each case runs in a process of its own. Printed: the peak of the
process in each phase, in MiB, and how often each chunk of the zarr file is read while spans are filled.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20
SHARES = (1 / 30, 2 / 30, 7 / 60, 0.2, 1 / 3, 0.5, 2 / 3, 0.8, 14 / 15)  # of the volume, where strokes are
CHUNK = 64


def status(name: str) -> float:
    """A value of the process in MiB, by its name in /proc."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the system does not report {name}")


@contextmanager
def phase(name: str, found: dict[str, float]) -> Iterator[None]:
    """Note the peak of the process, and the seconds, until the block ends."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    begun = time.perf_counter()
    yield
    found[name] = status("VmHWM")
    print(f"{name}: {found[name]:.0f} MiB, {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)


class Phantom:
    """A body with eight organs that move, grow and end."""

    def __init__(self, n_slices: int, size: int) -> None:
        self.n_slices, self.size = n_slices, size
        self.rows, self.columns = np.mgrid[:size, :size].astype(np.float32) / size
        self.noise = np.random.default_rng(0).integers(-25, 25, (size, size), dtype=np.int16)

    def labels(self, z: int) -> np.ndarray:
        """The organs of a slice, 0 elsewhere."""
        t = z / self.n_slices
        found = np.zeros(self.rows.shape, np.uint8)
        for k in range(8):
            angle = 2 * np.pi * k / 8 + 0.8 * t
            row, column = 0.5 + 0.28 * np.sin(angle), 0.5 + 0.28 * np.cos(angle)
            radius = 0.045 + 0.035 * np.sin(2 * np.pi * (2 * t + k / 8))
            if 0.01 * k <= t <= 1 - 0.01 * (8 - k):
                inside = (self.rows - row) ** 2 + 0.7 * (self.columns - column) ** 2 < radius**2
                found[inside] = k + 1
        return found

    def image(self, z: int) -> np.ndarray:
        """A slice, int16."""
        values = np.array([-50, 30, 60, 90, 120, 150, 180, 210, 240], np.int16)[self.labels(z)]
        body = (self.rows - 0.5) ** 2 + (self.columns - 0.5) ** 2 < 0.46**2
        return np.where(body, values, np.int16(-900)) + np.roll(self.noise, (31 * z, 17 * z), (0, 1))

    def strokes(self, z: int) -> np.ndarray:
        """A line through each organ, and a frame in the background, which is class 9."""
        labels, painted = self.labels(z), np.zeros(self.rows.shape, np.uint8)
        for k in range(1, 9):
            rows, columns = np.nonzero(labels == k)
            if rows.size:
                row = int(np.median(rows))
                inside = columns[rows == row]
                margin = inside.size // 5
                painted[row : row + 2, inside.min() + margin : inside.max() - margin + 1] = k
        middle, low, high = self.size // 2, round(0.08 * self.size), round(0.92 * self.size)
        painted[middle, low:high][labels[middle, low:high] == 0] = 9
        painted[low, low:high] = 9
        return painted


class Counted:
    """An array that counts how often each of its chunks is read."""

    def __init__(self, array: Any, chunks: tuple[int, ...]) -> None:
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.ndim = array.ndim
        self.reads: Counter[tuple[int, ...]] = Counter()

    def __getitem__(self, index: tuple[int | slice, ...]) -> np.ndarray:
        ranges = []
        for at, n, chunk in zip(index, self.shape, self.chunks, strict=True):
            first, stop = (at, at + 1) if isinstance(at, int | np.integer) else at.indices(n)[:2]
            ranges.append(range(first // chunk, -(-stop // chunk)))
        self.reads.update((i, j, k) for i in ranges[0] for j in ranges[1] for k in ranges[2])
        return np.asarray(self.array[index])


def work(array: Any, phantom: Phantom, found: dict[str, float]) -> None:
    """Annotate a volume as a user does."""
    from napari_scribseg import ClassTable, Session, Source
    from napari_scribseg.io import write_labels

    with phase("opened", found):
        classes = ClassTable().with_ids(range(1, 10)).as_background(9)
        session = Session(Source.from_array(array, spacing=(1.5, 0.8, 0.8)), classes=classes)
        failures: list[str] = []
        session.events.failed.connect(lambda where, error: failures.append(f"{where}: {error}"))
    painted = [round(share * phantom.n_slices) for share in SHARES]
    with phase("nine slices segmented", found):
        for z in painted:
            session.draw(phantom.strokes(z), z).result()
    reads = getattr(array, "reads", Counter())
    reads.clear()
    with phase("filled", found):
        filled = session.fill().result()
    if reads:
        spans = len(painted) + 1
        found["most reads of a chunk"] = max(reads.values())
        found["reads over chunks"] = sum(reads.values()) / len(reads)
        print(f"{spans} spans", file=sys.stderr)
    wrong, many = painted[4] + (painted[5] - painted[4]) // 2, len(filled)
    with phase("corrected", found):
        session.draw(phantom.strokes(wrong), wrong).result()
    with phase("undone, redone", found):
        session.undo()
        session.redo()
    with phase("state shown, next slice", found):
        _ = session.filled, session.anchors(), session.next_slice()
    with tempfile.TemporaryDirectory() as folder:
        with phase("saved as NIfTI", found):
            write_labels(Path(folder) / "x.nii.gz", session.finished_labels(), session.volume.geometry, session.classes)
        with phase("saved as a session", found):
            session.save(Path(folder) / "x.scribseg")
    if failures:
        raise RuntimeError("; ".join(failures))
    dice = []
    for z in range(painted[0], painted[-1]):
        truth, labels = phantom.labels(z), session.labels[z]
        dice.append(2 * np.count_nonzero((truth == labels) & (truth > 0)) / (
            np.count_nonzero(truth) + np.count_nonzero(labels)
        ))  # fmt: skip
    found["slices filled"], found["Dice"] = many, float(np.mean(dice))


def warm() -> None:
    """Load and compile all that a small volume needs, so that only what grows with the volume is left."""
    from napari_scribseg.numerics.warm import warm_up

    warm_up()
    phantom = Phantom(30, 64)
    work(np.stack([phantom.image(z) for z in range(30)]), phantom, {})


def case(name: str, n_slices: int, size: int) -> dict[str, float]:
    """Annotate the volume as one kind of array."""
    found: dict[str, float] = {}
    phantom = Phantom(n_slices, size)
    with phase("python, torch and numba, warm", found):
        warm()
    gc.collect()
    found["the same, at rest"] = status("VmRSS")
    voxels = n_slices * size * size
    found["image"], found["one uint8 copy"] = 2 * voxels / MIB if name == "numpy" else 0.0, voxels / MIB
    if name == "numpy":
        volume = np.empty((n_slices, size, size), np.int16)
        for z in range(n_slices):
            volume[z] = phantom.image(z)
        work(volume, phantom, found)
        return found
    import zarr

    with tempfile.TemporaryDirectory() as folder:
        shape, chunks = (n_slices, size, size), (CHUNK,) * 3
        stored = zarr.create_array(f"{folder}/ct.zarr", shape=shape, chunks=chunks, dtype=np.int16)
        for z in range(0, n_slices, CHUNK):
            stored[z : z + CHUNK] = np.stack([phantom.image(i) for i in range(z, min(z + CHUNK, n_slices))])
        if name == "zarr":
            work(Counted(stored, chunks), phantom, found)
        else:
            import dask.array

            work(dask.array.from_zarr(stored), phantom, found)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write besides the terminal")
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--cases", nargs="+", default=["numpy", "zarr", "dask"], choices=["numpy", "zarr", "dask"])
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(case(given.case, given.slices, given.size)))
        return
    columns: dict[str, dict[str, float]] = {}
    for name in given.cases:
        command = [sys.executable, __file__, "--case", name, "--slices", str(given.slices), "--size", str(given.size)]
        columns[name] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    lines = [
        f"| {given.size} x {given.size} x {given.slices} int16 | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for row in rows:
        cells = [
            f"{column[row]:.{2 if column[row] < 20 else 0}f}" if row in column else "" for column in columns.values()
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
