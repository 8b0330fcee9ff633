"""Connects the layers of one image with its session: passes strokes to the session, and shows its results."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.drafter import Drafter
from napari_scribseg.annotate.events import FailedError, Restored, Stepped, Update
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.uncertainty import UncertainPlace, uncertain_places
from napari_scribseg.core import ClassTable, Engine, Hint, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.dispatch import Aside
from napari_scribseg.widgets.common.messages import Message, report_errors, user_message
from napari_scribseg.widgets.segmentation.annotation_view import AnnotationView, SliceState
from napari_scribseg.widgets.segmentation.layer_set import LayerSet
from napari_scribseg.widgets.segmentation.overlay import Overlay
from napari_scribseg.widgets.segmentation.present import Present, present_on, status_of, working
from napari_scribseg.widgets.segmentation.result_editor import Brush, ResultEditor, ToolRequest

__all__ = ["Annotator"]

_ANCHORS = 2  # slices that count, to fill between
_STEPS = {
    "stroke": "the stroke on",
    "result": "the result on",
    "propagation": "the propagation to",
    "fill": "the filling of",
    "draft": "the draft of",
    "edit": "the labels written to",
    "clear": "clearing",
    "accept": "accepting",
    "reopen": "reopening",
}


class Annotator:
    """Annotation of one image, without Qt and threads.

    Parameters
    ----------
    layers : LayerSet
        The layers of the image, with or without strokes and result.
    session : Session
        Strokes, results and history.
    view : AnnotationView
        Shows messages and state.
    aside : callable
        ``aside(function, done, failed)`` computes in the background.

    Attributes
    ----------
    mode : {"live", "stroke", "demand"}
        When to segment: while the pen moves, when it lifts, or on demand.
    overlay : Overlay
        Probability or uncertainty over the image.
    editor : ResultEditor
        The brush on the result, and the tools.
    """

    def __init__(self, layers: LayerSet, session: Session, view: AnnotationView, aside: Aside) -> None:
        self.layers = layers
        self.session = session
        self.view = view
        self.mode = "live"
        self.overlay = Overlay(layers, session, self.refresh_state, aside)
        self.editor = ResultEditor(layers, session, self.show_message)
        self._aside = aside
        self._shown_places: set[SliceIndex] = set()  # slices whose most uncertain place was shown
        self._behind = False  # the pen moved on while a live job ran
        self._fitting: SliceIndex | None = None  # the slice whose fit is running and shown
        self._to_fill: SliceIndex | None = None  # along its axis, once all strokes have results
        self._shown_classes: ClassTable | None = None
        self._former_classes = session.classes
        self._last_error = ""
        self._news: tuple[Message, SliceIndex | None, int] | None = None  # a message, with slice and version
        self._shown_status: Message | None = None
        self._cached: tuple[Any, Present] | None = None  # the state of a slice, with what it depends on
        self._last_hint = ""
        self._notes: tuple[str, ...] = ()  # of the result that is shown
        self._hinted: tuple[SliceIndex, int] | None = None  # slice and version that hints are shown for, once
        session.events.updated.connect(self._on_updated)
        session.events.failed.connect(self._on_failed)
        session.events.restored.connect(self._on_restored)
        session.events.stepped.connect(self._on_stepped)
        session.events.changed.connect(self._on_changed)
        session.events.hint.connect(self._on_hint)
        session.events.busy.connect(self._on_busy)
        session.events.filling.connect(self._on_filling)
        session.events.progress.connect(self._on_progress)

    # strokes ----------------------------------------------------------------------------------------------------------

    @report_errors
    def pen_moved(self) -> None:
        """Request a preview in live mode, one at a time, because the pen moved while down."""
        if not self._follows_pen:
            return
        if self.session.is_busy:
            self._behind = True
            self.session.overtake()
            return
        self._behind = False
        slice_index = self.layers.slice_index()
        if slice_index is not None and not self.session.is_accepted(slice_index) and self.unsent(slice_index):
            painted = self.editor.allowed(slice_index, self.layers.painted(slice_index))
            self.session.draw(painted, slice_index, live=True)

    @property
    def has_result(self) -> bool:
        """Whether the result contains all movements of the pen, or none will come before it lifts."""
        return not self._follows_pen or (not self._behind and (not self.session.is_busy or self.session.has_preview))

    @property
    def _follows_pen(self) -> bool:
        return self.mode == "live" and self.session.engine.info.live

    @report_errors
    def pen_lifted(self, slice_index: SliceIndex | None) -> None:
        """Record and segment a finished stroke on a slice, unless the user segments on demand."""
        self._behind = False
        if slice_index is None:
            self.show_message(self.layers.why_no_slice(), error=True)
            return
        painted = self.layers.painted(slice_index)
        allowed = self.editor.allowed(slice_index, painted)
        if allowed is not painted:
            self.layers.write_strokes(slice_index, allowed)
        if self.mode != "demand":
            self.session.draw(allowed, slice_index, beside=self._strokes_beside(slice_index))

    @report_errors
    def look(self) -> None:
        """Show the displayed slice, and segment strokes that came without the pen."""
        slice_index = self.layers.slice_index()
        if slice_index is None:
            self.overlay.hide()
            self._show_notes(())
            self.view.show_curve(None)
            return
        self._show_result(slice_index)
        if self.mode != "demand" and not self.layers.misfit() and self.unsent(slice_index):
            self.session.draw(self.layers.painted(slice_index), slice_index)

    def _strokes_beside(self, slice_index: SliceIndex) -> dict[SliceIndex, NDArray[Any]]:
        """New strokes on the other slices that were painted together with this one, the nearest slice first."""
        former = set(self.session.painted_slices(slice_index.displayed))
        beside = [
            (other, painted)
            for other in self.layers.slices_beside(slice_index)
            if ((painted := self.layers.painted(other)).any() or other in former) and self.unsent(other)
        ]
        return dict(sorted(beside, key=lambda pair: np.abs(np.subtract(pair[0].position, slice_index.position)).sum()))

    def unsent(self, slice_index: SliceIndex) -> bool:
        """Whether the strokes layer has other strokes on a slice than the session."""
        return self.layers.strokes is not None and not np.array_equal(
            self.layers.painted(slice_index), self.session.painted(slice_index)
        )

    def has_unsent(self, slice_index: SliceIndex) -> bool:
        """As :meth:`unsent`; false where the strokes layer cannot be read."""
        return not self.layers.misfit() and self.unsent(slice_index)

    # edits of the result ----------------------------------------------------------------------------------------------

    @report_errors
    def use_brush(self, brush: Brush) -> None:
        """Choose what the pen does: strokes, or painting and erasing on the result."""
        self.editor.use_brush(brush)

    @report_errors
    def result_painted(self) -> None:
        """Write a finished stroke on the result."""
        self.editor.read_stroke()

    @report_errors
    def run_tool(self, request: ToolRequest, *, preview: bool) -> None:
        """Run an editing tool on the class in the brush, or show what it would change."""
        self.editor.run(request, self._slice(), preview=preview)

    # actions ----------------------------------------------------------------------------------------------------------

    @report_errors
    def segment(self) -> None:
        """Segment the displayed slice, in any mode."""
        slice_index = self._slice()
        beside = self._strokes_beside(slice_index)
        self.session.draw(self.layers.painted(slice_index), slice_index, demand=True, beside=beside)

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
        """Write the network's prediction without strokes for the displayed slice into the result."""
        self.session.predict(self._slice()).add_done_callback(lambda _future: self.refresh_state())

    @report_errors
    def show_picture(self, name: str) -> None:
        """Add a colour layer of the engine's features on the displayed slice."""
        slice_index = self._slice()

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:  # the session reports the error
                return
            if self.layers.show_picture(slice_index, future.result(), name):
                self.show_message(f"Added a layer of {name} of {self.where(slice_index)}")

        self.session.picture(name, slice_index).add_done_callback(arrived)

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
            self.show_message(f"{self.where(slice_index)} is open again: strokes can change it")
        else:
            self.session.accept(slice_index)
            self._go_on(slice_index)

    def _go_on(self, accepted: SliceIndex) -> None:
        """Display the next slice with strokes or labels after one that was accepted; without one, say what N does."""
        if not accepted.position:
            return
        done, where = self.session.accepted, self.where(accepted)
        axis, here = accepted.others[-1], accepted.position[-1]
        n = self.session.volume.shape[axis]
        others = [accepted.at(axis, (here + step) % n) for step in range(1, n)]
        wanted = self.session.next_slice(axis, like=accepted) if self._has_guesses else None
        started = wanted or next((each for each in others if each not in done and self._is_started(each)), None)
        if started is not None:
            self.layers.go_to(started)
            text = f"Accepted {where}; {self.where(started)} is next. Undo reopens {where}"
        elif any(each not in done for each in others):
            text = f"Accepted {where}; N shows the next open slice"
        else:
            text = f"Accepted {where}: all slices are accepted"
        self.show_message(". ".join(part for part in (text, self.view.work_left(self.session)) if part))

    @property
    def _has_guesses(self) -> bool:
        """Whether there are filled or drafted slices, so that some need a stroke more than others."""
        return bool(self.session.filled or self.session.drafted)

    def _is_started(self, slice_index: SliceIndex) -> bool:
        """Whether a slice has labels, or strokes in the layer."""
        labels = self.session.labels[slice_index.slicer]
        return bool(labels.any()) or (not self.layers.misfit() and bool(self.layers.painted(slice_index).any()))

    @report_errors
    def look_at_uncertain(self) -> None:
        """Show the most uncertain place of the slices that are not accepted; called again, that of the next slice."""
        results = self.session.painted_results()
        if not results:
            self.show_message("No slice has a result that is not accepted; segment one first")
            return

        def arrived(places: list[UncertainPlace]) -> None:
            fresh = [place for place in places if place.slice_index not in self._shown_places]
            if not fresh:
                self._shown_places.clear()
            place = (fresh or places)[0]
            self._shown_places.add(place.slice_index)
            self.layers.look_at(place.slice_index, place.row, place.column)
            self.show_message(
                f"The most uncertain place of {self.where(place.slice_index)} is in the middle: "
                f"about {place.share:.0%} of the labels there may be wrong"
            )

        def failed(error: BaseException) -> None:
            self.show_message(f"The uncertainty cannot be computed ({error!r})", error=True)

        self._aside(lambda: uncertain_places(results), arrived, failed)

    @report_errors
    def clear(self) -> None:
        """Remove the strokes and the result of the displayed slice."""
        slice_index = self._slice()
        if self.unsent(slice_index):
            self.session.draw(self.layers.painted(slice_index), slice_index)  # so that undo restores these, too
        before, where = self.session.version, self.where(slice_index)
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
        self._last_hint = ""

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            slices = future.result()
            done = f"Propagated to {self.session.volume.span(slices) if slices else 'no slice'}"
            still = f"{self.where(slice_index)} is still displayed" if self.layers.slice_index() == slice_index else ""
            self.show_message("; ".join(part for part in (done, self._last_hint, still) if part))

        self.session.propagate(slice_index, slice_index.at(axis, stop)).add_done_callback(arrived)

    @report_errors
    def fill(self) -> None:
        """Fill the slices between those that are painted or accepted, along the axis of the displayed one.

        Strokes that came without the pen, and whose slices were not displayed yet, are segmented before.
        """
        here = self._slice()
        if not here.position:
            raise InputError("the image has one slice only; there is nothing to fill")
        fresh = {each: self.layers.painted(each) for each in self._strokes_unseen(here)}
        self._to_fill = here
        if fresh:
            first = next(iter(fresh))
            self.session.draw(fresh.pop(first), first, beside=fresh)
        if not self.session.is_busy:
            self._fill()

    def _strokes_unseen(self, here: SliceIndex) -> list[SliceIndex]:
        """The slices along the axis of one that have strokes which the session does not have."""
        if self.layers.strokes is None or self.layers.misfit():
            return []
        axis = here.others[-1]
        along = (here.at(axis, index) for index in range(self.session.volume.shape[axis]))
        return [each for each in along if self.layers.painted(each).any() and self.unsent(each)]

    @report_errors
    def _fill(self) -> None:
        """Fill, now that all strokes have results."""
        here, self._to_fill = self._to_fill, None
        if here is None:
            return
        session, axis = self.session, here.others[-1]
        anchors = session.anchors(axis, like=here)
        if len(anchors) < _ANCHORS:
            there = f"; {self.where(anchors[0])} is the only one" if anchors else ""
            which = "a second" if anchors else "a first and a second"
            raise InputError(f"paint or accept {which} slice to fill between{there}")
        self._last_hint = ""

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            n = len(future.result())
            done = f"Filled {n} {'slice' if n == 1 else 'slices'} between {len(anchors)} painted or accepted ones"
            then = "N shows where a stroke helps most" if n else ""
            self.show_message("; ".join(part for part in (done, self._last_hint, then) if part))

        last = session.volume.shape[axis] - 1
        session.fill(here.at(axis, 0), here.at(axis, last)).add_done_callback(arrived)

    @report_errors
    def draft(self, drafter: Drafter) -> None:
        """Let a learned network draft the slices without labels of their own, along the axis of the displayed one.

        Strokes that came without the pen, and whose slices were not displayed yet, stay: such a slice gets no draft.
        """
        here, session = self._slice(), self.session
        if here.position:
            axis, unseen = here.others[-1], set(self._strokes_unseen(here))
            along = (here.at(axis, index) for index in range(session.volume.shape[axis]))
            slices = [each for each in along if each not in unseen]
        else:
            slices = [here]
        self._last_hint = ""

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            n = len(future.result())
            done = f"Drafted {n} {'slice' if n == 1 else 'slices'}" if n else "Every slice has labels of its own"
            then = "N shows where a stroke helps most, A accepts a slice" if n else ""
            self.show_message("; ".join(part for part in (done, self._last_hint, then) if part))

        session.draft(drafter, slices).add_done_callback(arrived)

    @report_errors
    def set_follows(self, follows: bool) -> None:
        """Let filled slices follow corrections, or not."""
        self.session.follows = follows

    def look_where_needed(self) -> bool:
        """Display the slice that most needs a stroke, if some are filled or drafted; whether they are."""
        here = self.layers.slice_index()
        if here is None or not here.position or not self._has_guesses:
            return False
        wanted = self.session.next_slice(here.others[-1], like=here)
        if wanted is None:
            return False
        if wanted == here:
            self.show_message(f"{self.where(here)} is the slice that most needs a stroke: correct or accept it (A)")
        else:
            self.layers.go_to(wanted)
            self.show_message(f"{self.where(wanted)} is the slice that most needs a stroke")
        return True

    @report_errors
    def cancel(self) -> None:
        """Stop the running job; the former result stays."""
        doing, self._to_fill = self.session.doing, None
        self.editor.hide_preview()
        self.session.cancel()
        if doing is not None:
            stays = {"fill": "slices that are filled stay", "draft": "slices that are drafted stay"}
            self.show_message(f"Cancelled; {stays.get(doing.what, 'the former result stays')}")

    @report_errors
    def set_engine(self, engine: Engine[Any], mode: str, device: str, overlap: str) -> None:
        """Apply settings; segment the displayed slice again if they change the result."""
        session = self.session
        self.mode = mode
        if (session.engine, session.device, session.overlap) == (engine, device, overlap):
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
        """Apply a table that the user changed; a class with strokes or labels keeps its id."""
        for identity in set(self.session.classes.ids) - set(classes.ids):
            if self.uses(identity):
                self.view.show_classes(self.session.classes)
                name = self.session.classes[identity].name
                raise InputError(
                    f"the class {name!r} has strokes or labels; erase them before you change its id or remove it"
                )
        self.session.classes = classes
        self.view.show_classes(classes)
        if classes.background is None:
            self.show_message("No class is the background: paint a class for what surrounds the others")

    def uses(self, identity: int) -> bool:
        """Whether a class has strokes or labels anywhere in the volume."""
        strokes = self.layers.strokes
        arrays = [self.session.labels] if strokes is None else [self.session.labels, strokes.data]
        parts = (part for array in arrays for part in (array if array.ndim > 2 else [array]))
        return any((np.asarray(part) == identity).any() for part in parts)

    @report_errors
    def paint_with(self, identity: int) -> None:
        """Paint with a class from now on."""
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
        """Show everything in the view, because the image came to the front."""
        self._shown_status = None
        self.view.show_classes(self.session.classes)
        self.view.show_busy(self.session.is_busy)
        self._show_pen()
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
        self.editor.hide_preview(outdated=True)
        slice_index, session = self.layers.slice_index(), self.session
        unsent = slice_index is not None and self.mode == "demand" and self.layers.strokes is not None
        accepted = slice_index is not None and session.is_accepted(slice_index)
        state = SliceState(
            slice_index is not None,
            session.can_undo or unsent,
            session.can_redo,
            accepted,
            len(session.accepted),
            slice_index,
            session.follows,
            bool(session.filled),
            bool(session.drafted),
        )
        self.view.show_state(state)
        status = status_of(self._present())
        self._end_hints()
        if status != self._shown_status:
            self._shown_status = status
            self.view.show_status(status)

    def _present(self) -> Present:
        """The present state; with a job or a message the rest is left out."""
        slice_index = self.layers.slice_index()
        if self._news is not None and self._news[1:] != (slice_index, self.session.version):
            self._news = None
        job = working(self.session)
        if job is not None or self._news is not None:
            return Present(working=job, news=None if self._news is None else self._news[0])
        trouble = self.layers.trouble()
        if trouble or slice_index is None:
            return Present(trouble=Message(trouble, error=True) if trouble else Message(self.layers.why_no_slice()))
        session = self.session
        moment = slice_index, session.version, session.classes, session.engine.info, self.where(slice_index)
        if self._cached is None or self._cached[0] != moment:
            self._cached = moment, present_on(session, slice_index)
        unsent = self.mode == "demand" and self.unsent(slice_index)
        return replace(self._cached[1], unsent=unsent, overlay=self.overlay.missing)

    def show_layers(self) -> bool:
        """Make the strokes and result layers that are missing, from the session; whether the strokes layer is new."""
        session, new = self.session, self.layers.strokes is None
        if new:
            self.layers.make_strokes(session.classes, {i: session.painted(i) for i in session.painted_slices()})
            self.take_brush()
        self.show_labels()
        self.layers.take_up_brush()
        return new

    def show_labels(self) -> None:
        """Show the session's labels in the result layer."""
        self.layers.show_result(self.session.labels, self.session.classes)

    def close(self) -> None:
        """End the session and write its autosave. The strokes and the result stay in the viewer."""
        self.session.close()
        self.overlay.kind = "none"  # one that is still being computed is not shown
        self.layers.release()

    # results ----------------------------------------------------------------------------------------------------------

    def _on_updated(self, update: Update) -> None:
        self.show_labels()
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
            if update.seconds:
                self.view.show_duration(self.session.engine.info.name, update.seconds, update.labels.shape)
            self._hinted = update.slice_index, self.session.version
            self._show_notes(update.notes)
            self.overlay.show(update.slice_index)
        self.refresh_state()

    def _on_restored(self, restored: Restored) -> None:
        if restored.painted is not None:
            self.layers.write_strokes(restored.slice_index, restored.painted)
        self.show_labels()
        if restored.slice_index == self.layers.slice_index():
            self.layers.refresh_result()
            self._show_result(restored.slice_index)
        self.refresh_state()

    def _on_stepped(self, stepped: Stepped) -> None:
        what = "propagation" if stepped.what == "result" and len(stepped.slices) > 1 else stepped.what
        where = self.session.volume.span(stepped.slices)
        unseen = "" if self.layers.slice_index() in stepped.slices else ", which is not displayed"
        self.show_message(f"{'Redone' if stepped.redone else 'Undone'}: {_STEPS[what]} {where}{unseen}")

    def _on_failed(self, slice_index: SliceIndex, error: Exception) -> None:
        name = self.session.engine.info.title
        where = self.where(slice_index)
        is_described = isinstance(error, InputError | FailedError)
        text = user_message(str(error) if is_described else f"{name} failed on {where}: {error!r}")
        self.show_message(text, error=True)
        if text != self._last_error:
            self.view.notify(text)
        self._last_error = text

    def _on_changed(self) -> None:
        if self.session.classes != self._shown_classes:
            self._shown_classes = self.session.classes
            self._news = None  # it may contain the name of a class
            self._keep_pen()
            self.layers.show_classes(self.session.classes)
            self.view.show_classes(self.session.classes)
            self._show_pen()
        if self.layers.result is not None:
            self.show_labels()
        self.refresh_state()

    def _keep_pen(self) -> None:
        """Paint with the class that took the row of one that is no longer there."""
        former, self._former_classes = self._former_classes, self.session.classes
        chosen = self.layers.chosen
        if chosen in former and (successor := self.session.classes.successor(chosen, former)) is not None:
            self.layers.paint_with(successor)

    def _show_pen(self) -> None:
        """Show which class the pen paints."""
        if self.layers.strokes is not None:
            self.view.show_brush(self.layers.chosen)

    def _on_progress(self, fraction: float) -> None:
        self.view.show_progress(fraction)

    def _on_hint(self, text: str) -> None:
        self._last_hint = text
        self.show_message(text)

    def _on_busy(self, busy: bool) -> None:
        self.view.show_busy(busy or self.session.doing is not None)
        slice_index = self.layers.slice_index()
        if not busy and self._fitting is not None:  # without a result
            self._fitting = None
            if slice_index is not None:
                self._show_curve(slice_index)
        if not busy and self._behind:
            self.pen_moved()
        if not busy:
            self._fill()
        self.refresh_state()

    def _on_filling(self, _filling: bool) -> None:
        self._on_busy(self.session.is_busy)

    def _show_result(self, slice_index: SliceIndex) -> None:
        """Notes, curve and overlay of a slice's result."""
        result = self.session.results(slice_index)
        self._show_notes(() if result is None else result.notes)
        self._show_curve(slice_index)
        self.overlay.show(slice_index)

    def _show_notes(self, notes: tuple[str, ...]) -> None:
        """Show the notes of a result: its hints only until something else is shown or done."""
        self._notes = notes
        if self._hinted is None:
            notes = tuple(note for note in notes if not isinstance(note, Hint))
        names = {label.id: label.name for label in self.session.classes}
        self.view.show_notes(tuple(note.named(names) if isinstance(note, Hint) else note for note in notes))

    def _end_hints(self) -> None:
        """Hide the hints of a result after another event, a step, or the display of another slice."""
        if self._hinted is not None and (
            self._news is not None or self._hinted != (self.layers.slice_index(), self.session.version)
        ):
            self._hinted = None
            self._show_notes(self._notes)

    def _show_curve(self, slice_index: SliceIndex) -> None:
        """The curve of a slice's last result, unless a fit of it is running."""
        if self._fitting == slice_index:
            return
        result = self.session.results(slice_index)
        self.view.show_curve(None if result is None else result.curve)

    def where(self, slice_index: SliceIndex) -> str:
        """The name of a slice, with its number at napari's slider."""
        return self.session.volume.where(slice_index)

    def _slice(self) -> SliceIndex:
        slice_index = self.layers.slice_index()
        if slice_index is None:
            raise InputError(self.layers.why_no_slice())
        return slice_index
