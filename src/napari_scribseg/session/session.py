"""One image or volume being annotated."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_scribseg.core.classes import MAX_ID, ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.registry import get_engine
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.session.canvas import Canvas
from napari_scribseg.session.history import ArrayChange, Change, History, Step
from napari_scribseg.session.journal import Entry, Patch
from napari_scribseg.session.rules import OVERLAPS, combine
from napari_scribseg.session.runner import Runner, engine_key
from napari_scribseg.session.updates import Restored, Update
from napari_scribseg.session.volume import Plane, Volume
from napari_scribseg.session.worker import Deliver, InlineExecutor, Job

__all__ = ["Session"]


class Session:
    """Strokes in, labels out, plane by plane; no window needed.

    All state is changed in the owner's thread: call every method there. The worker reads a plane, prepares the engine
    and segments; what it found is handed back through ``deliver``.

    Parameters
    ----------
    volume : Volume
        What is annotated; see :meth:`Volume.from_array`.
    engine : str or Engine
        A registered name, or an engine with its parameters.
    classes : ClassTable, optional
        Names, colours, locks, and which id marks the background; ids that are painted and unknown are added.
    device : str
        Passed to the engine.
    overlap : {"overwrite", "keep"}
        What a result may do to finished labels: those that were there before the plane's first result in this session.
        ``keep`` leaves them and fills only background; ``overwrite`` replaces them, except that the result's
        background never erases a class without a stroke on this plane. Accepted planes and locked classes stay in
        both cases; what the plane's own earlier results or a propagation wrote is replaced in both.
    executor : Executor, optional
        Where engines run; inline by default. With threads, ``deliver`` is needed.
    deliver : callable, optional
        ``deliver(fn)`` calls ``fn`` in the owner's thread; :class:`~napari_scribseg.session.worker.Inbox` has one for
        programs without an event loop.
    labels : array_like of shape (\\*S), integer, optional
        Finished labels to begin with. A writable uint8 or uint16 array is written into, not copied.
    state_bytes : int
        Bound of what engines remember of all planes together.

    Raises
    ------
    InputError
        If the engine, the overlap rule or the labels cannot be used.
    """

    updated = Signal(Update)
    failed = Signal(Plane, Exception)
    busy = Signal(bool)
    progress = Signal(float)
    restored = Signal(Restored)
    changed = Signal()
    hint = Signal(str)

    def __init__(
        self,
        volume: Volume,
        engine: str | Engine[Any] = "svcd",
        *,
        classes: ClassTable | None = None,
        device: str = "auto",
        overlap: str = "overwrite",
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        labels: ArrayLike | None = None,
        state_bytes: int = 128 << 20,
    ) -> None:
        if executor is not None and deliver is None and not isinstance(executor, InlineExecutor):
            raise InputError("an executor was given without deliver; a function that calls in your thread is needed")
        self.volume = volume
        self.device = device
        self._canvas = Canvas(volume.shape, labels)
        self._history = History()
        self._classes = classes if classes is not None else ClassTable()
        self._engine = _as_engine(engine)
        self._overlap = _as_overlap(overlap)
        self._plane: Plane | None = None
        self._sequence = 0
        self._closed = False
        self._engines: list[Engine[Any]] = []
        self._runner = Runner(self, self._canvas, self._history, executor, deliver, state_bytes)

    # what it holds

    @property
    def labels(self) -> NDArray[Any]:
        """The output, shape (\\*S), uint8 or uint16, background 0; replaced (``changed``) when ids outgrow uint8."""
        return self._canvas.labels

    def painted(self, index: Plane | int | None = None) -> NDArray[Any]:
        """The strokes of a plane, shape (H, W), 0 where unpainted; a copy."""
        return self._canvas.strokes.get(self.plane(index))

    def results(self, index: Plane | int | None = None) -> Update | None:
        """The last result of a plane, as long as memory allows; None where there is none."""
        return self._runner.result(self.plane(index))

    @property
    def accepted(self) -> frozenset[Plane]:
        """The locked planes."""
        return frozenset(self._canvas.accepted)

    def is_accepted(self, index: Plane | int | None = None) -> bool:
        """Whether a plane is locked."""
        return self.plane(index) in self._canvas.accepted

    @property
    def is_busy(self) -> bool:
        """Whether a request is being worked on."""
        return self._runner.is_busy

    @property
    def engine(self) -> Engine[Any]:
        """The engine in use, with its parameters."""
        return self._engine

    def use(self, engine: str | Engine[Any], **parameters: Any) -> None:
        """Choose an engine for the strokes to come; nothing is computed again until the next :meth:`draw`.

        Raises
        ------
        InputError
            If there is no such engine, or it does not take planes.
        """
        self._engine = _as_engine(engine, **parameters)
        self.changed.emit()

    @property
    def classes(self) -> ClassTable:
        """Names, colours, locks, and the background's id."""
        return self._classes

    @classes.setter
    def classes(self, classes: ClassTable) -> None:
        if classes != self._classes:
            self._classes = classes
            self.changed.emit()

    @property
    def overlap(self) -> str:
        """``overwrite`` or ``keep``."""
        return self._overlap

    @overlap.setter
    def overlap(self, overlap: str) -> None:
        self._overlap = _as_overlap(overlap)
        self.changed.emit()

    def plane(self, index: Plane | int | None = None) -> Plane:
        """The plane meant by an index along the axis in use, by a Plane, or by None in a 2D image.

        Raises
        ------
        InputError
            If there is no such plane.
        """
        if isinstance(index, Plane):
            return self.volume.require(index)
        if self._plane is not None and index is not None and len(self._plane.position) == 1:
            return self.volume.require(self._plane.at(self._plane.others[0], int(index)))
        return self.volume.plane(None if index is None else int(index))

    # what the user does

    def draw(
        self,
        painted: ArrayLike | Scribbles,
        index: Plane | int | None = None,
        *,
        live: bool = False,
        demand: bool = False,
    ) -> Future[Any]:
        """Segment a plane by its strokes; the newest call wins over all that are under way.

        Parameters
        ----------
        painted : array_like of shape (H, W), or Scribbles
            The plane of the scribble layer as it is now: ids, 0 where unpainted.
        index : Plane or int, optional
            Which plane; an int stands along the axis drawn on last (the first by default).
        live : bool
            The pen is still down: show a result, but remember neither strokes nor result. A call without ``live``
            follows when the pen lifts.
        demand : bool
            The user asked for a result, so that strokes of fewer than two classes are an error instead of a ``hint``.

        Returns
        -------
        Future
            Of the final :class:`Update`; of None where there is nothing to compute yet; cancelled when a newer call
            pushed it out. It is resolved in the owner's thread: do not wait for it there, see :class:`Inbox`.

        Raises
        ------
        InputError
            If there is no such plane, or the session is closed. Whatever else is wrong comes through ``failed`` and
            the future.
        """
        self._require_open()
        plane = self.plane(index)
        try:
            strokes = self._read_strokes(painted, plane)
        except InputError as error:
            return self._runner.refuse(plane, error)
        self._plane = plane
        if not live:
            self._know(strokes)
        drawn = np.unique(strokes[strokes != 0])
        if live:
            return self._runner.submit(self._job(plane, strokes, live=True)) if drawn.size > 1 else _done(None)
        step = self._history.begin(self._canvas.paint(plane, strokes), waiting=True)
        most = self._engine.info.max_classes
        if 2 <= drawn.size <= most:
            return self._runner.submit(self._job(plane, strokes, owner=step))
        self._runner.stop(plane)
        self._runner.resolve(step)
        if drawn.size > most:
            text = f"{drawn.size} classes were painted on {plane}; the engine {self._engine.info.name!r} takes {most}"
            return self._runner.refuse(plane, InputError(text))
        text = _too_few(drawn, plane)
        if demand:
            return self._runner.refuse(plane, InputError(text))
        self.hint.emit(text)
        return _done(None)

    def undo(self) -> bool:
        """Take back the last step, strokes and output together; stops what is running. False where there is none."""
        self._require_open()
        self._runner.interrupt()
        return self._move(self._history.undo(), after=False)

    def redo(self) -> bool:
        """Do again what was undone last; False where there is nothing."""
        self._require_open()
        self._runner.interrupt()
        return self._move(self._history.redo(), after=True)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._history.can_redo

    def accept(self, index: Plane | int | None = None) -> bool:
        """Lock a plane: no result changes its voxels until it is reopened. False while it is being computed."""
        return self._set_accepted(self.plane(index), accepted=True)

    def reopen(self, index: Plane | int | None = None) -> bool:
        """Unlock a plane."""
        return self._set_accepted(self.plane(index), accepted=False)

    def clear(self, index: Plane | int | None = None) -> bool:
        """Remove a plane's strokes and what this session wrote there; labels that it found there come back.

        False, and ``failed``, where the plane is accepted.
        """
        self._require_open()
        plane = self.plane(index)
        if plane in self._canvas.accepted:
            self._runner.refuse(plane, _locked(plane))
            return False
        self._runner.stop(plane)
        changes = self._canvas.paint(plane, np.zeros(self.volume.plane_shape(plane), np.uint8))
        underlay = self._canvas.underlay(plane)
        if underlay is not None:
            changes += self._write(plane, underlay)
            changes += self._canvas.set_underlay(plane, None)
        self._finish_step(plane, changes)
        return True

    def edit(self, labels: ArrayLike, index: Plane | int | None = None) -> bool:
        """Set the output of a plane by hand: one step, also in the session file.

        Locked classes and accepted planes stay as they are. ``labels`` must not be a view of :attr:`labels`, from
        which the former state is read.
        """
        self._require_open()
        plane = self.plane(index)
        try:
            if plane in self._canvas.accepted:
                raise _locked(plane)
            values = self._read_strokes(labels, plane)
        except InputError as error:
            self._runner.refuse(plane, error)
            return False
        self._runner.stop(plane)
        self._finish_step(plane, self._write(plane, values))
        return True

    def cancel(self) -> None:
        """Stop what is running, and forget what waits; the former output comes back."""
        self._runner.cancel()

    def close(self) -> None:
        """Stop working and save for the last time; the session takes no more strokes."""
        if not self._closed:
            self.cancel()
            self._closed = True

    # steps

    def _job(self, plane: Plane, painted: NDArray[Any], *, live: bool = False, owner: Any = None) -> Job:
        generation = self._runner.next_generation()
        background = self._classes.background
        return Job(plane, generation, self._engine, self.device, painted, background, live=live, owner=owner)

    def _read_strokes(self, painted: ArrayLike | Scribbles, plane: Plane) -> NDArray[Any]:
        """The painted ids of a plane, checked; a copy."""
        if isinstance(painted, Scribbles):
            painted = self._from_scribbles(painted)
        values = np.asarray(painted)
        shape = self.volume.plane_shape(plane)
        if values.shape != shape:
            raise InputError(f"the strokes have shape {values.shape}; {plane} has {shape}")
        if values.dtype.kind not in "iub":
            raise InputError(f"the strokes hold {values.dtype} values; integers are expected")
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > MAX_ID:
            raise InputError(f"the strokes hold ids from {low} to {high}; expected 0 (unpainted) to {MAX_ID}")
        if plane in self._canvas.accepted:
            self.restored.emit(Restored(plane, self._canvas.strokes.get(plane), self._canvas.view(plane).copy()))
            raise _locked(plane)
        return values.astype(np.uint8 if high <= 255 else np.uint16)

    def _from_scribbles(self, scribbles: Scribbles) -> NDArray[Any]:
        """Painted ids; the class with id 0 gets the background's id, a new one where the table has none."""
        ids = list(scribbles.ids)
        if 0 in ids:
            if self._classes.background is None:
                taken = self._classes.with_ids(ids)
                free = taken.free_id()
                self.classes = taken.with_ids([free]).as_background(free)
            ids[ids.index(0)] = self._classes.background or 0
        lookup = np.asarray([*ids, 0])
        return lookup[scribbles.seeds]

    def _know(self, painted: NDArray[Any]) -> None:
        """Give ids that the table does not know a name and a colour."""
        self.classes = self._classes.with_ids(int(i) for i in np.unique(painted))

    def _write(self, plane: Plane, labels: NDArray[Any]) -> list[Change]:
        """Write labels that no engine made, within the locks; returns the change, if any."""
        current = self._canvas.committed(plane)
        nothing = np.zeros_like(current)
        merged = combine(
            labels, current, nothing, ids=(), overlap="overwrite", locked=self.locked_values, plane=plane,
            accepted=self._canvas.accepted,
        )  # fmt: skip
        array = self.labels
        _, change = self._canvas.write(plane, merged)
        if array is not self.labels:
            self.changed.emit()
        return [change] if change is not None else []

    @property
    def locked_values(self) -> tuple[int, ...]:
        """Values in the output that no result may change: the ids of locked classes, 0 for the background."""
        return tuple(0 if c.background else c.id for c in self._classes if c.locked)

    def _finish_step(self, plane: Plane, changes: list[Change]) -> None:
        """Remember an act that no engine had a part in, and show it."""
        if not changes:
            return
        written = next((c for c in changes if isinstance(c, ArrayChange) and c.kind == "labels"), None)
        step = self._history.begin([])
        entries = [] if written is None else [self.entry("set", plane, written)]
        self._history.extend(step, changes, entries)
        self._runner.forget(plane)
        self._show(plane)
        self.changed.emit()

    def entry(self, kind: Any, plane: Plane, change: ArrayChange | None, **more: Any) -> Entry:
        """The next journal entry."""
        self._sequence += 1
        patch = None if change is None else Patch(change.region, change.after, change.dtype)
        return Entry(self._sequence, kind, plane, patch, **more)

    def engine_index(self, engine: Engine[Any]) -> int:
        """The place of an engine in the list of those used, where it is added if it is new."""
        keys = [engine_key(used) for used in self._engines]
        if engine_key(engine) not in keys:
            self._engines.append(engine)
            return len(self._engines) - 1
        return keys.index(engine_key(engine))

    def resubmit(self, plane: Plane, step: Step) -> None:
        """Ask again for the result of a step whose job was pushed out."""
        painted = self._canvas.strokes.get(plane)
        drawn = np.unique(painted[painted != 0])
        if 2 <= drawn.size <= self._engine.info.max_classes:
            self._runner.submit(self._job(plane, painted, owner=step))
        else:
            self._runner.resolve(step)

    def _set_accepted(self, plane: Plane, *, accepted: bool) -> bool:
        self._require_open()
        if accepted and self._runner.works_on(plane):
            self.hint.emit(f"{plane} is still being computed; accept it when its result is there")
            return False
        changes = self._canvas.accept(plane, accepted)
        if changes:
            entry = self.entry("accept" if accepted else "reopen", plane, None)
            self._history.extend(self._history.begin([]), changes, [entry])
            self.changed.emit()
        return bool(changes)

    def _move(self, step: Step | None, *, after: bool) -> bool:
        if step is None:
            return False
        array = self.labels
        for change in step.changes if after else reversed(step.changes):
            self._canvas.apply(change, after=after)
        for plane in {*step.planes(), *(entry.plane for entry in step.entries)}:
            self._runner.forget(plane)
        for plane in dict.fromkeys(c.plane for c in step.changes if isinstance(c, ArrayChange)):
            self._show(plane)
        if array is not self.labels or any(not isinstance(c, ArrayChange) for c in step.changes):
            self.changed.emit()
        self._runner.answer_missing(step.planes())
        return True

    def _show(self, plane: Plane) -> None:
        self.restored.emit(Restored(plane, self._canvas.strokes.get(plane), self._canvas.view(plane).copy()))

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("the session is closed; open a new one")


def _as_engine(engine: str | Engine[Any], **parameters: Any) -> Engine[Any]:
    made = get_engine(engine, **parameters) if isinstance(engine, str) else engine
    if 2 not in made.info.ndim:
        raise InputError(f"the engine {made.info.name!r} takes images of {made.info.ndim} axes; planes have 2")
    return made


def _as_overlap(overlap: str) -> str:
    if overlap not in OVERLAPS:
        raise InputError(f"the overlap rule is {overlap!r}; expected one of {', '.join(OVERLAPS)}")
    return overlap


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _locked(plane: Plane) -> InputError:
    return InputError(f"{plane} is accepted and therefore locked; reopen it to change it")


def _too_few(drawn: NDArray[Any], plane: Plane) -> str:
    if drawn.size == 0:
        return f"there are no strokes on {plane}; paint at least one stroke for each of two classes"
    return f"there are strokes of one class only (id {drawn[0]}) on {plane}; paint a second class, such as the background"
