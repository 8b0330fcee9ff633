"""The annotators of a window: one for each annotated image, one of them in front."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_scribseg.core import InputError
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.segmentation.annotation_view import AnnotationView, HiddenView, SliceState
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.layer_watcher import LayerWatcher

__all__ = ["Annotators"]

Keys = dict[str, Callable[[], object]]


class Annotators:
    """Starts, switches between and ends annotators; only the one in front has the view.

    Parameters
    ----------
    view : AnnotationView
        The view of the window.
    dispatcher : Dispatcher
        For waiting.
    keys : callable
        ``keys(annotator)`` gives a function for each key on its layers.
    turned : callable
        ``turned(annotator)`` is called with an annotator that comes to the front.

    Attributes
    ----------
    front : Annotator or None
        The annotator that the panels show.
    """

    def __init__(
        self,
        view: AnnotationView,
        dispatcher: Dispatcher,
        keys: Callable[[Annotator], Keys],
        turned: Callable[[Annotator], object],
    ) -> None:
        self.front: Annotator | None = None
        self._view = view
        self._hidden = HiddenView()
        self._dispatcher = dispatcher
        self._keys = keys
        self._turned = turned
        self._all: dict[Annotator, LayerWatcher] = {}

    @property
    def all(self) -> tuple[Annotator, ...]:
        """All annotators, the oldest first."""
        return tuple(self._all)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being computed or about to be."""
        return not any(
            watcher.is_waiting or annotator.session.is_busy or annotator.session.doing is not None
            for annotator, watcher in self._all.items()
        )

    def of(self, image: Any) -> Annotator | None:
        """The annotator of an image layer; None if there is none."""
        return next((a for a in self._all if a.layers.source.layer is image), None)

    def begin(self, source: LayerSource, make: Callable[[AnnotationView], Annotator]) -> Annotator | None:
        """Start an annotator, which replaces the image's former one, in front; None, with a message, if it fails."""
        try:
            annotator = make(self._view)
        except InputError as error:
            self._view.show_message(user_message(error), error=True)
            return None
        former = self.of(source.layer)
        if former is not None:
            self.end(former)
            annotator.show_labels()  # the result layer may be the former's
        watcher = LayerWatcher(
            annotator,
            self._dispatcher.later,
            self._dispatcher.wait,
            lambda role: self._on_lost(annotator, role),
            lambda: self.turn_to(annotator),
        )
        self._all[annotator] = watcher
        annotator.layers.bind_keys(self._keys(annotator))
        self.turn_to(annotator)
        return annotator

    def bring_back(self, annotator: Annotator) -> None:
        """Restore deleted layers with their content, and take up the brush."""
        if annotator.show_layers():
            self._all[annotator].watch_strokes()
        annotator.layers.bind_keys(self._keys(annotator))
        self.turn_to(annotator)
        annotator.refresh_state()

    def turn_to(self, annotator: Annotator | None) -> None:
        """Put an annotator in front, or none."""
        for other in self._all:
            other.view = self._view if other is annotator else self._hidden
        if annotator is None:
            self.front = None
            self._view.show_state(SliceState())
            self._view.show_busy(False)
            self._view.show_curve(None)
        elif annotator is not self.front:
            self.front = annotator
            self._turned(annotator)
            annotator.show_all()

    def end(self, annotator: Annotator) -> None:
        """Close an annotator; its layers stay in the viewer, and its autosave is written."""
        annotator.view = self._hidden
        self._all.pop(annotator).close()
        annotator.layers.unbind_keys(self._keys(annotator))
        annotator.close()
        if self.front is annotator:
            self.turn_to(None)

    def end_all(self) -> None:
        """Close all annotators without using the view, which may be gone."""
        self.front = None
        for annotator in list(self._all):
            self.end(annotator)

    def _on_lost(self, annotator: Annotator, role: str) -> None:
        """A layer was deleted, or the image replaced."""
        if annotator not in self._all:
            return
        if role in ("image", "image data"):
            self.end(annotator)
            deleted = role == "image"
            then = "open it again, and Resume continues them" if deleted else "Resume continues those that fit it"
            self._view.show_message(
                f"The image was {'deleted' if deleted else 'replaced'}. Its strokes are autosaved: {then}", error=True
            )
        else:
            if role == "pen_layer":
                annotator.editor.pen_layer_lost()
            annotator.refresh_state()
