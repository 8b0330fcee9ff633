"""The peak memory of a block of code, beyond that of the process before."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Peak", "peak_memory", "reset_record"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_SAMPLED = 0.002  # seconds between two samples where the system keeps no record


@dataclass(slots=True)
class Peak:
    """The result of :func:`peak_memory`, in MiB; 0 until the block ends."""

    mib: float = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the growth of the resident memory in a ``with`` block.

    On Linux the kernel keeps the peak; elsewhere a thread samples it every 2 ms, and may miss a short one. Freed memory
    is returned to the system first, where the C library can do so, as a block that reuses it would seem to take none.

    Yields
    ------
    Peak
        Set when the block ends, also by an exception.
    """
    peak = Peak()
    _give_back()
    process = psutil.Process()
    if reset_record():
        before = _kernel_value("VmRSS")
        try:
            yield peak
        finally:
            peak.mib = max(_kernel_value("VmHWM") - before, 0) / 1024
        return
    before = largest = process.memory_info().rss
    done = threading.Event()

    def sample() -> None:
        nonlocal largest
        while not done.wait(_SAMPLED):
            largest = max(largest, process.memory_info().rss)

    watcher = threading.Thread(target=sample, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        largest = max(largest, process.memory_info().rss)
        done.set()
        watcher.join()
        peak.mib = (largest - before) / 2**20


def _give_back() -> None:
    """Return freed memory to the system, where the C library is glibc."""
    if sys.platform.startswith("linux"):
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def reset_record() -> bool:
    """Reset the kernel's record of the peak; False where there is none."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _kernel_value(name: str) -> int:
    """A value of the process's status, in KiB."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
