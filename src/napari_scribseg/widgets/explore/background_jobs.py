"""Tasks of a workspace as jobs of the window: long ones one at a time, of quick ones the newest."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from napari_scribseg.core import Cancelled, InputError, Report
from napari_scribseg.explore.task import WorkspaceTask
from napari_scribseg.kernel import AbandonedError, Call, Deliver, Jobs, ShutDownError
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.explore.explore_view import ExploreView

__all__ = ["LongJobs", "QuickJobs"]

R = TypeVar("R")
T = TypeVar("T")


class LongJobs:
    """Runs one long job at a time in the background, with progress and cancel.

    Parameters
    ----------
    executor : Executor
        Where jobs run.
    deliver : callable
        ``deliver(function)`` calls a function in the window's thread.
    view : ExploreView
        Shows progress and errors.
    """

    def __init__(self, executor: Executor, deliver: Deliver, view: ExploreView) -> None:
        self._jobs: Jobs[Call] = Jobs(executor, deliver)
        self._view = view
        self._title = ""  # of the job that runs

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return bool(self._title)

    def run(self, title: str, task: WorkspaceTask[R, T], done: Callable[[T], object]) -> None:
        """Run a task; ``done`` gets its result, in the window's thread. Refused while another job runs."""
        if self._title:
            self._view.show_message(f"{self._title} is still running; wait for it, or cancel it", error=True)
            return
        self._title = title
        self._view.show_message(f"{title}…")
        self._view.show_busy(True)

        def end() -> None:
            self._title = ""
            self._view.show_busy(False)

        def succeeded(result: R) -> None:
            end()
            try:
                done(task.finish(result))
            except InputError as error:
                self._show_error(error)

        def failed(error: Exception) -> None:
            end()
            self._show_failure(title, error)

        def work(report: Report) -> R:
            return task.work(report, self._jobs.deliver)

        self._jobs.submit(Call(work, succeeded, failed, progress=self._show_progress, name=title))

    def cancel(self) -> None:
        """Ask the job to stop, which it does at its next report; a job that makes none is abandoned after a while."""
        if self._title:
            self._view.show_message(f"{self._title} is being cancelled…")
            self._jobs.cancel()
            self._jobs.abandon_late(lambda: None)

    def _show_progress(self, fraction: float) -> None:
        self._jobs.deliver(lambda: self._view.show_progress(fraction) if self._title else None)

    def _show_failure(self, title: str, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self._view.show_message(f"{title} was cancelled; the workspace is as before")
        elif isinstance(error, AbandonedError):
            self._view.show_message(f"{title} did not stop in time and was abandoned; the workspace is as before")
        else:
            self._show_error(error)

    def _show_error(self, error: Exception) -> None:
        self._view.show_message(user_message(error), error=True)
        self._view.notify(user_message(error))


class QuickJobs:
    """Runs the newest of many quick tasks, one at a time; those that wait are dropped when another one comes.

    Parameters are those of :class:`LongJobs`.
    """

    def __init__(self, executor: Executor, deliver: Deliver, view: ExploreView) -> None:
        self._jobs: Jobs[Call] = Jobs(executor, deliver)
        self._view = view

    def run(self, task: WorkspaceTask[R, T], done: Callable[[T], object]) -> None:
        """Run a task; ``done`` gets what it gives, in the window's thread."""

        def finish(result: R) -> None:
            try:
                done(task.finish(result))
            except InputError as error:
                self._failed(error)

        self._jobs.submit(Call(lambda report: task.work(report, self._jobs.deliver), finish, self._failed))

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, (Cancelled, ShutDownError)):
            self._view.show_message(user_message(error), error=True)
