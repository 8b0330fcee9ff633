"""Kill a process that annotates, again and again: ``python benchmarks/kills.py session --kills 300``.

A child annotates one session file (or explore workspace) with the autosave on and is killed with SIGKILL at a random
moment. Then the file must open, its content must be one that the child had at some moment (nothing is half), and that
moment must be the last but what was done within 2 s before the kill. The next child goes on with the file. At last a
session is replayed. Children are forked, so that a kill takes no start of Python: Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from napari_scribseg.annotate import Inbox, Session, Worker
from napari_scribseg.core import ClassTable, EngineInfo, Segmentation, Source, silent
from napari_scribseg.explore import Workspace

SHAPE = (8, 64, 64)
LONGEST = 3.0  # seconds of a child's life
CHAIN = 30  # kills of one file


@dataclass(frozen=True)
class Slow:
    """Nearest grey value, sometimes slowly, and without a word meanwhile."""

    info: ClassVar[EngineInfo] = EngineInfo("slow", "Slow", "for this benchmark", max_classes=9)
    seconds: float = 0.02

    def prepare(self, image: Any, device: str = "auto") -> Any:
        return None

    def segment(self, image: Any, scribbles: Any, state: Any, report: Any = silent) -> Segmentation[Any]:
        time.sleep(self.seconds)
        grey = image.data[0]
        means = np.stack([grey[scribbles.seeds == k].mean() for k in range(scribbles.n_classes)])
        best = np.abs(grey - means[:, None, None]).argmin(axis=0)
        best = np.where(scribbles.seeds >= 0, scribbles.seeds, best)
        return Segmentation((best == np.arange(len(means))[:, None, None]).astype(np.float32), None)


def make(_name: str, **parameters: Any) -> Slow:
    """For session files."""
    return Slow(**parameters)


def volume() -> Source:
    """A bright box in noise."""
    array = np.random.default_rng(0).normal(0, 5, SHAPE).astype(np.float32)
    array[:, 16:48, 20:44] += 100
    return Source.from_array(array)


def pictures() -> np.ndarray:
    """Four of a grid of squares."""
    rows, columns = np.indices((96, 96))
    squares = 60.0 * ((rows // 16 + columns // 16) % 2)
    return np.stack([squares + np.random.default_rng(k).normal(0, 2, squares.shape) for k in range(4)])


def digest_of_session(session: Session) -> str:
    """What a user would miss."""
    made = hashlib.sha1(session.finished_labels().astype(np.uint16).tobytes())
    for slice_index in session.painted_slices():
        made.update(repr(slice_index).encode() + session.painted(slice_index).astype(np.uint16).tobytes())
    made.update(repr(sorted(session.accepted)).encode())
    return made.hexdigest()


def digest_of_workspace(workspace: Workspace) -> str:
    """What a user would miss."""
    ids = workspace.ids()
    made = hashlib.sha1(ids.tobytes() + workspace.table.label[ids].tobytes())
    for index in range(len(workspace.pictures)):
        made.update(workspace.segments(index).tobytes())
    return made.hexdigest()


def note_states(autosave: Any, digest: Callable[[], str], pipe: int) -> None:
    """Write down each state that the autosave takes, and when, before it is written."""
    original = autosave._take

    def note() -> None:
        os.write(pipe, f"{time.monotonic():.6f} {digest()}\n".encode())

    def take() -> Any:
        note()
        return original()

    autosave._take = take
    note()


def annotate_session(path: Path, seed: int, pipe: int) -> None:
    """Strokes, undo, redo, clear, accept, edit, propagate, at random, until the end."""
    rng, inbox = np.random.default_rng(seed), Inbox()
    hands: dict[str, Any] = {"executor": Worker(), "deliver": inbox.deliver}
    if path.exists():
        session = Session.load(path, volume(), sidecar=path, make_engine=make, **hands)
    else:
        classes = ClassTable.from_ids([1, 2], background=2)
        session = Session(volume(), Slow(), classes=classes, sidecar=path, **hands)
    note_states(session._autosave, lambda: digest_of_session(session), pipe)
    while True:
        what, z = rng.random(), int(rng.integers(SHAPE[0]))
        if what < 0.55:
            painted = session.painted(z).copy()
            row, column = int(rng.integers(60)), int(rng.integers(50))
            inside = 16 <= row < 48 and 20 <= column < 44
            painted[row, column : column + 6] = 1 if inside else 2
            session.draw(painted, z)
        elif what < 0.7:
            session.undo()
        elif what < 0.78:
            session.redo()
        elif what < 0.82:
            session.clear(z)
        elif what < 0.88:
            (session.reopen if session.is_accepted(z) else session.accept)(z)
        elif what < 0.92:
            session.edit((session.finished_labels()[z] == 1).astype(np.uint8), z)
        elif what < 0.95:
            session.use(Slow(float(rng.choice([0.0, 0.02, 1.0, 60.0]))))  # at times it hangs for good
        elif what < 0.97 and session.labels[z].any() and z > 0:
            session.propagate(z, max(z - 2, 0))
        else:
            session.cancel()
        time.sleep(float(rng.choice([0.0, 0.005, 0.05, 0.3])))
        inbox.run()


def annotate_workspace(path: Path, seed: int, pipe: int) -> None:
    """Classes, splits, cuts, undo, redo, at random, until the end."""
    rng = np.random.default_rng(seed)
    workspace = Workspace.load(path) if path.exists() else Workspace()
    if not workspace.pictures:
        workspace.add_images(list(pictures()), "grid")
        workspace.cut(regions=36)
    workspace.autosave(path)
    note_states(workspace._autosave, lambda: digest_of_workspace(workspace), pipe)
    workspace.assign(workspace.ids()[:1], 1 + int(rng.integers(9)))
    while True:
        what, ids = rng.random(), workspace.ids()
        if what < 0.55:
            workspace.assign(rng.choice(ids, 5), int(rng.integers(6)))
        elif what < 0.7:
            chosen = int(rng.choice(ids))
            pixels = np.argwhere(workspace.segments(int(workspace.table.image[chosen])) == chosen)
            if len(pixels) > 8:
                workspace.split(chosen, pixels[:2], pixels[-2:])
        elif what < 0.75:
            workspace.cut([int(rng.integers(4))], regions=int(rng.integers(20, 60)))
        elif what < 0.9:
            workspace.undo()
        else:
            workspace.redo()
        time.sleep(float(rng.choice([0.0, 0.005, 0.05, 0.3])))


KINDS: dict[str, tuple[Callable[..., None], Callable[[Path], str]]] = {
    "session": (
        annotate_session,
        lambda path: digest_of_session(Session.load(path, volume(), make_engine=make)),
    ),
    "workspace": (annotate_workspace, lambda path: digest_of_workspace(Workspace.load(path))),
}


def kill_one(kind: str, path: Path, seed: int) -> dict[str, Any]:
    """One child's life and what it left behind."""
    work, reopen = KINDS[kind]
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ear)
        try:
            work(path, seed, mouth)
        except Exception:  # noqa: BLE001  the parent counts it
            traceback.print_exc()
        os._exit(1)
    os.close(mouth)
    life = float(np.random.default_rng(seed).uniform(0, LONGEST))
    heard = threading.Event()
    lines: list[bytes] = []

    def listen() -> None:
        with os.fdopen(ear, "rb") as pipe:
            for line in pipe:
                lines.append(line)
                heard.set()

    listener = threading.Thread(target=listen)
    listener.start()
    heard.wait(120)  # its life begins with its first step
    time.sleep(life)
    killed = time.monotonic()
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    listener.join()
    states = [(float(when), digest) for when, digest in (line.decode().split() for line in lines if line[-1:] == b"\n")]
    found: dict[str, Any] = {"seed": seed, "steps": len(states), "died": os.WIFEXITED(status)}
    if not path.exists():
        lost = killed - states[1][0] if len(states) > 1 else 0.0
        return {**found, "half": False, "lost": lost}
    try:
        content = reopen(path)
    except Exception as error:  # noqa: BLE001  whatever it is, the file does not open
        return {**found, "half": True, "lost": 0.0, "error": repr(error)}
    matching = [index for index, (_, digest) in enumerate(states) if digest == content]
    if not matching:
        return {**found, "half": bool(states), "lost": 0.0, "content": content}
    after = states[matching[-1] + 1 :]
    return {**found, "half": False, "lost": killed - after[0][0] if after else 0.0}


