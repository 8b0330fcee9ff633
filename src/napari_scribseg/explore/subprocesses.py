"""The plane and the cuts in processes of their own.

UMAP's packages take seconds to import, and its loops are compiled anew in every process. Both keep Python's lock, as
higra does while it builds a hierarchy, and a window in the same process stands still meanwhile. So a window has helper
processes, one for each kind of work, that do it, and live on.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import logging
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, Segmentation, silent
from napari_scribseg.explore.embedding import fit_embedding
from napari_scribseg.explore.hierarchy import WEAK, Criterion, Hierarchy, build_hierarchy

__all__ = ["build_hierarchy_in_subprocess", "fit_embedding_in_subprocess", "start", "stop"]

_LENGTH = struct.Struct("<cQ")  # what a message is, and its bytes
_PROGRESS, _RESULT, _WRONG, _FAILED = b"p", b"r", b"w", b"f"
_POLL = 0.1  # seconds between two looks at whether it was cancelled
_COMMAND = "from napari_scribseg.explore.subprocesses import serve; serve({!r})"
_FEW = 40  # points of the plane that is made to have all loops compiled

Float32 = NDArray[np.float32]
Message = tuple[bytes, bytes]
Arrays = dict[str, NDArray[Any]]
_log = logging.getLogger(__name__)
_turns = {work: threading.Lock() for work in ("plane", "hierarchy")}  # one at a time of each kind
_helpers: dict[str, _Helper] = {}


class _Gone(Exception):
    """The helper ended, or could not be started."""


def fit_embedding_in_subprocess(
    features: Float32,
    labels: NDArray[np.int32],
    start: Float32 | None = None,
    *,
    local: bool = False,
    seed: int = 0,
    report: Report = silent,
) -> Float32:
    """As :func:`~napari_scribseg.explore.embedding.fit_embedding`, in the helper; here where there cannot be one."""
    arrays = {"features": features, "labels": labels, "local": np.array(local), "seed": np.array(seed)}
    if start is not None:
        arrays["start"] = start
    found = _asked("plane", arrays, report)
    if found is None:
        return fit_embedding(features, labels, start, local=local, seed=seed, report=report)
    xy: Float32 = found["places"]
    return xy


def build_hierarchy_in_subprocess(
    gradient: Float32, criterion: Criterion = "volume", simplification: float = WEAK
) -> Hierarchy:
    """As :func:`~napari_scribseg.explore.hierarchy.build_hierarchy`, in the helper; here where there cannot be one."""
    arrays = {"gradient": gradient, "criterion": np.array(criterion), "simplification": np.array(simplification)}
    found = _asked("hierarchy", arrays, silent)
    if found is None:
        return build_hierarchy(gradient, criterion, simplification)
    return Hierarchy(found["basins"], found["parents"], found["altitudes"])


def start() -> None:
    """Start the helpers, which then get ready; nothing where they run already, or cannot."""
    for work in _turns:
        with contextlib.suppress(_Gone):
            _running(work)


def stop() -> None:
    """End the helpers."""
    for work in _turns:
        _end(work)


def _end(work: str) -> None:
    helper = _helpers.pop(work, None)
    if helper is not None:
        helper.close()


def _running(work: str) -> _Helper:
    if work not in _helpers or not _helpers[work].lives:
        _helpers[work] = _Helper(work)
    return _helpers[work]


def _asked(work: str, arrays: Arrays, report: Report) -> Arrays | None:
    """What the helper finds; None where there cannot be one."""
    with _turns[work]:
        try:
            return _running(work).ask(arrays, report)
        except _Gone as error:
            _log.warning("the %s is made in this process: %s", work, error)
            return None
        except BaseException:
            _end(work)  # it would go on with what nobody waits for
            raise


class _Helper:
    """The process, seen from the window's."""

    def __init__(self, work: str) -> None:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise _Gone("this program has no Python of its own to start")
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows
        try:
            self._process = subprocess.Popen(  # noqa: S603  this Python, and a constant
                [sys.executable, "-c", _COMMAND.format(work)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=hidden,
            )
        except OSError as error:
            raise _Gone(str(error)) from error
        self._told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name=f"scribseg-{work}", daemon=True).start()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def ask(self, arrays: Arrays, report: Report) -> Arrays:
        """What it finds."""
        assert self._process.stdin is not None
        try:
            _send(self._process.stdin, _RESULT, _packed(arrays))
        except OSError as error:
            raise _Gone(f"the helper takes no work: {error}") from error
        fraction = 0.0
        while True:
            report(fraction)
            try:
                message = self._told.get(timeout=_POLL)
            except queue.Empty:
                continue
            if message is None:
                raise _Gone(f"the helper ended with {self._process.wait()}")
            kind, content = message
            if kind == _PROGRESS:
                fraction = float(content)
            elif kind == _RESULT:
                return _unpacked(content)
            else:
                raise (InputError if kind == _WRONG else RuntimeError)(content.decode())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while (message := _receive(self._process.stdout)) is not None:
            self._told.put(message)
        self._told.put(None)


def serve(work: str) -> None:
    """What a helper does: get ready, then answer until nobody asks any more."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes nowhere
    get_ready, answer = _WORK[work]
    with contextlib.suppress(InputError):  # told when it is asked
        get_ready()

    def report(fraction: float, preview: Segmentation[object] | None = None) -> None:
        _send(answers, _PROGRESS, repr(float(fraction)).encode())

    while (message := _receive(asked)) is not None:
        try:
            kind, content = _RESULT, _packed(answer(_unpacked(message[1]), report))
        except InputError as error:
            kind, content = _WRONG, str(error).encode()
        except Exception as error:  # noqa: BLE001  told in the other process
            kind, content = _FAILED, f"{type(error).__name__}: {error}".encode()
        _send(answers, kind, content)


def _ready_for_embeddings() -> None:
    for known in (0, 1):
        labels = known * (np.arange(_FEW, dtype=np.int32) % 3)
        fit_embedding(np.random.default_rng(0).normal(size=(_FEW, 8)).astype(np.float32), labels)


def _embedding(given: Arrays, report: Report) -> Arrays:
    local, seed = bool(given["local"]), int(given["seed"])
    xy = fit_embedding(given["features"], given["labels"], given.get("start"), local=local, seed=seed, report=report)
    return {"places": xy}


def _ready_for_hierarchies() -> None:
    build_hierarchy(np.eye(_FEW, dtype=np.float32))


def _hierarchy(given: Arrays, _report: Report) -> Arrays:
    criterion: Any = str(given["criterion"])
    found = build_hierarchy(given["gradient"], criterion, float(given["simplification"]))
    return {"basins": found.basins, "parents": found.parents, "altitudes": found.altitudes}


_WORK: dict[str, tuple[Callable[[], None], Callable[[Arrays, Report], Arrays]]] = {
    "plane": (_ready_for_embeddings, _embedding),
    "hierarchy": (_ready_for_hierarchies, _hierarchy),
}


def _send(pipe: IO[bytes], kind: bytes, content: bytes) -> None:
    pipe.write(_LENGTH.pack(kind, len(content)) + content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Message | None:
    """The next message; None at the end."""
    try:
        head = pipe.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        kind, length = _LENGTH.unpack(head)
        content = pipe.read(length)
    except (OSError, ValueError):  # closed
        return None
    return (kind, content) if len(content) == length else None


def _packed(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _unpacked(content: bytes) -> Arrays:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


atexit.register(stop)
