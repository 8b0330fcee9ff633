"""Long work, one piece at a time, with progress and cancel; what is quick and newest wins waits beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from napari_scribseg import kernel
from napari_scribseg.core import Cancelled, Report
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.explore.view import ExploreView

__all__ = ["Jobs", "Newest"]

Post = Callable[[Callable[[], object]], object]


class Jobs:
    """Runs one long function at a time away from the window.

    Parameters
    ----------
    executor : Executor
        Where they run.
    post : callable
        ``post(function)`` calls a function on the window's thread.
    view : View
        Shows progress and errors.
    """

    def __init__(self, executor: Executor, post: Post, view: ExploreView) -> None:
        self._jobs: kernel.Jobs[kernel.Call] = kernel.Jobs(executor, post)
        self._post, self._view = post, view
        self._running: kernel.Call | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._running is not None

    def start(self, title: str, function: Callable[[Report], Any], done: Callable[[Any], object]) -> bool:
        """Run ``function(report)``; ``done`` gets what it returned, on the window's thread. False where one runs."""
        if self._running is not None:
            self._view.show_message(f"{self._running.name} is still running; wait for it, or cancel it", error=True)
            return False

        def show(fraction: float) -> None:
            if self._running is job:
                self._view.show_progress(fraction)

        def succeeded(result: Any) -> None:
            self._running = None
            self._view.show_busy(False)
            done(result)

        def failed(error: Exception) -> None:
            self._running = None
            self._view.show_busy(False)
            if isinstance(error, Cancelled):
                self._view.show_message(f"{title} was cancelled; what was there before stays")
            elif isinstance(error, kernel.AbandonedError):
                self._view.show_message(
                    f"{title} did not stop in time and was left behind; what was there before stays"
                )
            else:
                self._view.show_message(user_message(error), error=True)
                self._view.notify(user_message(error))

        progress = partial(self._post_progress, show)
        job = self._running = kernel.Call(function, succeeded, failed, progress=progress, name=title)
        self._view.show_message(f"{title}…")
        self._view.show_busy(True)
        self._jobs.submit(job)
        return True

    def _post_progress(self, show: Callable[[float], None], fraction: float) -> None:
        self._post(partial(show, fraction))

    def cancel(self) -> None:
        """Cancel the job; it stops at its next report. One that makes none is abandoned after a while."""
        if self._running is not None:
            self._jobs.cancel()
            self._view.show_message(f"{self._running.name} is being cancelled…")
            self._jobs.abandon_late(lambda: None)


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
