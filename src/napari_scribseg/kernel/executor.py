"""Where jobs run, and how their results come back to the owner's thread."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from typing import Any

__all__ = ["Deliver", "Inbox", "InlineExecutor", "Worker"]

Deliver = Callable[[Callable[[], None]], object]

AT_EXIT = 5.0  # seconds that a program waits at its end for what still runs


class InlineExecutor(Executor):
    """Runs what is submitted at once, in the calling thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  as every executor does
            future.set_exception(error)
        return future


class Worker(Executor):
    """Runs one call at a time in a thread of its own; a call that hangs can be abandoned, and never delays the exit."""

    def __init__(self, name: str = "scribseg") -> None:
        self._name = name
        self._turn = threading.Condition()
        self._queue: deque[tuple[Future[Any], Callable[..., Any], Any, Any]] = deque()
        self._running: Future[Any] | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
        _workers.add(self)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` in the thread, after all that was submitted before.

        Raises
        ------
        RuntimeError
            If the worker was shut down.
        """
        future: Future[Any] = Future()
        with self._turn:
            if self._ended:
                raise RuntimeError("the worker was shut down")
            self._queue.append((future, fn, args, kwargs))
            if self._thread is None:
                self._begin()
            self._turn.notify_all()
        return future

    def abandon(self, future: Future[Any]) -> None:
        """If this call runs now, continue without it: the calls that wait run in a new thread."""
        with self._turn:
            if self._running is future:
                self._running = None
                self._begin()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the thread ends after the calls that wait, which ``cancel_futures`` cancels."""
        with self._turn:
            self._ended = True
            dropped = [future for future, *_ in self._queue] if cancel_futures else []
            if cancel_futures:
                self._queue.clear()
            thread = self._thread
            self._turn.notify_all()
        for future in dropped:
            future.cancel()
        if wait and thread is not None:
            thread.join()

    def join(self, timeout: float | None = None) -> None:
        """Wait until nothing runs or waits."""
        with self._turn:
            self._turn.wait_for(lambda: self._running is None and not self._queue, timeout)

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        mine = threading.current_thread()
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._queue or self._ended or self._thread is not mine)
                if self._thread is not mine or not self._queue:
                    return
                future, fn, args, kwargs = self._queue.popleft()
                self._running = future
            if future.set_running_or_notify_cancel():
                try:
                    result = fn(*args, **kwargs)
                except BaseException as error:  # noqa: BLE001  whatever it is, somebody waits for the future
                    with contextlib.suppress(InvalidStateError):
                        future.set_exception(error)
                else:
                    with contextlib.suppress(InvalidStateError):
                        future.set_result(result)
                    del result
            del fn, args, kwargs
            with self._turn:
                if self._running is future:
                    self._running = None
                self._turn.notify_all()
            del future


class Inbox:
    """Delivers calls to the owner's thread of a program without an event loop.

    Examples
    --------
    >>> from napari_scribseg.annotate import Inbox, Session, Worker
    >>> inbox = Inbox()
    >>> session = Session(volume, executor=Worker(), deliver=inbox.deliver)  # doctest: +SKIP
    >>> inbox.wait(session.draw(painted, 7))  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def deliver(self, call: Callable[[], None]) -> None:
        """Post a call; from any thread."""
        self._posted.put(call)

    def run(self) -> int:
        """Run the posted calls, in the owner's thread. Returns their number."""
        done = 0
        while True:
            try:
                call = self._posted.get_nowait()
            except queue.Empty:
                return done
            call()
            done += 1

    def wait(self, future: Future[Any], timeout: float | None = None) -> Any:
        """Run posted calls until ``future`` is done, and return its result.

        Raises
        ------
        TimeoutError
            If it is not done after ``timeout`` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not future.done():
            left = 0.05 if end is None else min(0.05, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"no result within {timeout} s")
            try:
                self._posted.get(timeout=left)()
            except queue.Empty:
                continue
        return future.result()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _wait_for_all() -> None:
    """Wait for calls at exit: a thread that ends inside a library's code can crash the interpreter."""
    end = time.monotonic() + AT_EXIT
    for worker in list(_workers):
        worker.join(max(end - time.monotonic(), 0))
