"""Learning in a subprocess with the lowest priority, so that painting is as fast as without it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Report, silent
from napari_scribseg.core.errors import InputError
from napari_scribseg.learn.examples import Example
from napari_scribseg.learn.job_files import write_job
from napari_scribseg.learn.network import LearnedNetwork
from napari_scribseg.learn.training import LearnSettings, learn, require_labels
from napari_scribseg.learn.worker import RESULT

__all__ = ["learn_in_subprocess"]

_PATIENCE = 10.0  # seconds that a process has to write its last checkpoint
_TICK = 0.5  # seconds between two reports while the process says nothing


def learn_in_subprocess(
    examples: Sequence[Example],
    classes: ClassTable,
    *,
    start: LearnedNetwork | None = None,
    checkpoints: Path | None = None,
    report: Report = silent,
    device: str = "auto",
    settings: LearnSettings | None = None,
) -> LearnedNetwork:
    """As :func:`~napari_scribseg.learn.learn`, in a process of its own with the lowest priority.

    The calling thread waits and holds no lock of Python meanwhile. The process ends with this one, however that ends;
    the same call with the same folder goes on from its last checkpoint, a few seconds old at most.

    Parameters
    ----------
    examples, classes, start, checkpoints, report, device, settings
        As of :func:`~napari_scribseg.learn.learn`; ``report`` is called in the calling thread, at least every half
        second.

    Returns
    -------
    LearnedNetwork

    Raises
    ------
    InputError
        As of :func:`~napari_scribseg.learn.learn`.
    RuntimeError
        If the process dies.
    """
    require_labels(examples, classes)
    if getattr(sys, "frozen", False) or not sys.executable:  # this program has no Python of its own to start
        return learn(
            examples, classes, start=start, checkpoints=checkpoints, report=report, device=device, settings=settings
        )
    with contextlib.ExitStack() as stack:
        if checkpoints is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scribseg-learn-")))
        else:
            folder = checkpoints
            folder.mkdir(parents=True, exist_ok=True)
        report(0.0)
        write_job(folder, examples, classes, start, device, settings or LearnSettings())
        return _run(folder, report)


def _run(folder: Path, report: Report) -> LearnedNetwork:
    process = _start(folder)
    follower = _Follower(process)
    try:
        while not follower.ended.is_set():
            follower.spoke.wait(_TICK)
            follower.spoke.clear()
            report(follower.fraction)
    except BaseException:
        _end(process)
        raise
    process.wait()
    with contextlib.suppress(OSError):
        _pipe(process.stdin).close()
    if follower.error is not None:
        raise (InputError if follower.is_input else RuntimeError)(follower.error)
    if not follower.learned:
        raise RuntimeError(f"the process that learns ended with status {process.returncode}; learn again to go on")
    report(1.0)
    return LearnedNetwork.load(folder / RESULT)


def _start(folder: Path) -> subprocess.Popen[bytes]:
    import napari_scribseg

    path = [str(Path(napari_scribseg.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    more: dict[str, Any] = {}
    if sys.platform == "win32":
        more["creationflags"] = subprocess.IDLE_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(  # noqa: S603  this Python, and a folder of our own
        [sys.executable, "-m", "napari_scribseg.learn.worker", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        **more,
    )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process write its last checkpoint, and end it."""
    with contextlib.suppress(OSError):
        _pipe(process.stdin).close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


class _Follower:
    """Reads the lines of a process in a thread.

    Attributes
    ----------
    fraction : float
        The share done.
    learned, error, is_input
        How it ended.
    spoke, ended : Event
        Set when it has written a line, and when it has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.fraction, self.learned, self.is_input = 0.0, False, False
        self.error: str | None = None
        self.spoke, self.ended = threading.Event(), threading.Event()
        self._lines = _pipe(process.stdout)
        threading.Thread(target=self._read, name="scribseg-learn", daemon=True).start()

    def _read(self) -> None:
        for line in self._lines:
            with contextlib.suppress(ValueError):
                content = json.loads(line)
                self.fraction = float(content.get("done", self.fraction))
                self.learned = self.learned or "learned" in content
                if "error" in content:
                    self.error, self.is_input = str(content["error"]), bool(content.get("input"))
            self.spoke.set()
        self.ended.set()
        self.spoke.set()
