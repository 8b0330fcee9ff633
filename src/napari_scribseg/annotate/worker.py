"""One job in flight, the latest wins: the only file of the session that other threads run through."""

from __future__ import annotations

import queue
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.answers import Packed
from napari_scribseg.annotate.cache import MISSING
from napari_scribseg.annotate.executor import Calls, ShutDownError, as_exception
from napari_scribseg.annotate.rules import check_segmentation, to_label_ids
from napari_scribseg.core.capabilities import SeesNeighbours
from napari_scribseg.core.engine import Engine, Segmentation
from napari_scribseg.core.errors import Cancelled
from napari_scribseg.core.image import Image
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.prior import segment_with_prior

__all__ = [
    "Answer",
    "Inbox",
    "Job",
    "Outcome",
    "Scheduler",
    "Seeder",
    "checksum",
    "prepare",
    "run_job",
]

_REST = 0.3  # seconds that a pen rests before more than a preview is computed

Seeder = Callable[[Image], NDArray[Any]]


class Inbox:
    """Calls posted from any thread, run in the owner's: what a program without an event loop delivers to.

    Examples
    --------
    >>> from napari_scribseg.annotate import Worker
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
        """Run what has been posted; in the owner's thread. Returns how many calls that were."""
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


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What an engine said, checked and turned into label ids of shape (H, W)."""

    segmentation: Segmentation[Any]
    labels: NDArray[Any]
    ids: tuple[int, ...]


class StopSign(threading.Event):
    """Set when a job shall stop; knows nothing of the job, so that future and job do not keep each other alive.

    Attributes
    ----------
    unwanted : bool
        Whether it was set because the holder of the future cancelled it: then nobody wants the result.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unwanted = False

    def future_done(self, future: Future[Any]) -> None:
        """Stop if the future was cancelled; from any thread."""
        if future.cancelled() and not self.is_set():
            self.unwanted = True
            self.set()


@dataclass(slots=True, eq=False)
class Job:
    """One request; filled in the owner's thread, then read only by the worker.

    Attributes
    ----------
    live : bool
        The pen is still down: the answer is only shown.
    prior : ndarray of shape (H, W), int32, or None
        The labels that the strokes correct, -1 where unknown.
    overtaken : Event
        Set while the job runs when the pen has moved on: a preview is then all of its answer, so that the next begins.
    seen : tuple of Answer and Update, or None
        The preview that was shown last; belongs to the owner's thread.
    call : Future or None
        Of the call in the worker, once it has begun or waits there.
    """

    slice_index: SliceIndex
    generation: int
    engine: Engine[Any]
    device: str
    painted: NDArray[Any]
    background: int | None
    live: bool = False
    again: bool = False
    seeder: Seeder | None = None
    owner: Any = None
    prior: NDArray[np.int32] | None = None
    image: Image | None = None
    prepared: Any = MISSING
    warm: Any = MISSING
    overtaken: threading.Event = field(default_factory=threading.Event)
    seen: Any = None
    future: Future[Any] = field(default_factory=Future)
    stop: StopSign = field(default_factory=StopSign)
    call: Future[Any] | None = None

    def __post_init__(self) -> None:
        self.future.add_done_callback(self.stop.future_done)

    def drop(self) -> None:
        """Cancel the job and its future."""
        self.stop.set()
        self.future.cancel()


@dataclass(slots=True, eq=False)
class Outcome:
    """What came of a job; each field is filled as far as the job got."""

    image: Image | None = None
    checksum: int = 0
    prepared: Any = MISSING
    painted: NDArray[Any] | None = None
    answer: Answer | None = None
    packed: Packed | None = None
    error: Exception | None = None


def checksum(image: Image) -> int:
    """CRC-32 of an image's values: tells whether a replay sees the same voxels."""
    return zlib.crc32(np.ascontiguousarray(image.data).data.cast("B"))


def prepare(engine: Engine[Any], image: Image, volume: Source, slice_index: SliceIndex, device: str) -> Any:
    """An engine's state for a slice; one that sees several slices at once is given those around it."""
    slices = engine.slices if isinstance(engine, SeesNeighbours) else 1
    return engine.prepare(image if slices == 1 else volume.around(slice_index, slices), device)


