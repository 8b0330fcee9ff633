"""What runs for a project in the background, with progress and cancel. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

from napari_scribseg.core import Cancelled, Report
from napari_scribseg.kernel import AbandonedError, Call, Deliver, Jobs, ShutDownError

__all__ = ["BackgroundJob", "JobView"]

T = TypeVar("T")


class JobView(Protocol):
    """What shows a job."""

    def show_job(self, title: str) -> None:
        """A job of this title runs; empty: none."""

    def show_fraction(self, fraction: float) -> None:
        """The fraction of it that is done."""

    def show_end(self, text: str, *, error: bool = False) -> None:
        """How it ended, where that is not as expected."""


class BackgroundJob:
    """Runs one job at a time.

    Parameters
    ----------
    executor : Executor
        Where it runs.
    deliver : callable
        ``deliver(function)`` calls a function in the window's thread.
    view : JobView
        Shows it.
    """

    def __init__(self, executor: Executor, deliver: Deliver, view: JobView) -> None:
        self._jobs: Jobs[Call] = Jobs(executor, deliver)
        self._view = view
        self.title = ""

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return bool(self.title)

    def run(
        self,
        title: str,
        work: Callable[[Report], T],
        done: Callable[[T], object],
        cancelled: str = "",
        otherwise: Callable[[], object] = lambda: None,
    ) -> None:
        """Run a job; refused while another one runs.

        Parameters
        ----------
        title : str
            What is shown meanwhile.
        work : callable
            ``work(report)``, in the background.
        done : callable
            Gets what ``work`` gives, in the window's thread.
        cancelled : str
            The message after a cancel; by default, that of the title.
        otherwise : callable
            Called instead of ``done`` where it is cancelled or fails.
        """
        if self.title:
            self._view.show_end(f"{self.title} is still running; wait for it, or cancel it", error=True)
            return
        self.title = title
        self._view.show_job(title)

        def end() -> None:
            self.title = ""
            self._view.show_job("")

        def succeeded(result: T) -> None:
            end()
            done(result)

        def failed(error: Exception) -> None:
            end()
            otherwise()
            if isinstance(error, (Cancelled, AbandonedError)):
                self._view.show_end(cancelled or f"{title} was cancelled")
            elif not isinstance(error, ShutDownError):
                self._view.show_end(str(error) or repr(error), error=True)

        def progress(fraction: float) -> None:
            self._jobs.deliver(lambda: self._view.show_fraction(fraction) if self.title else None)

        call: Any = Call(work, succeeded, failed, progress=progress, name=title)
        self._jobs.submit(call)

    def cancel(self) -> None:
        """Stop the job at its next report; one that makes none is abandoned after a while."""
        if self.title:
            self._jobs.cancel()
            self._jobs.abandon_late(lambda: None)
