"""One image or volume being annotated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from psygnal import Signal

from napari_scribseg.annotate.commands import Desk
from napari_scribseg.annotate.compare import Comparison
from napari_scribseg.annotate.events import Restored, Stepped, Update
from napari_scribseg.annotate.executor import Deliver, InlineExecutor
from napari_scribseg.annotate.prefetch import Beforehand
from napari_scribseg.annotate.propagate import Propagation
from napari_scribseg.annotate.readable import Readable
from napari_scribseg.annotate.replay import replay
from napari_scribseg.annotate.runner import Runner
from napari_scribseg.annotate.sidecar import Writer, read_with_volume, write
from napari_scribseg.annotate.snapshot import Snapshot, restore, take
from napari_scribseg.annotate.state import State, as_engine, as_overlap
from napari_scribseg.core.classes import ClassTable
from napari_scribseg.core.engine import Engine
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.registry import get_engine
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.kernel import Autosave

__all__ = ["Session"]

STATE_BYTES = 32 << 20
MakeEngine = Callable[..., Engine[Any]]


class Session(Readable):
    """Strokes in, labels out, slice by slice; no window needed.

    All state is changed in the owner's thread: call every method there. The worker reads a slice, prepares the engine
    and segments; what it found is handed back through ``deliver``.

    Parameters
    ----------
    volume : Source
        What is annotated; see :meth:`Source.from_array`.
    engine : str or Engine
        A registered name, or an engine with its parameters.
    classes : ClassTable, optional
        Names, colours, locks, and which id marks the background; ids that are painted and unknown are added.
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
        Bound of what engines remember of all slices together; what belongs to the last one is kept in any case, unless
        the bound is 0.
    sidecar : path, optional
        A new file that is kept up to date, a second or two behind; :meth:`load` goes on with one that exists. No other
        session can work on it before :meth:`close`.

    Raises
    ------
    InputError
        If the engine, the overlap rule or the labels cannot be used, or the sidecar exists.
    """

    updated = Signal(Update)
    failed = Signal(SliceIndex, Exception)
    busy = Signal(bool)
    progress = Signal(float)
    restored = Signal(Restored)
    stepped = Signal(Stepped)
    changed = Signal()
    hint = Signal(str)

    def __init__(
        self,
        volume: Source,
        engine: str | Engine[Any] = "svcd",
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
        with _held(sidecar) as lock:
            if lock is not None and lock.path.exists():
                raise InputError(f"{sidecar} exists; go on with it by Session.load, or name a new file")
            state = State(volume, engine, classes=classes, device=device, overlap=overlap, labels=labels)
            self._setup(state, executor, deliver, state_bytes, lock)

    def _setup(
        self,
        state: State,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
        state_bytes: int = STATE_BYTES,
        lock: FileLock | None = None,
    ) -> None:
        """``lock`` is that of the sidecar."""
        if executor is not None and deliver is None and not isinstance(executor, InlineExecutor):
            raise InputError("an executor was given without deliver; a function that calls in your thread is needed")
        self._state = state
        self._closed = False
        self._runner = Runner(self, state, executor, deliver, state_bytes)
        self._desk = Desk(self, state, self._runner)
        self._beforehand = Beforehand(self, state, self._runner)
        self._autosave: Autosave[Snapshot] | None = None
        self.changed.connect(self.touch)
        if lock is not None:
            self._autosave = Autosave(lock, lambda: take(state), Writer().write, self.hint.emit, deliver)

    @property
    def engine(self) -> Engine[Any]:
        """The engine in use, with its parameters."""
        return self._state.engine

    def use(self, engine: str | Engine[Any], **parameters: Any) -> None:
        """Choose an engine for the strokes to come; nothing is computed again until the next :meth:`draw`.

        Raises InputError if there is no such engine, or it does not take slices.
        """
        self._state.engine = as_engine(engine, **parameters)
        self.changed.emit()

    @property
    def device(self) -> str:
        """The device that engines are asked to use."""
        return self._state.device

    @device.setter
    def device(self, device: str) -> None:
        self._state.device = device
        self.changed.emit()

    @property
    def classes(self) -> ClassTable:
        """Names, colours, locks, and the background's id."""
        return self._state.classes

    @classes.setter
    def classes(self, classes: ClassTable) -> None:
        if classes != self._state.classes:
            self._state.classes = classes
            self.changed.emit()

    @property
    def overlap(self) -> str:
        """``overwrite`` or ``keep``."""
        return self._state.overlap

    @overlap.setter
    def overlap(self, overlap: str) -> None:
        self._state.overlap = as_overlap(overlap)
        self.changed.emit()

    def draw(
        self,
        painted: ArrayLike | Scribbles,
        index: SliceIndex | int | None = None,
        *,
        live: bool = False,
        demand: bool = False,
        beside: Mapping[SliceIndex, ArrayLike] | None = None,
    ) -> Future[Any]:
        """Segment a slice by its strokes; the newest call wins over all that are under way.

        On a slice that has labels (found there, propagated, edited, or accepted and reopened) strokes are corrections:
        labels that they contradict change near them, all others stay, and strokes of one class are enough.

        Parameters
        ----------
        painted : array_like of shape (H, W), or Scribbles
            The slice of the scribble layer as it is now: ids, 0 where unpainted.
        index : SliceIndex or int, optional
            Which slice; an int stands along the axis drawn on last (the first by default).
        live : bool
            The pen is still down: show a result, but remember neither strokes nor result. A call without ``live``
            follows when the pen lifts.
        demand : bool
            The user asked for a result, so that strokes of fewer than two classes are an error instead of a ``hint``.
        beside : mapping of SliceIndex to array_like, optional
            Strokes of further slices that the same stroke changed, such as a ball painted in three dimensions: one step
            together, and each slice is answered.

        Returns
        -------
        Future
            Of the final :class:`Update`; of None where there is nothing to compute yet; cancelled when a newer call
            pushed it out. It is resolved in the owner's thread: do not wait for it there, see :class:`Inbox`.

        Raises
        ------
        InputError
            If there is no such slice, or the session is closed; all else comes through ``failed`` and the future.
        """
        self._require_open()
        others = {self.slice_index(other): strokes for other, strokes in (beside or {}).items()}
        return self._desk.draw(painted, self.slice_index(index), live=live, demand=demand, beside=others)

    def predict(self, index: SliceIndex | int | None = None) -> Future[Any]:
        """Write what the engine's network says without strokes into a slice, as an edit that can be undone.

        Its first class is the background; the others are the classes of the table in their order, and new ones.

        Returns
        -------
        Future
            True when it is written. What goes wrong comes through ``failed`` and the future.

        Raises
        ------
        InputError
            If there is no such slice, or the engine has no network that answers without strokes.
        """
        self._require_open()
        return self._beforehand.predict(self.slice_index(index))

    def picture(self, name: str, index: SliceIndex | int | None = None) -> Future[Any]:
        """A colour picture of what the engine sees in a slice, by a name of its ``pictures``; in the background.

        The future's result has the shape (H, W, 3), float32, from 0 to 1. What goes wrong comes through ``failed`` and
        the future.

        Raises
        ------
        InputError
            If there is no such slice, or the engine has no such picture.
        """
        self._require_open()
        return self._beforehand.picture(self.slice_index(index), name)

    def prepare(self, index: SliceIndex | int | None = None) -> None:
        """Let the engine load and look at a slice in the background, so that its first stroke need not wait for that.

        Raises
        ------
        InputError
            If there is no such slice, or the session is closed.
        """
        self._require_open()
        self._beforehand.prepare(self.slice_index(index))

    def overtake(self) -> None:
        """Tell that the pen has moved on: a live answer that is being computed ends with its next preview."""
        self._runner.overtake()

    def undo(self) -> bool:
        """Take back the last step, strokes and output together; stops what is running. False where there is none."""
        self._require_open()
        return self._desk.undo()

    def redo(self) -> bool:
        """Do again what was undone last; False where there is nothing."""
        self._require_open()
        return self._desk.redo()

    def accept(self, index: SliceIndex | int | None = None) -> bool:
        """Lock a slice: no result changes its voxels until it is reopened. False while it is being computed."""
        self._require_open()
        return self._desk.set_accepted(self.slice_index(index), True)

    def reopen(self, index: SliceIndex | int | None = None) -> bool:
        """Unlock a slice."""
        self._require_open()
        return self._desk.set_accepted(self.slice_index(index), False)

    def clear(self, index: SliceIndex | int | None = None) -> bool:
        """Remove a slice's strokes and what this session wrote there; labels that it found there come back.

        False, and ``failed``, where the slice is accepted.
        """
        self._require_open()
        return self._desk.clear(self.slice_index(index))

    def edit(self, labels: ArrayLike, index: SliceIndex | int | None = None) -> bool:
        """Set the output of a slice by hand: one step, also in the session file.

        Locked classes stay as they are; ``labels`` must not be a view of :attr:`labels`. False, and ``failed``, where
        the slice is accepted or the labels cannot be used.
        """
        self._require_open()
        return self._desk.edit(labels, self.slice_index(index))

    def propagate(self, start: SliceIndex | int, stop: SliceIndex | int) -> Future[Any]:
        """Carry the labels of slice ``start`` on to the slices behind it, up to and with ``stop``; one step.

        Each slice is seeded from the interiors of the labels before it, and from its own strokes, which win. It ends
        early before an accepted slice, and where nothing is left to carry on; ``hint`` tells.

        The future's result is the tuple of slices that were written. The next :meth:`draw`, :meth:`undo` or
        :meth:`cancel` cancels it; what was written by then stays, and is taken back by one :meth:`undo`.

        Raises
        ------
        InputError
            If the slices do not stand one behind the other, or there are no labels on ``start``.
        """
        self._require_open()
        run = Propagation(self._state, self._runner, self.slice_index(start), self.slice_index(stop), self.hint.emit)
        return run.begin()

    def cancel(self) -> None:
        """Stop what is running, and forget what waits; the former output comes back.

        An engine that has not stopped after 10 s is left behind: what it finds never arrives, and the next stroke is
        answered by a new worker. ``hint`` tells.
        """
        self._beforehand.cancel()
        self._runner.cancel()

    def close(self) -> None:
        """Stop working and save for the last time; the session takes no more strokes."""
        if not self._closed:
            self.cancel()
            self._closed = True
            if self._autosave is not None:
                self._autosave.close()

    def save(self, path: str | PathLike[str]) -> None:
        """Write strokes, output, accepted slices, classes, engines and settings to one file, or leave it as it was.

        Raises InputError if the file cannot be written, is the sidecar of another session, or an engine's parameter has
        no place in it.
        """
        snapshot = take(self._state)
        if self._autosave is not None and self._autosave.path == Path(path).resolve():
            self.flush()  # nothing older is written after it
            write(snapshot, self._autosave.path)
            return
        with contextlib.closing(_lock(Path(path))):
            write(snapshot, Path(path))

    def flush(self) -> None:
        """Bring the sidecar up to date now; returns when it is on the disk, whatever the engine does."""
        if self._autosave is not None:
            self._autosave.flush()

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
        """Go on with a session saved by :meth:`save`, or with a sidecar.

        The volume is read from its own file where none is given. ``engine`` stands in for the one in use at the time,
        made by ``make_engine(name, **parameters)``. ``sidecar``, kept up to date from now on, may be ``path`` itself.
        Where the image is not the one that was segmented, ``hint`` tells; a warning, where nobody listens to it.

        A file never says that code which it names may run, such as a factory or a TorchScript model of ``brs``: without
        ``trust`` the engine refuses such a model at the next stroke.

        Raises
        ------
        InUseError
            If another session works on ``sidecar``; name another file to go on with a copy.
        InputError
            If the file is missing, damaged, not a session or from a newer version, or the volume is another one.
        """
        with _held(sidecar) as lock:
            if lock is not None and lock.path.exists() and not lock.path.samefile(path):
                raise InputError(f"{sidecar} exists and is not the session being loaded; name a new file")
            snapshot, volume = read_with_volume(Path(path), volume)
            state = restore(snapshot, volume, engine=engine, make_engine=make_engine, trust=trust)
            session = cls.__new__(cls)
            session._setup(state, executor, deliver, state_bytes, lock)
        Comparison(snapshot, volume, session._runner, session.hint, stopped=lambda: session._closed).begin()
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

        The same engines on the same machine give the same label volume, bit by bit. ``device`` stands in for the
        devices that were used then. Code that the file names, such as a model of ``brs``, runs only with ``trust``.

        Raises InputError as :meth:`load` does, and if an engine is missing.
        """
        snapshot, volume = read_with_volume(Path(path), volume)
        session = cls.__new__(cls)
        session._setup(replay(snapshot, volume, device=device, make_engine=make_engine, trust=trust))
        return session

    def touch(self) -> None:
        """Note that there is something to save."""
        if self._autosave is not None:
            self._autosave.touch()

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("the session is closed; open a new one")


@contextlib.contextmanager
def _held(sidecar: str | PathLike[str] | None) -> Iterator[FileLock | None]:
    """The lock of a sidecar, which is let go where the session does not come about."""
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
