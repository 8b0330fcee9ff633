"""The threads of a window: a worker for the engine, and a way back to the window's thread."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal  # type: ignore[attr-defined]

from napari_scribseg.kernel import Worker

__all__ = ["Aside", "Dispatcher"]

Aside = Callable[[Callable[[], Any], Callable[[Any], object], Callable[[BaseException], object]], None]


class Dispatcher(QObject):
    """Threads for the engine, for other computation and for files, and :meth:`post` to return from them.

    Functions given to :meth:`post` make all changes of the window, so no lock is needed.
    """

    _posted = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._closed = False
        self._worker = Worker()
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scribseg-aside")
        self._files = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scribseg-files")
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._posted.connect(self._run_posted, Qt.ConnectionType.QueuedConnection)

    @property
    def executor(self) -> Executor:
        """The executor of a session's engine: one job at a time, and one that hangs can be abandoned."""
        return self._worker

    @property
    def background(self) -> Executor:
        """The executor of quick work, which :meth:`aside` uses, too."""
        return self._aside

    def post(self, function: Callable[[], object]) -> None:
        """Run a function soon on this object's thread; callable from any thread, without effect once closed."""
        if self._closed:
            return
        self._calls.put(function)
        try:
            self._posted.emit()
        except RuntimeError:  # the window was deleted, and this object with it
            self._closed = True

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Run posted functions on this object's thread until a condition holds; False if time runs out.

        The window does nothing else meanwhile, so ``seconds`` must be less than a person notices.
        """
        end = time.monotonic() + seconds
        while not until():
            try:
                self._run(self._calls.get(timeout=max(end - time.monotonic(), 0)))
            except queue.Empty:
                return False
        return True

    def aside(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], object],
        failed: Callable[[BaseException], object],
        *,
        file: bool = False,
    ) -> None:
        """Run a function in the background; ``done`` or ``failed`` is posted with its result or error.

        A function that writes a ``file`` has a thread of its own, and runs even if the window is closed before.
        """
        if self._closed:
            return

        def deliver(future: Future[Any]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                result = future.result()
                self.post(lambda: done(result))
            else:
                self.post(lambda: failed(error))

        (self._files if file else self._aside).submit(function).add_done_callback(deliver)

    def later(self, milliseconds: int, function: Callable[[], object]) -> None:
        """Run a function in the window's thread after a time, unless this is closed by then."""
        if not self._closed:
            QTimer.singleShot(milliseconds, partial(self._run, function))

    def close(self) -> None:
        """End the threads after their jobs; what waits is dropped, except files. May be called twice."""
        self._closed = True
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._aside.shutdown(wait=False, cancel_futures=True)
        self._files.shutdown(wait=False)

    def join(self) -> None:
        """Wait until the threads have ended; call :meth:`close` before."""
        for executor in (self._worker, self._aside, self._files):
            executor.shutdown(wait=True)

    def _run_posted(self) -> None:
        """Run one call for each signal, unless :meth:`wait` ran it before."""
        if not self._calls.empty():
            self._run(self._calls.get_nowait())

    def _run(self, function: Callable[[], object]) -> None:
        if not self._closed:
            function()
