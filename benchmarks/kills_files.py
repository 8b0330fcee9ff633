"""Kill -9 of ``scribseg segment`` and ``scribseg batch``: outputs are absent, old or whole, and a batch goes on.

    python benchmarks/kills_files.py --kills 300

Half of the kills fall anywhere in a run, the other half before one of the calls that open, rename or remove a file in
the output folder, each as likely. Every run is a process of its own, forked from this one after all imports, so that
it starts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from napari_scribseg.batch import read_table, run_batch
from napari_scribseg.cli import segment
from napari_scribseg.core import ClassTable, LabelClass
from napari_scribseg.io import read_labels, write_labels

SHAPE = (48, 48, 3)  # x, y, z
NAMES = {3: "liver", 5: "spleen"}
_CALLS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir")
EXTENSIONS = (".nii.gz", ".mhd", ".nhdr", ".tif", ".seg.nrrd")


@dataclass
class Run:
    """A whole run: seconds, and how many calls touched files of the output folder."""

    seconds: float
    calls: int


def write_pair(folder: Path, name: str, identity: int, seed: int) -> tuple[Path, Path]:
    """An image of two halves, and strokes of one class and the background with a table of names."""
    values = np.random.default_rng(seed).integers(-20, 20, SHAPE).astype(np.int16)
    values[24:] += 300
    strokes = np.zeros(SHAPE, np.uint8)
    strokes[8, 8:40], strokes[39, 8:40] = 255, identity
    paths = folder / f"{name}.nii.gz", folder / f"{name}_strokes.nii.gz"
    for path, array in zip(paths, (values, strokes), strict=True):
        nibabel.save(nibabel.Nifti1Image(array, np.diag([0.8, 0.9, 3.0, 1.0])), path)
    table = folder / f"{name}_strokes_dseg.tsv"
    table.write_text(f"index\tname\n{identity}\t{NAMES[identity]}\n255\toutside\n")
    return paths


def start(work: Callable[[], object], watched: Path, ends_at: int = -1) -> tuple[int, int]:
    """Fork a process that works, and kills itself at a call; returns its id, and a pipe with a byte for each call."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    code = 1
    try:
        calls = iter(range(1 << 30))

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            if event in _CALLS and arguments and str(arguments[0]).startswith(str(watched)):
                if next(calls) == ends_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(writer, b"c")

        sys.addaudithook(hook)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            work()
        code = 0
    finally:
        os._exit(code)


