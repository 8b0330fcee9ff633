"""Jobs of an owner thread: one in flight, the newest wins, results delivered to the owner, hanging ones abandoned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from psygnal import Signal

from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import Cancelled, InputError
from napari_scribseg.kernel.executor import Deliver, InlineExecutor, Worker

__all__ = ["AbandonedError", "Call", "CancelToken", "Job", "Jobs", "ShutDownError", "as_exception"]

PATIENCE = 10.0  # seconds that a cancelled job has to end before it is abandoned


class AbandonedError(RuntimeError):
    """A job did not end after it was cancelled, and was abandoned."""


class ShutDownError(RuntimeError):
    """The executor takes no more jobs."""


class CancelToken(threading.Event):
    """Is set when a job shall stop. It refers to no job, so that future and job do not keep each other alive.

    Attributes
    ----------
    unwanted : bool
        Whether whoever holds the future cancelled it: nobody wants the result then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unwanted = False

    def future_done(self, future: Future[Any]) -> None:
        """Stop if the future was cancelled; from any thread."""
        if future.cancelled() and not self.is_set():
            self.unwanted = True
            self.set()

    def check(self) -> None:
        """Raise :class:`~napari_scribseg.core.Cancelled` if the job shall stop; from any thread."""
        if self.is_set():
            raise Cancelled


@dataclass(eq=False, kw_only=True)
class Job:
    """One piece of work for the worker; a subclass defines :meth:`run`.

    Attributes
    ----------
    finish : callable
        ``finish(job, result, error)``, called in the owner's thread when the job has ended; one of result and error is
        None.
    start : callable, optional
        ``start(job)``, called in the owner's thread just before the job runs: gives it what it needs.
    replaced : callable, optional
        ``replaced(job)``, called in the owner's thread where the job is dropped before it started.
    name : str
        What runs, as the subject of an error message.
    future : Future
        For whoever requested the job; cancelling it stops the job. ``finish`` resolves it.
    stop : CancelToken
        Set when the job shall stop.
    """

    finish: Callable[[Any, Any, Exception | None], object]
    start: Callable[[Any], object] | None = None
    replaced: Callable[[Any], object] | None = None
    name: str = "the job"
    future: Future[Any] = field(default_factory=Future, init=False)
    stop: CancelToken = field(default_factory=CancelToken, init=False)

    def __post_init__(self) -> None:
        self.future.add_done_callback(self.stop.future_done)

    def run(self) -> Any:
        """Do the work; in the worker's thread. May raise anything."""
        raise NotImplementedError

    def drop(self) -> None:
        """Cancel the job and its future."""
        self.stop.set()
        self.future.cancel()


class Call(Job):
    """A job that is made of functions.

    Parameters
    ----------
    work : callable
        ``work(report)``, called in the worker. ``report(fraction)`` raises
        :class:`~napari_scribseg.core.Cancelled` once the job shall stop.
    done : callable, optional
        Gets what ``work`` returned, in the owner's thread; also after a cancel, where the work had ended before it.
    failed : callable, optional
        Gets the error, in the owner's thread: Cancelled, :class:`AbandonedError`, or what the work raised.
    progress : callable, optional
        Gets fractions from 0 to 1, in any thread.
    name : str
        What runs, as the subject of an error message.
    """

    def __init__(
        self,
        work: Callable[[Report], Any],
        done: Callable[[Any], object] | None = None,
        failed: Callable[[Exception], object] | None = None,
        *,
        progress: Callable[[float], object] | None = None,
        name: str = "the job",
    ) -> None:
        super().__init__(finish=Call._end, name=name)
        self._work, self._done, self._failed, self._progress = work, done, failed, progress

    def run(self) -> Any:
        """Call ``work``."""
        return self._work(self._report)

    def _report(self, fraction: float, preview: Any = None) -> None:
        self.stop.check()
        if self._progress is not None:
            self._progress(fraction)

    def _end(self, result: Any, error: Exception | None) -> None:
        if error is not None:
            if not self.future.done():
                self.future.set_exception(error)
            if self._failed is not None:
                self._failed(error)
            return
        if self._done is not None:
            self._done(result)
        if not self.future.done():
            self.future.set_result(result)


J = TypeVar("J", bound=Job)


