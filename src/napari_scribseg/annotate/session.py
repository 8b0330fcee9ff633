"""One image or volume being annotated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.annotate.anchors import FillRange, all_slices, draft_certainty, filled_certainty, is_anchor
from napari_scribseg.annotate.background import Background
from napari_scribseg.annotate.compare import compare
from napari_scribseg.annotate.document import Document, as_engine, as_overlap
from napari_scribseg.annotate.drafter import Drafter
from napari_scribseg.annotate.drafting import Drafting
from napari_scribseg.annotate.edits import SliceEdit
from napari_scribseg.annotate.engine_cache import EngineCache
from napari_scribseg.annotate.events import Doing, Restored, SessionEvents, Stepped, Update
from napari_scribseg.annotate.filling import Filling
from napari_scribseg.annotate.next_slice import next_slice
from napari_scribseg.annotate.prefetch import Prefetch
from napari_scribseg.annotate.propagate import slices_between
from napari_scribseg.annotate.replay import replay
from napari_scribseg.annotate.rules import present_ids
from napari_scribseg.annotate.segmenter import Segmenter
from napari_scribseg.annotate.sidecar import SessionWriter, read
from napari_scribseg.annotate.snapshot import Snapshot, find_volume, restore, take
from napari_scribseg.annotate.steps import ArrayChange, Change, SessionStep
from napari_scribseg.annotate.tool_runs import ToolRuns
from napari_scribseg.annotate.uncertainty import PaintedResult
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError, one_line
from napari_scribseg.core.registry import DEFAULT_ENGINE, get_engine
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.kernel.autosave import Autosave
from napari_scribseg.kernel.executor import Deliver
from napari_scribseg.numerics.editing import EditTool, Over

__all__ = ["Session"]

STATE_BYTES = 32 << 20
MakeEngine = Callable[..., Engine[Any]]


class Session:
    """One volume being annotated slice by slice: strokes in, labels out; needs no window.

    All methods belong to the owner's thread, and all events are emitted there. A worker reads a slice, prepares the
    engine and segments; its results are brought back through ``deliver``.

    Parameters
    ----------
    volume : Source
        What is annotated; see :meth:`Source.from_array`.
    engine : str or Engine
        A registered name, or an engine with its parameters.
    classes : ClassTable, optional
        Names, colours, locks, and which id marks the background; painted ids that are not in it are added.
    device : str
        Passed to the engine.
    overlap : {"overwrite", "keep"}
        What a result may do to finished labels (those that were there before the slice's first result in this
        session) where strokes contradict them, see :meth:`draw`. ``keep`` leaves them and fills only background;
        ``overwrite`` replaces them. Accepted slices and locked classes stay in both cases; what the slice's own earlier
        results or a propagation wrote is replaced in both.
    executor : Executor, optional
        Where engines run; inline by default. With threads, ``deliver`` is needed.
    deliver : callable, optional
        ``deliver(fn)`` calls ``fn`` in the owner's thread; :class:`~napari_scribseg.annotate.Inbox` has one.
    labels : array_like of shape (\\*S), integer, optional
        Finished labels to begin with. A writable uint8 or uint16 array is written into, not copied.
    state_bytes : int
        Bound of the cached engine states of all slices together; those of the last slice stay in any case, unless the
        bound is 0.
    sidecar : path, optional
        A new file that is autosaved, a second or two behind; :meth:`load` continues one that exists. No other session
        can work on it before :meth:`close`.

    Attributes
    ----------
    events : SessionEvents
        ``updated``, ``failed``, ``busy``, ``progress``, ``restored``, ``stepped``, ``changed`` and ``hint``.

    Raises
    ------
    InputError
        If the engine, the overlap rule or the labels cannot be used, or the sidecar exists.
    """

    def __init__(
        self,
        volume: Source,
        engine: str | Engine[Any] = DEFAULT_ENGINE,
        *,
        classes: ClassTable | None = None,
        device: str = "auto",
        overlap: str = "overwrite",
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        labels: ArrayLike | None = None,
        state_bytes: int = STATE_BYTES,
        sidecar: str | PathLike[str] | None = None,
    ) -> None:
        with _locked(sidecar) as lock:
            if lock is not None and lock.path.exists():
                raise InputError(f"{sidecar} exists; continue it by Session.load, or name a new file")
            document = Document(volume, engine, classes=classes, device=device, overlap=overlap, labels=labels)
            self._setup(document, executor, deliver, state_bytes, lock)

    def _setup(
        self,
        document: Document,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        state_bytes: int = STATE_BYTES,
        lock: FileLock | None = None,
    ) -> None:
        """``lock`` is that of the sidecar."""
        self.events = SessionEvents()
        self._document = document
        self._closed = False
        cache = self._cache = EngineCache(state_bytes)
        self._segmenter = Segmenter(document, self.events, cache, executor, deliver)
        self._prefetch = Prefetch(document, self.events, cache, self._segmenter.jobs)
        self._tools = ToolRuns(document, self.events, self._segmenter.jobs)
        self._filling = Filling(document, self.events, cache, self._segmenter.jobs)
        self._drafting = Drafting(document, self.events, cache, self._segmenter.jobs)
        self._background = Background((self._filling, self._drafting))
        self._segmenter.idle = self._background.proceed
        self._autosave: Autosave[Snapshot] | None = None
        if lock is not None:
            saving = Autosave(lock, lambda: take(document), SessionWriter().write, self.events.hint.emit, deliver)
            self._autosave = saving
            self.events.changed.connect(saving.touch)
            document.modified.connect(saving.touch)

    # settings

    @property
    def engine(self) -> Engine[Any]:
        """The engine in use, with its parameters."""
        return self._document.engine

    def use(self, engine: str | Engine[Any], **parameters: Any) -> None:
        """Choose an engine for the strokes to come; nothing is computed again until the next :meth:`draw`.

        Raises InputError if there is no such engine, or it does not take slices.
        """
        self._document.engine = as_engine(engine, **parameters)
        self.events.changed.emit()

    @property
    def device(self) -> str:
        """The device that engines shall use."""
        return self._document.device

    @device.setter
    def device(self, device: str) -> None:
        self._document.device = device
        self.events.changed.emit()

    @property
    def classes(self) -> ClassTable:
        """Names, colours, locks, and the background's id."""
        return self._document.classes

    @classes.setter
    def classes(self, classes: ClassTable) -> None:
        if classes != self._document.classes:
            self._document.classes = classes
            self.events.changed.emit()

    @property
    def overlap(self) -> str:
        """``overwrite`` or ``keep``."""
        return self._document.overlap

    @overlap.setter
    def overlap(self, overlap: str) -> None:
        self._document.overlap = as_overlap(overlap)
        self.events.changed.emit()

    @property
    def annotator(self) -> str:
        """Who works on it: the name with which the session file notes who did what; at first that of the user."""
        return self._document.annotator

    @annotator.setter
    def annotator(self, name: str) -> None:
        self._document.annotator = one_line(name)

    # reading

    @property
    def volume(self) -> Source:
        """What is annotated."""
        return self._document.source

    @property
    def labels(self) -> NDArray[Any]:
        """The output, shape (\\*S), uint8 or uint16, background 0; replaced (``changed``) when ids outgrow uint8."""
        return self._document.annotation.labels

    def finished_labels(self) -> NDArray[Any]:
        """A copy of the output for saving, without the preview that :attr:`labels` shows while a job runs."""
        return self._document.annotation.finished()

    def painted(self, index: SliceIndex | int | None = None) -> NDArray[Any]:
        """The strokes of a slice, shape (H, W), 0 where unpainted; a copy."""
        return self._document.annotation.strokes.get(self.slice_index(index))

    def painted_slices(self, displayed: tuple[int, int] | None = None) -> list[SliceIndex]:
        """The slices with strokes that lie along two axes (the last two by default)."""
        return self._document.annotation.strokes.slices(displayed)

    def results(self, index: SliceIndex | int | None = None) -> Update | None:
        """The engine's result that a slice shows, also after undo and redo, as long as memory allows.

        None where no engine made it. The probabilities of all but the last result of a slice are rounded to 1/255.
        """
        return self._segmenter.result(self.slice_index(index))

    def painted_result(self, index: SliceIndex | int | None = None) -> PaintedResult | None:
        """The result that a slice shows, its probabilities rounded, with its strokes; None where :meth:`results` is.

        Its uncertainty may be computed in any thread.
        """
        slice_index = self.slice_index(index)
        packed = self._segmenter.packed(slice_index)
        if packed is None:
            return None
        return PaintedResult(slice_index, packed, self.painted(slice_index), self.classes.background)

    def painted_results(self) -> list[PaintedResult]:
        """Those of all slices that are not accepted, for :func:`~napari_scribseg.annotate.uncertain_places`."""
        slices = {entry.slice_index for entry in self._document.history.entries() if entry.kind == "run"}
        found = (self.painted_result(slice_index) for slice_index in slices - self.accepted)
        return [each for each in found if each is not None]

    @property
    def accepted(self) -> frozenset[SliceIndex]:
        """The locked slices."""
        return frozenset(self._document.annotation.accepted)

    def is_accepted(self, index: SliceIndex | int | None = None) -> bool:
        """Whether a slice is locked."""
        return self.slice_index(index) in self._document.annotation.accepted

    @property
    def is_busy(self) -> bool:
        """Whether a request is being computed; filling goes on in the background and does not count."""
        return self._segmenter.is_busy

    @property
    def doing(self) -> Doing | None:
        """What is being computed; None while nothing is, or only what prepares for strokes to come."""
        waiting = (*self._tools.requested.values(), *self._prefetch.requested.values())
        return self._segmenter.doing or next(iter(waiting), None) or self._filling.doing or self._drafting.doing

    @property
    def has_preview(self) -> bool:
        """Whether :attr:`labels` shows a preview of the present request."""
        return self._segmenter.has_preview

    @property
    def version(self) -> int:
        """Another number whenever strokes or labels changed for good: by a step, its result, undo or redo."""
        return self._document.history.version

    def is_segmented(self, index: SliceIndex | int | None = None) -> bool:
        """Whether the labels of a slice are an engine's result for strokes that include the present ones."""
        slice_index = self.slice_index(index)
        entry = self._document.history.newest_entry(slice_index)
        return entry is not None and entry.is_of(self.painted(slice_index))

    def lacking(self, index: SliceIndex | int | None = None) -> str:
        """What the strokes of a slice lack to be segmented, in a sentence without an end; empty if nothing."""
        slice_index = self.slice_index(index)
        return self._document.lacking(slice_index, self.drawn_ids(slice_index))

    def drawn_ids(self, index: SliceIndex | int | None = None) -> tuple[int, ...]:
        """The ids of the strokes of a slice, ascending."""
        return present_ids(self.painted(index))

    def label_ids(self, index: SliceIndex | int | None = None) -> tuple[int, ...]:
        """The ids of the labels of a slice, ascending, without a preview."""
        return present_ids(self._document.annotation.peek(self.slice_index(index)))

    def slice_labels(self, index: SliceIndex | int | None = None) -> NDArray[Any]:
        """The labels of a slice, shape (H, W), without a preview; a copy."""
        return self._document.annotation.peek(self.slice_index(index)).copy()

    def is_edited(self, index: SliceIndex | int | None = None) -> bool:
        """Whether the labels of a slice were last set by hand or by a tool."""
        entry = self._document.history.newest_entry(self.slice_index(index))
        return entry is not None and entry.kind == "edit"

    def slice_index(self, index: SliceIndex | int | None = None) -> SliceIndex:
        """The slice meant by an index along the axis in use, by a SliceIndex, or by None in a 2D image."""
        return self._document.find_slice(index)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._document.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self._document.history.can_redo

    # strokes

    def draw(
        self,
        painted: ArrayLike | Scribbles,
        index: SliceIndex | int | None = None,
        *,
        live: bool = False,
        demand: bool = False,
        beside: Mapping[SliceIndex, ArrayLike] | None = None,
    ) -> Future[Any]:
        """Segment a slice by its strokes; the newest call wins over all that are being computed.

        On a slice that has labels (present in the beginning, propagated, edited, or accepted and reopened) strokes are
        corrections: labels that they contradict change near them, all others stay, and strokes of one class are enough.

        Parameters
        ----------
        painted : array_like of shape (H, W), or Scribbles
            The slice of the scribble layer as it is now: ids, 0 where unpainted.
        index : SliceIndex or int, optional
            Which slice; an int stands along the axis drawn on last (the first by default).
        live : bool
            The pen is still down: show a result, but store neither strokes nor result. A call without ``live`` follows
            when the pen lifts.
        demand : bool
            The user requested a result, so that strokes of fewer than two classes are an error instead of a ``hint``.
        beside : mapping of SliceIndex to array_like, optional
            Strokes of further slices that the same stroke changed, such as a ball painted in three dimensions: one step
            together, and each slice is segmented.

        Returns
        -------
        Future
            Of the final :class:`Update`; of None where there is nothing to compute yet; cancelled when a newer call
            replaced it. It is resolved in the owner's thread: do not wait for it there, see :class:`Inbox`.

        Raises
        ------
        InputError
            If there is no such slice, or the session is closed; all else comes through ``failed`` and the future.
        """
        slice_index = self._open_slice(index)
        self._tools.cancel()
        self._background.give_way(hold=live)
        others = {self.slice_index(other): values for other, values in (beside or {}).items()}
        document, segmenter = self._document, self._segmenter
        try:
            strokes = {i: document.read_strokes(values, i) for i, values in {slice_index: painted, **others}.items()}
        except InputError as error:
            return self._refuse(slice_index, error)
        locked = [other for other in strokes if other in document.annotation.accepted]
        for other in locked:
            del strokes[other]
            self._show(other)
        if not strokes:
            return self._refuse(slice_index, self._locked_error(slice_index))
        document.slice_index = slice_index = slice_index if slice_index in strokes else next(iter(strokes))
        drawn = {other: present_ids(values) for other, values in strokes.items()}
        self.classes = document.classes.with_ids(sorted(set().union(*drawn.values())))
        lacking = document.lacking(slice_index, drawn[slice_index])
        if live:
            return _done(None) if lacking else segmenter.request(slice_index, strokes[slice_index], None)
        step = document.paint(strokes, slice_index)
        segmenter.request_later(step, [other for other in strokes if other != slice_index])
        if lacking:
            future = self._hint_lacking(slice_index, drawn[slice_index], step, lacking, demand=demand)
        else:
            future = segmenter.request(slice_index, strokes[slice_index], step)
        for other in locked:
            self._refuse(other, self._locked_error(other))
        return future

    def _hint_lacking(
        self, slice_index: SliceIndex, drawn: tuple[int, ...], step: SessionStep, lacking: str, *, demand: bool
    ) -> Future[Any]:
        """Report that the strokes of a step are not enough."""
        self._segmenter.stop(slice_index)
        self._segmenter.resolve(step, slice_index)
        if not drawn and self._document.remove_corrections(slice_index, step):
            self._cache.invalidate_warm(slice_index)
            self._show(slice_index)
        self._segmenter.request_missing()
        text = f"{lacking} on {self.volume.where(slice_index)}"
        if demand or len(drawn) > 1:
            return self._refuse(slice_index, InputError(text))
        self.events.hint.emit(text)
        return _done(None)

    def overtake(self) -> None:
        """Let a live result that is being computed end with its next preview, because the pen has moved on."""
        self._segmenter.overtake()

    def propagate(self, start: SliceIndex | int, stop: SliceIndex | int) -> Future[Any]:
        """Propagate the labels of slice ``start`` to the slices behind it, up to and with ``stop``; one step.

        Each slice is seeded from the interiors of the labels before it, and from its own strokes, which win. It ends
        early before an accepted slice, and where nothing is left to propagate; ``hint`` reports it.

        The future's result is the tuple of slices that were written. The next :meth:`draw`, :meth:`undo` or
        :meth:`cancel` cancels it; what was written by then stays, and is taken back by one :meth:`undo`.

        Raises
        ------
        InputError
            If the slices do not stand one behind the other, or there are no labels on ``start``.
        """
        self._tools.cancel()
        self._background.give_way()
        return self._segmenter.propagate(self._open_slice(start), self.slice_index(stop))

    # filling

    def fill(
        self,
        start: SliceIndex | int | None = None,
        stop: SliceIndex | int | None = None,
        *,
        axis: int | None = None,
        series: bool = False,
    ) -> Future[Any]:
        """Fill the slices between the anchors along an axis, each from the anchors on its two sides; one step.

        Beyond the outermost anchors it goes on as long as the image supports it; ``hint`` says where it stopped.
        Strokes, fixed labels, locked classes and accepted slices stay. Strokes on a filled slice correct its labels and
        make it an anchor.

        It goes on in the background, the spans nearest to the slice drawn on last first, and gives way to strokes.
        Each slice is shown by ``restored`` as soon as it is there, first as a preview. From now on the session
        :attr:`follows`. :meth:`cancel` ends it; what was written by then stays.

        Parameters
        ----------
        start, stop : SliceIndex or int, optional
            The first slice to fill and the last, both included; all of the axis by default.
        axis : int, optional
            The axis along which the slices stand; that of ``start`` and ``stop``, or the one drawn along last, by
            default.
        series : bool
            Of a series, whether to fill the same slices at all times: first the volumes with anchors, then the other
            times from these, each from its neighbours.

        Returns
        -------
        Future
            Of the tuple of slices that were filled, ascending.

        Raises
        ------
        InputError
            If there are no such slices, they do not stand along one axis, or there is no anchor along it.
        """
        self._require_open()
        self._tools.cancel()
        self._drafting.cancel()
        within = FillRange.of(self._document, start, stop, axis)
        return self._filling.fill(within.series(self._document) if series else [within])

    @property
    def follows(self) -> bool:
        """Whether a change of an anchor solves the spans beside it again; True after :meth:`fill`.

        Also after :meth:`load`, where slices are filled.

        What follows belongs to the step of the change: one :meth:`undo` takes back both.
        """
        return self._filling.follows

    @follows.setter
    def follows(self, follows: bool) -> None:
        self._filling.follows = follows
        self._background.proceed()

    def is_anchor(self, index: SliceIndex | int | None = None) -> bool:
        """Whether the labels of a slice count for filling; strokes of slices that cross it do not make it one."""
        return is_anchor(self._document, self.slice_index(index))

    def anchors(self, axis: int | None = None, like: SliceIndex | None = None) -> list[SliceIndex]:
        """The slices along an axis (the one in use by default) whose labels count for filling, ascending.

        They are accepted, were edited, have strokes with a result, or had labels when the session began. A slice that
        was filled or propagated to is none until it gets a stroke, an edit, or is accepted. Of a series, they are those
        of one volume: of the slice ``like``, or of the one drawn on last.
        """
        within = FillRange.whole(self._document, like, axis)
        return [within.at(index) for index, _ in within.anchors(self._document)]

    def draft(self, drafter: Drafter, slices: Iterable[SliceIndex | int] | None = None) -> Future[Any]:
        """Write drafts into slices that have no labels of their own: neither accepted nor an anchor; one step.

        Strokes, fixed labels, locked classes, and what lies in accepted slices and anchors that cross a slice stay.
        Strokes on a drafted slice correct its labels and make it an anchor. Classes of the drafter that the table
        lacks are added.

        It goes on in the background, the slices nearest to the one drawn on last first, and gives way to strokes.
        Each slice is shown by ``restored`` as soon as it is there. :meth:`cancel` ends it; what was written by then
        stays.

        Parameters
        ----------
        drafter : Drafter
            Such as a :class:`~napari_scribseg.learn.LearnedNetwork`.
        slices : iterable of SliceIndex or int, optional
            All along the axis in use that are not filled by default; those with labels of their own are left out. A
            later :meth:`fill` weighs the drafts with what it fills.

        Returns
        -------
        Future
            Of the tuple of slices that were drafted, ascending.

        Raises
        ------
        InputError
            If there are no such slices, or the session is closed.
        """
        self._require_open()
        self._tools.cancel()
        self._filling.cancel()
        document = self._document
        if slices is None:
            chosen = [document.find_slice(None)] if self.volume.ndim == 2 else all_slices(document)
            chosen = [each for each in chosen if each not in self.filled]
        else:
            chosen = [self.slice_index(each) for each in slices]
        added = [each for each in drafter.classes if each.id not in self.classes and not each.background]
        if added:
            classes = self.classes
            for each in added:
                classes = classes.with_class(each)
            self.classes = classes
        return self._drafting.draft(drafter, chosen)

    @property
    def drafted(self) -> Mapping[SliceIndex, float]:
        """The slices that show a draft, and how sure their borders are: the mean certainty around them, 0 to 1."""
        return {slice_index: recipe.certainty for slice_index, recipe in draft_certainty(self._document)}

    @property
    def filled(self) -> Mapping[SliceIndex, float]:
        """The slices that are filled, and how sure their borders are: the mean certainty around them, 0 to 1."""
        return {slice_index: recipe.certainty for slice_index, recipe in filled_certainty(self._document)}

    def next_slice(self, axis: int | None = None, like: SliceIndex | None = None) -> SliceIndex | None:
        """The slice along an axis (the one in use by default) whose strokes would improve the volume most.

        After a fill it is the one that takes away most of the wrong pixels to be expected, its own and those of the
        slices filled from it; before, the middle of what is farthest from all anchors. A slice with strokes is offered
        again where its own labels are expected to do more harm; an accepted one never is. None where nothing is left.
        Where nothing is filled, but slices are drafted, it is the draft with most wrong pixels to be expected.
        Of a series, it is one of the volume of the slice ``like``, or of the one drawn on last. It lies in the range
        that was filled last.
        """
        within = self._filling.range_of(FillRange.whole(self._document, like, axis))
        return next_slice(self._document, within, self._filling.doubts)

    def cancel(self) -> None:
        """Stop all requests; the former output comes back.

        An engine that has not stopped after 10 s is abandoned: its result never arrives, and the next stroke gets a new
        worker. ``hint`` reports it.
        """
        self._prefetch.cancel()
        self._tools.cancel()
        self._filling.cancel()
        self._drafting.cancel()
        self._segmenter.cancel()

    # engine calls without strokes

    def prepare(self, index: SliceIndex | int | None = None) -> None:
        """Let the engine load and prepare for a slice in the background, so that its first stroke need not wait.

        Raises InputError if there is no such slice, or the session is closed.
        """
        self._prefetch.prepare(self._open_slice(index))

    def predict(self, index: SliceIndex | int | None = None) -> Future[Any]:
        """Write the prediction of the engine's network without strokes into a slice, as an edit that can be undone.

        Its first class is the background; the others are the classes of the table in their order, and new ones.

        Returns
        -------
        Future
            True when it is written. What goes wrong comes through ``failed`` and the future.

        Raises
        ------
        InputError
            If there is no such slice, or the engine has no network that predicts without strokes.
        """
        slice_index = self._open_slice(index)
        self._background.give_way()
        return self._prefetch.predict(slice_index, partial(self._write_classes, slice_index))

    def _write_classes(self, slice_index: SliceIndex, found: NDArray[Any]) -> bool:
        """Write class indices of a network as an edit."""
        classes, largest, version = self.classes, int(found.max()), self.version
        ids = [0, *(c.id for c in classes if not c.background)][: largest + 1]
        new = (i for i in range(1, 1 << 16) if i not in classes)
        ids += [next(new) for _ in range(largest + 1 - len(ids))]
        self.classes = classes.with_ids(i for i in ids if i)
        done = self.edit(np.asarray(ids, dtype=np.uint16)[found], slice_index)
        self._attach_classes(classes, version)
        return done

    def _attach_classes(self, former: ClassTable, version: int) -> None:
        """Let the undo of the newest step, if there is one since a version, remove the classes that were added."""
        step = self._document.history.top
        if step is not None and self.version != version:
            step.made = tuple(label for label in self.classes if label.id not in former)

    def picture(self, name: str, index: SliceIndex | int | None = None) -> Future[Any]:
        """Compute a colour picture of what the engine sees in a slice, by a name of its ``pictures``.

        The future's result has the shape (H, W, 3), float32, from 0 to 1. What goes wrong comes through ``failed`` and
        the future.

        Raises
        ------
        InputError
            If there is no such slice, or the engine has no such picture.
        """
        slice_index = self._open_slice(index)
        self._background.give_way()
        return self._prefetch.picture(slice_index, name)

    # steps without an engine

    def undo(self) -> bool:
        """Undo the last step, strokes and output together; stops what is running. False where there is none.

        A fill that has written nothing yet is cancelled, and nothing else is undone.
        """
        self._require_open()
        self._tools.cancel()
        if self._background.withdraw():
            return True
        self._background.give_way()
        self._segmenter.interrupt()
        return self._move(self._document.history.undo(), after=False)

    def redo(self) -> bool:
        """Redo the step undone last; False where there is none."""
        self._require_open()
        self._tools.cancel()
        self._background.give_way()
        self._segmenter.interrupt()
        return self._move(self._document.history.redo(), after=True)

    def _move(self, step: SessionStep | None, *, after: bool) -> bool:
        if step is None:
            self._segmenter.request_missing()
            return False
        array = self.labels
        self._document.apply(step, after=after)
        self._filling.moved(step, after=after)
        self._drafting.moved(step)
        for slice_index in {*step.slices(), *(entry.slice_index for entry in step.entries)}:
            self._cache.invalidate_warm(slice_index)
        self._show_changes(step.changes)
        classes = step.classes(self.classes, after=after)
        if array is not self.labels or step.changes_values or classes != self.classes:
            self._document.classes = classes
            self.events.changed.emit()
        self.events.stepped.emit(Stepped.of(step, after))
        self._segmenter.request_missing(step.slices())
        return True

    def accept(self, index: SliceIndex | int | None = None) -> bool:
        """Lock a slice: no result changes its voxels until it is reopened. False while it is being computed."""
        slice_index = self._open_slice(index)
        if self._segmenter.works_on(slice_index):
            where = self.volume.where(slice_index)
            self.events.hint.emit(f"{where} is still being computed; accept it when its result is there")
            return False
        return self._set_accepted(slice_index, True)

    def reopen(self, index: SliceIndex | int | None = None) -> bool:
        """Unlock a slice."""
        return self._set_accepted(self._open_slice(index), False)

    def _set_accepted(self, slice_index: SliceIndex, accepted: bool) -> bool:
        self._background.give_way()
        changed = self._document.set_accepted(slice_index, accepted)
        if changed:
            self.events.changed.emit()
        self._background.proceed()
        return changed

    def clear(self, index: SliceIndex | int | None = None) -> bool:
        """Remove a slice's strokes and what this session wrote there; the labels from before it come back.

        False, and ``failed``, where the slice is accepted.
        """
        slice_index = self._open_slice(index)
        if self.is_accepted(slice_index):
            self._refuse(slice_index, self._locked_error(slice_index))
            return False
        self._segmenter.stop(slice_index)
        self._background.give_way()
        if self._document.clear(slice_index):
            self._cache.invalidate_warm(slice_index)
            self._show(slice_index)
        self._background.proceed()
        return True

    def edit(self, labels: ArrayLike, index: SliceIndex | int | None = None, *, fix: ArrayLike | None = None) -> bool:
        """Set the output of a slice by hand: one step, also in the session file.

        Locked classes stay as they are; ``labels`` must not be a view of :attr:`labels`. False, and ``failed``, where
        the slice is accepted or the labels cannot be used.

        No later result changes the voxels of the mask ``fix``, shape (H, W), until a stroke is painted over them.
        Strokes there that contradict the labels are erased in the same step.
        """
        slice_index, array = self._open_slice(index), self.labels
        try:
            if self.is_accepted(slice_index):
                raise self._locked_error(slice_index)
            values = self._document.read_strokes(labels, slice_index)
        except InputError as error:
            self._refuse(slice_index, error)
            return False
        self._segmenter.stop(slice_index)
        self._background.give_way()
        classes = self.classes
        if self._document.edit(slice_index, values, None if fix is None else np.asarray(fix, bool)):
            self._cache.invalidate_warm(slice_index)
            self._show(slice_index)
        if array is not self.labels or classes is not self.classes:
            self.events.changed.emit()
        self._background.proceed()
        return True

    def apply(
        self,
        tool: EditTool,
        identity: int,
        start: SliceIndex | int | None = None,
        stop: SliceIndex | int | None = None,
        *,
        each_slice: bool = False,
        over: Over = "background",
        preview: bool = False,
    ) -> Future[Any]:
        """Edit a class by a tool, in the worker, on one slice or on several: one step.

        Locked classes and accepted slices stay. Strokes that contradict the new labels are erased where these changed.
        The next :meth:`draw`, :meth:`undo`, :meth:`apply` or :meth:`cancel` cancels it.

        Parameters
        ----------
        tool : EditTool
            See :mod:`napari_scribseg.numerics.editing`.
        identity : int
            The class.
        start, stop : SliceIndex or int, optional
            The first slice and the last, both included; ``stop`` is ``start`` by default.
        each_slice : bool
            Whether slices are edited one by one, and not together in 3D.
        over : {"background", "all"}
            Which voxels the class may get: those of the background, or those of all classes that are not locked.
        preview : bool
            Only compute: nothing is changed.

        Returns
        -------
        Future
                Of a dict of SliceIndex to ndarray of shape (H, W): the new labels of the slices that change. What goes
            wrong while it is computed comes through ``failed``, too.

        Raises
        ------
        InputError
            If there are no such slices, or the class is locked, the background, or on accepted slices only.
        """
        first = self._open_slice(start)
        last = first if stop is None else self.slice_index(stop)
        if first == last:
            slices, axis = [first], first.others[-1] if first.others else None
        else:
            slices, _ = slices_between(self.volume, min(first, last), max(first, last))
            axis = next(a for a, i, j in zip(first.others, first.position, last.position, strict=True) if i != j)
        self._background.give_way()
        use = _labels_of if preview else partial(self._write_edits, tool, identity)
        return self._tools.request(tool, identity, slices, axis, use, each_slice=each_slice, over=over)

    def _write_edits(self, tool: EditTool, identity: int, edits: list[SliceEdit]) -> dict[SliceIndex, NDArray[Any]]:
        """Write what a tool made."""
        self._require_open()
        array, classes, version = self.labels, self.classes, self.version
        if tool.info.makes_classes:
            made = set().union(*(present_ids(edit.labels[edit.changed]) for edit in edits))
            self.classes = self.classes.with_parts(identity, made)
        for edit in edits:
            self._segmenter.stop(edit.slice_index)
            self._cache.invalidate_warm(edit.slice_index)
        self._show_changes(self._document.edit_slices(edits))
        self._attach_classes(classes, version)
        if array is not self.labels:
            self.events.changed.emit()
        self._background.proceed()
        return _labels_of(edits)

    def _show_changes(self, changes: list[Change]) -> None:
        """Show the slices whose strokes or labels changed."""
        arrays = [change for change in changes if isinstance(change, ArrayChange) and change.is_visible]
        painted = {change.slice_index for change in arrays if change.kind == "painted"}
        for slice_index in dict.fromkeys(change.slice_index for change in arrays):
            self._show(slice_index, strokes=slice_index in painted)

    # files

    def save(self, path: str | PathLike[str]) -> None:
        """Write strokes, output, accepted slices, classes, engines and settings to one file, or leave it as it was.

        Raises InputError if the file cannot be written, is the sidecar of another session, or an engine's parameter
        cannot be stored in it.
        """
        snapshot = take(self._document)
        if self._autosave is not None and self._autosave.path == Path(path).resolve():
            self.flush()  # nothing older is written after it
            SessionWriter().write(snapshot, self._autosave.path)
            return
        with contextlib.closing(_lock(Path(path))):
            SessionWriter().write(snapshot, Path(path))

    def flush(self) -> None:
        """Bring the sidecar up to date now; returns when it is on the disk, whatever the engine does."""
        if self._autosave is not None:
            self._autosave.flush()

    def close(self) -> None:
        """Stop working and save for the last time; the session takes no more strokes."""
        if not self._closed:
            self.cancel()
            self._closed = True
            if self._autosave is not None:
                self._autosave.close()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        volume: Source | None = None,
        *,
        engine: str | Engine[Any] | None = None,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        state_bytes: int = STATE_BYTES,
        sidecar: str | PathLike[str] | None = None,
        make_engine: MakeEngine = get_engine,
        trust: bool = False,
    ) -> Session:
        """Continue a session saved by :meth:`save`, or a sidecar.

        The volume is read from its own file where none is given. ``engine`` replaces the one that was in use; engines
        are made by ``make_engine(name, **parameters)``. ``sidecar``, autosaved from now on, may be ``path`` itself. If
        the image is not the one that was segmented, ``hint`` reports it, or a warning where ``hint`` is not connected.

        A file cannot allow code that it names, such as a factory or a TorchScript model of ``brs``, to run: without
        ``trust`` the engine refuses such a model at the next stroke.

        Raises
        ------
        InUseError
            If another session works on ``sidecar``; name another file to continue with a copy.
        InputError
            If the file is missing, damaged, not a session or from a newer version, or the volume is another one.
        """
        with _locked(sidecar) as lock:
            if lock is not None and lock.path.exists() and not lock.path.samefile(path):
                raise InputError(f"{sidecar} exists and is not the session being loaded; name a new file")
            snapshot = read(Path(path))
            volume = volume or find_volume(snapshot, Path(path))
            document = restore(snapshot, volume, engine=engine, make_engine=make_engine, trust=trust)
            session = cls.__new__(cls)
            session._setup(document, executor, deliver, state_bytes, lock)
        session._filling.resume()
        jobs, hint = session._segmenter.jobs, session.events.hint
        compare(snapshot, volume, jobs, hint, stopped=lambda: session._closed)
        return session

    @classmethod
    def replay(
        cls,
        path: str | PathLike[str],
        volume: Source | None = None,
        *,
        device: str | None = None,
        make_engine: MakeEngine = get_engine,
        trust: bool = False,
    ) -> Session:
        """Run a saved session again without a window: every result is computed anew from the saved strokes.

        The same engines on the same machine give the same label volume, bit by bit. ``device`` replaces the devices
        that were used. Code that the file names, such as a model of ``brs``, runs only with ``trust``.

        Raises InputError as :meth:`load` does, and if an engine is missing.
        """
        snapshot = read(Path(path))
        volume = volume or find_volume(snapshot, Path(path))
        session = cls.__new__(cls)
        session._setup(replay(snapshot, volume, device=device, make_engine=make_engine, trust=trust))
        return session

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("the session is closed; open a new one")

    def _open_slice(self, index: SliceIndex | int | None) -> SliceIndex:
        self._require_open()
        return self.slice_index(index)

    def _locked_error(self, slice_index: SliceIndex) -> InputError:
        where = self.volume.where(slice_index)
        return InputError(f"{where} is accepted and therefore locked; reopen it to change it")

    def _refuse(self, slice_index: SliceIndex, error: Exception) -> Future[Any]:
        """Emit the failure of a request; returns its future."""
        future: Future[Any] = Future()
        future.set_exception(error)
        self.events.failed.emit(slice_index, error)
        self._background.proceed()
        return future

    def _show(self, slice_index: SliceIndex, *, strokes: bool = True) -> None:
        annotation = self._document.annotation
        labels = annotation.view(slice_index).copy()
        painted = annotation.strokes.get(slice_index) if strokes else None
        self.events.restored.emit(Restored(slice_index, painted, labels))


@contextlib.contextmanager
def _locked(sidecar: str | PathLike[str] | None) -> Iterator[FileLock | None]:
    """The lock of a sidecar; released if the session cannot be made."""
    lock = None if sidecar is None else _lock(Path(sidecar))
    try:
        yield lock
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _lock(path: Path) -> FileLock:
    try:
        return FileLock(path)
    except InUseError as error:
        raise InUseError(f"{error}; name another file to work on a copy") from None


def _labels_of(edits: list[SliceEdit]) -> dict[SliceIndex, NDArray[Any]]:
    return {edit.slice_index: edit.labels for edit in edits}


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
