"""What the window shows of an annotation; the annotator and the widget share it. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from napari_scribseg.core import ClassTable, LossCurve
from napari_scribseg.widgets.common.messages import Message

__all__ = ["MODES", "HiddenView", "State", "View"]

MODES = ("live", "stroke", "demand")


@dataclass(frozen=True, slots=True)
class State:
    """Which buttons make sense now.

    Attributes
    ----------
    ready : bool
        Whether the window shows a slice that can be painted on.
    can_undo, can_redo : bool
        Whether there is a step to undo, or to redo.
    accepted : bool
        Whether that slice is accepted.
    n_accepted : int
        Number of accepted slices.
    """

    ready: bool = False
    can_undo: bool = False
    can_redo: bool = False
    accepted: bool = False
    n_accepted: int = 0


class View(Protocol):
    """What an annotator shows in the window."""

    def show_status(self, line: Message) -> None:
        """The status line."""

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show what happened, until something else does."""

    def notify(self, text: str) -> None:
        """Show a message for a moment, also where the widget is not visible."""

    def show_busy(self, busy: bool) -> None:
        """A job begins or ends."""

    def show_progress(self, fraction: float) -> None:
        """How far the job is, from 0 to 1."""

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """The choices that the engine made by itself."""

    def show_curve(self, curve: LossCurve | None, *, fitting: bool = False) -> None:
        """How the engine's fit went, or goes; None for an engine that fits nothing."""

    def show_classes(self, classes: ClassTable) -> None:
        """The class table."""

    def show_brush(self, identity: int) -> None:
        """The class of the brush."""

    def show_state(self, state: State) -> None:
        """Which buttons make sense."""


class HiddenView:
    """The view of an annotator that is not in front: it shows nothing."""

    def _nothing(self, *_args: object, **_options: object) -> None:
        pass

    show_status = show_message = notify = show_busy = show_progress = _nothing
    show_notes = show_curve = show_classes = show_brush = show_state = _nothing
