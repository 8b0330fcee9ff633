"""Requests to engines: strokes become jobs, their previews are shown, and their results are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from numpy.typing import NDArray

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.engine_cache import MISSING, EngineCache, PackedResult
from napari_scribseg.annotate.events import Doing, Restored, SessionEvents, Update, failure
from napari_scribseg.annotate.propagate import NothingToPropagateError, Propagation, propagate_seeds, slices_between
from napari_scribseg.annotate.rules import present_ids
from napari_scribseg.annotate.segment import Seeder, SegmentJob, SegmentOutcome, SliceResult
from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.executor import Deliver
from napari_scribseg.kernel.jobs import Jobs
from napari_scribseg.kernel.patches import Region

__all__ = ["Segmenter"]


def _ignore() -> None:
    pass


class Segmenter:
    """Segments slices of a document by their strokes, one request at a time; the newest wins.

    Strokes whose request was replaced by a newer one are segmented when nothing else is requested. All methods belong
    to the owner's thread.

    Parameters
    ----------
    document : Document
        Results are written into it.
    events : SessionEvents
        Emitted here.
    cache : EngineCache
        What engines computed.
    executor, deliver
        As of :class:`~napari_scribseg.kernel.Jobs`.

    Attributes
    ----------
    jobs : Jobs
        Where engines run.
    idle : callable
        Called when no request is left.
    """

    def __init__(
        self,
        document: Document,
        events: SessionEvents,
        cache: EngineCache,
        executor: Executor | None,
        deliver: Deliver | None,
    ) -> None:
        self._document, self._events, self._cache = document, events, cache
        self._missing: dict[SliceIndex, SessionStep] = {}  # strokes without a result, the next one last
        self._generation = 0
        self.idle: Callable[[], object] = _ignore
        self.jobs: Jobs[SegmentJob] = Jobs(executor, deliver, idle=self._request_missing)
        self.jobs.busy.connect(events.busy.emit)

    # requests

    def request(
        self,
        slice_index: SliceIndex,
        painted: NDArray[Any],
        owner: SessionStep | Propagation | None,
        seeder: Seeder | None = None,
        *,
        again: bool = False,
    ) -> Future[Any]:
        """Let the engine in use segment a slice by strokes; replaces all earlier requests.

        Parameters
        ----------
        slice_index : SliceIndex
        painted : ndarray of shape (H, W), unsigned integer
            The strokes.
        owner : SessionStep, Propagation or None
            What the result belongs to; None while the pen is still down: the result is only shown.
        seeder : callable, optional
            ``seeder(image)`` makes strokes, in the worker.
        again : bool
            Whether it repeats an earlier request.

        Returns
        -------
        Future
            Of the final :class:`Update`.
        """
        self._generation += 1
        document = self._document
        job = SegmentJob(
            document.source, slice_index, document.engine, document.device, painted, document.classes.background,
            owner, owner is None, seeder, again, self._generation, on_progress=self._post_progress,
            on_preview=self._post_preview, start=self._fill, finish=self._finish, replaced=self._superseded,
        )  # fmt: skip
        self._missing.pop(slice_index, None)
        self._hide(except_on=slice_index)
        self.jobs.submit(job)
        return job.future

    def request_later(self, step: SessionStep, slices: Sequence[SliceIndex]) -> None:
        """Segment the strokes of a step on further slices, in this order, when nothing else is requested."""
        for slice_index in reversed(slices):
            self._missing.pop(slice_index, None)
            self._missing[slice_index] = step

    def request_missing(self, slices: Iterable[SliceIndex] = ()) -> None:
        """Request again the newest strokes of slices whose job was replaced."""
        history = self._document.history
        for slice_index in slices:
            step = history.newest(slice_index)
            if step is not None and slice_index in step.waiting:
                self._missing[slice_index] = step
        self.jobs.submit()

    def _request_missing(self) -> None:
        document = self._document
        while self._missing:
            slice_index, step = self._missing.popitem()
            if (
                slice_index in step.waiting
                and document.history.newest(slice_index) is step
                and slice_index not in document.annotation.accepted
            ):
                painted = document.annotation.strokes.get(slice_index)
                if not document.lacking(slice_index, present_ids(painted)):
                    self.request(slice_index, painted, step, again=True)
                    return
                self.resolve(step, slice_index)
        if self.jobs.pending is None:
            self.idle()

    def resolve(self, step: SessionStep, slice_index: SliceIndex) -> None:
        """Note that no result will come for the strokes of a step on a slice."""
        step.waiting.discard(slice_index)
        self._document.history.discard(step)

    # stopping

    def overtake(self) -> None:
        """Let the live job that runs end with its next preview: the pen has moved on."""
        running = self.jobs.running
        if running is not None and running.live:
            running.overtaken.set()

    def stop(self, slice_index: SliceIndex) -> None:
        """Stop work on a slice for good, because something newer is written there."""
        if self.works_on(slice_index):
            self.jobs.cancel()
        self._missing.pop(slice_index, None)
        self._hide()

    def interrupt(self) -> None:
        """Stop all work; what is still wanted is requested again by :meth:`request_missing`."""
        self.jobs.cancel()
        self._hide()

    def cancel(self) -> None:
        """Stop all work for good; jobs that do not end are abandoned after a while."""
        for job in (self.jobs.running, self.jobs.pending):
            if job is not None and isinstance(job.owner, SessionStep):
                job.owner.waiting.clear()
        for step in self._missing.values():
            step.waiting.clear()
        self._missing.clear()
        self.interrupt()
        self.jobs.abandon_late(self._hint_abandoned)

    def _hint_abandoned(self) -> None:
        self._events.hint.emit("the engine did not stop in time and was abandoned; new strokes do not wait for it")

    # what is being computed

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or waits."""
        return self.jobs.running is not None

    @property
    def doing(self) -> Doing | None:
        """What the job that runs is for."""
        running = self.jobs.running
        if running is None:
            return None
        following = self.jobs.pending is not None or bool(self._missing)
        stopped = running.stop.is_set() and not following
        if isinstance(running.owner, Propagation):
            return Doing("propagation", running.slice_index, *running.owner.progress, stopped=stopped)
        return Doing("result", running.slice_index, refined=running.seen is not None, stopped=stopped)

    @property
    def has_preview(self) -> bool:
        """Whether the running job has shown a preview."""
        running = self.jobs.running
        return running is not None and running.seen is not None

    def works_on(self, slice_index: SliceIndex) -> bool:
        """Whether a job for a slice that still counts runs or waits."""
        jobs = (self.jobs.running, self.jobs.pending)
        return any(job is not None and job.slice_index == slice_index and not job.stop.is_set() for job in jobs)

    # while a job runs

    def _fill(self, job: SegmentJob) -> None:
        """Give a job what is cached by the time it starts."""
        job.image = self._cache.image(job.slice_index)
        job.prepared = self._cache.prepared(job.slice_index, job.engine, job.device)
        if job.prepared is not MISSING:
            job.warm = self._cache.warm(job.slice_index, job.engine, job.device)
        if not isinstance(job.owner, Propagation):
            job.prior = self._document.prior(job.slice_index)
            job.drift = self._document.drift(job.slice_index)

    def _post_progress(self, job: SegmentJob, fraction: float) -> None:
        self.jobs.deliver(partial(self._on_progress, job, fraction))

    def _post_preview(self, job: SegmentJob, preview: SliceResult) -> None:
        self.jobs.deliver(partial(self._on_preview, job, preview))

    def _on_progress(self, job: SegmentJob, fraction: float) -> None:
        if not job.stop.is_set():
            owner = job.owner
            self._events.progress.emit(owner.fraction(fraction) if isinstance(owner, Propagation) else fraction)

    def _on_preview(self, job: SegmentJob, preview: SliceResult) -> None:
        if not (job.stop.is_set() or job.future.done() or job.slice_index in self._document.annotation.accepted):
            self._show(job, preview)

    def _show(self, job: SegmentJob, preview: SliceResult) -> Update:
        annotation = self._document.annotation
        array = annotation.labels
        region = annotation.show(job.slice_index, self._document.combined(job, preview))
        update = self._update(job, preview, region, final=False)
        self._emit_updated(update, array)
        job.seen = preview, update
        return update

    # when a job has ended

    def _finish(self, job: SegmentJob, outcome: SegmentOutcome | None, error: Exception | None) -> None:
        outcome = SegmentOutcome(error=error) if outcome is None else outcome
        if outcome.image is not None:
            self._cache.put_image(job.slice_index, outcome.image)
        if outcome.prepared is not MISSING:
            self._cache.put_prepared(job.slice_index, job.engine, job.device, outcome.prepared)
        result, owner = outcome.result, job.owner
        if job.stop.is_set():
            job.drop()
            self._superseded(job)
        elif outcome.error is not None:
            self._fail(job, outcome.error)
        elif result is None:
            return
        elif owner is None:
            seen, update = job.seen or (None, None)
            job.future.set_result(update if seen is result else self._show(job, result))
        else:
            array, propagated = self._document.annotation.labels, isinstance(owner, Propagation)
            step = owner.step if isinstance(owner, Propagation) else owner
            step, entry, region = self._document.write_result(job, outcome, result, step, propagated=propagated)
            update = self._update(job, result, region, final=True)
            self._cache.put_warm(job.slice_index, job.engine, job.device, result.segmentation.state)
            self._cache.put_result(entry, update, outcome.packed)
            job.future.set_result(update)
            self._emit_updated(update, array)
            if isinstance(owner, Propagation):
                owner.step = step
                self._propagated(owner, update)

    def _fail(self, job: SegmentJob, error: Exception) -> None:
        owner = job.owner
        if isinstance(owner, SessionStep):
            self.resolve(owner, job.slice_index)
        self._hide()
        job.future.set_exception(error)
        if isinstance(owner, Propagation):
            if isinstance(error, NothingToPropagateError):
                self._end(owner, f"stopped before {self._document.source.where(job.slice_index)}: {error}")
                return
            self._document.history.discard(owner.step)
            if not isinstance(error, InputError):
                where = self._document.source.where(job.slice_index)
                error = failure(f"propagation to {where} by {job.engine.info.title}", error)
            if not owner.future.done():
                owner.future.set_exception(error)
        self._events.failed.emit(job.slice_index, error)

    def _superseded(self, job: SegmentJob) -> None:
        """A job ended without a result; its slice is requested again later, if its strokes are still wanted."""
        step, history = job.owner, self._document.history
        if isinstance(step, Propagation):
            self._stop_propagation(step)
        elif job.stop.unwanted:
            self._hide()
            if step is not None:
                self.resolve(step, job.slice_index)
        if not isinstance(step, SessionStep) or job.slice_index not in step.waiting:
            return
        if history.newest(job.slice_index) is step:
            self._missing[job.slice_index] = step
        history.discard(step)

    def _update(self, job: SegmentJob, result: SliceResult, region: Region, *, final: bool) -> Update:
        labels, made = self._document.annotation.view(job.slice_index).copy(), result.segmentation
        return Update(
            job.slice_index, labels, region, made.probabilities, result.ids, final, made.notes, job.generation,
            made.curve, job.seconds if final else 0.0,
        )  # fmt: skip

    def _emit_updated(self, update: Update, former: NDArray[Any]) -> None:
        if self._document.annotation.labels is not former:
            self._events.changed.emit()
        self._events.updated.emit(update)

    def _hide(self, except_on: SliceIndex | None = None) -> None:
        """Remove a preview that no result will replace."""
        annotation = self._document.annotation
        if annotation.previewed in (None, except_on):
            return
        slice_index = annotation.hide()
        if slice_index is not None:
            self._events.restored.emit(Restored(slice_index, None, annotation.view(slice_index).copy()))

    # propagation

    def propagate(self, start: SliceIndex, stop: SliceIndex) -> Future[Any]:
        """Propagate the labels of a slice; see :meth:`Session.propagate`."""
        document = self._document
        slices, distance = slices_between(document.source, start, stop)
        labels, where = document.annotation.committed(start), document.source.where(start)
        if not labels.any():
            raise InputError(f"there are no labels on {where}; segment it before they are propagated")
        if document.classes.background is None and not labels.all():
            raise InputError(f"parts of {where} have no label; mark one class as the background to propagate it")
        run = Propagation(slices, distance, document.history.begin([]))
        run.future.add_done_callback(lambda future: self._cancel_job_of(run) if future.cancelled() else None)
        self._propagate(run)
        return run.future

    def _propagate(self, run: Propagation) -> None:
        """Request the next slice of a propagation."""
        document, slices = self._document, run.next_slices
        if slices is None:
            self._end(run)
            return
        before, slice_index = slices
        if slice_index in document.annotation.accepted:
            self._end(run, f"stopped before {document.source.where(slice_index)}, which is accepted")
            return
        own, labels = document.annotation.strokes.get(slice_index), document.annotation.committed(before)
        source, background, cached = document.source, document.classes.background, self._cache.image(before)

        def seeder(image: Image) -> NDArray[Any]:
            former = source.image(before) if cached is None else cached
            return propagate_seeds(labels, former, image, own, background=background, distance=run.distance)

        self.request(slice_index, own, run, seeder)

    def _propagated(self, run: Propagation, update: Update) -> None:
        """A slice of a propagation was written."""
        run.written.append(update.slice_index)
        if self.jobs.pending is not None:
            self._stop_propagation(run)
        else:
            self._propagate(run)

    def _stop_propagation(self, run: Propagation) -> None:
        """Something newer was requested."""
        self._document.history.discard(run.step)
        run.future.cancel()

    def _end(self, run: Propagation, why: str = "") -> None:
        self._document.history.discard(run.step)
        if why:
            self._events.hint.emit(why)
        if not run.future.done():
            run.future.set_result(tuple(run.written))

    def _cancel_job_of(self, run: Propagation) -> None:
        running = self.jobs.running
        if running is not None and running.owner is run:
            running.stop.set()

    def packed(self, slice_index: SliceIndex) -> PackedResult | None:
        """The result that a slice shows, packed, if it is cached."""
        entry = self._document.history.newest_entry(slice_index)
        return None if entry is None or entry.kind != "run" else self._cache.packed(entry)

    def result(self, slice_index: SliceIndex) -> Update | None:
        """The result that a slice shows, if it is cached; the probabilities of an older one are rounded."""
        entry = self._document.history.newest_entry(slice_index)
        if entry is None or entry.kind != "run":
            return None
        return self._cache.result(entry, self._document.annotation.peek(slice_index).copy())
