"""What the explorer's window shows: the words that its parts share; no Qt here."""

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
    """Which buttons make sense now, and the numbers of the line above the plane.

    Attributes
    ----------
    pictures, segments, placed, labelled, selected : int
        How many there are.
    can_undo, can_redo, busy : bool
        Whether there is a step to take back, one to do again, a job running.
    """

    pictures: int = 0
    segments: int = 0
    placed: int = 0
    labelled: int = 0
    selected: int = 0
    can_undo: bool = False
    can_redo: bool = False
    busy: bool = False


class Services(Protocol):
    """What :class:`~napari_scribseg.widgets.common.dispatch.Dispatcher` offers."""

    @property
    def executor(self) -> Executor:
        """Where long jobs run."""

    def post(self, function: Callable[[], object]) -> None:
        """Run a function soon on the window's thread."""

    def aside(self, function: Any, done: Any, failed: Any, *, file: bool = False) -> None:
        """Run a function away from the window."""

    def later(self, milliseconds: int, function: Callable[[], object]) -> None:
        """Run a function of the window's thread after a time."""


class Embedding(Protocol):
    """What :class:`~napari_scribseg.widgets.explore.embedding_view.EmbeddingView` offers."""

    scene: Any

    def show_points(self, ids: Any, xy: Any, colors: Any, *, smoothly: bool = True) -> None:
        """Show segments at places."""

    def show_colors(self, colors: Any) -> None:
        """Show other colours."""

    def select(self, ids: Any) -> None:
        """Mark segments."""

    def look_at(self, identity: int) -> None:
        """Bring a segment into the middle."""

    def update(self) -> None:
        """Paint anew."""


class ExploreView(Protocol):
    """What the explorer tells the window."""

    embedding: Any
    local: Any
    tiles: Tiles

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show one sentence in the status line."""

    def notify(self, text: str) -> None:
        """Show a sentence for a moment, where it is also seen when the widget is not."""

    def show_busy(self, busy: bool) -> None:
        """A job begins or ends."""

    def show_progress(self, fraction: float) -> None:
        """How far the job is, from 0 to 1."""

    def show_classes(self, classes: ClassTable) -> None:
        """The class table."""

    def show_settings(self, settings: CutSettings) -> None:
        """How the images were cut."""

    def show_encoder(self, view: str, backbone: str) -> None:
        """What describes the segments."""

    def show_picture(self, index: int | None, count: int, name: str) -> None:
        """Which image is in sight."""

    def show_local(self, shown: bool) -> None:
        """Show the plane of a selection, or hide it."""

    def show_state(self, state: ExploreState) -> None:
        """Which buttons make sense."""
