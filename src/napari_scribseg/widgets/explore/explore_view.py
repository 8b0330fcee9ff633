"""What the parts of the explorer know of its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from napari_scribseg.core import ClassTable
from napari_scribseg.explore import CutSettings
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["ExploreState", "ExploreView", "counted"]


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

    def show_device(self, device: str) -> None:
        """Where networks compute."""

    def show_picture(self, index: int | None, count: int, name: str) -> None:
        """Which image is visible."""

    def show_local(self, shown: bool) -> None:
        """Show the embedding of a selection, or hide it."""

    def show_state(self, state: ExploreState) -> None:
        """Which buttons make sense."""


def counted(number: int, noun: str) -> str:
    """A number of things in words: ``"1 segment"``, ``"2 segments"``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
