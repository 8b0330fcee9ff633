"""Learning from accepted volumes or images: Dice of drafts of others, and live answers while it learns.

``python benchmarks/learning.py drafts --data msd_hippocampus --cases 8`` learns from so many of the held-out cases, of
which the network that it begins with has seen none, and drafts the others; ``--random`` begins with random weights
instead, as a plain U-Net trained the usual way does. ``beside`` paints while a process learns: the process is stopped
and continued in turns, so that both medians are of the same minutes. Times are those of the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_scribseg.core import Cancelled, ClassTable, Image, Scribbles, get_engine, silent
from napari_scribseg.core.source import Source
from napari_scribseg.datasets import HELD_OUT, open_data_set
from napari_scribseg.learn import Example, LearnSettings, learn, learn_in_subprocess
from napari_scribseg.learn.slices import SliceReader
from napari_scribseg.nets import PlainUNet, load_model, save_model

ENCODER = Path(__file__).parents[1] / "training" / "scribble-net" / "weights.safetensors"


def load(data, folder):
    """Name, source and labels of the held-out cases; instances become one class."""
    cases = open_data_set(data, folder)
    for name in HELD_OUT[data]:
        case = cases.load(name)
        truth = (case.truth > 0).astype(np.int32) if case.instances else case.truth
        yield name, Source.from_array(np.asarray(case.image), spacing=case.spacing, channels=case.channels), truth


def examples(case, indices=None):
    """Whole slices of a case."""
    name, source, truth = case
    reader = SliceReader(source)
    for at, slice_index in enumerate(source.slices()):
        if indices is None or at in indices:
            image, spacing = reader.read(slice_index)
            labels = np.ascontiguousarray(truth[slice_index.slicer], np.int32)
            yield Example(name, slice_index, image, labels, True, spacing)


def dice(network, case, ids):
    """Dice of the drafts of a case, for each class."""
    _, source, truth = case
    found = np.zeros(truth.shape, np.uint16)
    for draft in network.draft(source, list(source.slices()), silent):
        found[draft.slice_index.slicer] = draft.labels
    sizes = [(found == k).sum() + (truth == k).sum() for k in ids]
    return [2 * ((found == k) & (truth == k)).sum() / max(n, 1) for k, n in zip(ids, sizes, strict=True)]


def drafts(arguments):
    cases = list(load(arguments.data, arguments.folder))
    ids = sorted({int(k) for _, _, truth in cases[: arguments.cases] for k in np.unique(truth)} - {0})
    if arguments.slices:
        truth = cases[0][2]
        filled = [i for i in range(len(truth)) if truth[i].any()]
        chosen = {filled[int(i)] for i in np.linspace(0, len(filled) - 1, arguments.slices + 2)[1:-1]}
        seen = list(examples(cases[0], chosen))
    else:
        seen = [example for case in cases[: arguments.cases] for example in examples(case)]
    encoder = ENCODER
    if arguments.random:
        encoder = Path(os.environ.get("TMPDIR", "/tmp")) / "random.safetensors"
        torch.manual_seed(arguments.seed)
        save_model(encoder, PlainUNet(load_model(ENCODER)[0].config))
    settings = LearnSettings(encoder=str(encoder), seconds=arguments.seconds, seed=arguments.seed)
    begun = time.process_time()
    network = learn(seen, ClassTable.from_ids(ids), settings=settings)
    seconds = time.process_time() - begun
    print(f"{len(seen)} slices, {network.card.steps} steps, {seconds:.0f} s; {network.card.agreement}")
    begun, rest = time.process_time(), cases[max(arguments.cases, 10) :]
    found = np.array([dice(network, case, ids) for case in rest])
    seconds = (time.process_time() - begun) / len(rest)
    print(f"drafts of {len(rest)} others: Dice {found.mean():.3f}, by class {found.mean(axis=0).round(3)}, least "
          f"{found.mean(axis=1).min():.3f}; {seconds:.2f} s each")  # fmt: skip


def beside(arguments):
    case = next(iter(load("msd_hippocampus", arguments.folder)))
    seen = list(examples(case))
    _, source, truth = case
    middle = len(truth) // 2
    image = Image.from_array(np.kron(np.asarray(source.array[middle]), np.ones((8, 8), np.float32)), (1.0, 1.0))
    seeds = np.full(image.shape, -1, np.int32)
    seeds[20, 20:200], seeds[150, 150:200] = 0, 1
    engine = get_engine(arguments.engine)
    state, scribbles = engine.prepare(image), Scribbles(seeds, 2)
    ended = threading.Event()

    def report(fraction, preview=None):
        if ended.is_set():
            raise Cancelled

    def work():
        with_time = replace(LearnSettings(), steps=1_000_000, seconds=1e6)
        with contextlib.suppress(Cancelled):
            learn_in_subprocess(seen, ClassTable.from_ids([1, 2]), report=report, settings=with_time)

    thread = threading.Thread(target=work)
    thread.start()
    child = None
    while child is None:
        time.sleep(1)
        child = learner()
    time.sleep(arguments.begin)  # until it has loaded everything
    times = {signal.SIGSTOP: [], signal.SIGCONT: []}
    for _turn in range(arguments.turns):
        for which, found in times.items():
            os.kill(child, which)
            for _each in range(6):
                begun = time.perf_counter()
                engine.segment(image, scribbles, state)
                found.append(time.perf_counter() - begun)
    ended.set()
    thread.join()
    without, beside = (statistics.median(found) for found in times.values())
    print(f"{arguments.engine} {image.shape}: {1000 * without:.0f} ms without, {1000 * beside:.0f} ms beside learning: "
          f"{beside / without:.2f} times")  # fmt: skip


def learner():
    """The process that learns, a child of this one; None where there is none yet."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"learn.worker" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default=os.environ.get("SCRIBSEG_DATA", ""))
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("drafts")
    one.add_argument("--data", default="msd_hippocampus", choices=list(HELD_OUT))
    one.add_argument("--cases", type=int, default=8)
    one.add_argument("--slices", type=int, default=0, help="so many slices of the first case instead")
    one.add_argument("--random", action="store_true")
    one.add_argument("--seconds", type=float, default=160)
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(run=drafts)
    other = commands.add_parser("beside")
    other.add_argument("--engine", default="scribble-net")
    other.add_argument("--turns", type=int, default=8)
    other.add_argument("--begin", type=float, default=30)
    other.set_defaults(run=beside)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
