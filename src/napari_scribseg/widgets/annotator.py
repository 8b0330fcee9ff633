"""Joins the layers of one image with its session: strokes go in, results and former states come out."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np

from napari_scribseg.core import ClassTable, Engine, InputError
from napari_scribseg.session.session import Session
from napari_scribseg.session.updates import Restored, Update
from napari_scribseg.session.volume import Plane
from napari_scribseg.widgets.layers import LayerSet
from napari_scribseg.widgets.overlay import Aside, Overlay
from napari_scribseg.widgets.telling import sentence, told
from napari_scribseg.widgets.view import State, View

__all__ = ["Annotator"]


class Annotator:
    """What the user does with one image; knows neither Qt nor threads.

    Parameters
    ----------
    layers : LayerSet
        Its layers, strokes and result present.
    session : Session
        Its logic.
    view : View
        Where things are told.
    aside : callable
        ``aside(function, done, failed)`` computes away from the window.

    Attributes
    ----------
    mode : str
        One of :data:`~napari_scribseg.widgets.view.MODES`.
    overlay : Overlay
        What lies over the image.
    """

    def __init__(self, layers: LayerSet, session: Session, view: View, aside: Aside) -> None:
        self.layers = layers
        self.session = session
        self.view = view
        self.mode = "live"
        self.overlay = Overlay(layers, session, view, aside)
        self._behind = False  # the pen moved on while a live job ran
        self._fitting: Plane | None = None  # whose fit is shown while it goes on
        self._shown_classes: ClassTable | None = None
        self._last_error = ""
        session.updated.connect(self._on_updated)
        session.failed.connect(self._on_failed)
        session.restored.connect(self._on_restored)
        session.changed.connect(self._on_changed)
        session.hint.connect(self._on_hint)
        session.busy.connect(self._on_busy)
        session.progress.connect(self._on_progress)

    # strokes in -------------------------------------------------------------------------------------------------------

    @told
    def pen_moved(self) -> None:
        """The pen is down and moved: in live mode a first answer is asked for, one at a time."""
        if not self._follows_pen:
            return
        if self.session.is_busy:
            self._behind = True
            self.session.overtake()
            return
        self._behind = False
        plane = self.layers.plane()
        if plane is not None and not self.session.is_accepted(plane) and self.unsent(plane):
            self.session.draw(self.layers.painted(plane), plane, live=True)

    @property
    def has_answered(self) -> bool:
        """Whether the result shows an answer to all that the pen did, or none is to come."""
        return not self._follows_pen or (not self._behind and (not self.session.is_busy or self.session.has_preview))

    @property
    def _follows_pen(self) -> bool:
        """Whether answers are asked for while the pen is down."""
        return self.mode == "live" and self.session.engine.info.live

    @told
    def pen_lifted(self, plane: Plane | None) -> None:
        """A stroke on a slice is done: record and segment it, but on demand."""
        self._behind = False
        if plane is None:
            self.view.say(self.layers.why_no_plane(), error=True)
        elif self.mode != "demand":
            self._draw(plane)
        else:
            self.view.say("Painted: press Segment when the strokes are done")

    @told
    def look(self) -> None:
        """Another slice came in sight, or strokes changed without a pen: show it, and segment what is new there."""
        plane = self.layers.plane()
        if plane is None:
            self.layers.hide_overlay()
            self.view.show_notes(())
            self.view.show_curve(None)
            self.view.say(self.layers.why_no_plane())
            return
        result = self.session.results(plane)
        self.view.show_notes(result.notes if result is not None else ())
        self._show_curve(plane)
        self.overlay.show(plane)
        if self.mode != "demand" and self.unsent(plane):
            self.session.draw(self.layers.painted(plane), plane)

    def _draw(self, plane: Plane, *, demand: bool = False) -> None:
        """Let the strokes of a slice be answered, and those on further slices that were painted with them."""
        known = set(self.session.painted_planes(plane.displayed))
        beside = {
            other: painted
            for other in self.layers.planes_beside(plane)
            if ((painted := self.layers.painted(other)).any() or other in known) and self.unsent(other)
        }
        nearest = sorted(beside, key=lambda other: np.abs(np.subtract(other.position, plane.position)).sum())
        painted = self.layers.painted(plane)
        self.session.draw(painted, plane, demand=demand, beside={other: beside[other] for other in nearest})

    def unsent(self, plane: Plane) -> bool:
        """Whether the strokes layer shows other strokes on a slice than the session knows."""
        return self.layers.strokes is not None and not np.array_equal(
            self.layers.painted(plane), self.session.painted(plane)
        )

    # what the buttons do ----------------------------------------------------------------------------------------------

    @told
    def segment(self) -> None:
        """Segment the slice in sight, whatever the mode."""
        self._draw(self._plane(), demand=True)

    @told
    def run_network(self) -> None:
        """Write what the engine's network says of the slice in sight, without strokes, into the result."""
        plane = self._plane()
        self.session.predict(plane)
        self.view.say("The network looks at the slice; strokes correct what it says")

    @told
    def show_picture(self, name: str) -> None:
        """Add a colour layer of what the engine sees in the slice in sight, such as its semantic features."""
        plane = self._plane()
        asked = self.session.picture(name, plane)

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:  # the session told what went wrong
                return
            if self.layers.show_picture(plane, future.result(), name):
                self.view.say(f"Added a layer of {name}{self._where(plane)}")

        if not asked.done():
            self.view.say(f"Computing the {name} in the background; a layer follows")
        asked.add_done_callback(arrived)

    @told
    def undo(self) -> None:
        """Take back the last stroke and its result."""
        plane = self.layers.plane()
        if plane is not None and self.layers.strokes is not None and self.unsent(plane):
            self.layers.strokes.undo()  # painted on demand only, so the session does not know of it
        elif not self.session.undo():
            self.view.say("There is nothing to undo")

    @told
    def redo(self) -> None:
        """Do again what was taken back."""
        if not self.session.redo():
            self.view.say("There is nothing to redo")

    @told
    def toggle_accepted(self) -> None:
        """Accept the slice in sight, or reopen it."""
        plane = self._plane()
        if self.session.is_accepted(plane):
            self.session.reopen(plane)
            self.view.say("The slice is open again: strokes change it")
        elif self.session.accept(plane):
            self.view.say("The slice is accepted: nothing changes it until you reopen it")

    @told
    def clear(self) -> None:
        """Remove the strokes and the result of the slice in sight."""
        plane = self._plane()
        if self.unsent(plane):
            self.session.draw(self.layers.painted(plane), plane)  # so that undo brings back these, too
        if self.session.clear(plane):
            self.layers.write_strokes(plane, self.session.painted(plane))
            self.view.say("The slice is cleared; Undo brings it back")

    @told
    def propagate(self, count: int) -> None:
        """Carry the result over to the next slices (the former ones for a negative count)."""
        plane = self._plane()
        if not plane.position:
            raise InputError("the image has one slice only; there is nothing to propagate to")
        axis, here = plane.others[-1], plane.position[-1]
        stop = min(max(here + count, 0), self.session.volume.shape[axis] - 1)
        self.session.propagate(plane, plane.at(axis, stop))

    @told
    def cancel(self) -> None:
        """Stop what runs; the former result stays."""
        busy = self.session.is_busy
        self.session.cancel()
        if busy:
            self.view.say("Cancelled; the former result stays")

    @told
    def set_engine(self, engine: Engine[Any], mode: str, device: str, overlap: str) -> None:
        """Take over settings, and answer the slice in sight anew where they change the answer."""
        session = self.session
        former = (session.engine, session.device, session.overlap)
        self.mode = mode
        if former == (engine, device, overlap):
            self.look()
            return
        session.use(engine)
        session.device, session.overlap = device, overlap
        plane = self.layers.plane()
        if plane is not None and mode != "demand" and not session.is_accepted(plane):
            session.draw(self.layers.painted(plane), plane)
        self._prepare()

    @told
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
            self.view.say("No class is the background: paint a class for what surrounds the others")

    def uses(self, identity: int) -> bool:
        """Whether a class has strokes or labels anywhere in the volume."""
        strokes = self.layers.strokes
        return any(
            bool(np.any(np.asarray(plane) == identity))
            for data in (None if strokes is None else strokes.data, self.session.labels)
            if data is not None
            for plane in (data if data.ndim > 2 else [data])
        )

    @told
    def paint_with(self, identity: int) -> None:
        """Put a class into the brush."""
        self.layers.paint_with(identity)
        plane = self.layers.plane()
        if plane is not None and self.overlay.kind == "probability":
            self.overlay.show(plane)

    def take_brush(self) -> None:
        """Begin with the first class that is not the background."""
        first = next((c.id for c in self.session.classes if not c.background), None)
        if first is not None:
            self.layers.paint_with(first)

    @told
    def set_overlay(self, kind: str, opacity: float) -> None:
        """Choose what lies over the image."""
        self.overlay.kind, self.overlay.opacity = kind, opacity
        plane = self.layers.plane()
        if plane is not None:
            self.overlay.show(plane)

    def show_all(self) -> None:
        """Tell the view everything anew, such as when it turns to this image."""
        self.view.show_classes(self.session.classes)
        self.view.show_busy(self.session.is_busy)
        if self.layers.strokes is not None:
            self.view.show_brush(self.layers.strokes.selected_label)
        self.look()
        self._prepare()

    def _prepare(self) -> None:
        """Let the engine load while the user still looks for where to begin."""
        plane = self.layers.plane()
        if plane is not None and not self.session.is_busy:
            self.session.prepare(plane)

    def tell_state(self) -> None:
        """Tell the view which buttons make sense."""
        plane, session = self.layers.plane(), self.session
        unsent = plane is not None and self.mode == "demand" and self.layers.strokes is not None
        accepted = plane is not None and session.is_accepted(plane)
        state = State(plane is not None, session.can_undo or unsent, session.can_redo, accepted, len(session.accepted))
        self.view.show_state(state)

    def bring_back(self) -> bool:
        """Make layers that were deleted anew, as the session knows them; whether the strokes layer is a new one."""
        new = self.layers.strokes is None
        if new:
            self.layers.make_strokes(self.session.classes)
            session = self.session
            self.layers.fill_strokes((plane, session.painted(plane)) for plane in session.painted_planes())
            self.take_brush()
        self.layers.show_result(self.session.labels, self.session.classes)
        self.layers.take_up_brush()
        return new

    def close(self) -> None:
        """End the session; its sidecar is written. The strokes and the result stay in the viewer."""
        self.session.close()
        self.overlay.kind = "none"  # one that is still being computed comes too late
        self.layers.release()

    # results out ------------------------------------------------------------------------------------------------------

    def _on_updated(self, update: Update) -> None:
        self.layers.show_result(self.session.labels, self.session.classes)
        if update.plane != self.layers.plane():
            self.tell_state()
            return
        if update.region[0].stop:
            self.layers.refresh_result(thumbnail=update.final)
        if update.curve is not None or update.final:
            self._fitting = None if update.final else update.plane
            self.view.show_curve(update.curve, fitting=not update.final)
        if update.final:  # what changes beside the canvas has the whole window painted anew
            self._last_error = ""
            self.view.show_notes(update.notes)
            self.view.say(f"Done: {len(update.ids)} classes{self._where(update.plane)}")
            self.overlay.show(update.plane)
        self.tell_state()

    def _on_restored(self, restored: Restored) -> None:
        if restored.painted is not None:
            self.layers.write_strokes(restored.plane, restored.painted)
        self.layers.show_result(self.session.labels, self.session.classes)
        plane = self.layers.plane()
        if plane == restored.plane:
            self.layers.refresh_result()
            self.overlay.show(plane)
            self._show_curve(plane)
        elif restored.painted is not None:
            self.view.say(f"Changed a slice that is not in sight{self._where(restored.plane)}")
        self.tell_state()

    def _on_failed(self, plane: Plane, error: Exception) -> None:
        name = self.session.engine.info.title
        text = sentence(str(error) if isinstance(error, InputError) else f"{name} failed on {plane}: {error!r}")
        self.view.say(text, error=True)
        if text != self._last_error:
            self.view.notify(text)
        self._last_error = text

    def _on_changed(self) -> None:
        if self.session.classes != self._shown_classes:
            self._shown_classes = self.session.classes
            self.layers.show_classes(self.session.classes)
            self.view.show_classes(self.session.classes)
        if self.layers.result is not None:
            self.layers.show_result(self.session.labels, self.session.classes)
        self.tell_state()

    def _on_hint(self, text: str) -> None:
        self.view.say(sentence(text))

    def _on_busy(self, busy: bool) -> None:
        self.view.show_busy(busy)
        plane = self.layers.plane()
        if not busy and self._fitting is not None:  # it came to nothing
            self._fitting = None
            if plane is not None:
                self._show_curve(plane)
        if not busy and self._behind:
            self.pen_moved()

    def _on_progress(self, fraction: float) -> None:
        self.view.show_progress(fraction)

    def _show_curve(self, plane: Plane) -> None:
        """The curve of a slice's last answer, unless a fit for it is being shown."""
        if self._fitting == plane:
            return
        result = self.session.results(plane)
        self.view.show_curve(None if result is None else result.curve)

    def _where(self, plane: Plane) -> str:
        """A slice in the words of the image's axes: ``", z 14"``; nothing for a 2D image."""
        names = self.session.volume.geometry.axis_names
        return "".join(f", {names[axis]} {at}" for axis, at in zip(plane.others, plane.position, strict=True))

    def _plane(self) -> Plane:
        plane = self.layers.plane()
        if plane is None:
            raise InputError(self.layers.why_no_plane())
        return plane
