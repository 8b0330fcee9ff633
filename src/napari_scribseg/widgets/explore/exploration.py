"""What the user does with a workspace: select, assign, split, take back; what changes is shown in plane and image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.output import inside
from napari_scribseg.explore.reading import Filter
from napari_scribseg.widgets.common.messages import report_errors, user_message
from napari_scribseg.widgets.explore.canvas import NEGATIVE, POSITIVE, Canvas
from napari_scribseg.widgets.explore.display import Display
from napari_scribseg.widgets.explore.jobs import Newest
from napari_scribseg.widgets.explore.view import ExploreState, ExploreView, Services

__all__ = ["FILTERS", "Exploration"]

FILTERS: tuple[Filter, ...] = ("all", "unlabelled", "uncertain")

Ids = NDArray[np.int64]
_NOBODY = np.zeros(0, dtype=np.int64)


class Exploration:
    """Joins a workspace with the planes and the canvas; knows neither Qt nor threads.

    Parameters
    ----------
    workspace : Workspace
    canvas : Canvas
        The image view.
    view : ExploreView
        Where things are told and shown.
    services : Services
        To compute away from the window.
    is_busy : callable
        Whether a long job runs.

    Attributes
    ----------
    shown : Showing
        What planes and canvas show.
    edited : list of callables
        Called when something changed that is worth saving.
    """

    def __init__(
        self, workspace: Workspace, canvas: Canvas, view: ExploreView, services: Services, is_busy: Callable[[], bool]
    ) -> None:
        self.workspace, self.canvas, self.view = workspace, canvas, view
        self.edited: list[Callable[[], object]] = []
        self._services, self._is_busy = services, is_busy
        self.shown = Display(workspace, canvas, view, services)
        self._images: set[int] = set()
        self._kinds: set[str] = set()
        self._open = True
        self._seen: set[int] = set()  # uncertain ones that were shown
        self._strokes: list[tuple[int, NDArray[np.uint8]]] = []  # of splits, to be brought back by undo
        self._retaken: list[tuple[int, NDArray[np.uint8]]] = []
        self._quick = Newest(services.aside, lambda error: view.show_message(user_message(error), error=True))
        workspace.segments_changed.connect(self._on_segments)
        workspace.labels_changed.connect(self._on_labels)
        workspace.embedding_changed.connect(self._on_embedding)
        workspace.classes_changed.connect(self._on_classes)

    @property
    def selected(self) -> Ids:
        """The selected segments."""
        return self.shown.selected

    # selecting --------------------------------------------------------------------------------------------------------

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Tell in the status line."""
        self.view.show_message(text, error=error)

    @report_errors
    def outline(self, corners: NDArray[np.float64], how: str, *, local: bool = False) -> None:
        """Select what lies in a box or lasso of a plane."""
        scene = (self.view.local if local else self.view.embedding).scene
        found = inside(scene.xy, corners, scene.ids)
        self.select(found, how)
        count = len(self.selected)
        self.view.show_message(f"{count} segments are selected" if count else "Nothing is selected")

    @report_errors
    def pick(self, identity: int, how: str) -> None:
        """Select a segment that was clicked in a plane, and turn to its image; 0 selects nothing."""
        if not identity:
            self.select(_NOBODY, how)
            return
        self.select(np.array([identity]), how)
        if how != "remove":
            self.shown.turn_to(int(self.workspace.table.image[identity]))
            self._say_segment(identity)

    @report_errors
    def pick_pixel(self, row: int, column: int, how: str) -> None:
        """Select a segment that was clicked in the image, and look at it in the plane."""
        index = self.canvas.index()
        identity = 0 if index is None else self.workspace.segment_at(index, row, column)
        if not identity:
            return
        self.select(np.array([identity]), how)
        self.view.embedding.look_at(identity)
        self._say_segment(identity)

    def select(self, ids: Ids, how: str = "new") -> None:
        """Select segments: these (``"new"``), these too (``"add"``), or these no longer (``"remove"``)."""
        if how == "add":
            ids = np.union1d(self.selected, ids)
        elif how == "remove":
            ids = np.setdiff1d(self.selected, ids)
        self.shown.select(ids)
        self.refresh_state()

    def _say_segment(self, identity: int) -> None:
        table, classes = self.workspace.table, self.workspace.classes
        label = int(table.label[identity])
        name = classes[label].name if label in classes else "no class yet"
        image = self.canvas.name(int(table.image[identity]))
        self.view.show_message(f"Segment of {image}, {int(table.area[identity])} pixels: {name}")

    # classes ----------------------------------------------------------------------------------------------------------

    @report_errors
    def assign(self, label: int) -> None:
        """Give the selected segments a class; 0 takes it away."""
        if not len(self.selected):
            raise InputError("nothing is selected; draw a box or lasso around segments first")
        changed = self.workspace.assign(self.selected, label)
        name = "no class" if not label else self.workspace.classes[label].name
        more = len(self.selected) - len(changed)
        self.view.show_message(f"{len(changed)} segments: {name}" + (f" ({more} had it before)" if more else ""))

    @report_errors
    def assign_digit(self, digit: int) -> None:
        """Assign the class of this number; 0 stands for the background."""
        label = digit or self.workspace.classes.background
        if label is None or label not in self.workspace.classes:
            wanted = f"a class of the number {digit}" if digit else "a background class"
            raise InputError(f"there is not {wanted}; add one in the table first")
        self.assign(label)

    @report_errors
    def set_classes(self, classes: ClassTable) -> None:
        """Take over a table that the user changed; a class that segments have can neither go nor change its id."""
        former = self.workspace.classes
        for identity in set(former.ids) - set(classes.ids):
            if (self.workspace.table.label[self.workspace.ids()] == identity).any():
                self.view.show_classes(former)
                raise InputError(f"segments have the class {former[identity].name!r}; give them another one first")
        self.workspace.classes = classes
        self.view.show_classes(classes)

    @report_errors
    def undo(self) -> None:
        """Take back the last assignment, split or cut."""
        kind = self.workspace.undo()
        self._strokes_back(kind, self._strokes, self._retaken, show=True)
        self.view.show_message(f"Took back the last {_WORDS[kind]}" if kind else "There is nothing to undo")

    @report_errors
    def redo(self) -> None:
        """Do again what was taken back."""
        kind = self.workspace.redo()
        self._strokes_back(kind, self._retaken, self._strokes, show=False)
        self.view.show_message(f"Did the last {_WORDS[kind]} again" if kind else "There is nothing to redo")

    def _strokes_back(self, kind: str, whence: list[Any], whither: list[Any], *, show: bool) -> None:
        if kind == "split" and whence:
            index, strokes = whence.pop()
            whither.append((index, strokes))
            self.canvas.write_strokes(index, strokes if show else np.zeros_like(strokes))

    # filter and the next ones -----------------------------------------------------------------------------------------

    @report_errors
    def set_filter(self, which: Filter) -> None:
        """Show all segments, those without a class, or those that are uncertain."""
        self.shown.which = which
        self.shown.show_embedding()

    @report_errors
    def next_uncertain(self) -> None:
        """Select the segment that is most uncertain among those not looked at yet."""
        workspace, seen = self.workspace, set(self._seen)
        self._quick.ask(lambda: workspace.most_uncertain(len(seen) + 1), self._on_uncertain)

    def _on_uncertain(self, ids: Ids) -> None:
        found = next((int(i) for i in ids if int(i) not in self._seen), None)
        if found is None and len(ids):  # all were looked at: from the beginning
            self._seen.clear()
            found = int(ids[0])
        if found is None:
            self.view.show_message("Every segment has a class")
            return
        self._seen.add(found)
        self.pick(found, "new")
        self.view.embedding.look_at(found)

    # splitting --------------------------------------------------------------------------------------------------------

    @report_errors
    def split(self) -> bool:
        """Split a segment of the image in sight by the strokes on it; whether it was."""
        index = self.canvas.index()
        if index is None:
            raise InputError("no image is in sight; turn to the one with the strokes first")
        shape = self.workspace.pictures[index].shape
        strokes = self.canvas.strokes(index, shape)
        identity = self._to_split(index, strokes)
        positive, negative = self.workspace.split(identity, strokes == POSITIVE, strokes == NEGATIVE)
        self._strokes.append((index, strokes))
        self._retaken.clear()
        self.canvas.write_strokes(index, np.zeros_like(strokes))
        self.canvas.lay_down_brush()
        self.select(positive)
        self.view.show_message(f"Split into {len(positive)} positive and {len(negative)} negative segments")
        return True

    def _to_split(self, index: int, strokes: NDArray[np.uint8]) -> int:
        """The selected segment, or the one that most of the positive strokes lie in."""
        table = self.workspace.table
        if len(self.selected) == 1 and int(table.image[self.selected[0]]) == index:
            return int(self.selected[0])
        under = self.workspace.segments(index)[strokes == POSITIVE]
        under = under[under > 0]
        if not len(under):
            raise InputError("no positive stroke lies in a segment of this image; draw one, and a negative one")
        return int(np.bincount(under).argmax())

    # what is told -----------------------------------------------------------------------------------------------------

    def refresh_state(self) -> None:
        """Tell the view which buttons make sense."""
        workspace = self.workspace
        ids = workspace.ids()
        placed = int(np.isfinite(workspace.xy(ids)[:, 0]).sum())
        labelled = int((workspace.table.label[ids] > 0).sum())
        self.view.show_state(
            ExploreState(
                len(workspace.pictures),
                len(ids),
                placed,
                labelled,
                len(self.selected),
                workspace.can_undo,
                workspace.can_redo,
                self._is_busy(),
            )
        )

    # what the workspace tells, in whatever thread ---------------------------------------------------------------------

    def _on_segments(self, images: tuple[int, ...]) -> None:
        self._services.post(lambda: self._changed("segments", images))

    def _on_labels(self, ids: Ids) -> None:
        images = np.unique(self.workspace.table.image[ids]).tolist()
        self._services.post(lambda: self._changed("labels", images))

    def _on_embedding(self) -> None:
        self._services.post(lambda: self._changed("places", ()))

    def _on_classes(self) -> None:
        self._services.post(lambda: self._changed("classes", ()))

    def _changed(self, kind: str, images: Any) -> None:
        """Note what changed; many changes of one action are shown once."""
        self._images.update(int(i) for i in images)
        waiting, self._kinds = bool(self._kinds), self._kinds | {kind}
        if not waiting:
            self._services.post(self._renew)

    def _renew(self) -> None:
        if not self._open:
            return
        kinds, self._kinds = self._kinds, set()
        images, self._images = self._images, set()
        self.shown.renew(kinds, images)
        self.refresh_state()
        for told_of in self.edited:
            told_of()

    def close(self) -> None:
        """Listen no more."""
        self._open = False
        self.shown.close()
        for signal, method in (
            (self.workspace.segments_changed, self._on_segments),
            (self.workspace.labels_changed, self._on_labels),
            (self.workspace.embedding_changed, self._on_embedding),
            (self.workspace.classes_changed, self._on_classes),
        ):
            signal.disconnect(method)


_WORDS = {"assign": "assignment", "split": "split", "cut": "cut"}
