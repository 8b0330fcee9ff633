"""Embeddings and hierarchies in subprocesses.

UMAP's packages take seconds to import, and its loops are compiled anew in every process. Both hold Python's lock, as
higra does while it builds a hierarchy, and a window in the same process is blocked meanwhile. Therefore a window has
one helper for each kind of work, a pool of one process by loky, which lives on between the calls.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from functools import partial
from typing import Any

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend.context import get_context

from napari_scribseg.core import InputError, Report, Segmentation
from napari_scribseg.explore.embedding import fit_embedding
from napari_scribseg.explore.hierarchy import build_hierarchy

__all__ = ["Helper", "build_hierarchy_in_subprocess", "fit_embedding_in_subprocess", "start", "stop"]

_POLL = 0.1  # seconds between two checks for cancellation
_FEW = 40  # segments of the embedding that has all loops compiled

log = logging.getLogger(__name__)


def start() -> None:
    """Start the helpers, which then warm up; nothing where they run already, or cannot run."""
    for helper in (EMBEDDINGS, HIERARCHIES):
        helper.start()


def stop() -> None:
    """End the helpers."""
    for helper in (EMBEDDINGS, HIERARCHIES):
        helper.stop()


class Helper:
    """A process that does one kind of work, one call at a time. All methods may be called from any thread.

    Parameters
    ----------
    name : str
        What it computes, for the log.
    warm_up : callable
        Called first in the process; a module's function.
    """

    def __init__(self, name: str, warm_up: Callable[[], object]) -> None:
        self._name, self._warm_up = name, warm_up
        self._turn = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._progress: Any = None

    @property
    def pid(self) -> int | None:
        """The process; None where there is none."""
        return next(iter(self._pool._processes), None) if self._pool is not None else None

    def start(self) -> None:
        """Start the process; nothing where it runs, or cannot run."""
        with self._turn, contextlib.suppress(OSError, BrokenExecutor):
            self._running().submit(_nothing)

    def stop(self) -> None:
        """End the process, whatever it does."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)

    def call(self, function: Callable[..., Any], /, *args: Any, report: Report | None = None, **kwargs: Any) -> Any:
        """Call a module's function in the process; in this one where the process cannot run, or dies.

        Parameters
        ----------
        function : callable
        *args, **kwargs
            Its arguments; pickled, as its result is.
        report : Report, optional
            Passed to a function that takes one. Where it raises, the process is ended.
        """
        with self._turn:
            try:
                return self._call(function, args, kwargs, report)
            except (BrokenExecutor, OSError) as error:
                log.warning("the %s is computed in this process: %s", self._name, error)
                self.stop()
            except InputError:
                raise
            except BaseException:
                self.stop()  # nobody waits for its result any more
                raise
        return function(*args, **kwargs) if report is None else function(*args, **kwargs, report=report)

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], report: Report | None
    ) -> Any:
        pool = self._running()
        self._newest_fraction(0.0)  # of the call before
        future = pool.submit(_work, function, args, kwargs, report is not None)
        while not (future.running() or future.done()):
            time.sleep(0.001)  # loky's own thread fails where a pool is ended before it has handed the work on
        fraction = 0.0
        while True:
            if report is not None:
                fraction = self._newest_fraction(fraction)
                report(fraction)
            try:
                found = future.result(timeout=_POLL)
                break
            except TimeoutError:
                if future.done():
                    raise
        if report is not None:
            report(self._newest_fraction(fraction))
        return found

    def _newest_fraction(self, fraction: float) -> float:
        while not self._progress.empty():
            fraction = self._progress.get()
        return fraction

    def _running(self) -> ProcessPoolExecutor:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise OSError("this program has no Python of its own to start")
        if self._pool is None:
            context = get_context("loky")  # starts a fresh interpreter on every system, without this program's main
            self._progress = context.SimpleQueue()
            self._pool = ProcessPoolExecutor(
                1, context=context, initializer=_begin, initargs=(self._progress, self._warm_up)
            )
        return self._pool


_to_owner: Any = queue.SimpleQueue()  # of fractions; in a helper, that of its owner


def _begin(progress: Any, warm_up: Callable[[], object]) -> None:
    """Prepare a helper; in its process."""
    global _to_owner
    _to_owner = progress
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print
        os.dup2(sink, stream)
    with contextlib.suppress(InputError):  # the call raises it again
        warm_up()


def _work(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], reports: bool) -> Any:
    return function(*args, **kwargs, report=_report) if reports else function(*args, **kwargs)


def _report(fraction: float, preview: Segmentation[object] | None = None) -> None:
    _to_owner.put(float(fraction))


def _nothing() -> None:
    """Does nothing, in a process that is thereby started."""


def _warm_up_embeddings() -> None:
    for labelled in (0, 1):
        labels = labelled * (np.arange(_FEW, dtype=np.int32) % 3)
        fit_embedding(np.random.default_rng(0).normal(size=(_FEW, 8)).astype(np.float32), labels)


def _warm_up_hierarchies() -> None:
    build_hierarchy(np.eye(_FEW, dtype=np.float32))


EMBEDDINGS = Helper("embedding", _warm_up_embeddings)
HIERARCHIES = Helper("hierarchy", _warm_up_hierarchies)
fit_embedding_in_subprocess = partial(EMBEDDINGS.call, fit_embedding)
build_hierarchy_in_subprocess = partial(HIERARCHIES.call, build_hierarchy)
atexit.register(stop)
