"""What the user's acts do: each becomes one step that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.annotate.events import Restored, Stepped
from napari_scribseg.annotate.history import ArrayChange, Change, Step
from napari_scribseg.annotate.journal import Kind
from napari_scribseg.annotate.rules import lacking, present_ids, suffice
from napari_scribseg.annotate.runner import Runner
from napari_scribseg.annotate.state import State, locked_error
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex

if TYPE_CHECKING:
    from napari_scribseg.annotate.session import Session

__all__ = ["Desk"]


class Desk:
    """Drawing, clearing, editing, accepting, undoing; everything in the owner's thread."""

    def __init__(self, session: Session, state: State, runner: Runner) -> None:
        self._session, self._state, self._runner = session, state, runner

    def draw(
        self,
        painted: ArrayLike | Scribbles,
        slice_index: SliceIndex,
        *,
        live: bool,
        demand: bool,
        beside: Mapping[SliceIndex, ArrayLike],
    ) -> Future[Any]:
        """See :meth:`Session.draw`."""
        state, canvas = self._state, self._state.canvas
        try:
            strokes = {slice_index: state.read_strokes(painted, slice_index)}
            strokes |= {other: state.read_strokes(values, other) for other, values in beside.items()}
        except InputError as error:
            return self._runner.refuse(slice_index, error)
        locked = [other for other in strokes if other in canvas.accepted]
        for other in locked:
            del strokes[other]
            self._show(other)
        if not strokes:
            return self._runner.refuse(slice_index, locked_error(self._where(slice_index)))
        state.slice_index = slice_index = slice_index if slice_index in strokes else next(iter(strokes))
        drawn = {other: present_ids(values) for other, values in strokes.items()}
        self._session.classes = state.classes.with_ids(sorted(set().union(*drawn.values())))
        if live:
            enough = suffice(drawn[slice_index], state.engine.info, state.classes.background, state.prior(slice_index))
            return self._runner.ask(slice_index, strokes[slice_index], None) if enough else _done(None)
        changes = [change for other, values in strokes.items() for change in canvas.paint(other, values)]
        newest = state.history.top
        if (
            changes
            or newest is None
            or slice_index not in newest.waiting
            or newest is not state.history.newest(slice_index)
        ):
            newest = state.history.begin(changes, waiting=strokes)
        self._session.touch()
        self._runner.ask_later(newest, [other for other in strokes if other != slice_index])
        asked = self._request(slice_index, strokes[slice_index], drawn[slice_index], newest, demand=demand)
        for other in locked:
            self._runner.refuse(other, locked_error(self._where(other)))
        return asked

    def _request(
        self, slice_index: SliceIndex, strokes: NDArray[Any], drawn: tuple[int, ...], step: Step, *, demand: bool
    ) -> Future[Any]:
        info, prior = self._state.engine.info, self._state.prior(slice_index)
        if suffice(drawn, info, self._state.classes.background, prior):
            return self._runner.ask(slice_index, strokes, step)
        self._runner.stop(slice_index)
        self._runner.resolve(step, slice_index)
        if not drawn:
            self._take_back(slice_index, step)
        self._runner.answer_missing(())
        text = f"{lacking(drawn, info, self._state.classes, prior)} on {self._where(slice_index)}"
        if demand or len(drawn) > 1:
            return self._runner.refuse(slice_index, InputError(text))
        self._session.hint.emit(text)
        return _done(None)

    def _take_back(self, slice_index: SliceIndex, step: Step) -> None:
        """The last stroke was erased: the labels that strokes corrected come back."""
        prior = self._state.prior(slice_index)
        if self._state.canvas.prior(slice_index) is None or prior is None:
            return
        changes = self._state.write(slice_index, np.where(prior < 0, 0, prior).astype(np.uint16))
        changes += self._state.canvas.set_prior(slice_index, None)
        written = next((c for c in changes if isinstance(c, ArrayChange)), None)
        self._state.history.extend(step, changes, [self._state.entry("edit", slice_index, written)])
        self._runner.forget(slice_index)
        self._show(slice_index)

    def clear(self, slice_index: SliceIndex) -> bool:
        """See :meth:`Session.clear`."""
        canvas = self._state.canvas
        if slice_index in canvas.accepted:
            self._runner.refuse(slice_index, locked_error(self._where(slice_index)))
            return False
        self._runner.stop(slice_index)
        changes = canvas.paint(slice_index, np.zeros(self._state.volume.slice_shape(slice_index), np.uint8))
        found = canvas.found(slice_index)
        if found is not None:
            changes += self._state.write(slice_index, found)
            changes += canvas.forget_found(slice_index) + canvas.set_underlay(slice_index, None)
        changes += canvas.set_prior(slice_index, None)
        self._finish("clear", slice_index, changes)
        return True

    def edit(self, labels: ArrayLike, slice_index: SliceIndex) -> bool:
        """See :meth:`Session.edit`."""
        try:
            if slice_index in self._state.canvas.accepted:
                raise locked_error(self._where(slice_index))
            values = self._state.read_strokes(labels, slice_index)
        except InputError as error:
            self._runner.refuse(slice_index, error)
            return False
        self._runner.stop(slice_index)
        array = self._state.canvas.labels
        found = self._state.canvas.committed(slice_index)
        changes = self._state.write(slice_index, values)
        if changes:
            changes = [*self._state.canvas.keep_found(slice_index, found), *changes]
            changes += self._state.canvas.set_prior(slice_index, None)
        self._finish("edit", slice_index, changes)
        if array is not self._state.canvas.labels:
            self._session.changed.emit()
        return True

    def _finish(self, kind: Kind, slice_index: SliceIndex, changes: list[Change]) -> None:
        """Remember an act that no engine had a part in, and show it."""
        if not changes:
            return
        written = next((c for c in changes if isinstance(c, ArrayChange) and c.kind == "labels"), None)
        history = self._state.history
        history.extend(history.begin([]), changes, [self._state.entry(kind, slice_index, written)])
        self._runner.forget(slice_index)
        self._show(slice_index)
        self._session.touch()

    def set_accepted(self, slice_index: SliceIndex, accepted: bool) -> bool:
        """See :meth:`Session.accept`."""
        if accepted and self._runner.works_on(slice_index):
            self._session.hint.emit(
                f"{self._where(slice_index)} is still being computed; accept it when its result is there"
            )
            return False
        changes = self._state.canvas.accept(slice_index, accepted)
        if changes and not accepted:
            changes += self._state.canvas.set_prior(slice_index, None)
        if changes:
            history = self._state.history
            entry = self._state.entry("accept" if accepted else "reopen", slice_index)
            history.extend(history.begin([]), changes, [entry])
            self._session.changed.emit()
        return bool(changes)

    def undo(self) -> bool:
        """See :meth:`Session.undo`."""
        self._runner.interrupt()
        return self._move(self._state.history.undo(), after=False)

    def redo(self) -> bool:
        """See :meth:`Session.redo`."""
        self._runner.interrupt()
        return self._move(self._state.history.redo(), after=True)

    def _move(self, step: Step | None, *, after: bool) -> bool:
        if step is None:
            self._runner.answer_missing(())
            return False
        array = self._state.canvas.labels
        for change in step.changes if after else reversed(step.changes):
            self._state.canvas.apply(change, after=after)
        for slice_index in {*step.slices(), *(entry.slice_index for entry in step.entries)}:
            self._runner.forget(slice_index)
        for slice_index in dict.fromkeys(c.slice_index for c in step.changes if isinstance(c, ArrayChange)):
            self._show(slice_index)
        if array is not self._state.canvas.labels or any(not isinstance(c, ArrayChange) for c in step.changes):
            self._session.changed.emit()
        self._session.touch()
        self._session.stepped.emit(Stepped.of(step, after))
        self._runner.answer_missing(step.slices())
        return True

    def _where(self, slice_index: SliceIndex) -> str:
        return self._state.volume.where(slice_index)

    def _show(self, slice_index: SliceIndex) -> None:
        canvas = self._state.canvas
        self._session.restored.emit(
            Restored(slice_index, canvas.strokes.get(slice_index), canvas.view(slice_index).copy())
        )


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
