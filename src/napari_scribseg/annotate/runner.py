"""Between a session and the worker: jobs out, results in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.answers import Packed
from napari_scribseg.annotate.cache import MISSING, Lru
from napari_scribseg.annotate.events import Doing, Region, Restored, Update
from napari_scribseg.annotate.executor import Calls, Deliver, InlineExecutor, as_exception
from napari_scribseg.annotate.history import ArrayChange, Step, pack
from napari_scribseg.annotate.journal import Patch, Recipe
from napari_scribseg.annotate.propagate import Propagation
from napari_scribseg.annotate.rules import combine, suffice
from napari_scribseg.annotate.state import State, engine_key
from napari_scribseg.annotate.worker import Answer, Job, Outcome, Scheduler, Seeder, run_job
from napari_scribseg.core.image import Image
from napari_scribseg.core.source import SliceIndex

if TYPE_CHECKING:
    from napari_scribseg.annotate.session import Session

__all__ = ["Runner"]


def _inline(call: Callable[[], None]) -> None:
    call()


class Runner:
    """Sends jobs to the worker, remembers engine states, and writes results; everything in the owner's thread.

    Attributes
    ----------
    cache : Lru
        Images, engine states and last results of slices, as far as memory allows.
    """

    def __init__(
        self,
        session: Session,
        state: State,
        executor: Executor | None,
        deliver: Deliver | None,
        state_bytes: int,
    ) -> None:
        self._session = session
        self._state = state
        self._canvas = state.canvas
        self._history = state.history
        self._deliver = deliver or _inline
        self.cache = Lru(state_bytes)
        self._answers = Lru(state_bytes)  # by the journal entry that they made
        self._unanswered: dict[SliceIndex, Step] = {}
        self._generation = 0
        self._calls = Calls(executor or InlineExecutor(), self._deliver)
        self._scheduler = Scheduler(
            self._calls,
            work=self._work,
            fill=self._fill,
            done=self._done,
            dropped=self._superseded,
            idle=self._idle,
            busy=session.busy.emit,
        )

    # requests

    def ask(
        self,
        slice_index: SliceIndex,
        painted: NDArray[Any],
        owner: Step | Propagation | None,
        seeder: Seeder | None = None,
        *,
        again: bool = False,
    ) -> Future[Any]:
        """Let the engine in use answer strokes; this wins over all that was asked before.

        The result goes into the step or the propagation that owns it; without an owner it is only shown. ``again``:
        the user asked before, not now.
        """
        self._generation += 1
        state = self._state
        job = Job(
            slice_index, self._generation, state.engine, state.device, painted, state.classes.background,
            live=owner is None, again=again, seeder=seeder, owner=owner,
        )  # fmt: skip
        self._unanswered.pop(slice_index, None)
        self._hide(except_on=slice_index)
        self._scheduler.submit(job)
        return job.future

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._scheduler.running is not None

    @property
    def doing(self) -> Doing | None:
        """What the job that runs is for."""
        running = self._scheduler.running
        if running is None:
            return None
        following = self._scheduler.pending is not None or bool(self._unanswered)
        stopped = running.stop.is_set() and not following
        if isinstance(running.owner, Propagation):
            return Doing("propagation", running.slice_index, *running.owner.progress, stopped=stopped)
        return Doing("answer", running.slice_index, refined=running.seen is not None, stopped=stopped)

    @property
    def has_preview(self) -> bool:
        """Whether the running job has shown a first answer."""
        running = self._scheduler.running
        return running is not None and running.seen is not None

    def works_on(self, slice_index: SliceIndex) -> bool:
        """Whether a job for ``slice_index`` that still counts runs or waits."""
        jobs = (self._scheduler.running, self._scheduler.pending)
        return any(job is not None and job.slice_index == slice_index and not job.stop.is_set() for job in jobs)

    def overtake(self) -> None:
        """The pen has moved on: let the live job that runs end with its next preview."""
        running = self._scheduler.running
        if running is not None and running.live:
            running.overtaken.set()

    @property
    def has_newer(self) -> bool:
        """Whether a request waits for the running one to end."""
        return self._scheduler.pending is not None

    def cancel_of(self, owner: Propagation) -> None:
        """Stop the running job if it belongs to ``owner``."""
        running = self._scheduler.running
        if running is not None and running.owner is owner:
            running.stop.set()

    @property
    def is_inline(self) -> bool:
        """Whether work is done at once, in the owner's thread."""
        return self._calls.is_inline

    def in_background(
        self, work: Callable[[], Any], done: Callable[[Any], object], failed: Callable[[Exception], object]
    ) -> None:
        """Call ``work`` in the worker, then in the owner's thread ``done`` with what it returned, or ``failed``.

        Raises ShutDownError if the executor was shut down.
        """

        def landed(call: Future[Any]) -> None:
            error = call.exception()
            if error is None:
                done(call.result())
            else:
                failed(as_exception(error, f"the engine {engine!r}"))

        engine = self._state.engine.info.name
        self._calls.start(work, landed)

    def refuse(self, slice_index: SliceIndex, error: Exception) -> Future[Any]:
        """Tell of a request that cannot be met; returns its future."""
        future: Future[Any] = Future()
        future.set_exception(error)
        self._session.failed.emit(slice_index, error)
        return future

    def resolve(self, step: Step, slice_index: SliceIndex) -> None:
        """No result will come for the strokes of a step on a slice."""
        step.waiting.discard(slice_index)
        self._history.discard(step)

    def stop(self, slice_index: SliceIndex) -> None:
        """Stop work on a slice for good, because something newer stands there."""
        if self.works_on(slice_index):
            self._scheduler.cancel()
        self._unanswered.pop(slice_index, None)
        self._hide()

    def interrupt(self) -> None:
        """Stop all work; what is still wanted afterwards is asked for again."""
        self._scheduler.cancel()
        self._hide()

    def cancel(self) -> None:
        """Stop all work for good."""
        for job in (self._scheduler.running, self._scheduler.pending):
            if job is not None and isinstance(job.owner, Step):
                job.owner.waiting.clear()
        for step in self._unanswered.values():
            step.waiting.clear()
        self._unanswered.clear()
        self.interrupt()
        self._calls.watch(self._left)

    def _left(self) -> None:
        self._session.hint.emit("the engine did not stop in time and was left behind; new strokes do not wait for it")

    def ask_later(self, step: Step, slices: Sequence[SliceIndex]) -> None:
        """Let the strokes of a step on further slices be answered, in this order, when nothing else is asked."""
        for slice_index in reversed(slices):
            self._unanswered.pop(slice_index, None)
            self._unanswered[slice_index] = step

    def answer_missing(self, slices: Iterable[SliceIndex]) -> None:
        """Compute again what no result came for: the newest strokes of slices whose job was pushed out."""
        for slice_index in slices:
            step = self._history.newest(slice_index)
            if step is not None and slice_index in step.waiting:
                self._unanswered[slice_index] = step
        self._scheduler.drain()

    # memory

    def image(self, slice_index: SliceIndex) -> Image | None:
        """The image of a slice, if it is still held."""
        found: Image | None = self.cache.get(("image", slice_index))
        return found

    def result(self, slice_index: SliceIndex) -> Update | None:
        """The result that a slice shows, if it is still held; the probabilities of an older one are rounded."""
        entry = self._history.newest_entry(slice_index)
        if entry is None or entry.kind != "run":
            return None
        sequence, last = self.cache.get(("result", slice_index), (None, None))
        if sequence == entry.sequence:
            return cast(Update, last)
        packed: Packed | None = self._answers.get(("answer", entry.sequence))
        if packed is None:
            return None
        labels, nothing = self._canvas.peek(slice_index).copy(), (slice(0, 0), slice(0, 0))
        return Update(
            slice_index, labels, nothing, packed.probabilities(), packed.ids, True, packed.notes, 0, packed.curve
        )  # fmt: skip

    def forget(self, slice_index: SliceIndex) -> None:
        """Let the next stroke on a slice start from the prepared state: results it could continue were taken back."""
        self.cache.drop_where(lambda key: key[0] == "warm" and key[1] == slice_index)

    def _fill(self, job: Job) -> None:
        key = engine_key(job.engine)
        job.image = self.cache.get(("image", job.slice_index))
        job.prepared = self.cache.get(("prepared", job.slice_index, job.device, key), MISSING)
        job.warm = self.cache.get(("warm", job.slice_index, job.device, key), MISSING)
        if job.prepared is MISSING:
            job.warm = MISSING
        if not isinstance(job.owner, Propagation):
            job.prior = self._state.prior(job.slice_index)

    # in the worker

    def _work(self, job: Job) -> Outcome:
        def progress(fraction: float) -> None:
            self._deliver(lambda: self._on_progress(job, fraction))

        def preview(answer: Answer) -> None:
            self._deliver(lambda: self._on_preview(job, answer))

        return run_job(job, self._state.volume, progress, preview)

    # back in the owner's thread

    def _on_progress(self, job: Job, fraction: float) -> None:
        if not job.stop.is_set():
            owner = job.owner
            self._session.progress.emit(owner.fraction(fraction) if isinstance(owner, Propagation) else fraction)

    def _on_preview(self, job: Job, answer: Answer) -> None:
        if not (job.stop.is_set() or job.future.done() or job.slice_index in self._canvas.accepted):
            self._show(job, answer)

    def _show(self, job: Job, answer: Answer) -> Update:
        array = self._canvas.labels
        region = self._canvas.show(job.slice_index, self._combined(job, answer))
        update = self._update(job, answer, region, final=False)
        self._tell(update, array)
        job.seen = answer, update
        return update

    def _done(self, job: Job, outcome: Outcome) -> None:
        if outcome.image is not None:
            self.cache.put(("image", job.slice_index), outcome.image)
        if outcome.prepared is not MISSING:
            self.cache.put(("prepared", job.slice_index, job.device, engine_key(job.engine)), outcome.prepared)
        if job.stop.is_set():
            job.drop()
            self._superseded(job)
        elif outcome.error is not None:
            self._fail(job, outcome.error)
        elif outcome.answer is not None and job.live:
            seen, update = job.seen or (None, None)
            job.future.set_result(update if seen is outcome.answer else self._show(job, outcome.answer))
        elif outcome.answer is not None:
            self._commit(job, outcome, outcome.answer)

    def _fail(self, job: Job, error: Exception) -> None:
        owner = job.owner
        if isinstance(owner, Step):
            self.resolve(owner, job.slice_index)
        self._hide()
        job.future.set_exception(error)
        if not isinstance(owner, Propagation) or owner.failed(job.slice_index, error):
            self._session.failed.emit(job.slice_index, error)

    def _superseded(self, job: Job) -> None:
        """A job came to nothing; its slice is asked again when all else is done, if its strokes are still wanted."""
        step = job.owner
        if isinstance(step, Propagation):
            step.stopped()
        elif job.stop.unwanted:
            self._hide()
            if step is not None:
                self.resolve(step, job.slice_index)
        if not isinstance(step, Step) or job.slice_index not in step.waiting:
            return
        if self._history.newest(job.slice_index) is step:
            self._unanswered[job.slice_index] = step
        self._history.discard(step)

    def _idle(self) -> bool:
        while self._unanswered:
            slice_index, step = self._unanswered.popitem()
            if (
                slice_index in step.waiting
                and self._history.newest(slice_index) is step
                and slice_index not in self._canvas.accepted
            ):
                painted = self._canvas.strokes.get(slice_index)
                drawn = {int(i) for i in np.unique(painted[painted != 0])}
                prior = self._state.prior(slice_index)
                if suffice(drawn, self._state.engine.info, self._state.classes.background, prior):
                    self.ask(slice_index, painted, step, again=True)
                    return True
                self.resolve(step, slice_index)
        return False

    def _commit(self, job: Job, outcome: Outcome, answer: Answer) -> None:
        state, slice_index = self._state, job.slice_index
        array = self._canvas.labels
        merged = self._combined(job, answer)
        changes = self._canvas.keep_found(slice_index, self._canvas.committed(slice_index))
        if self._canvas.underlay(slice_index) is None:
            changes += self._canvas.set_underlay(slice_index, self._canvas.committed(slice_index))
        propagated = isinstance(job.owner, Propagation)
        prior = None if propagated else self._packed_prior(job)
        changes += self._canvas.set_prior(slice_index, prior)
        region, written = self._canvas.write(slice_index, merged)
        changes += written
        change = next((c for c in written if isinstance(c, ArrayChange)), None)
        painted = outcome.painted if outcome.painted is not None else job.painted
        whole = slice(0, painted.shape[0]), slice(0, painted.shape[1])
        seeds = Patch(whole, pack(painted), painted.dtype.name)
        recipe = Recipe(
            state.engine_index(job.engine), job.warm is not MISSING, state.overlap, state.locked_values,
            job.background, job.device, outcome.checksum, propagated,
        )  # fmt: skip
        corrected = Patch(whole, prior, "int32") if prior else None
        entry = state.entry("run", slice_index, change, seeds=seeds, recipe=recipe, prior=corrected)
        owner = job.owner
        step = owner.step if isinstance(owner, Propagation) else owner
        step.waiting.discard(slice_index)
        step = self._history.extend(step, changes, [entry], answer=job.again)
        update = self._update(job, answer, region, final=True)
        key = engine_key(job.engine)
        self.cache.put(("warm", slice_index, job.device, key), answer.segmentation.state)
        self.cache.put(("result", slice_index), (entry.sequence, update))
        self._answers.put(("answer", entry.sequence), outcome.packed)
        job.future.set_result(update)
        self._tell(update, array)
        self._session.touch()
        if isinstance(owner, Propagation):
            owner.step = step
            owner.landed(update)

    def _packed_prior(self, job: Job) -> bytes:
        """What the strokes of a job corrected, as the canvas keeps it."""
        held = self._canvas.prior(job.slice_index)
        if held is not None:
            return held
        return b"" if job.prior is None else pack(job.prior)

    def _combined(self, job: Job, answer: Answer) -> Any:
        current = self._canvas.committed(job.slice_index)
        underlay = self._canvas.underlay(job.slice_index)
        return combine(
            answer.labels,
            current,
            current if underlay is None else underlay,
            ids=answer.ids,
            overlap=self._state.overlap,
            locked=self._state.locked_values,
            slice_index=job.slice_index,
            accepted=self._canvas.accepted,
            corrects=job.prior is not None,
        )

    def _update(self, job: Job, answer: Answer, region: Region, *, final: bool) -> Update:
        labels = self._canvas.view(job.slice_index).copy()
        made = answer.segmentation
        return Update(
            job.slice_index,
            labels,
            region,
            made.probabilities,
            answer.ids,
            final,
            made.notes,
            job.generation,
            made.curve,
        )

    def _tell(self, update: Update, former: Any) -> None:
        if self._canvas.labels is not former:
            self._session.changed.emit()
        self._session.updated.emit(update)

    def _hide(self, except_on: SliceIndex | None = None) -> None:
        """Take a preview away that no result will replace."""
        if self._canvas.previewed in (None, except_on):
            return
        slice_index = self._canvas.hide()
        if slice_index is not None:
            self._session.restored.emit(Restored(slice_index, None, self._canvas.view(slice_index).copy()))
