"""What the window shows of an annotation: the words that the annotator and the widget share; no Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from napari_scribseg.core import ClassTable, LossCurve
from napari_scribseg.widgets.common.messages import Message

__all__ = ["MODES", "Gate", "State", "View"]

MODES = ("live", "stroke", "demand")


@dataclass(frozen=True, slots=True)
class State:
    """Which buttons make sense now.

    Attributes
    ----------
    ready : bool
        Whether a slice is in sight that can be painted on.
    can_undo, can_redo : bool
        Whether there is a step to take back, or to do again.
    accepted : bool
        Whether the slice in sight is accepted.
    n_accepted : int
        Number of accepted slices.
    """

    ready: bool = False
    can_undo: bool = False
    can_redo: bool = False
    accepted: bool = False
    n_accepted: int = 0


class View(Protocol):
    """What an annotator tells the window."""

    def show_status(self, line: Message) -> None:
        """The status line."""

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Tell of something that happened beside the annotators."""

    def notify(self, text: str) -> None:
        """Show a sentence for a moment, where it is also seen when the widget is not."""

    def show_busy(self, busy: bool) -> None:
        """A job begins or ends."""

    def show_progress(self, fraction: float) -> None:
        """How far the job is, from 0 to 1."""

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """What the engine chose."""

    def show_curve(self, curve: LossCurve | None, *, fitting: bool = False) -> None:
        """How the engine's fit went, or goes; None for an engine that fits nothing."""

    def show_classes(self, classes: ClassTable) -> None:
        """The class table."""

    def show_brush(self, identity: int) -> None:
        """The class that is painted with."""

    def show_state(self, state: State) -> None:
        """Which buttons make sense."""


class Gate:
    """A view that passes on what it is told only while it is open: one for each of several annotators of a window."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.open = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._view, name)

        def told(*args: Any, **kwargs: Any) -> None:
            if self.open:
                method(*args, **kwargs)

        return told
