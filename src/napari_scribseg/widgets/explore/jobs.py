"""Long work, one piece at a time, with progress and cancel; what is quick and newest wins waits beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, cast

from napari_scribseg.annotate.executor import AbandonedError, Calls
from napari_scribseg.core import Cancelled, Report
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.explore.view import ExploreView

__all__ = ["Jobs", "Newest"]

Post = Callable[[Callable[[], object]], object]


@dataclass
class _Job:
    title: str
    cancelled: bool = False


class Jobs:
    """Runs one long function at a time away from the window.

    Parameters
    ----------
    executor : Executor
        Where they run.
    post : callable
        ``post(function)`` calls a function on the window's thread.
    view : View
        Told of progress, and of what went wrong.
    """

    def __init__(self, executor: Executor, post: Post, view: ExploreView) -> None:
        self._calls, self._post, self._view = Calls(executor, post), post, view
        self._running: _Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._running is not None

    def start(self, title: str, function: Callable[[Report], Any], done: Callable[[Any], object]) -> bool:
        """Run ``function(report)``; ``done`` gets what it returned, on the window's thread. False where one runs."""
        if self._running is not None:
            self._view.show_message(f"{self._running.title} is still running; wait for it, or cancel it", error=True)
            return False
        job = self._running = _Job(title)
        self._view.show_message(f"{title}…")
        self._view.show_busy(True)

        def show(fraction: float) -> None:
            if self._running is job:
                self._view.show_progress(fraction)

        def report(fraction: float, _preview: Any = None) -> None:
            if job.cancelled:
                raise Cancelled
            self._post(lambda: show(fraction))

        self._calls.start(lambda: function(cast(Report, report)), lambda call: self._end(title, call, done))
        return True

    def cancel(self) -> None:
        """Ask the job to stop; it does at its next report. One that makes none is left behind after a while."""
        if self._running is not None:
            self._running.cancelled = True
            self._view.show_message(f"{self._running.title} is being cancelled…")
            self._calls.watch(lambda: None)

    def _end(self, title: str, call: Future[Any], done: Callable[[Any], object]) -> None:
        self._running = None
        self._view.show_busy(False)
        error = call.exception()
        if isinstance(error, Cancelled):
            self._view.show_message(f"{title} was cancelled; what was there before stays")
        elif isinstance(error, AbandonedError):
            self._view.show_message(f"{title} did not stop in time and was left behind; what was there before stays")
        elif error is not None:
            self._view.show_message(user_message(error), error=True)
            self._view.notify(user_message(error))
        else:
            done(call.result())


class Newest:
    """Answers to the newest of many quick questions, one at a time; the ones before it are dropped."""

    def __init__(self, aside: Aside, failed: Callable[[BaseException], object]) -> None:
        self._aside, self._failed = aside, failed
        self._next: tuple[Callable[[], Any], Callable[[Any], object]] | None = None
        self._asked = False

    def ask(self, function: Callable[[], Any], done: Callable[[Any], object]) -> None:
        """Run ``function`` away from the window, once what runs has ended; ``done`` gets what it returned."""
        self._next = (function, done)
        if not self._asked:
            self._go()

    def _go(self) -> None:
        if self._next is None:
            return
        (function, done), self._next = self._next, None
        self._asked = True
        self._aside(function, lambda result: self._answer(done, result), self._fail)

    def _answer(self, done: Callable[[Any], object], result: Any) -> None:
        self._asked = False
        done(result)
        self._go()

    def _fail(self, error: BaseException) -> None:
        self._asked = False
        self._failed(error)
        self._go()