def run(kind: str, kills: int, seed: int) -> list[dict[str, Any]]:
    """Kill, in chains of some kills of one file."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(kills):
            path = Path(folder) / f"chain-{number // CHAIN}{'.npz' if kind == 'workspace' else '.scribseg'}"
            results.append(kill_one(kind, path, seed + number))
            last = number + 1 == kills or (number + 1) % CHAIN == 0
            if last and kind == "session" and path.exists():
                loaded = Session.load(path, volume(), make_engine=lambda name, **_: Slow(0.0))
                again = Session.replay(path, volume(), make_engine=lambda name, **_: Slow(0.0))
                results[-1]["replay"] = bool(np.array_equal(loaded.labels, again.labels))
        hidden = sorted(p.name for p in Path(folder).glob(".*"))
    results[-1]["hidden"] = hidden
    return results


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file with every kill")
    arguments = parser.parse_args()
    begin = time.monotonic()
    results = run(arguments.kind, arguments.kills, arguments.seed)
    lost = np.array([r["lost"] for r in results])
    print(f"{len(results)} kills in {time.monotonic() - begin:.0f} s, {sum(r['steps'] for r in results)} steps")
    print(f"half: {sum(r['half'] for r in results)}; children that failed: {sum(r['died'] for r in results)}")
    print(f"lost more than 2 s: {(lost > 2).sum()}; most {lost.max():.2f} s, median {np.median(lost):.2f} s")
    replays = [r["replay"] for r in results if "replay" in r]
    print(f"replays equal: {sum(replays)} of {len(replays)}; hidden files left: {results[-1]['hidden']}")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return int(any(r["half"] or r["died"] for r in results) or (lost > 2).any() or not all(replays))


if __name__ == "__main__":
    sys.exit(main())
