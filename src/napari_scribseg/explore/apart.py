"""The plane in a process of its own.

UMAP's packages take seconds to import, and its loops are compiled anew in every process. Both keep Python's lock, and a
window in the same process stands still meanwhile. So a window has a helper process that does it, and lives on.
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
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import InputError, Report, Segmentation, silent
from napari_scribseg.explore.plane import fit_plane

__all__ = ["fit_plane_apart", "start", "stop"]

_LENGTH = struct.Struct("<cQ")  # what a message is, and its bytes
_PROGRESS, _RESULT, _WRONG, _FAILED = b"p", b"r", b"w", b"f"
_POLL = 0.1  # seconds between two looks at whether it was cancelled
_COMMAND = "from napari_scribseg.explore.apart import serve; serve()"
_FEW = 40  # points of the plane that is made to have all loops compiled

Float32 = NDArray[np.float32]
Message = tuple[bytes, bytes]
_log = logging.getLogger(__name__)
_turn = threading.Lock()  # one plane at a time
_helper: _Helper | None = None


class _Gone(Exception):
    """The helper ended, or could not be started."""


def fit_plane_apart(
    features: Float32,
    labels: NDArray[np.int32],
    start: Float32 | None = None,
    *,
    local: bool = False,
    seed: int = 0,
    report: Report = silent,
) -> Float32:
    """As :func:`~napari_scribseg.explore.plane.fit_plane`, in the helper; here where there cannot be one."""
    arrays = {"features": features, "labels": labels, "local": np.array(local), "seed": np.array(seed)}
    if start is not None:
        arrays["start"] = start
    with _turn:
        try:
            return _running().ask(arrays, report)
        except _Gone as error:
            _log.warning("the plane is made in this process: %s", error)
        except BaseException:
            stop()  # it would go on with what nobody waits for
            raise
    return fit_plane(features, labels, start, local=local, seed=seed, report=report)


def start() -> None:
    """Start the helper, which then gets ready; nothing where it runs already, or cannot."""
    with contextlib.suppress(_Gone):
        _running()


def stop() -> None:
    """End the helper."""
    global _helper
    helper, _helper = _helper, None
    if helper is not None:
        helper.close()


def _running() -> _Helper:
    global _helper
    if _helper is None or not _helper.lives:
        _helper = _Helper()
    return _helper


class _Helper:
    """The process, seen from the window's."""

    def __init__(self) -> None:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise _Gone("this program has no Python of its own to start")
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # on Windows
        try:
            self._process = subprocess.Popen(  # noqa: S603  this Python, and a constant
                [sys.executable, "-c", _COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                creationflags=hidden,
            )
        except OSError as error:
            raise _Gone(str(error)) from error
        self._told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="scribseg-plane", daemon=True).start()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def ask(self, arrays: dict[str, NDArray[Any]], report: Report) -> Float32:
        """The places that it finds."""
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
                places: Float32 = _unpacked(content)["places"]
                return places
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


def serve() -> None:
    """What the helper does: get ready, then make planes until nobody asks any more."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes nowhere
    with contextlib.suppress(InputError):  # told when it is asked
        for known in (0, 1):
            labels = known * (np.arange(_FEW, dtype=np.int32) % 3)
            fit_plane(np.random.default_rng(0).normal(size=(_FEW, 8)).astype(np.float32), labels)

    def report(fraction: float, preview: Segmentation[object] | None = None) -> None:
        _send(answers, _PROGRESS, repr(float(fraction)).encode())

    while (message := _receive(asked)) is not None:
        given = _unpacked(message[1])
        local, seed = bool(given["local"]), int(given["seed"])
        try:
            places = fit_plane(
                given["features"], given["labels"], given.get("start"), local=local, seed=seed, report=report
            )
            kind, content = _RESULT, _packed({"places": places})
        except InputError as error:
            kind, content = _WRONG, str(error).encode()
        except Exception as error:  # noqa: BLE001  told in the other process
            kind, content = _FAILED, f"{type(error).__name__}: {error}".encode()
        _send(answers, kind, content)


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


def _packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


atexit.register(stop)
