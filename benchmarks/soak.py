"""Days of annotation in minutes: ``python benchmarks/soak.py [--strokes 5000] [--out FILE]``.

A robot paints a small volume with the autosave on: strokes, undo and redo, clearing, other slices, propagation. Printed
are the memory after a tenth and at the end, the median of each kind of call in the first, the second and the last tenth
(on the clock, and of the processor in the thread that calls), whether a replay of the session file gives the same
labels, and the size of that file. In the first tenth the slices are still empty, and strokes on labels cost more;
therefore the second and the last tenth are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_scribseg import Session
from napari_scribseg.core import ClassTable, Source
from napari_scribseg.numerics.warm import warm_up

SHAPE = (12, 96, 96)
MIB = 1 << 20


def resident() -> float:
    """MiB of memory that this process has in use now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / MIB


def make_truth() -> np.ndarray:
    """Two discs that move from slice to slice."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    truth = np.zeros(SHAPE, np.uint8)
    for z in range(SHAPE[0]):
        truth[z][(rows - 40) ** 2 + (columns - 30 - z) ** 2 < 18**2] = 1
        truth[z][(rows - 60) ** 2 + (columns - 70 + z) ** 2 < 12**2] = 2
    return truth


class Robot:
    """Paints, and writes down how long each call took."""

    def __init__(self, session: Session, truth: np.ndarray, seed: int) -> None:
        self.session, self.truth, self.rng = session, truth, np.random.default_rng(seed)
        self.seconds: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        self.strokes = 0

    def timed(self, what: str, call: Callable[[], Any]) -> Any:
        """Make a call."""
        begin, busy = time.perf_counter(), time.thread_time()
        result = call()
        self.seconds[what].append((self.strokes, time.perf_counter() - begin, time.thread_time() - busy))
        return result

    def stroke(self) -> None:
        """A short stroke in one class on a slice; strokes of a slice are erased where they have become many."""
        z = int(self.rng.integers(SHAPE[0]))
        painted = self.session.painted(z).copy()
        if np.count_nonzero(painted) > 400:
            painted[:] = 0
        row, column = (int(self.rng.integers(3, n - 3)) for n in SHAPE[1:])
        value = int(self.truth[z, row, column]) or 3
        along = np.clip(column + np.arange(-6, 7), 0, SHAPE[2] - 1)
        along = along[self.truth[z, row, along] % 3 == value % 3]
        painted[row - 1 : row + 1, along] = value
        self.timed("stroke", lambda: self.session.draw(painted, z))
        self.strokes += 1

    def take_action(self) -> None:
        """A stroke, and now and then something else."""
        self.stroke()
        what = self.rng.random()
        if what < 0.10:
            self.timed("undo", self.session.undo)
            if what < 0.05:
                self.timed("redo", self.session.redo)
        elif what < 0.12:
            z = int(self.rng.integers(SHAPE[0] - 3))
            if self.session.labels[z].any():
                self.timed("propagate", lambda: self.session.propagate(z, z + 2))
        elif what < 0.13:
            z = int(self.rng.integers(SHAPE[0]))
            self.timed("clear", lambda: self.session.clear(z))
        elif what < 0.15:
            z = int(self.rng.integers(SHAPE[0]))
            self.timed("accept", lambda: self.session.accept(z))
            self.timed("reopen", lambda: self.session.reopen(z))


def medians(all_of: list[tuple[int, float, float]], strokes: int) -> list[tuple[float, float]]:
    """Milliseconds on the clock and of the processor in the first, the second and the last tenth."""
    tenth = strokes / 10
    parts = [[row[1:] for row in all_of if k * tenth <= row[0] < (k + 1) * tenth] for k in (0, 1, 9)]
    return [tuple(1e3 * float(m) for m in np.median(part, axis=0)) if part else (np.nan, np.nan) for part in parts]  # type: ignore[misc]


def run(strokes: int, engine: str, path: Path) -> dict[str, Any]:
    """Paint; returns what was found."""
    truth = make_truth()
    noise = np.random.default_rng(1).normal(0, 8, SHAPE)
    volume = Source.from_array((np.array([20.0, 120.0, 220.0])[truth] + noise).astype(np.float32))
    classes = ClassTable.from_ids([1, 2, 3], background=3)
    session = Session(volume, engine, classes=classes, sidecar=path)
    robot, memory, begin = Robot(session, truth, 0), [], time.perf_counter()
    while robot.strokes < strokes:
        robot.take_action()
        if robot.strokes % max(strokes // 50, 1) == 0:
            memory.append(resident())
    seconds = time.perf_counter() - begin
    memory.append(resident())
    robot.timed("flush", session.flush)
    labels = session.labels.copy()
    session.close()
    calls = {
        what: (len(all_of), medians(all_of, strokes)) for what, all_of in robot.seconds.items() if len(all_of) > 40
    }
    begin = time.perf_counter()
    again = Session.replay(path, volume)
    return {
        "strokes": strokes,
        "seconds": seconds,
        "memory": memory,
        "calls": calls,
        "file": path.stat().st_size / MIB,
        "replay equal": bool(np.array_equal(again.labels, labels)),
        "replay seconds": time.perf_counter() - begin,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=5000)
    parser.add_argument("--engine", default="svcd")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        found = run(arguments.strokes, arguments.engine, Path(folder) / "soak.scribseg")
    early, late = found["memory"][len(found["memory"]) // 10], found["memory"][-1]
    print(f"{found['strokes']} strokes in {found['seconds']:.0f} s; the session file has {found['file']:.1f} MiB")
    print(f"memory: {early:.0f} MiB after a tenth, {late:.0f} MiB at the end ({100 * (late / early - 1):+.1f} %)")
    print("ms on the clock (of the processor)")
    print("| call | number | first tenth | second tenth | last tenth | change on the clock | of the processor |")
    print("|---|---|---|---|---|---|---|")
    for what, (count, parts) in found["calls"].items():
        cells = " | ".join(f"{clock:.2f} ({cpu:.2f})" for clock, cpu in parts)
        changes = " | ".join(f"{100 * (last / second - 1):+.0f} %" for second, last in zip(*parts[1:], strict=True))
        print(f"| {what} | {count} | {cells} | {changes} |")
    print(f"replay equal: {found['replay equal']}, in {found['replay seconds']:.0f} s")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    slower = any(parts[2][1] > 1.2 * parts[1][1] for _, parts in found["calls"].values())
    return int(slower or late > 1.1 * early or not found["replay equal"])


if __name__ == "__main__":
    sys.exit(main())
