"""Drafts: a drafter, such as a learned network, fills slices that have no labels of their own, in the background."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from napari_scribseg.annotate.anchors import is_anchor
from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.drafter import Draft, Drafter
from napari_scribseg.annotate.engine_cache import EngineCache
from napari_scribseg.annotate.entries import DraftMap, DraftRecipe
from napari_scribseg.annotate.events import Doing, Restored, SessionEvents
from napari_scribseg.annotate.solve_span import band_of
from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import Cancelled
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.jobs import Call, Jobs, ShutDownError
from napari_scribseg.kernel.patches import PackedRegion

__all__ = ["Drafting", "is_draftable"]


@dataclass(eq=False)
class _Request:
    """Slices that are being drafted.

    Attributes
    ----------
    drafter : Drafter
        What drafts them.
    left : list of SliceIndex
        Those without a draft yet, in the order in which they get it.
    total : int
        How many there were.
    step : SessionStep
        What undo takes back.
    written : set of SliceIndex
        Those that have one.
    call : Call or None
        The job that runs.
    future : Future
        Of the written slices.
    """

    drafter: Drafter
    left: list[SliceIndex]
    total: int
    step: SessionStep
    written: set[SliceIndex] = field(default_factory=set)
    call: Call | None = None
    future: Future[Any] = field(default_factory=Future)


class Drafting:
    """Writes drafts into a document; all methods belong to the owner's thread.

    It gives way to whatever is wanted sooner, and goes on with what is left.

    Parameters
    ----------
    document : Document
        Drafts are written into it.
    events : SessionEvents
        ``restored``, ``progress``, ``filling``, ``changed`` and ``failed`` are emitted here.
    cache : EngineCache
        States of slices that get a draft are dropped.
    jobs : Jobs
        Where drafters run, when nothing else is requested.
    """

    def __init__(self, document: Document, events: SessionEvents, cache: EngineCache, jobs: Jobs[Any]) -> None:
        self._document, self._events, self._cache, self._jobs = document, events, cache, jobs
        self._request: _Request | None = None
        self._paused = self._was_drafting = False

    def draft(self, drafter: Drafter, slices: Iterable[SliceIndex]) -> Future[Any]:
        """Draft slices; see :meth:`Session.draft`."""
        self.cancel()
        document = self._document
        left = [each for each in dict.fromkeys(slices) if is_draftable(document, each)]
        request = self._request = _Request(
            drafter, _nearest_first(left, document.slice_index), len(left), document.history.begin([])
        )
        request.future.add_done_callback(lambda future: self._drop(request) if future.cancelled() else None)
        self._paused = False
        self.proceed()
        return request.future

    def _drop(self, request: _Request) -> None:
        """The future of a request was cancelled."""
        if self._request is request:
            self._request = None
            self._document.history.discard(request.step)
            self._stop(request)
            self._show_drafting()

    def cancel(self) -> None:
        """Stop for good; what was written stays."""
        if self._request is not None:
            self._request.future.cancel()

    def give_way(self, *, hold: bool = False) -> None:
        """Interrupt the drafter for something that is wanted sooner; ``hold`` as of :meth:`Filling.give_way`."""
        self._paused = hold
        if self._request is not None:
            self._stop(self._request)

    def _stop(self, request: _Request) -> None:
        if request.call is not None:
            request.call.stop.set()

    def withdraw(self) -> bool:
        """Cancel a request that has written nothing yet. Whether there was one."""
        if self._request is None or self._request.written:
            return False
        self.cancel()
        return True

    def moved(self, step: SessionStep) -> None:
        """A step was undone or redone: a request that it belongs to ends."""
        if self._request is not None and self._request.step is step:
            self.cancel()

    def proceed(self) -> None:
        """Go on with what is left, if nothing else is wanted."""
        request = self._request
        if request is None or request.call is not None or self._paused or self._jobs.running is not None:
            return
        document, deliver, drafter = self._document, self._jobs.deliver, request.drafter
        request.left = [each for each in request.left if is_draftable(document, each)]
        if not request.left:
            self._end(request)
            return
        slices, source = tuple(request.left), document.source

        def work(report: Report) -> None:
            for draft in drafter.draft(source, slices, report):
                deliver(partial(self._arrived, request, call, draft))
                report(0.0)

        call = request.call = Call(
            work, lambda _none: self._done(request, call), partial(self._failed, request), name="the draft"
        )  # fmt: skip
        self._show_drafting()
        try:
            self._jobs.queue(call)
        except ShutDownError:
            request.call = None
            self.cancel()

    def _arrived(self, request: _Request, call: Call, draft: Draft) -> None:
        """Write a draft, unless its slice got labels of its own meanwhile."""
        document, slice_index = self._document, draft.slice_index
        if self._request is not request or call.stop.is_set() or slice_index not in request.left:
            return
        request.left.remove(slice_index)
        if not is_draftable(document, slice_index):
            return
        band = band_of(draft.labels)
        size = int(np.count_nonzero(band))
        certainty = round(float(draft.certainty[band].mean()), 6) if size else 1.0
        recipe = DraftRecipe(request.drafter.checksum, document.overlap, document.locked_values, certainty, size)
        array = document.annotation.labels
        ids = tuple(0 if each.background else each.id for each in request.drafter.classes)
        request.step = document.write_draft(slice_index, _packed(draft), (0, *ids), recipe, request.step)
        request.written.add(slice_index)
        self._cache.invalidate_warm(slice_index)
        if document.annotation.labels is not array:
            self._events.changed.emit()
        self._events.restored.emit(Restored(slice_index, None, document.annotation.view(slice_index).copy()))
        self._events.progress.emit(len(request.written) / max(request.total, 1))

    def _done(self, request: _Request, call: Call) -> None:
        """A job has ended."""
        if request.call is call:
            request.call = None
        if self._request is not request:
            return
        if not call.stop.is_set():
            request.left = []  # what the drafter left out
        self.proceed()

    def _failed(self, request: _Request, error: Exception) -> None:
        request.call = None
        if self._request is not request:
            return
        if isinstance(error, Cancelled):
            self.proceed()
            return
        self._request = None
        self._document.history.discard(request.step)
        self._show_drafting()
        if not request.future.done():
            request.future.set_exception(error)
        self._events.failed.emit(request.left[0], error)

    def _end(self, request: _Request) -> None:
        """Nothing is left to draft."""
        self._request = None
        self._show_drafting()
        self._document.history.discard(request.step)
        if not request.future.done():
            request.future.set_result(tuple(sorted(request.written)))

    def _show_drafting(self) -> None:
        drafting = self._request is not None and self._request.call is not None
        if drafting != self._was_drafting:
            self._was_drafting = drafting
            self._events.filling.emit(drafting)

    @property
    def doing(self) -> Doing | None:
        """What is being drafted."""
        request = self._request
        if request is None or request.call is None or request.call.stop.is_set() or not request.left:
            return None
        return Doing("draft", request.left[0], len(request.written), request.total)


def _packed(draft: Draft) -> DraftMap:
    certainty = np.rint(np.clip(draft.certainty, 0, 1) * 255).astype(np.uint8)
    return DraftMap(PackedRegion.whole(draft.labels.astype(np.uint16)), PackedRegion.whole(certainty))


def is_draftable(document: Document, slice_index: SliceIndex) -> bool:
    """Whether a slice has no labels of its own: it is not accepted, and is no anchor."""
    return slice_index not in document.annotation.accepted and not is_anchor(document, slice_index)


def _nearest_first(slices: list[SliceIndex], to: SliceIndex | None) -> list[SliceIndex]:
    """Slices in the order in which they are drafted: the one in use and its neighbours first."""
    if to is None:
        return slices

    def distance(each: SliceIndex) -> int:
        if each.displayed != to.displayed:
            return 1 << 30
        return sum(abs(i - j) for i, j in zip(each.position, to.position, strict=True))

    return sorted(slices, key=distance)
