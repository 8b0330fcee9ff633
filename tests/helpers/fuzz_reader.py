"""A process that reads files, with bounds on time and memory: a crash, a hang or a flood ends it and not the tests.

Lines of JSON go in and out: the name of the format and the file, what became of it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

ROOM = 512 << 20  # bytes of address space that a reader may take for one file
SECONDS = 15  # of one processor, for one file
PATIENCE = 120  # seconds after which a reader that computes nothing is taken to hang
LONGEST = 2000  # characters of a message


@dataclass(frozen=True)
class Outcome:
    """``data``, ``refused`` with one message, or a fault: another error, a signal, a hang."""

    kind: str
    words: str = ""

    @property
    def is_fault(self) -> bool:
        return self.kind not in ("data", "refused")


class Reader:
    """The process as the tests see it; a new one is started where the last one ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, format_name: str, path: Path, *, bounded: bool = True) -> Outcome:
        """Read a file as a format; without bounds where libraries are loaded first."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([format_name, str(path), bounded]).encode() + b"\n")
        process.stdin.flush()
        ready = select.select([process.stdout], [], [], PATIENCE)[0]
        line = process.stdout.readline() if ready else b""
        if line:
            return Outcome(*json.loads(line))
        if not ready:
            process.kill()
        code = process.wait()
        self._process = None
        if not ready:
            return Outcome("hang", f"no answer after {PATIENCE} s")
        return Outcome("killed", signal.Signals(-code).name if code < 0 else f"exit status {code}")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environment = os.environ | {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
            environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz_reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        return self._process


def _main() -> None:
    from fuzz_formats import FORMATS

    for module in ("io", "annotate", "explore", "engines.brs.card", "train.pack", "kernel.checkpoint", "batch.cohort"):
        importlib.import_module(f"napari_scribseg.{module}")
    for module in ("SimpleITK", "imagecodecs", "nibabel", "tifffile"):  # before the bounds: libraries are large
        importlib.import_module(module)
    from napari_scribseg.core import InputError

    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no outcome
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        name, path, bounded = json.loads(line)
        if bounded:
            _bound()
        try:
            FORMATS[name].read(Path(path))
            outcome = Outcome("data")
        except InputError as error:
            one = "\n" not in str(error) and 0 < len(str(error)) <= LONGEST
            outcome = Outcome("refused" if one else "no message", str(error)[:500])
        except BaseException as error:  # noqa: BLE001 - what it is, is what the tests want to know
            frames = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
            outcome = Outcome(type(error).__name__, f"{' > '.join(frames[-6:])}: {str(error)[:300]}")
        _bound(free=True)
        gc.collect(1)
        outcomes.write(json.dumps([outcome.kind, outcome.words]).encode() + b"\n")
        outcomes.flush()


def _bound(*, free: bool = False) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = resource.RLIM_INFINITY if free else pages * resource.getpagesize() + ROOM
    seconds = resource.RLIM_INFINITY if free else int(time.process_time()) + SECONDS
    for limit, value in ((resource.RLIMIT_AS, most), (resource.RLIMIT_CPU, seconds)):
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


if __name__ == "__main__":
    _main()
