"""Commands on a workspace: select, assign, split, undo; the changes are displayed in embedding and image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.explore import Workspace
from napari_scribseg.explore.edits import NEGATIVE, POSITIVE
from napari_scribseg.explore.embedding import inside
from napari_scribseg.explore.workspace import Filter
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.messages import report_errors
from napari_scribseg.widgets.explore.background_jobs import QuickJobs
from napari_scribseg.widgets.explore.display import Display
from napari_scribseg.widgets.explore.explore_view import ExploreState, ExploreView, counted
from napari_scribseg.widgets.explore.picture_layers import PictureLayers

__all__ = ["FILTERS", "Exploration"]

FILTERS: tuple[Filter, ...] = ("all", "unlabelled", "uncertain")

Ids = NDArray[np.int64]
_NOBODY = np.zeros(0, dtype=np.int64)


class Exploration:
    """Connects a workspace with the embeddings and the layers of its images; no Qt, no threads.

    Parameters
    ----------
    workspace : Workspace
    layers : PictureLayers
        Those of the images.
    view : ExploreView
        The window.
    dispatcher : Dispatcher
    is_busy : callable
        Whether a long job runs.

    Attributes
    ----------
    display : Display
        What embeddings and layers show.
    edited : list of callables
        Called after each change of the workspace.
    """

    def __init__(
        self,
        workspace: Workspace,
        layers: PictureLayers,
        view: ExploreView,
        dispatcher: Dispatcher,
        is_busy: Callable[[], bool],
    ) -> None:
        self.workspace, self.layers, self.view = workspace, layers, view
        self.edited: list[Callable[[], object]] = []
        self._dispatcher, self._is_busy = dispatcher, is_busy
        self.display = Display(workspace, layers, view, dispatcher)
        self._images: set[int] = set()
        self._kinds: set[str] = set()
        self._is_open = True
        self._seen: set[int] = set()  # uncertain segments that were selected
        self._strokes: list[tuple[int, NDArray[np.uint8]]] = []  # of splits, restored by undo
        self._undone_strokes: list[tuple[int, NDArray[np.uint8]]] = []
        self._quick = QuickJobs(dispatcher.background, dispatcher.post, view)
        self._connections = (
            (workspace.segments_changed, partial(self._note, "segments")),
            (workspace.labels_changed, partial(self._note, "labels")),
            (workspace.embedding_changed, partial(self._note, "embedding")),
            (workspace.classes_changed, partial(self._note, "classes")),
            (layers.turned, self.display.show_picture),
            (layers.picked, self.pick_pixel),
        )
        for signal, called in self._connections:
            signal.connect(called)

    @property
    def selected(self) -> Ids:
        """The selected segments."""
        return self.display.selected

    # selecting --------------------------------------------------------------------------------------------------------

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message in the status line."""
        self.view.show_message(text, error=error)

    @report_errors
    def outline(self, corners: NDArray[np.float64], how: str, *, local: bool = False) -> None:
        """Select the segments in a box or lasso of an embedding."""
        scene = (self.view.local if local else self.view.embedding).scene
        found = inside(scene.xy, corners, scene.ids)
        self.select(found, how)
        count = len(self.selected)
        self.view.show_message(f"Selected: {counted(count, 'segment')}" if count else "Nothing is selected")

    @report_errors
    def pick(self, identity: int, how: str) -> None:
        """Select a segment that was clicked in an embedding, and turn to its image; 0 selects nothing."""
        if not identity:
            self.select(_NOBODY, how)
            return
        self.select(np.array([identity]), how)
        if how != "remove":
            self.display.turn_to(int(self.workspace.table.image[identity]))
            self._describe_segment(identity)

    @report_errors
    def pick_pixel(self, row: int, column: int, how: str) -> None:
        """Select a segment that was clicked in the image, and show it in the embedding."""
        index = self.layers.index()
        identity = 0 if index is None else self.workspace.segment_at(index, row, column)
        if not identity:
            return
        self.select(np.array([identity]), how)
        self.view.embedding.center_on(identity)
        self._describe_segment(identity)

    def select(self, ids: Ids, how: str = "new") -> None:
        """Select segments: these (``"new"``), these too (``"add"``), or these no longer (``"remove"``)."""
        if how == "add":
            ids = np.union1d(self.selected, ids)
        elif how == "remove":
            ids = np.setdiff1d(self.selected, ids)
        self.display.select(ids)
        self.refresh_state()

    def _describe_segment(self, identity: int) -> None:
        table, classes = self.workspace.table, self.workspace.classes
        label = int(table.label[identity])
        name = classes[label].name if label in classes else "no class yet"
        image = self.layers.name(int(table.image[identity]))
        self.view.show_message(f"Segment of {image}, {counted(int(table.area[identity]), 'pixel')}: {name}")

    # classes ----------------------------------------------------------------------------------------------------------

    @report_errors
    def assign(self, label: int | None) -> None:
        """Give the selected segments a class; 0 removes theirs. None stands for a background class that is missing."""
        if label is None:
            raise InputError("there is no background class; add one in the table first")
        if label and label not in self.workspace.classes:
            raise InputError(f"there is no class of the number {label}; add one in the table first")
        if not len(self.selected):
            raise InputError("nothing is selected; draw a box or lasso around segments first")
        changed = self.workspace.assign(self.selected, label)
        name = "no class" if not label else self.workspace.classes[label].name
        more = len(self.selected) - len(changed)
        self.view.show_message(
            f"{counted(len(changed), 'segment')}: {name}" + (f" ({more} had it before)" if more else "")
        )

    @report_errors
    def set_classes(self, classes: ClassTable) -> None:
        """Take over a changed class table; a class that segments have can neither be removed nor change its id."""
        former = self.workspace.classes
        for identity in set(former.ids) - set(classes.ids):
            if (self.workspace.table.label[self.workspace.ids()] == identity).any():
                self.view.show_classes(former)
                raise InputError(f"segments have the class {former[identity].name!r}; give them another one first")
        self.workspace.classes = classes
        self.view.show_classes(classes)

    @report_errors
    def undo(self) -> None:
        """Undo the last assignment, split or cut."""
        kind = self.workspace.undo()
        self._restore_strokes(kind, self._strokes, self._undone_strokes, show=True)
        self.view.show_message(f"Undone: {_WORDS[kind]}" if kind else "There is nothing to undo")

    @report_errors
    def redo(self) -> None:
        """Redo the step that was undone last."""
        kind = self.workspace.redo()
        self._restore_strokes(kind, self._undone_strokes, self._strokes, show=False)
        self.view.show_message(f"Redone: {_WORDS[kind]}" if kind else "There is nothing to redo")

    def _restore_strokes(self, kind: str, source: list[Any], target: list[Any], *, show: bool) -> None:
        if kind == "split" and source:
            index, strokes = source.pop()
            target.append((index, strokes))
            self.layers.write_strokes(index, strokes if show else np.zeros_like(strokes))

    # filter and the next ones -----------------------------------------------------------------------------------------

    @report_errors
    def set_filter(self, which: Filter) -> None:
        """Show all segments, those without a class, or those that are uncertain."""
        self.display.which = which
        self.display.show_embedding()

    @report_errors
    def next_uncertain(self) -> None:
        """Select the most uncertain segment that was not selected yet."""
        self._quick.run(self.workspace.most_uncertain_task(len(self._seen) + 1), self._on_uncertain)

    def _on_uncertain(self, ids: Ids) -> None:
        found = next((int(i) for i in ids if int(i) not in self._seen), None)
        if found is None and len(ids):  # all were selected once: from the beginning
            self._seen.clear()
            found = int(ids[0])
        if found is None:
            self.view.show_message("Every segment has a class")
            return
        self._seen.add(found)
        self.pick(found, "new")
        self.view.embedding.center_on(found)

    # splitting --------------------------------------------------------------------------------------------------------

    @report_errors
    def split(self) -> bool:
        """Split a segment of the visible image by the strokes on it; returns whether it was split."""
        index = self.layers.index()
        if index is None:
            raise InputError("no image is visible; turn to the one with the strokes first")
        shape = self.workspace.pictures[index].shape
        strokes = self.layers.strokes(index, shape)
        identity = self._to_split(index, strokes)
        positive, negative = self.workspace.split(identity, strokes == POSITIVE, strokes == NEGATIVE)
        self._strokes.append((index, strokes))
        self._undone_strokes.clear()
        self.layers.write_strokes(index, np.zeros_like(strokes))
        self.layers.lay_down_brush()
        self.select(positive)
        self.view.show_message(f"Split into {len(positive)} positive and {counted(len(negative), 'negative segment')}")
        return True

    def strokes_to_finish(self) -> tuple[Image, NDArray[np.int64], ClassTable]:
        """The layer of the visible image, strokes of shape (H, W) from the classes of its segments, and the classes.

        Raises
        ------
        InputError
            If no image is visible, or none of its segments has a class.
        """
        index, classes = self.layers.index(), self.workspace.classes
        if index is None:
            raise InputError("no image is visible; turn to the one to be finished first")
        source = self.layers.group(index).source
        assert source is not None
        scribbles = self.workspace.scribbles(index)
        ids = np.array([0, *(identity or classes.background for identity in scribbles.ids)], dtype=np.int64)
        return source.layer, ids[scribbles.seeds + 1], classes

    def _to_split(self, index: int, strokes: NDArray[np.uint8]) -> int:
        """The selected segment, or the one with most pixels of positive strokes."""
        table = self.workspace.table
        if len(self.selected) == 1 and int(table.image[self.selected[0]]) == index:
            return int(self.selected[0])
        under = self.workspace.table.map(index)[strokes == POSITIVE]
        under = under[under > 0]
        if not len(under):
            raise InputError("no positive stroke lies in a segment of this image; draw one, and a negative one")
        return int(np.bincount(under).argmax())

    # state ------------------------------------------------------------------------------------------------------------

    def refresh_state(self) -> None:
        """Show which buttons make sense."""
        workspace = self.workspace
        ids = workspace.ids()
        embedded = int(np.isfinite(workspace.xy(ids)[:, 0]).sum())
        labelled = int((workspace.table.label[ids] > 0).sum())
        self.view.show_state(
            ExploreState(
                len(workspace.pictures),
                len(ids),
                embedded,
                labelled,
                len(self.selected),
                workspace.can_undo,
                workspace.can_redo,
                self._is_busy(),
            )
        )

    # changes of the workspace -----------------------------------------------------------------------------------------

    def _note(self, kind: str, changed: Ids | tuple[int, ...] = ()) -> None:
        """Note a change; the changes of one command are displayed together."""
        images = np.unique(self.workspace.table.image[changed]) if isinstance(changed, np.ndarray) else changed
        self._images.update(int(image) for image in images)
        if not self._kinds:
            self._dispatcher.post(self._renew)
        self._kinds.add(kind)

    def _renew(self) -> None:
        if not self._is_open:
            return
        kinds, self._kinds = self._kinds, set()
        images, self._images = self._images, set()
        self.display.renew(kinds, images)
        self.refresh_state()
        for changed in tuple(self.edited):
            changed()

    def close(self) -> None:
        """Disconnect from the workspace and from the viewer."""
        self._is_open = False
        self.display.close()
        for signal, called in self._connections:
            signal.disconnect(called)
        self.layers.release()


_WORDS = {"assign": "assignment", "split": "split", "cut": "cut"}
