"""Filling: the slices between anchors are solved span by span, in the background."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from numpy.typing import NDArray

from napari_scribseg.annotate.anchors import FillRange, is_current, nearest_first
from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.engine_cache import EngineCache
from napari_scribseg.annotate.entries import FillRecipe
from napari_scribseg.annotate.events import Doing, Restored, SessionEvents, failure
from napari_scribseg.annotate.pooling import pooled
from napari_scribseg.annotate.solve_span import SolvedSlice, SpanProblem, solve_span
from napari_scribseg.annotate.span import Span
from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.annotate.uncertainty import PaintedResult
from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import Cancelled, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.jobs import Call, Jobs, ShutDownError

__all__ = ["Filling"]


_Problem = tuple[Span, int]  # a span, and the newest log entry of the slices that cross it


@dataclass(eq=False)
class _Request:
    """A fill that the user requested.

    Attributes
    ----------
    ranges : list of FillRange
        Where, in the order in which they are filled: a later one may begin with what an earlier one filled.
    step : SessionStep
        What undo takes back.
    total : int
        Number of slices to fill.
    written : set of SliceIndex
        The slices that have their final labels.
    stopped : list of str
        Where open spans ended before the last slice.
    future : Future
        Of the written slices.
    """

    ranges: list[FillRange]
    step: SessionStep
    total: int
    written: set[SliceIndex] = field(default_factory=set)
    stopped: list[str] = field(default_factory=list)
    future: Future[Any] = field(default_factory=Future)


@dataclass(eq=False)
class _Run:
    """One span that is being solved.

    Attributes
    ----------
    span : Span
        The span.
    slices : list of int
        The indices that are written.
    step : SessionStep
        What undo takes back.
    ids : tuple of int
        The labels of the anchors.
    method : str
        How it is solved.
    version : int
        Of the history, after what this run wrote last.
    call : Call
        The job.
    fraction : float
        How far it is.
    last : dict of int to bool
        The slices that were written, each with whether for good.
    """

    span: Span
    slices: list[int]
    step: SessionStep
    ids: tuple[int, ...] = ()
    method: str = ""
    version: int = -1
    call: Call | None = None
    fraction: float = 0.0
    last: dict[int, bool] = field(default_factory=dict)


class Filling:
    """Fills the slices between the anchors of a document; all methods belong to the owner's thread.

    What is to be filled follows from the log: a slice was filled from the present anchors of its span, or it is solved
    again. So whatever interrupts a run, it goes on with what is left.

    Parameters
    ----------
    document : Document
        Slices are written into it.
    events : SessionEvents
        ``restored``, ``progress``, ``filling``, ``hint`` and ``failed`` are emitted here.
    cache : EngineCache
        States of slices that are filled are dropped.
    jobs : Jobs
        Where spans are solved, when nothing else is requested.

    Attributes
    ----------
    follows : bool
        Whether spans are solved again when their anchors change.
    doubts : dict of int to float
        Of the results that spans were filled from, by their log entries, the expected number of wrong pixels.
    """

    def __init__(self, document: Document, events: SessionEvents, cache: EngineCache, jobs: Jobs[Any]) -> None:
        self._document, self._events, self._cache, self._jobs = document, events, cache, jobs
        self._request: _Request | None = None
        self._run: _Run | None = None
        self._ranges: dict[tuple[SliceIndex, int], FillRange] = {}  # that were requested, one of each stack of slices
        self._since = 0  # the newest log entry when the last request was made
        self._ended: set[_Problem] = set()  # open spans that were solved as far as the image supported it
        self._given_up: set[_Problem] = set()
        self._interrupted: set[_Problem] = set()
        self._paused = self._choosing = self._was_filling = False
        self.follows = False
        self.doubts: dict[int, float] = {}

    # requests

    def fill(self, ranges: list[FillRange]) -> Future[Any]:
        """Fill ranges one after the other; see :meth:`Session.fill`."""
        document = self._document
        if not any(within.anchors(document) for within in ranges):
            raise InputError(
                f"no slice along {document.source.geometry.axis_names[ranges[0].axis]} has finished labels; segment "
                "one at least before its neighbours are filled"
            )
        self.cancel()
        self.follows, self._since = True, document.sequence
        self._ranges = {(each.like, each.axis): each for each in ranges} | {
            key: each for key, each in self._ranges.items() if all(key != (new.like, new.axis) for new in ranges)
        }
        self._ended.clear()
        self._given_up.clear()
        self._interrupted.clear()
        request = self._request = _Request(ranges, document.history.begin([]), self._count(ranges))
        request.future.add_done_callback(lambda future: self._drop(request) if future.cancelled() else None)
        self._paused = False
        self.proceed()
        return request.future

    def resume(self) -> None:
        """Follow the fills of a session that was loaded; what it shows stays until an anchor changes."""
        document = self._document
        newest = document.history.newest_entries().values()
        for slice_index, recipe in [(entry.slice_index, entry.fill) for entry in newest if entry.fill is not None]:
            like = slice_index.at(recipe.axis, 0)
            last = document.source.shape[recipe.axis] - 1
            self._ranges.setdefault((like, recipe.axis), FillRange(like, recipe.axis, 0, last))
        self.follows, self._since = bool(self._ranges), document.sequence
        self._given_up = {self._problem(span) for within in self._ranges.values() for span in self._outdated(within)}

    def cancel(self) -> None:
        """Stop for good; what was written stays."""
        self._give_up(self._ranges.values())
        if self._request is not None:
            self._request.future.cancel()
        self.give_way()
        self._show_filling()

    def _give_up(self, ranges: Iterable[FillRange]) -> None:
        for within in ranges:
            self._given_up.update(self._problem(span) for span in within.spans(self._document))

    def _count(self, ranges: Iterable[FillRange]) -> int:
        """The number of slices that are left to fill; those that a later range may get are counted, too."""
        newest, left = self._document.history.newest_entries(), set[SliceIndex]()
        for within in ranges:
            spans = self._left(within)
            left.update(span.at(index) for span in spans for index in within.within(span))
            if not spans and not within.anchors(self._document):
                left.update(s for s in map(within.at, range(within.start, within.stop + 1)) if s not in newest)
        return len(left)

    def _drop(self, request: _Request) -> None:
        """The future of a request was cancelled."""
        if self._request is request:
            self._request = None
            self._document.history.discard(request.step)
            self._give_up(request.ranges)
            self.give_way()

    def give_way(self, *, hold: bool = False) -> None:
        """Interrupt the span that is being solved, for something that is wanted sooner.

        ``hold`` lets filling wait until the next call without it, as while the pen is down.
        """
        self._paused = hold
        if self._run is not None and self._run.call is not None and not self._run.call.stop.is_set():
            self._interrupted.add(self._problem(self._run.span))
            self._run.call.stop.set()

    def withdraw(self) -> bool:
        """Cancel a request that has written nothing yet. Whether there was one."""
        request = self._request
        if request is None or request.step.changes:
            return False
        self.cancel()
        return True

    def moved(self, step: SessionStep, *, after: bool) -> None:
        """A step was undone or redone: a request that it belongs to ends, and spans follow only where a fill is."""
        if self._request is not None and self._request.step is step:
            self._request.future.cancel()
        if all(entry.kind == "fill" for entry in step.entries):
            self.follows = after
        outdated = {self._problem(span) for within in self._ranges.values() for span in self._outdated(within)}
        self._given_up |= outdated - self._interrupted  # undo and redo show what was there, and no more

    def range_of(self, whole: FillRange) -> FillRange:
        """The range that was filled last along an axis, or all of it."""
        return self._ranges.get((whole.like, whole.axis), whole)

    # what is left to do

    def _left(self, within: FillRange) -> list[Span]:
        """The spans of a range of which slices were not filled from the anchors as they are now."""
        found = []
        for span in within.spans(self._document):
            slices = within.within(span)
            problem = self._problem(span)
            outdated = self._stale(span, slices) if problem in self._ended else self._not_current(span, slices)
            if outdated and problem not in self._given_up:
                found.append(span)
        return found

    def _not_current(self, span: Span, indices: list[int]) -> list[int]:
        """The slices of a span that were not filled from its anchors, and those that cross it, as they are now."""
        newest, crossed = self._document.history.newest_entries(), self._crossed(span)
        entries = {i: newest.get(span.at(i)) for i in indices}
        return [
            i
            for i, entry in entries.items()
            if entry is None or entry.sequence < crossed or not is_current(self._document, span, entry)
        ]

    def _problem(self, span: Span) -> _Problem:
        return span, self._crossed(span)

    def _crossed(self, span: Span) -> int:
        """The newest log entry of the slices that cross a span and count, 0 where there are none."""
        return max((entry.sequence for _, entry in self._document.crossing_anchors(span)), default=0)

    def _stale(self, span: Span, indices: list[int]) -> list[int]:
        """Those of them that were filled from other anchors."""
        newest = self._document.history.newest_entries()
        entries = {i: newest.get(span.at(i)) for i in self._not_current(span, indices)}
        return [i for i, entry in entries.items() if entry is not None and entry.fill is not None]

    def _outdated(self, within: FillRange) -> list[Span]:
        """The spans of a range whose slices were filled from other anchors, or that have a new one."""
        newest = self._document.history.newest_entries()
        found = []
        for span in self._left(within):
            slices = within.within(span)
            filled = [i for i in slices if (entry := newest.get(span.at(i))) is not None and entry.fill is not None]
            drafted = any((entry := newest.get(span.at(i))) is not None and entry.draft is not None for i in slices)
            is_new = max(end[1] for end in (span.before, span.after) if end is not None) > self._since
            if self._stale(span, slices) or (is_new and not filled and not drafted):
                found.append(span)
        return found

    def _next(self) -> _Run | None:
        """The next span to solve, and the step that it belongs to."""
        document, request = self._document, self._request
        if request is not None:
            ranges, left = request.ranges, self._left
        else:
            ranges, left = [*self._ranges.values()] if self.follows else [], self._outdated
        for within in ranges:
            for span in nearest_first(left(within), within.index_of(document.slice_index)):
                step = self._step_of(span) or (document.history.begin([]) if request is None else request.step)
                return _Run(span, within.within(span), step)
        return None

    def _step_of(self, span: Span) -> SessionStep | None:
        """The step of what was done last to a span, but for filling it, if that was after the last request."""
        history = self._document.history
        newest = history.newest_entries()
        entries = (newest.get(span.at(index)) for index in range(span.low, span.high + 1))
        others = (e for e in entries if e is not None and (e.fill is None or e.fill.axis != span.axis))
        last = max(self._crossed(span), *(e.sequence for e in others), 0)
        return history.step_of(last) if last > self._since else None

    # running

    def proceed(self) -> None:
        """Solve the next span, if nothing else is wanted."""
        if self._choosing or self._run is not None or self._paused or self._jobs.running is not None:
            return
        self._choosing = True
        try:
            while self._run is None:  # a loop, not a recursion, where jobs run inline
                run = self._next()
                if run is None:
                    self._end()
                    break
                self._start(run)
        finally:
            self._choosing = False

    def _start(self, run: _Run) -> None:
        document, span = self._document, run.span
        ends = [None if end is None else self._peek(span.at(end[0])) for end in (span.before, span.after)]
        problem = SpanProblem(document.source, span, ends[0], ends[1], document.kept_voxels(span))
        run.ids, run.method, run.version = problem.ids, problem.method, document.history.version
        deliver, wanted = self._jobs.deliver, set(run.slices)

        results = self._results_at(span)

        def work(report: Report) -> None:
            for sequence, result in results:
                deliver(partial(self.doubts.__setitem__, sequence, float(result.uncertainty().sum())))
            for found in solve_span(problem, report):
                report(run.fraction)
                if found.index in wanted:
                    deliver(partial(self._arrived, run, found))

        run.call = Call(
            work, partial(self._done, run), partial(self._failed, run), progress=partial(self._progress, run),
            name="filling",
        )  # fmt: skip
        self._run = run
        self._show_filling()
        try:
            self._jobs.queue(run.call)
        except ShutDownError:
            self._run = None
            self._given_up.add(self._problem(span))

    def _results_at(self, span: Span) -> list[tuple[int, PaintedResult]]:
        """The engine's results at the anchors of a span whose doubt is not there yet, each with its log entry."""
        document, found = self._document, []
        for end in (span.before, span.after):
            entry = None if end is None else document.history.newest_entry(span.at(end[0]))
            if entry is not None and entry.kind == "run" and entry.sequence not in self.doubts:
                packed = self._cache.packed(entry)
                if packed is not None:
                    painted = document.annotation.strokes.get(entry.slice_index)
                    result = PaintedResult(entry.slice_index, packed, painted, document.classes.background)
                    found.append((entry.sequence, result))
        return found

    def _peek(self, slice_index: SliceIndex) -> NDArray[Any]:
        return self._document.annotation.peek(slice_index).copy()

    def _progress(self, run: _Run, fraction: float) -> None:
        """In the worker."""
        run.fraction = fraction

    def _arrived(self, run: _Run, found: SolvedSlice) -> None:
        """Write a slice, unless something changed meanwhile."""
        document, span = self._document, run.span
        if self._run is not run or run.call is None or run.call.stop.is_set():
            return
        slice_index = span.at(found.index)
        if run.version != document.history.version or slice_index in document.annotation.accepted:
            run.call.stop.set()
            return
        drafted = document.drafted(slice_index)
        if drafted is not None:
            found = pooled(found, drafted, span.distance(found.index))
        recipe = FillRecipe(
            span.axis, span.before, span.after, span.reach, run.method, found.final, document.overlap,
            document.locked_values, found.checksum, found.certainty, found.band,
        )  # fmt: skip
        array = document.annotation.labels
        step = document.write_fill(slice_index, found, run.ids, recipe, run.step)
        if self._request is not None and self._request.step is run.step:
            self._request.step = step
        run.step, run.version = step, document.history.version
        run.last[found.index] = found.final
        self._cache.invalidate_warm(slice_index)
        if document.annotation.labels is not array:
            self._events.changed.emit()
        self._events.restored.emit(Restored(slice_index, None, document.annotation.view(slice_index).copy()))
        if self._request is not None:
            if found.final:
                self._request.written.add(slice_index)
            self._events.progress.emit(len(self._request.written) / max(self._request.total, 1))

    def _done(self, run: _Run, _none: None) -> None:
        """A span was solved."""
        if self._run is not run:
            return
        self._run = None
        if run.call is not None and run.call.stop.is_set():
            self.proceed()
            return
        span, left = run.span, [index for index in run.slices if not run.last.get(index)]
        if None not in (span.before, span.after):
            self._given_up.update([self._problem(span)] if left else [])
        else:
            self._ended.add(self._problem(span))
            for index in self._stale(span, left):
                self._empty(run, span.at(index))
        if self._request is not None and left:
            self._request.stopped.append(self._document.source.where(span.at(left[0 if span.after is None else -1])))
        self.proceed()

    def _empty(self, run: _Run, slice_index: SliceIndex) -> None:
        """Take back what was filled farther from the anchor than the image supports now."""
        run.step = self._document.empty(slice_index, run.step)
        self._cache.invalidate_warm(slice_index)
        labels = self._document.annotation.view(slice_index).copy()
        self._events.restored.emit(Restored(slice_index, None, labels))

    def _failed(self, run: _Run, error: Exception) -> None:
        if self._run is not run:
            return
        self._run = None
        if not isinstance(error, Cancelled):
            self._given_up.add(self._problem(run.span))
            self._document.history.discard(run.step)
            request, self._request = self._request, None
            where = self._document.source.span(run.span.at(index) for index in run.slices)
            error = failure(f"filling {where}", error)
            if request is not None and not request.future.done():
                request.future.set_exception(error)
            self._events.failed.emit(run.span.at(run.slices[0]), error)
        self.proceed()

    def _end(self) -> None:
        """Nothing is left to fill."""
        request, self._request = self._request, None
        self._show_filling()
        if request is None:
            return
        self._document.history.discard(request.step)
        if request.stopped:
            self._events.hint.emit(
                f"filling stopped before {' and '.join(request.stopped)}, where the image no longer supports it"
            )
        if not request.future.done():
            request.future.set_result(tuple(sorted(request.written)))

    # what is being done

    def _show_filling(self) -> None:
        filling = self._run is not None
        if filling != self._was_filling:
            self._was_filling = filling
            self._events.filling.emit(filling)

    @property
    def doing(self) -> Doing | None:
        """What is being filled."""
        run, request = self._run, self._request
        if run is None or run.call is None or run.call.stop.is_set():
            return None
        if request is not None:
            return Doing("fill", run.span.at(run.slices[0]), len(request.written), request.total)
        return Doing("fill", run.span.at(run.slices[0]), sum(run.last.values()), len(run.slices))