def run_job(
    job: Job,
    volume: Source,
    progress: Callable[[float], None],
    show: Callable[[Answer], None],
) -> Outcome:
    """Read, prepare, segment; in the worker. An Exception is part of the outcome; what is more than that is raised."""
    outcome = Outcome(image=job.image, prepared=job.prepared)
    name = job.engine.info.name

    def pause() -> None:
        if job.stop.is_set():
            raise Cancelled

    try:
        pause()
        image = outcome.image = job.image or volume.image(job.slice_index)
        outcome.checksum = checksum(image)
        pause()
        if job.prepared is MISSING:
            outcome.prepared = prepare(job.engine, image, volume, job.slice_index, job.device)
            pause()
        painted = outcome.painted = job.painted if job.seeder is None else job.seeder(image)
        scribbles = Scribbles.from_labels(painted, background=job.background, prior=job.prior)
        if job.engine.info.min_classes == 1:
            scribbles = scribbles.with_rest()
        shown, seen = -1.0, None

        def report(fraction: float, preview: Segmentation[object] | None = None) -> None:
            nonlocal shown, seen
            pause()
            if preview is not None and job.seeder is None:
                seen = _answer(preview, scribbles, name)
                show(seen)
                if job.live:
                    job.overtaken.wait(_REST)
            if seen is not None and job.overtaken.is_set():
                outcome.answer = seen
                raise Cancelled
            if fraction - shown >= 0.01:
                shown = float(fraction)
                progress(min(max(shown, 0.0), 1.0))

        state = outcome.prepared if job.warm is MISSING else job.warm
        answer = segment_with_prior(job.engine, image, scribbles, state, report)
        outcome.answer = _answer(answer, scribbles, name)
        if not job.live:
            outcome.packed = Packed.of(outcome.answer.segmentation, scribbles.ids)
    except Cancelled as error:
        if job.stop.is_set() or outcome.answer is None:
            outcome.error = error if job.stop.is_set() else RuntimeError(f"the engine {name!r} stopped unasked")
    except Exception as error:  # noqa: BLE001  an engine, or a lazy array, may raise anything; it is shown to the user
        outcome.error = error
    return outcome


def _answer(segmentation: object, scribbles: Scribbles, engine: str) -> Answer:
    checked = check_segmentation(segmentation, scribbles, engine)
    return Answer(checked, to_label_ids(checked, scribbles), scribbles.ids)


class Scheduler:
    """Runs jobs one at a time; of those that wait, only the newest is kept.

    All methods belong to the owner's thread; the callbacks are called there.

    Parameters
    ----------
    calls : Calls
        Where jobs run.
    work : callable
        ``work(job) -> Outcome``, called in the worker.
    fill : callable
        ``fill(job)``, called just before a job starts: gives it what the cache holds by then.
    done : callable
        ``done(job, outcome)``, for every job that started.
    dropped : callable
        ``dropped(job)``, for a job that a newer one pushed out before it started.
    idle : callable
        Called when nothing is left; may submit, and returns whether it did.
    busy : callable
        ``busy(True)`` when work begins, ``busy(False)`` when nothing is left.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        work: Callable[[Job], Outcome],
        fill: Callable[[Job], None],
        done: Callable[[Job, Outcome], None],
        dropped: Callable[[Job], None],
        idle: Callable[[], bool],
        busy: Callable[[bool], None],
    ) -> None:
        self._calls = calls
        self._work, self._fill, self._done = work, fill, done
        self._dropped, self._idle, self._busy = dropped, idle, busy
        self._was_busy = False
        self._draining = False
        self.running: Job | None = None
        self.pending: Job | None = None

    def submit(self, job: Job) -> None:
        """Start a job, or let it wait for the running one, which is told to stop."""
        if self.running is None:
            self._start(job)
            return
        self.running.stop.set()
        former, self.pending = self.pending, job
        if former is not None:
            former.drop()
            self._dropped(former)

    def cancel(self) -> None:
        """Tell the running job to stop, and drop the one that waits."""
        if self.running is not None:
            self.running.drop()
        if self.pending is not None:
            former, self.pending = self.pending, None
            former.drop()
            self._dropped(former)

    def _start(self, job: Job) -> None:
        self.running = job
        if not self._was_busy:
            self._was_busy = True
            self._busy(True)
        self._fill(job)
        try:
            job.call = self._calls.start(lambda: self._work(job), lambda call: self._landed(job, call))
        except ShutDownError as error:
            self._finish(job, Outcome(error=error))

    def _landed(self, job: Job, call: Future[Any]) -> None:
        error = call.exception()
        failed = Outcome(error=None if error is None else as_exception(error, f"the engine {job.engine.info.name!r}"))
        self._finish(job, call.result() if error is None else failed)

    def _finish(self, job: Job, outcome: Outcome) -> None:
        try:
            self._done(job, outcome)
        finally:
            self.running = None
            self.drain()

    def drain(self) -> None:
        """Start what waits; a loop, not a recursion, where jobs run inline."""
        if self._draining:
            return
        self._draining = True
        try:
            while self.running is None:
                following, self.pending = self.pending, None
                if following is not None:
                    self._start(following)
                elif not self._idle():
                    break
        finally:
            self._draining = False
        if self.running is None and self._was_busy:
            self._was_busy = False
            self._busy(False)
