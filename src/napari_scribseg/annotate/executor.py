"""Where engines run: a thread that can be left behind when a call in it does not end."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from functools import partial
from typing import Any

__all__ = ["AbandonedError", "Calls", "Deliver", "InlineExecutor", "ShutDownError", "Worker", "as_exception"]

Deliver = Callable[[Callable[[], None]], object]

PATIENCE = 10.0  # seconds that a call has to end after it was cancelled, before it is left behind
_AT_EXIT = 5.0  # seconds that a program waits at its end for what still runs


class AbandonedError(RuntimeError):
    """A call did not end, and was left behind."""


class ShutDownError(RuntimeError):
    """The executor takes no more calls."""


class InlineExecutor(Executor):
    """Runs what is submitted at once, in the calling thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` and return its finished future."""
        future: Future[Any] = Future()
        _run(future, lambda: fn(*args, **kwargs))
        return future


class Worker(Executor):
    """One call at a time, in a thread of its own; one that hangs need not keep the next one waiting, nor the end."""

    def __init__(self, name: str = "scribseg") -> None:
        self._name = name
        self._turn = threading.Condition()
        self._queue: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
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
            self._queue.append((future, lambda: fn(*args, **kwargs)))
            if self._thread is None:
                self._begin()
            self._turn.notify_all()
        return future

    def leave(self, future: Future[Any]) -> None:
        """If this is what runs now, go on without it: what waits is called in a new thread."""
        with self._turn:
            if self._running is future:
                self._running = None
                self._begin()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the thread ends after those that wait, or are dropped."""
        with self._turn:
            self._ended = True
            dropped = [future for future, _ in self._queue] if cancel_futures else []
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
                future, call = self._queue.popleft()
                self._running = future
            _run(future, call)
            del call
            with self._turn:
                if self._running is future:
                    self._running = None
                self._turn.notify_all()
            del future


class Calls:
    """Calls of one owner on an executor, which may be any; one that hangs can be left behind.

    Parameters
    ----------
    executor : Executor
        Where they run; replaced by a :class:`Worker` when it is another one and a call in it hangs.
    deliver : callable
        ``deliver(fn)`` calls ``fn`` in the owner's thread.
    """

    def __init__(self, executor: Executor, deliver: Deliver) -> None:
        self._executor, self._deliver = executor, deliver
        self._watched: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._open: dict[Future[Any], tuple[Future[Any], Callable[[], Any]]] = {}  # each with the executor's own

    @property
    def is_inline(self) -> bool:
        """Whether work is done at once, in the owner's thread."""
        return isinstance(self._executor, InlineExecutor)

    def start(self, fn: Callable[[], Any], landed: Callable[[Future[Any]], None]) -> Future[Any]:
        """Call ``fn``, and ``landed`` with the future in the owner's thread when it has ended, however it did.

        Raises
        ------
        ShutDownError
            If the executor was shut down.
        KeyboardInterrupt
            If the user interrupted a call in the owner's thread.
        """
        mine: Future[Any] = Future()
        mine.set_running_or_notify_cancel()
        try:
            self._submit(mine, fn)
        except RuntimeError as error:
            raise ShutDownError(str(error)) from error
        if self.is_inline:
            self._deliver(lambda: landed(mine))
            interrupt = mine.exception()
            if isinstance(interrupt, KeyboardInterrupt):
                raise interrupt
        else:
            mine.add_done_callback(lambda _: self._deliver(lambda: landed(mine)))
        return mine

    def _submit(self, mine: Future[Any], fn: Callable[[], Any]) -> None:
        theirs = self._executor.submit(_run, mine, fn)
        self._open[mine] = theirs, fn
        mine.add_done_callback(lambda _: self._open.pop(mine, None))

    @property
    def open(self) -> tuple[Future[Any], ...]:
        """The calls that have not ended."""
        return tuple(self._open)

    def watch(self, left: Callable[[], object]) -> None:
        """Leave what is at work now behind if it has not ended after :data:`PATIENCE`; ``left`` is called then."""

        def late(call: Future[Any]) -> None:
            if self.leave(call):
                left()

        for call in self.open:
            if call not in self._watched:
                self._watched.add(call)
                timer = threading.Timer(PATIENCE, self._deliver, [partial(late, call)])
                timer.daemon = True
                timer.start()
                call.add_done_callback(partial(_end, timer))

    def leave(self, call: Future[Any]) -> bool:
        """Go on without a call: it fails with :class:`AbandonedError`, and what is submitted later need not wait.

        Returns whether it was at work; False if it has ended, or had not begun.
        """
        if call not in self._open:
            return False
        theirs, _ = self._open[call]
        begun = not theirs.cancel()
        with contextlib.suppress(InvalidStateError):
            call.set_exception(AbandonedError("it did not end, and was left behind"))
        if begun and isinstance(self._executor, Worker):
            self._executor.leave(theirs)
        elif begun:
            self._executor = Worker()
            for waiting, (former, fn) in list(self._open.items()):
                if former.cancel():
                    self._submit(waiting, fn)
        return begun


def as_exception(error: BaseException, what: str) -> Exception:
    """An error that nobody takes for a wish to end the program."""
    if isinstance(error, Exception):
        return error
    told = RuntimeError(f"{what} raised {type(error).__name__}{f': {error}' if str(error) else ''}")
    told.__cause__ = error
    return told


def _end(timer: threading.Timer, _call: Future[Any]) -> None:
    timer.cancel()


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    """Let a future end with what a call returns or raises, if it has not ended otherwise meanwhile."""
    if future.done() or not (future.running() or future.set_running_or_notify_cancel()):
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  whatever it is, somebody waits for the end
        with contextlib.suppress(InvalidStateError):
            future.set_exception(error)
    else:
        with contextlib.suppress(InvalidStateError):
            future.set_result(result)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _wait_for_all() -> None:
    """A thread that is ended amid a library's code may take the whole program down with it."""
    end = time.monotonic() + _AT_EXIT
    for worker in list(_workers):
        worker.join(max(end - time.monotonic(), 0))
