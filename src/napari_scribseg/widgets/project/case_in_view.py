"""The case that is open in napari: its image as a layer, and its session in Scribble segmentation. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError, Source
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.napari_hooks import image_layer
from napari_scribseg.widgets.segmentation.annotator import Annotator

if TYPE_CHECKING:
    from napari_scribseg.learn.project import Project
    from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

__all__ = ["CaseInView"]


class CaseInView:
    """Opens one case at a time in a viewer, and removes the layers of the former one.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    window : callable
        Gives *Scribble segmentation*, opened where it is not.
    opened : callable
        Gives it where it is open, else None.
    changed : callable
        Called after a change of strokes, labels or accepted slices of the case.
    """

    def __init__(
        self,
        viewer: Any,
        window: Callable[[], SegmentationWidget],
        opened: Callable[[], SegmentationWidget | None],
        changed: Callable[[], object],
    ) -> None:
        self._viewer, self._window, self._opened, self._changed = viewer, window, opened, changed
        self._name = ""
        self._annotator: Annotator | None = None

    @property
    def annotator(self) -> Annotator | None:
        """That of the case; None where none is open, its image was deleted, or *Scribble segmentation* was closed."""
        window = self._opened()
        return self._annotator if window is not None and self._annotator in window.annotators.all else None

    @property
    def name(self) -> str:
        """The name of the case; empty where none is open."""
        return "" if self.annotator is None else self._name

    @property
    def session(self) -> Session | None:
        """That of the case."""
        return None if self.annotator is None else self.annotator.session

    def show(self, project: Project, name: str, source: Source, at: SliceIndex | None) -> Annotator:
        """Open a case, whose image was read, at a slice.

        Raises
        ------
        InputError
            If it is open elsewhere, or its session file cannot be read; no case is open then.
        """
        self.leave()
        window = self._window()
        data, options, kind = image_layer(source)
        layer = Layer.create(data, {**options, "name": name}, kind)
        self._viewer.add_layer(layer)
        try:
            self._annotator = window.adopt(
                layer, lambda volume, **options: project.annotate(name, volume=volume, **options)
            )
        except InputError:
            self._viewer.layers.remove(layer)
            raise
        self._name = name
        for event in _changes(self._annotator.session):
            event.connect(self._changed)
        here = self._annotator.layers.slice_index()
        if at is not None and here is not None and here.displayed == at.displayed:
            self._annotator.layers.go_to(at)
        return self._annotator

    def leave(self) -> None:
        """Close the case, whose session is saved, and remove its layers."""
        annotator, self._annotator, self._name = self._annotator, None, ""
        if annotator is None:
            return
        self.release(annotator)
        window = self._opened()
        if window is not None and annotator in window.annotators.all:
            window.annotators.end(annotator)
        annotator.layers.remove()

    def release(self, annotator: Annotator | None = None) -> None:
        """Follow the case no longer; it stays open."""
        annotator = annotator or self._annotator
        if annotator is not None:
            for event in _changes(annotator.session):
                event.disconnect(self._changed)


def _changes(session: Session) -> tuple[Any, ...]:
    events = session.events
    return events.changed, events.updated, events.restored, events.stepped
