"""Connects the layers of one image with its session: strokes go in, results and former states come out."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.events import Restored, Stepped, Update
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Engine, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.common.messages import Message, report_errors, user_message
from napari_scribseg.widgets.segmentation.layers import LayerSet
from napari_scribseg.widgets.segmentation.overlay import Overlay
from napari_scribseg.widgets.segmentation.present import Present, status_of
from napari_scribseg.widgets.segmentation.view import State, View

__all__ = ["Annotator"]

_STEPS = {
    "stroke": "the stroke on",
    "result": "the result on",
    "propagation": "the propagation to",
    "edit": "the labels written to",
    "clear": "clearing",
    "accept": "accepting",
    "reopen": "reopening",
}


class Annotator:
    """The user's work on one image; without Qt and threads.

    Parameters
    ----------
    layers : LayerSet
        Its layers, with strokes and result.
    session : Session
        Its strokes, results and history.
    view : View
        Shows messages and state.
    aside : callable
        ``aside(function, done, failed)`` computes in the background.

    Attributes
    ----------
    mode : str
        One of :data:`~napari_scribseg.widgets.segmentation.view.MODES`.
    overlay : Overlay
        The certainty over the image.
    """

    def __init__(self, layers: LayerSet, session: Session, view: View, aside: Aside) -> None:
        self.layers = layers
        self.session = session
        self.view = view
        self.mode = "live"
        self.overlay = Overlay(layers, session, self.refresh_state, aside)
        self._behind = False  # the pen moved on while a live job ran
        self._fitting: SliceIndex | None = None  # whose fit is shown while it goes on
        self._shown_classes: ClassTable | None = None
        self._last_error = ""
        self._news: tuple[Message, SliceIndex | None, int] | None = None  # a message, its slice and version
        self._line: Message | None = None  # shown
        self._facts: tuple[Any, Present] | None = None  # a version, and its state
        self._hinted = ""
        session.events.updated.connect(self._on_updated)
        session.events.failed.connect(self._on_failed)
        session.events.restored.connect(self._on_restored)
        session.events.stepped.connect(self._on_stepped)
        session.events.changed.connect(self._on_changed)
        session.events.hint.connect(self._on_hint)
        session.events.busy.connect(self._on_busy)
        session.events.progress.connect(self._on_progress)

    # strokes in -------------------------------------------------------------------------------------------------------

    @report_errors
    def pen_moved(self) -> None:
        """The pen moved while down: in live mode request a first result, one at a time."""
        if not self._follows_pen:
            return
        if self.session.is_busy:
            self._behind = True
            self.session.overtake()
            return
        self._behind = False
        slice_index = self.layers.slice_index()
        if slice_index is not None and not self.session.is_accepted(slice_index) and self.unsent(slice_index):
            self.session.draw(self.layers.painted(slice_index), slice_index, live=True)

    @property
    def has_result(self) -> bool:
        """Whether the result contains all movements of the pen, or none is to come."""
        return not self._follows_pen or (not self._behind and (not self.session.is_busy or self.session.has_preview))

    @property
    def _follows_pen(self) -> bool:
        """Whether results are requested while the pen is down."""
        return self.mode == "live" and self.session.engine.info.live

    @report_errors
    def pen_lifted(self, slice_index: SliceIndex | None) -> None:
        """A stroke on a slice is done: record and segment it, but on demand."""
        self._behind = False
        if slice_index is None:
            self.show_message(self.layers.why_no_slice(), error=True)
        elif self.mode != "demand":
            self.session.draw(self.layers.painted(slice_index), slice_index, beside=self._strokes_beside(slice_index))

    @report_errors
    def look(self) -> None:
        """Another slice is displayed, or strokes changed without the pen: show it, and segment new strokes."""
        slice_index = self.layers.slice_index()
        if slice_index is None:
            self.overlay.hide()
            self.view.show_notes(())
            self.view.show_curve(None)
            return
        result = self.session.results(slice_index)
        self.view.show_notes(result.notes if result is not None else ())
        self._show_curve(slice_index)
        self.overlay.show(slice_index)
        if self.mode != "demand" and not self.layers.misfit() and self.unsent(slice_index):
            self.session.draw(self.layers.painted(slice_index), slice_index)

    def _strokes_beside(self, slice_index: SliceIndex) -> dict[SliceIndex, NDArray[Any]]:
        """New strokes on further slices that were painted together with those of a slice, the nearest slice first."""
        former = set(self.session.painted_slices(slice_index.displayed))
        beside = {
            other: painted
            for other in self.layers.slices_beside(slice_index)
            if ((painted := self.layers.painted(other)).any() or other in former) and self.unsent(other)
        }
        nearest = sorted(beside, key=lambda other: np.abs(np.subtract(other.position, slice_index.position)).sum())
        return {other: beside[other] for other in nearest}

    def unsent(self, slice_index: SliceIndex) -> bool:
        """Whether the strokes layer has other strokes on a slice than the session."""
        return self.layers.strokes is not None and not np.array_equal(
            self.layers.painted(slice_index), self.session.painted(slice_index)
        )

    # what the buttons do ----------------------------------------------------------------------------------------------

    @report_errors
    def segment(self) -> None:
        """Segment the displayed slice, in any mode."""
        slice_index = self._slice()
        painted, beside = self.layers.painted(slice_index), self._strokes_beside(slice_index)
        self.session.draw(painted, slice_index, demand=True, beside=beside)

    def add_strokes(self, painted: NDArray[Any]) -> None:
        """Paint class ids, shape (h, w), from the first pixel of the displayed slice on, where it has no strokes yet.

        Raises
        ------
        InputError
            If no slice is displayed.
        """
        slice_index = self._slice()
        self.session.classes = self.session.classes.with_ids(int(i) for i in np.unique(painted))
        strokes = self.layers.painted(slice_index).astype(np.int64)
        corner = strokes[: painted.shape[0], : painted.shape[1]]
        corner[corner == 0] = painted[corner == 0]
        self.layers.write_strokes(slice_index, strokes)
        self.look()

    @report_errors
    def run_network(self) -> None:
        """Write the network's own segmentation of the displayed slice into the result, without strokes."""
        slice_index = self._slice()
        requested = self.session.predict(slice_index)
        requested.add_done_callback(lambda _future: self.refresh_state())

    @report_errors
    def show_picture(self, name: str) -> None:
        """Add a colour layer of the engine's features on the displayed slice."""
        slice_index = self._slice()
        requested = self.session.picture(name, slice_index)

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:  # the session reports the error
                return
            if self.layers.show_picture(slice_index, future.result(), name):
                self.show_message(f"Added a layer of {name} of {self._where(slice_index)}")

        requested.add_done_callback(arrived)

    @report_errors
    def undo(self) -> None:
        """Undo the last stroke and its result."""
        slice_index = self.layers.slice_index()
        if slice_index is not None and self.layers.strokes is not None and self.unsent(slice_index):
            self.layers.strokes.undo()  # on demand: the session does not have it yet
        elif not self.session.undo():
            self.show_message("There is nothing to undo")

    @report_errors
    def redo(self) -> None:
        """Redo the step that was undone."""
        if not self.session.redo():
            self.show_message("There is nothing to redo")

    @report_errors
    def toggle_accepted(self) -> None:
        """Accept the displayed slice, or reopen it."""
        slice_index = self._slice()
        if self.session.is_accepted(slice_index):
            self.session.reopen(slice_index)
            self.show_message(f"{self._where(slice_index)} is open again: strokes change it")
        else:
            self.session.accept(slice_index)

    @report_errors
    def clear(self) -> None:
        """Remove the strokes and the result of the displayed slice."""
        slice_index = self._slice()
        if self.unsent(slice_index):
            self.session.draw(self.layers.painted(slice_index), slice_index)  # so that undo restores these, too
        before, where = self.session.version, self._where(slice_index)
        if not self.session.clear(slice_index):
            return
        if self.session.version == before:
            self.show_message(f"There is nothing to clear on {where}")
        elif self.session.label_ids(slice_index):
            self.show_message(f"Cleared {where}; its labels from before the strokes are back. Undo restores the rest")
        else:
            self.show_message(f"Cleared {where}; Undo restores it")

    @report_errors
    def propagate(self, count: int) -> None:
        """Propagate the result to the next slices (to earlier ones for a negative count)."""
        slice_index = self._slice()
        if not slice_index.position:
            raise InputError("the image has one slice only; there is nothing to propagate to")
        axis, here = slice_index.others[-1], slice_index.position[-1]
        stop = min(max(here + count, 0), self.session.volume.shape[axis] - 1)
        self._hinted = ""

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            slices = future.result()
            done = f"Propagated to {self.session.volume.span(slices)}" if slices else "Propagated to no slice"
            self.show_message("; ".join(part for part in (done, self._hinted) if part))

        self.session.propagate(slice_index, slice_index.at(axis, stop)).add_done_callback(arrived)

    @report_errors
    def cancel(self) -> None:
        """Stop the running job; the former result stays."""
        busy = self.session.doing is not None
        self.session.cancel()
        if busy:
            self.show_message("Cancelled; the former result stays")

    @report_errors
    def set_engine(self, engine: Engine[Any], mode: str, device: str, overlap: str) -> None:
        """Take over settings; segment the displayed slice again where they change the result."""
        session = self.session
        former = (session.engine, session.device, session.overlap)
        self.mode = mode
        if former == (engine, device, overlap):
            self.look()
            return
        self._news = None
        session.use(engine)
        session.device, session.overlap = device, overlap
        slice_index = self.layers.slice_index()
        if slice_index is not None and mode != "demand" and not session.is_accepted(slice_index):
            session.draw(self.layers.painted(slice_index), slice_index)
        self._prepare()

    @report_errors
    def set_classes(self, classes: ClassTable) -> None:
        """Take over a table that the user changed.

        An id that strokes or results use can neither change nor go: the voxels would lose their name.
        """
        for identity in set(self.session.classes.ids) - set(classes.ids):
            if self.uses(identity):
                self.view.show_classes(self.session.classes)
                name = self.session.classes[identity].name
                raise InputError(f"the class {name!r} has strokes or labels; erase them before its id changes or goes")
        background = classes.background
        self.session.classes = classes
        self.view.show_classes(classes)
        if background is None:
            self.show_message("No class is the background: paint a class for what surrounds the others")

    def uses(self, identity: int) -> bool:
        """Whether a class has strokes or labels anywhere in the volume."""
        strokes = self.layers.strokes
        return any(
            bool(np.any(np.asarray(slice_index) == identity))
            for data in (None if strokes is None else strokes.data, self.session.labels)
            if data is not None
            for slice_index in (data if data.ndim > 2 else [data])
        )

    @report_errors
    def paint_with(self, identity: int) -> None:
        """Put a class into the brush, and take the brush up."""
        self.layers.paint_with(identity)
        self.layers.take_up_tool()
        slice_index = self.layers.slice_index()
        if slice_index is not None and self.overlay.kind == "probability":
            self.overlay.show(slice_index)

    def take_brush(self) -> None:
        """Paint with the first class that is not the background."""
        first = next((c.id for c in self.session.classes if not c.background), None)
        if first is not None:
            self.layers.paint_with(first)

    @report_errors
    def set_overlay(self, kind: str, opacity: float) -> None:
        """Choose the overlay."""
        self.overlay.kind, self.overlay.opacity = kind, opacity
        slice_index = self.layers.slice_index()
        if slice_index is not None:
            self.overlay.show(slice_index)

    def show_all(self) -> None:
        """Show everything in the view, such as when this image comes to the front."""
        self._line = None
        self.view.show_classes(self.session.classes)
        self.view.show_busy(self.session.is_busy)
        if self.layers.strokes is not None:
            self.view.show_brush(self.layers.strokes.selected_label)
        self.look()
        self._prepare()

    def _prepare(self) -> None:
        """Prepare the engine before the first stroke."""
        slice_index = self.layers.slice_index()
        if slice_index is not None and not self.session.is_busy:
            self.session.prepare(slice_index)

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message until the slice, its strokes or its labels change."""
        self._news = Message(user_message(text), error), self.layers.slice_index(), self.session.version
        self.refresh_state()

    def refresh_state(self) -> None:
        """Update the buttons and the status line of the view."""
        slice_index, session = self.layers.slice_index(), self.session
        unsent = slice_index is not None and self.mode == "demand" and self.layers.strokes is not None
        accepted = slice_index is not None and session.is_accepted(slice_index)
        state = State(
            slice_index is not None, session.can_undo or unsent, session.can_redo, accepted, len(session.accepted)
        )
        self.view.show_state(state)
        line = status_of(self.present())
        if line != self._line:
            self._line = line
            self.view.show_status(line)

    def present(self) -> Present:
        """The present state; with a job or a message the rest is left out."""
        slice_index = self.layers.slice_index()
        if self._news is not None and self._news[1:] != (slice_index, self.session.version):
            self._news = None
        working = self._working()
        if working is not None or self._news is not None:
            return Present(working=working, news=None if self._news is None else self._news[0])
        trouble = self.layers.trouble()
        if trouble or slice_index is None:
            return Present(trouble=Message(trouble, error=True) if trouble else Message(self.layers.why_no_slice()))
        unsent = self.mode == "demand" and self.unsent(slice_index)
        return replace(self._present_on(slice_index), unsent=unsent, overlay=self.overlay.missing)

    def _present_on(self, slice_index: SliceIndex) -> Present:
        """The state of a slice, computed once for each change."""
        session = self.session
        moment = slice_index, session.version, session.classes, session.engine.info
        if self._facts is None or self._facts[0] != moment:
            drawn, labels = session.drawn_ids(slice_index), session.label_ids(slice_index)
            facts = Present(
                where=self._where(slice_index),
                accepted=session.is_accepted(slice_index),
                painted=self._names(drawn),
                labelled=self._names(labels),
                lacking=session.lacking(slice_index),
                segmented=session.is_segmented(slice_index),
            )
            self._facts = moment, facts
        return self._facts[1]

    def _names(self, ids: Collection[int]) -> tuple[str, ...]:
        """The names of classes, in the order of the table."""
        named = {label.id: label.name for label in self.session.classes if label.id in ids}
        return (*named.values(), *(f"label {i}" for i in ids if i not in named))

    def _working(self) -> Message | None:
        """The message of the job that runs."""
        doing = self.session.doing
        if doing is None:
            return None
        where, engine = self._where(doing.slice_index), self.session.engine.info.title.split(" (")[0]
        texts = {
            "result": f"{'Refining' if doing.refined else 'Computing'} {where} with {engine}…",
            "propagation": f"Propagating to {where}, slice {doing.done + 1} of {doing.total}…",
            "network": f"The network segments {where}…",
            "picture": f"Computing the {doing.name} of {where}; a layer follows",
        }
        text = "Stopping; the former result stays" if doing.stopped else texts[doing.what]
        return Message(text, patient=doing.what in ("result", "propagation"))

    def bring_back(self) -> bool:
        """Make deleted layers again from the session; returns whether the strokes layer is a new one."""
        new = self.layers.strokes is None
        if new:
            self.layers.make_strokes(self.session.classes)
            session = self.session
            self.layers.fill_strokes(
                (slice_index, session.painted(slice_index)) for slice_index in session.painted_slices()
            )
            self.take_brush()
        self.layers.show_result(self.session.labels, self.session.classes)
        self.layers.take_up_brush()
        return new

    def close(self) -> None:
        """End the session and write its autosave. The strokes and the result stay in the viewer."""
        self.session.close()
        self.overlay.kind = "none"  # one that is still computed comes too late
        self.layers.release()

    # results out ------------------------------------------------------------------------------------------------------

    def _on_updated(self, update: Update) -> None:
        self.layers.show_result(self.session.labels, self.session.classes)
        if update.slice_index != self.layers.slice_index():
            self.refresh_state()
            return
        if update.region[0].stop:
            self.layers.refresh_result(thumbnail=update.final)
        if update.curve is not None or update.final:
            self._fitting = None if update.final else update.slice_index
            self.view.show_curve(update.curve, fitting=not update.final)
        if update.final:  # a change beside the canvas redraws the whole window
            self._last_error = ""
            self.view.show_notes(update.notes)
            self.overlay.show(update.slice_index)
        self.refresh_state()

    def _on_restored(self, restored: Restored) -> None:
        if restored.painted is not None:
            self.layers.write_strokes(restored.slice_index, restored.painted)
        self.layers.show_result(self.session.labels, self.session.classes)
        slice_index = self.layers.slice_index()
        if slice_index == restored.slice_index:
            self.layers.refresh_result()
            self.overlay.show(slice_index)
            self._show_curve(slice_index)
            result = self.session.results(slice_index)
            self.view.show_notes(result.notes if result is not None else ())
        self.refresh_state()

    def _on_stepped(self, stepped: Stepped) -> None:
        what = "propagation" if stepped.what == "result" and len(stepped.slices) > 1 else stepped.what
        where = self.session.volume.span(stepped.slices)
        unseen = "" if self.layers.slice_index() in stepped.slices else ", which is not displayed"
        self.show_message(f"{'Redone' if stepped.redone else 'Undone'}: {_STEPS[what]} {where}{unseen}")

    def _on_failed(self, slice_index: SliceIndex, error: Exception) -> None:
        name = self.session.engine.info.title
        where = self._where(slice_index)
        text = user_message(str(error) if isinstance(error, InputError) else f"{name} failed on {where}: {error!r}")
        self.show_message(text, error=True)
        if text != self._last_error:
            self.view.notify(text)
        self._last_error = text

    def _on_changed(self) -> None:
        if self.session.classes != self._shown_classes:
            self._shown_classes = self.session.classes
            self._news = None  # it may contain the name of a class
            self.layers.show_classes(self.session.classes)
            self.view.show_classes(self.session.classes)
        if self.layers.result is not None:
            self.layers.show_result(self.session.labels, self.session.classes)
        self.refresh_state()

    def _on_progress(self, fraction: float) -> None:
        self.view.show_progress(fraction)

    def _on_hint(self, text: str) -> None:
        self._hinted = text
        self.show_message(text)

    def _on_busy(self, busy: bool) -> None:
        self.view.show_busy(busy)
        slice_index = self.layers.slice_index()
        if not busy and self._fitting is not None:  # without a result
            self._fitting = None
            if slice_index is not None:
                self._show_curve(slice_index)
        if not busy and self._behind:
            self.pen_moved()
        self.refresh_state()

    def _show_curve(self, slice_index: SliceIndex) -> None:
        """The curve of a slice's last result, unless a fit of it is shown."""
        if self._fitting == slice_index:
            return
        result = self.session.results(slice_index)
        self.view.show_curve(None if result is None else result.curve)

    def _where(self, slice_index: SliceIndex) -> str:
        return self.session.volume.where(slice_index)

    def _slice(self) -> SliceIndex:
        slice_index = self.layers.slice_index()
        if slice_index is None:
            raise InputError(self.layers.why_no_slice())
        return slice_index
