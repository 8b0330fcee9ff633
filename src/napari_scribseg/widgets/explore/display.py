"""The display of a workspace: embeddings, thumbnails, classes and contours on the visible image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.explore import Workspace
from napari_scribseg.explore.workspace import Filter
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.explore.background_jobs import QuickJobs
from napari_scribseg.widgets.explore.contours import contours
from napari_scribseg.widgets.explore.explore_view import ExploreView
from napari_scribseg.widgets.explore.picture_layers import PictureLayers

__all__ = ["Display"]

_NO_CLASS = (150, 150, 150)  # colour of segments without a class
_TILES = 48  # thumbnails made at once
_FILL_MS = 30  # between two images that are not visible whose classes are brought up to date

Ids = NDArray[np.int64]
_NOBODY = np.zeros(0, dtype=np.int64)


class Display:
    """Brings embeddings and layers up to date with a workspace.

    Parameters
    ----------
    workspace, layers, view, dispatcher
        See :class:`~napari_scribseg.widgets.explore.exploration.Exploration`.

    Attributes
    ----------
    selected : ndarray of int64
        The selected segments.
    which : str
        The filter.
    """

    def __init__(self, workspace: Workspace, layers: PictureLayers, view: ExploreView, dispatcher: Dispatcher) -> None:
        self.workspace, self.layers, self.view = workspace, layers, view
        self.selected: Ids = _NOBODY
        self.which: Filter = "all"
        self._dispatcher = dispatcher
        self._dirty: set[int] = set()  # images whose classes in the layer are out of date
        self._local: tuple[Ids, NDArray[np.float32]] | None = None
        self._is_open, self._filling = True, False
        self._filtering = QuickJobs(dispatcher.background, dispatcher.post, view)
        self._tiling = QuickJobs(dispatcher.background, dispatcher.post, view)

    def renew(self, kinds: set[str], images: set[int]) -> None:
        """Show changes.

        Parameters
        ----------
        kinds : set of str
            What changed: ``"segments"``, ``"labels"``, ``"embedding"``, ``"classes"``.
        images : set of int
            Whose segments or classes changed.
        """
        self._dirty |= images
        if "segments" in kinds:
            self.selected = np.intersect1d(self.selected, self.workspace.ids())
        if kinds & {"segments", "embedding"} or (self.which != "all" and "labels" in kinds):
            self.show_embedding()
        else:
            self.view.embedding.show_colors(self.colors(self.view.embedding.scene.ids))
        if "segments" in kinds and self._local is not None:
            alive = np.isin(self._local[0], self.workspace.ids())
            self.show_local((self._local[0][alive], self._local[1][alive]) if alive.any() else None)
        else:
            self.view.local.show_colors(self.colors(self.view.local.scene.ids))
        if "classes" in kinds:
            self.layers.show_classes(self.workspace.classes)
            self.view.show_classes(self.workspace.classes)
        self.show_picture()
        self._fill()

    def select(self, ids: Ids) -> None:
        """Select these segments, and no others, in embeddings and image."""
        self.layers.rest(False)
        self.selected = np.asarray(ids, dtype=np.int64)
        for embedding in (self.view.embedding, self.view.local):
            embedding.select(self.selected)
        self.show_contours()

    def close(self) -> None:
        """Show nothing any more."""
        self._is_open = False

    def turn_to(self, index: int) -> None:
        """Display an image."""
        self.layers.rest(False)
        made = self.layers.turn_to(index, self.workspace.classes)
        self._dirty.update(made)
        self.show_picture()
        self._fill()

    def show_picture(self) -> None:
        """Show classes and contours of the visible image."""
        index = self.layers.index()
        name = "" if index is None else self.layers.name(index)
        self.view.show_picture(index, len(self.workspace.pictures), name)
        if index is not None and index in self._dirty:
            self._write(index, refresh=True)
        self.show_contours()

    def show_contours(self) -> None:
        """Draw the contours of the visible segments, those of selected ones brighter."""
        index = self.layers.index()
        if index is None or not len(self.workspace.ids(index)):
            self.layers.hide_contours()
        else:
            self.layers.show_contours(index, contours(self.workspace.table.map(index), self.selected))

    def show_embedding(self, *, smoothly: bool = True) -> None:
        """Show the segments that pass the filter."""
        workspace, which = self.workspace, self.which
        if which != "uncertain":
            self._show(workspace.filtered(which), smoothly)
        else:  # computed from all features
            self._filtering.run(workspace.filter_task(which), lambda ids: self._show(ids, smoothly))

    def _show(self, ids: Ids, smoothly: bool) -> None:
        self.view.embedding.show_points(ids, self.workspace.xy(ids), self.colors(ids), smoothly=smoothly)
        self.view.embedding.select(self.selected)

    def colors(self, ids: Ids) -> NDArray[np.uint8]:
        """The colours of segments by their classes, shape (n, 3)."""
        labels = self.workspace.table.label[ids]
        table = np.full((int(labels.max(initial=0)) + 1, 3), _NO_CLASS, dtype=np.uint8)
        for label in self.workspace.classes:
            if label.id < len(table) and label.visible:
                table[label.id] = np.rint(255 * np.array(label.color[:3]))
        return table[labels]

    def make_tiles(self, ids: Ids) -> None:
        """Make thumbnails, some at a time, and repaint the embeddings."""
        ids = ids[self.view.tiles.rows(ids) < 0]
        ids = ids[np.argsort(self.workspace.table.image[ids], kind="stable")][:_TILES]  # one image after the other
        if len(ids):
            self._tiling.run(self.workspace.thumbnails_task(ids, self.view.tiles.side), self._on_tiles)

    def _on_tiles(self, made: tuple[Ids, NDArray[np.uint8]]) -> None:
        self.view.tiles.put(*made)
        self.view.embedding.update()
        self.view.local.update()

    def show_local(self, found: tuple[Ids, NDArray[np.float32]] | None) -> None:
        """Show an embedding of a selection; None hides it."""
        self._local = found
        self.view.show_local(found is not None)
        ids, xy = found or (_NOBODY, np.zeros((0, 2), dtype=np.float32))
        self.view.local.show_points(ids, xy, self.colors(ids), smoothly=False)
        self.view.local.fit()
        self.view.local.select(self.selected)

    def _write(self, index: int, *, refresh: bool) -> None:
        self._dirty.discard(index)
        self.layers.show_labels(
            index, self.workspace.table.label[self.workspace.table.map(index)].astype(np.uint16), refresh=refresh
        )

    def _fill(self) -> None:
        """Bring the classes of hidden images up to date, one after the other, while nothing else happens."""
        if self._filling or not self._dirty:
            return
        self._filling = True

        def one() -> None:
            self._filling = False
            if self._is_open and self._dirty:
                self._write(min(self._dirty), refresh=False)
                self._fill()

        self._dispatcher.later(_FILL_MS, one)
