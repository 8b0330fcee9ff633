"""What the user's acts do: each becomes one step that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core.errors import InputError
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.session.history import ArrayChange, Change, Step
from napari_scribseg.session.journal import Kind
from napari_scribseg.session.rules import lacking, present_ids, suffice
from napari_scribseg.session.runner import Runner
from napari_scribseg.session.state import State, locked_error
from napari_scribseg.session.updates import Restored, Stepped
from napari_scribseg.session.volume import Plane

if TYPE_CHECKING:
    from napari_scribseg.session.session import Session

__all__ = ["Desk"]


class Desk:
    """Drawing, clearing, editing, accepting, undoing; everything in the owner's thread."""

    def __init__(self, session: Session, state: State, runner: Runner) -> None:
        self._session, self._state, self._runner = session, state, runner

    def draw(
        self,
        painted: ArrayLike | Scribbles,
        plane: Plane,
        *,
        live: bool,
        demand: bool,
        beside: Mapping[Plane, ArrayLike],
    ) -> Future[Any]:
        """See :meth:`Session.draw`."""
        state, canvas = self._state, self._state.canvas
        try:
            strokes = {plane: state.read_strokes(painted, plane)}
            strokes |= {other: state.read_strokes(values, other) for other, values in beside.items()}
        except InputError as error:
            return self._runner.refuse(plane, error)
        locked = [other for other in strokes if other in canvas.accepted]
        for other in locked:
            del strokes[other]
            self._show(other)
        if not strokes:
            return self._runner.refuse(plane, locked_error(self._where(plane)))
        state.plane = plane = plane if plane in strokes else next(iter(strokes))
        drawn = {other: present_ids(values) for other, values in strokes.items()}
        self._session.classes = state.classes.with_ids(sorted(set().union(*drawn.values())))
        if live:
            enough = suffice(drawn[plane], state.engine.info, state.classes.background, state.prior(plane))
            return self._runner.ask(plane, strokes[plane], None) if enough else _done(None)
        changes = [change for other, values in strokes.items() for change in canvas.paint(other, values)]
        newest = state.history.top
        if changes or newest is None or plane not in newest.waiting or newest is not state.history.newest(plane):
            newest = state.history.begin(changes, waiting=strokes)
        self._session.touch()
        self._runner.ask_later(newest, [other for other in strokes if other != plane])
        asked = self._request(plane, strokes[plane], drawn[plane], newest, demand=demand)
        for other in locked:
            self._runner.refuse(other, locked_error(self._where(other)))
        return asked

    def _request(
        self, plane: Plane, strokes: NDArray[Any], drawn: tuple[int, ...], step: Step, *, demand: bool
    ) -> Future[Any]:
        info, prior = self._state.engine.info, self._state.prior(plane)
        if suffice(drawn, info, self._state.classes.background, prior):
            return self._runner.ask(plane, strokes, step)
        self._runner.stop(plane)
        self._runner.resolve(step, plane)
        if not drawn:
            self._take_back(plane, step)
        self._runner.answer_missing(())
        text = f"{lacking(drawn, info, self._state.classes, prior)} on {self._where(plane)}"
        if demand or len(drawn) > 1:
            return self._runner.refuse(plane, InputError(text))
        self._session.hint.emit(text)
        return _done(None)

    def _take_back(self, plane: Plane, step: Step) -> None:
        """The last stroke was erased: the labels that strokes corrected come back."""
        prior = self._state.prior(plane)
        if self._state.canvas.prior(plane) is None or prior is None:
            return
        changes = self._state.write(plane, np.where(prior < 0, 0, prior).astype(np.uint16))
        changes += self._state.canvas.set_prior(plane, None)
        written = next((c for c in changes if isinstance(c, ArrayChange)), None)
        self._state.history.extend(step, changes, [self._state.entry("edit", plane, written)])
        self._runner.forget(plane)
        self._show(plane)

    def clear(self, plane: Plane) -> bool:
        """See :meth:`Session.clear`."""
        canvas = self._state.canvas
        if plane in canvas.accepted:
            self._runner.refuse(plane, locked_error(self._where(plane)))
            return False
        self._runner.stop(plane)
        changes = canvas.paint(plane, np.zeros(self._state.volume.plane_shape(plane), np.uint8))
        found = canvas.found(plane)
        if found is not None:
            changes += self._state.write(plane, found)
            changes += canvas.forget_found(plane) + canvas.set_underlay(plane, None)
        changes += canvas.set_prior(plane, None)
        self._finish("clear", plane, changes)
        return True

    def edit(self, labels: ArrayLike, plane: Plane) -> bool:
        """See :meth:`Session.edit`."""
        try:
            if plane in self._state.canvas.accepted:
                raise locked_error(self._where(plane))
            values = self._state.read_strokes(labels, plane)
        except InputError as error:
            self._runner.refuse(plane, error)
            return False
        self._runner.stop(plane)
        array = self._state.canvas.labels
        found = self._state.canvas.committed(plane)
        changes = self._state.write(plane, values)
        if changes:
            changes = [*self._state.canvas.keep_found(plane, found), *changes]
            changes += self._state.canvas.set_prior(plane, None)
        self._finish("edit", plane, changes)
        if array is not self._state.canvas.labels:
            self._session.changed.emit()
        return True

    def _finish(self, kind: Kind, plane: Plane, changes: list[Change]) -> None:
        """Remember an act that no engine had a part in, and show it."""
        if not changes:
            return
        written = next((c for c in changes if isinstance(c, ArrayChange) and c.kind == "labels"), None)
        history = self._state.history
        history.extend(history.begin([]), changes, [self._state.entry(kind, plane, written)])
        self._runner.forget(plane)
        self._show(plane)
        self._session.touch()

    def set_accepted(self, plane: Plane, accepted: bool) -> bool:
        """See :meth:`Session.accept`."""
        if accepted and self._runner.works_on(plane):
            self._session.hint.emit(f"{self._where(plane)} is still being computed; accept it when its result is there")
            return False
        changes = self._state.canvas.accept(plane, accepted)
        if changes and not accepted:
            changes += self._state.canvas.set_prior(plane, None)
        if changes:
            history = self._state.history
            entry = self._state.entry("accept" if accepted else "reopen", plane)
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
        for plane in {*step.planes(), *(entry.plane for entry in step.entries)}:
            self._runner.forget(plane)
        for plane in dict.fromkeys(c.plane for c in step.changes if isinstance(c, ArrayChange)):
            self._show(plane)
        if array is not self._state.canvas.labels or any(not isinstance(c, ArrayChange) for c in step.changes):
            self._session.changed.emit()
        self._session.touch()
        self._session.stepped.emit(Stepped.of(step, after))
        self._runner.answer_missing(step.planes())
        return True

    def _where(self, plane: Plane) -> str:
        return self._state.volume.where(plane)

    def _show(self, plane: Plane) -> None:
        canvas = self._state.canvas
        self._session.restored.emit(Restored(plane, canvas.strokes.get(plane), canvas.view(plane).copy()))


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
