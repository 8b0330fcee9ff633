"""A small pool of threads for kernels that release the interpreter lock; safe to use from any thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from napari_scribseg.numerics.device import n_threads

__all__ = ["MAX_THREADS", "band_edges", "in_parallel"]

MAX_THREADS = 8  # beyond, the memory bandwidth is the limit
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def in_parallel(task: Callable[[int], object], count: int) -> None:
    """Call ``task(0)`` to ``task(count - 1)``, several at once, and return when all are done.

    Parameters
    ----------
    task : callable
        It may call :func:`in_parallel` itself. An exception of any of them is raised here.
    count : int
        Number of calls.
    """
    helpers = min(n_threads(), MAX_THREADS, count) - 1
    turns = iter(range(count))  # taking the next of a range iterator is atomic

    def take_turns() -> None:
        for index in turns:
            task(index)

    futures = [_get_pool().submit(take_turns) for _ in range(helpers)]
    try:
        take_turns()
    finally:
        for future in futures:
            if not future.cancel():
                future.result()


def band_edges(rows: int, *, smallest: int = 32, per_thread: int = 1) -> list[int]:
    """Edges of bands of rows for threads to share, ``[0, ..., rows]``, none lower than ``smallest`` if it can be."""
    wanted = min(n_threads(), MAX_THREADS) * per_thread
    count = max(min(wanted, rows // smallest), 1)
    return [rows * i // count for i in range(count + 1)]


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(min(n_threads(), MAX_THREADS) - 1, 1), thread_name_prefix="scribseg-kernel")
        return _pool


def _discard_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_discard_pool)
