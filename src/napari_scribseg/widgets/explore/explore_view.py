"""What the parts of the explorer know of its window; no Qt here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

from napari_scribseg.core import ClassTable
from napari_scribseg.explore import CutSettings
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["Embedding", "ExploreState", "ExploreView", "Services"]


@dataclass(frozen=True, slots=True)
class ExploreState:
    """What the window shows of the state: which buttons make sense, and the counts below the embedding.

    Attributes
    ----------
    pictures, segments, embedded, labelled, selected : int
        Numbers of images and segments.
    can_undo, can_redo, busy : bool
        Whether a step can be undone, one can be redone, a job runs.
    class_name : str
        Of the class that is chosen in the table.
    """

    pictures: int = 0
    segments: int = 0
    embedded: int = 0
    labelled: int = 0
    selected: int = 0
    can_undo: bool = False
    can_redo: bool = False
    busy: bool = False
    class_name: str = ""


class Services(Protocol):
    """What :class:`~napari_scribseg.widgets.common.dispatch.Dispatcher` offers."""

    @property
    def executor(self) -> Executor:
        """Where long jobs run."""

    @property
    def background(self) -> Executor:
        """Where quick jobs run."""

    def post(self, function: Callable[[], object]) -> None:
        """Run a function soon in the window's thread."""

    def aside(self, function: Any, done: Any, failed: Any, *, file: bool = False) -> None:
        """Run a function in the background."""

    def later(self, milliseconds: int, function: Callable[[], object]) -> None:
        """Run a function in the window's thread after a time."""


class Embedding(Protocol):
    """What :class:`~napari_scribseg.widgets.explore.embedding_view.EmbeddingView` offers."""

    scene: Any

    def show_points(self, ids: Any, xy: Any, colors: Any, *, smoothly: bool = True) -> None:
        """Show segments at these positions."""

    def show_colors(self, colors: Any) -> None:
        """Show other colours."""

    def select(self, ids: Any) -> None:
        """Select segments."""

    def center_on(self, identity: int) -> None:
        """Bring a segment into the middle."""

    def update(self) -> None:
        """Repaint."""


class ExploreView(Protocol):
    """The window of the explorer."""

    embedding: Any
    local: Any
    tiles: Tiles

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message in the status line."""

    def notify(self, text: str) -> None:
        """Show a message for a moment, also where the widget is hidden."""

    def show_busy(self, busy: bool) -> None:
        """A job begins or ends."""

    def show_progress(self, fraction: float) -> None:
        """Show the fraction of the job that is done."""

    def show_classes(self, classes: ClassTable) -> None:
        """The class table."""

    def show_settings(self, settings: CutSettings) -> None:
        """How the images were cut."""

    def show_encoder(self, view: str, backbone: str) -> None:
        """What describes the segments."""

    def show_picture(self, index: int | None, count: int, name: str) -> None:
        """Which image is in sight."""

    def show_local(self, shown: bool) -> None:
        """Show the embedding of a selection, or hide it."""

    def show_state(self, state: ExploreState) -> None:
        """Which buttons make sense."""