class Jobs(Generic[J]):
    """Runs the jobs of one owner.

    All methods belong to the owner's thread, and so do the methods of a job but :meth:`Job.run`. Where jobs run in
    threads, ``deliver`` brings their results back, so no lock is needed anywhere.

    Parameters
    ----------
    executor : Executor, optional
        Where jobs run: in the calling thread by default. It is replaced by a :class:`Worker` where a job hangs in an
        executor of another kind.
    deliver : callable, optional
        ``deliver(fn)`` calls ``fn`` in the owner's thread; :class:`Inbox` has one. Needed for an executor with threads.
    idle : callable, optional
        Called when no job is left to run; may submit one.

    Attributes
    ----------
    busy : Signal(bool)
        True when submitted jobs begin to run, False when none is left.
    deliver : callable
        As given; from any thread.
    running, pending : Job or None
        Of the submitted jobs, the one that runs and the one that waits.

    Raises
    ------
    InputError
        If an executor with threads is given without ``deliver``.
    """

    busy = Signal(bool)

    def __init__(
        self,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        *,
        idle: Callable[[], object] | None = None,
    ) -> None:
        if executor is not None and deliver is None and not isinstance(executor, InlineExecutor):
            raise InputError("an executor was given without deliver; a function that calls in your thread is needed")
        self._executor = executor or InlineExecutor()
        self.deliver: Deliver = deliver or _call
        self._idle = idle
        self._open: dict[Job, Future[Any] | None] = {}  # the jobs that have not ended, each with the executor's future
        self._timers: dict[Job, threading.Timer] = {}
        self._was_busy = self._draining = False
        self.running: J | None = None
        self.pending: J | None = None

    @property
    def is_inline(self) -> bool:
        """Whether jobs run at once, in the owner's thread."""
        return isinstance(self._executor, InlineExecutor)

    def submit(self, job: J | None = None) -> None:
        """Start a job, or let it wait for the one that runs, which is stopped; it replaces one that waits.

        Without a job, start what waits, or else call ``idle``.
        """
        if job is not None:
            if self.running is not None:
                self.running.stop.set()
            former, self.pending = self.pending, job
            self._drop(former)
        if self._draining:
            return
        self._draining = True
        raised: BaseException | None = None
        try:
            while self.running is None:  # a loop, not a recursion, where jobs run inline
                if self.pending is None and self._idle is not None:
                    self._idle()
                job, self.pending = self.pending, None
                if job is None:
                    break
                self.running = job
                if not self._was_busy:
                    self._was_busy = True
                    self.busy.emit(True)
                if job.start is not None:
                    job.start(job)
                self._open[job] = None
                try:
                    future = self._executor.submit(self._work, job)
                except RuntimeError as error:
                    self._finish(job, None, ShutDownError(str(error)))
                    continue
                raised = raised or self._submitted(job, future)
        finally:
            self._draining = False
            if self.running is None and self._was_busy:
                self._was_busy = False
                self.busy.emit(False)
        if raised is not None:
            raise raised

    def queue(self, job: Job) -> None:
        """Run a job after all that was given to the executor before; no other job replaces it.

        Raises
        ------
        ShutDownError
            If the executor was shut down.
        """
        if job.start is not None:
            job.start(job)
        self._open[job] = None
        try:
            future = self._executor.submit(self._work, job)
        except RuntimeError as error:
            del self._open[job]
            raise ShutDownError(str(error)) from error
        raised = self._submitted(job, future)
        if raised is not None:
            raise raised

    def cancel(self) -> None:
        """Stop the running job, and drop the one that waits."""
        if self.running is not None:
            self.running.drop()
        former, self.pending = self.pending, None
        self._drop(former)

    def abandon_late(self, abandoned: Callable[[], object]) -> None:
        """Abandon those of the present jobs that do not end within :data:`PATIENCE`; ``abandoned`` is called then."""

        def late(job: Job) -> None:
            if self._abandon(job):
                abandoned()

        for job in self._open:
            if job not in self._timers:
                timer = self._timers[job] = threading.Timer(PATIENCE, self.deliver, [partial(late, job)])
                timer.daemon = True
                timer.start()

    def _drop(self, job: Job | None) -> None:
        """Drop a job that has not started."""
        if job is not None:
            job.drop()
            if job.replaced is not None:
                job.replaced(job)

    def _submitted(self, job: Job, future: Future[Any]) -> BaseException | None:
        """Note the executor's future of a job; returns what an inline one raised: an interrupt, or of ``finish``."""
        if job in self._open:
            self._open[job] = future
        return future.exception() if self.is_inline else None

    def _work(self, job: Job) -> None:
        """Run a job; in the worker's thread."""
        result, error = None, None
        try:
            result = job.run()
        except BaseException as caught:  # noqa: BLE001  whatever it is, the owner needs the end of the job
            error = caught
        if job in self._open:  # nobody waits for one that was abandoned
            self.deliver(partial(self._finish, job, result, error))
        if isinstance(error, KeyboardInterrupt):
            raise error

    def _finish(self, job: Job, result: Any, error: BaseException | None) -> None:
        """Call a job's ``finish``, unless it was abandoned before."""
        if job not in self._open:
            return
        del self._open[job]
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()
        try:
            job.finish(job, result, None if error is None else as_exception(error, job.name))
        finally:
            if self.running is job:
                self.running = None
                self.submit()

    def _abandon(self, job: Job) -> bool:
        """Continue without a job. Returns whether it ran; False if it has ended, or had not begun."""
        if job not in self._open:
            return False
        future = self._open[job]
        begun = future is not None and not future.cancel()
        if future is not None and begun and isinstance(self._executor, Worker):
            self._executor.abandon(future)
        elif begun:
            self._executor = Worker()
            for other, waiting in self._open.items():
                if waiting is not None and waiting.cancel():
                    self._open[other] = self._executor.submit(self._work, other)
        self._finish(job, None, AbandonedError("it did not end, and was abandoned"))
        return begun


def as_exception(error: BaseException, name: str) -> Exception:
    """The error itself, or a RuntimeError in place of one that would end the program, such as SystemExit."""
    if isinstance(error, Exception):
        return error
    made = RuntimeError(f"{name} raised {type(error).__name__}{f': {error}' if str(error) else ''}")
    made.__cause__ = error
    return made


def _call(function: Callable[[], None]) -> None:
    function()
