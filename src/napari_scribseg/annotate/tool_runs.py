"""Editing tools in a session: computed in the worker, then shown as a preview or written as one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from napari_scribseg.annotate.document import Document
from napari_scribseg.annotate.edits import EditRegion, SliceEdit
from napari_scribseg.annotate.events import Doing, SessionEvents, failure
from napari_scribseg.core.engine import Report
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.jobs import Call, Jobs
from napari_scribseg.numerics.editing import EditTool, Over, Scope, changes

__all__ = ["ToolRuns"]

_PACKING = 0.1  # share of the work that comes after the tool
_PAUSE = 0.05  # seconds between two reports of progress


@dataclass(eq=False)
class _Run:
    """One request.

    Attributes
    ----------
    tool, identity, over, each_slice : EditTool, int, str, bool
        What is done; see :meth:`Session.apply`.
    slices : list of SliceIndex
        Those of the scope.
    axis : int or None
        The axis along which they stand; None for an image of one slice.
    use : callable
        Makes the future's result of the edits, in the owner's thread.
    version : int
        Of the history when the labels were copied.
    future : Future
        For whoever requested it.
    """

    tool: EditTool
    identity: int
    over: Over
    each_slice: bool
    slices: list[SliceIndex]
    axis: int | None
    use: Callable[[list[SliceEdit]], Any]
    version: int = -1
    future: Future[Any] = field(default_factory=Future)


class ToolRuns:
    """Runs editing tools for a session; all methods belong to the owner's thread.

    Parameters
    ----------
    document : Document
        Its labels are edited.
    events : SessionEvents
        ``failed``, ``progress`` and ``busy`` are emitted here.
    jobs : Jobs
        Where tools run, after what was requested before.

    Attributes
    ----------
    requested : dict of Future to Doing
        What the user waits for.
    """

    def __init__(self, document: Document, events: SessionEvents, jobs: Jobs[Any]) -> None:
        self._document, self._events, self._jobs = document, events, jobs
        self.requested: dict[Future[Any], Doing] = {}

    def cancel(self) -> None:
        """Drop all requests."""
        for future in list(self.requested):
            future.cancel()

    def request(
        self,
        tool: EditTool,
        identity: int,
        slices: list[SliceIndex],
        axis: int | None,
        use: Callable[[list[SliceEdit]], Any],
        *,
        each_slice: bool,
        over: Over,
    ) -> Future[Any]:
        """Run a tool; the future's result is what ``use`` makes of the edits. See :meth:`Session.apply`."""
        run = _Run(tool, identity, over, each_slice, slices, axis, use)
        self._check(run)
        self.cancel()
        self.requested[run.future] = Doing("tool", slices[0], name=tool.info.title)
        run.future.add_done_callback(lambda future: self._end(future) if future.cancelled() else None)
        self._events.busy.emit(True)
        self._start(run)
        return run.future

    def _check(self, run: _Run) -> None:
        """Raise InputError where nothing can be changed, before anything is computed."""
        document = self._document
        label = next((c for c in document.classes if c.id == run.identity), None)
        if label is not None and label.background:
            raise InputError(f"{label.name} is the background; choose the class that is edited")
        if label is not None and label.locked:
            raise InputError(f"{label.name} is locked; unlock it to edit it")
        if not run.tool.info.across and all(slice_index in document.annotation.accepted for slice_index in run.slices):
            where = document.source.span(run.slices)
            raise InputError(f"{where} is accepted and therefore locked; reopen it to change it")

    def _start(self, run: _Run) -> None:
        """Copy the labels, and let the worker compute."""
        document, first, n_slices = self._document, run.slices[0], len(run.slices)
        scope = Scope() if run.axis is None else Scope(0, 0, n_slices, run.each_slice)
        if run.axis is not None and run.tool.info.across:
            at = first.position[first.others.index(run.axis)]
            scope = Scope(0, at, at + n_slices)
            first, n_slices = first.at(run.axis, 0), document.source.shape[run.axis]
        run.version = document.history.version
        region = EditRegion.of(document.annotation, document.source, first, run.axis, n_slices)
        scope = Scope(region.along, scope.start, scope.stop, scope.each_slice)
        work = partial(_compute, run, region, scope, document.locked_values, document.classes.ids)
        call = Call(
            work,
            partial(self._done, run),
            partial(self._failed, run),
            progress=self._progress(),
            name=run.tool.info.title,
        )
        run.future.add_done_callback(lambda future: call.drop() if future.cancelled() else None)
        self._jobs.queue(call)

    def _progress(self) -> Callable[[float], None]:
        """Reports of progress from the worker, not more of them than a window can show."""
        last = 0.0

        def progress(fraction: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > _PAUSE:
                last = now
                self._jobs.deliver(partial(self._events.progress.emit, min(max(fraction, 0.0), 1.0)))

        return progress

    def _done(self, run: _Run, edits: list[SliceEdit]) -> None:
        if run.future.done():
            return
        if run.version != self._document.history.version:  # something was written meanwhile
            self._start(run)
            return
        self._end(run.future)
        try:
            run.future.set_result(run.use(edits))
        except InputError as error:  # the session was closed meanwhile
            run.future.set_exception(error)

    def _failed(self, run: _Run, error: Exception) -> None:
        if run.future.done():
            return
        self._end(run.future)
        if not isinstance(error, InputError):
            error = failure(f"{run.tool.info.title} on {self._document.source.span(run.slices)}", error)
        run.future.set_exception(error)
        self._events.failed.emit(run.slices[0], error)

    def _end(self, future: Future[Any]) -> None:
        if self.requested.pop(future, None) is not None and not self.requested and self._jobs.running is None:
            self._events.busy.emit(False)


def _compute(
    run: _Run, region: EditRegion, scope: Scope, locked: tuple[int, ...], taken: tuple[int, ...], report: Report
) -> list[SliceEdit]:
    """The edits of a tool; in the worker."""

    def of_tool(fraction: float, preview: Any = None) -> None:
        report(fraction * (1 - _PACKING))

    found = list(
        changes(
            region.labels, run.tool, run.identity, spacing=region.spacing, image=region, scope=scope, over=run.over,
            locked=locked, protected=region.protected if region.accepted else None, taken=taken, report=of_tool,
        )
    )  # fmt: skip
    edits = []
    for i, change in enumerate(found):
        for edit in region.edits(change):
            report(1 - _PACKING * (1 - i / len(found)))
            edits.append(edit)
    return edits
