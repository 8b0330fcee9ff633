"""Hierarchies in a subprocess.

higra holds Python's lock while it builds a hierarchy, and a window in the same process is blocked meanwhile. Therefore
a window has a helper, a pool of one process by loky, which lives on between the calls.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
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

from napari_scribseg.core import InputError
from napari_scribseg.explore.hierarchy import build_hierarchy

__all__ = ["Helper", "build_hierarchy_in_subprocess", "stop"]

_SIDE = 40  # pixels of the image that a helper warms up with

log = logging.getLogger(__name__)


def stop() -> None:
    """End the helper."""
    HIERARCHIES.stop()


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

    @property
    def pid(self) -> int | None:
        """The process; None where there is none."""
        return next(iter(self._pool._processes), None) if self._pool is not None else None

    def stop(self) -> None:
        """End the process, whatever it does."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a module's function in the process; in this one where the process cannot run, or dies.

        Parameters
        ----------
        function : callable
        *args, **kwargs
            Its arguments; pickled, as its result is.
        """
        with self._turn:
            try:
                return self._call(function, args, kwargs)
            except (BrokenExecutor, OSError) as error:
                log.warning("the %s is computed in this process: %s", self._name, error)
                self.stop()
            except InputError:
                raise
            except BaseException:
                self.stop()  # nobody waits for its result any more
                raise
        return function(*args, **kwargs)

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        future = self._running().submit(function, *args, **kwargs)
        while not (future.running() or future.done()):
            time.sleep(0.001)  # loky's own thread fails where a pool is ended before it has handed the work on
        return future.result()

    def _running(self) -> ProcessPoolExecutor:
        if getattr(sys, "frozen", False) or not sys.executable:
            raise OSError("this program has no Python of its own to start")
        if self._pool is None:
            context = get_context("loky")  # starts a fresh interpreter on every system, without this program's main
            self._pool = ProcessPoolExecutor(1, context=context, initializer=_begin, initargs=(self._warm_up,))
        return self._pool


def _begin(warm_up: Callable[[], object]) -> None:
    """Prepare a helper; in its process."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print
        os.dup2(sink, stream)
    with contextlib.suppress(InputError):  # the call raises it again
        warm_up()


def _warm_up_hierarchies() -> None:
    build_hierarchy(np.eye(_SIDE, dtype=np.float32))


HIERARCHIES = Helper("hierarchy", _warm_up_hierarchies)
build_hierarchy_in_subprocess = partial(HIERARCHIES.call, build_hierarchy)
atexit.register(stop)