def load(work: Callable[[], object], folder: Path) -> None:
    """Load all modules that a run loads, so that the processes forked from now on need not."""

    def work_and_list() -> None:
        work()
        (folder / "modules.json").write_text(json.dumps(list(sys.modules)))

    finish(work_and_list, folder)
    for name in json.loads((folder / "modules.json").read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def finish(work: Callable[[], object], watched: Path) -> Run:
    """Let a run end; it must succeed."""
    began = time.perf_counter()
    process, pipe = start(work, watched)
    calls = 0
    while received := os.read(pipe, 1 << 16):
        calls += len(received)
    os.close(pipe)
    _, status = os.waitpid(process, 0)
    if status:
        raise RuntimeError(f"a run ended with the status {status}")
    return Run(time.perf_counter() - began, calls)


def kill(work: Callable[[], object], watched: Path, whole: Run, chance: random.Random) -> bool:
    """Kill a run; returns whether it was still at work."""
    at_a_call = chance.random() < 0.5
    process, pipe = start(work, watched, chance.randrange(whole.calls) if at_a_call else -1)
    if not at_a_call:
        time.sleep(chance.uniform(0, whole.seconds))
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(pipe)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a run failed by itself")
    return os.WIFSIGNALED(status)


def temporaries(folder: Path) -> int:
    return sum(p.name.endswith((".tmp", ".old")) for p in folder.rglob("*"))


def kill_segment(folder: Path, kills: int, chance: random.Random) -> Counter[str]:
    """Two results take turns at one place, in five formats."""
    pairs = {identity: write_pair(folder, NAMES[identity], identity, identity) for identity in NAMES}
    expected, counts = {}, Counter[str]()
    out = folder / "out"
    out.mkdir()

    def work(identity: int, path: Path) -> Callable[[], None]:
        image, strokes = pairs[identity]
        return lambda: segment(image, strokes, path, background=255, overwrite=True)

    for identity in NAMES:
        load(work(identity, out / "first.nii.gz"), folder)
        whole_run = finish(work(identity, out / "first.nii.gz"), out)
        first = read_labels(out / "first.nii.gz")
        expected[identity], grid = first.array, first.geometry
    for number in range(kills):
        kind = number // 2 % len(EXTENSIONS)
        path = out / f"labels{kind}{EXTENSIONS[kind]}"
        identity = 3 if number % 2 else 5
        had = chance.random() < 0.8
        for left in out.glob(f"labels{kind}*"):
            left.unlink()
        if had:  # the other result, with its name
            other = next(i for i in NAMES if i != identity)
            write_labels(path, expected[other], grid, ClassTable((LabelClass(other, NAMES[other], (1, 0, 0, 1)),)))
        counts["killed at work" if kill(work(identity, path), out, whole_run, chance) else "ended before the kill"] += 1
        counts["kills that left temporary files"] += bool(temporaries(out))
        for left in out.iterdir():
            if left.name.endswith((".tmp", ".old")):
                left.unlink()
        if not path.exists():
            counts["LOST" if had else "absent"] += 1
            continue
        labels = read_labels(path)
        found = [i for i, array in expected.items() if np.array_equal(labels.array, array)]
        counts["HALF" if not found else "new" if found == [identity] else "old"] += 1
        counts["LOST"] += any(i not in labels.classes or labels.classes[i].name != NAMES[i] for i in found)
    return counts


def kill_batch(folder: Path, kills: int, chance: random.Random, images: int = 6) -> Counter[str]:
    """A cohort is run, and killed, until it is done; then anew."""
    rows = ["image,scribbles,background"]
    for index in range(images):
        image, strokes = write_pair(folder, f"i{index}", 3, index)
        rows.append(f"{image.name},{strokes.name},255")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    jobs, counts = read_table(folder / "cohort.csv"), Counter[str]()
    made = 0

    def work() -> None:
        if run_batch(jobs, folder / f"out{made}", workers=0).count("failed"):
            raise RuntimeError("an image failed")

    load(work, folder)
    shutil.rmtree(folder / "out0")
    whole_run = finish(work, folder / "out0")
    expected = {job.out: read_labels(folder / "out0" / job.out).array for job in jobs}
    done: set[str] = set()
    made = 1
    for _ in range(kills):
        out = folder / f"out{made}"
        ended = not kill(work, out, whole_run, chance)
        counts["ended before the kill" if ended else "killed at work"] += 1
        counts["kills that left temporary files"] += bool(temporaries(out))
        for job in jobs:
            path = out / job.out
            record = out / ".scribseg" / "records" / f"{job.out}.json"
            status = json.loads(record.read_text())["status"] if record.exists() else ""
            if path.exists():
                labels = read_labels(path)
                complete = np.array_equal(labels.array, expected[job.out]) and labels.classes[3].name == "liver"
                counts["HALF"] += not complete
            counts["LOST"] += (status == "done" and not path.exists()) or (job.out in done and status != "done")
            if status == "done":
                done.add(job.out)
        if len(done) == images or ended:
            finished = run_batch(jobs, out, workers=0) if len(done) == images else None
            if finished is not None:
                counts["REPEATED"] += finished.count("skipped") != images
                counts["temporary files after the end"] += temporaries(out)
                counts["cohorts gone through"] += 1
                made += 1
                done.clear()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for name, function in (("segment", kill_segment), ("batch", kill_batch)):
        with tempfile.TemporaryDirectory() as folder:
            counts = function(Path(folder), chosen.kills, random.Random(chosen.seed))
        print(
            f"{name}: {chosen.kills} kills", *(f"  {n:4d} {what}" for what, n in sorted(counts.items()) if n), sep="\n"
        )
        if any(counts[what] for what in ("LOST", "HALF", "REPEATED")):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
