"""The process that learns: ``python -m napari_scribseg.learn.worker FOLDER``.

It reads what :func:`~napari_scribseg.learn.job_files.write_job` wrote, learns with the lowest priority, and writes JSON
lines: ``{"done": SHARE}``, at the end ``{"learned": FILE}`` or ``{"error": TEXT, "input": BOOL}``. It ends when its
standard input is closed, as it is when its parent ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

__all__ = ["RESULT", "main"]

RESULT = "learned.safetensors"
_THREADS = 1


def main(folder: str) -> int:
    """Learn; returns the exit status."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print is none of the lines
    wanted = threading.Event()
    wanted.set()
    threading.Thread(target=_watch, args=(wanted,), daemon=True).start()
    try:
        _learn(Path(folder), lines, wanted)
    except BaseException as error:  # noqa: BLE001  the parent raises it again
        from napari_scribseg.core.errors import InputError

        with contextlib.suppress(OSError):
            _put(lines, error=str(error) or type(error).__name__, input=isinstance(error, InputError))
        return 1
    return 0


def _watch(wanted: threading.Event) -> None:
    """Wait until the standard input is closed."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    wanted.clear()


def _learn(folder: Path, lines: TextIO, wanted: threading.Event) -> None:
    if hasattr(os, "nice"):
        os.nice(19)
    import torch

    from napari_scribseg.core.errors import Cancelled
    from napari_scribseg.learn.job_files import read_job
    from napari_scribseg.learn.training import learn

    torch.set_num_threads(_THREADS)

    def report(fraction: float, preview: object = None) -> None:
        if not wanted.is_set():
            raise Cancelled
        _put(lines, done=fraction)

    job = read_job(folder)
    network = learn(
        job.examples, job.classes, start=job.start, checkpoints=folder / "checkpoints", report=report,
        device=job.device, settings=job.settings,
    )  # fmt: skip
    network.save(folder / RESULT)
    _put(lines, learned=RESULT)


def _put(lines: TextIO, **content: object) -> None:
    lines.write(json.dumps(content) + "\n")
    lines.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
