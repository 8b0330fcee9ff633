"""What the window shows of an annotation: the interface between annotator and widget. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, LossCurve
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.messages import Message

__all__ = ["AnnotationView", "HiddenView", "SliceState"]


@dataclass(frozen=True, slots=True)
class SliceState:
    """State of the displayed slice, as far as buttons depend on it.

    Attributes
    ----------
    ready : bool
        Whether a slice is displayed that can be painted on.
    can_undo, can_redo : bool
        Whether there is a step to undo, or to redo.
    accepted : bool
        Whether the slice is accepted.
    n_accepted : int
        Number of accepted slices.
    slice_index : SliceIndex or None
        The displayed slice.
    follows, has_filled : bool
        Whether corrections solve filled slices again, and whether there are some.
    has_drafted : bool
        Whether there are drafted slices.
    can_draft : bool
        Whether there is a learned network.
    """

    ready: bool = False
    can_undo: bool = False
    can_redo: bool = False
    accepted: bool = False
    n_accepted: int = 0
    slice_index: SliceIndex | None = None
    follows: bool = False
    has_filled: bool = False
    has_drafted: bool = False
    can_draft: bool = False

    @property
    def is_single(self) -> bool:
        """Whether the displayed slice is the only one of the image."""
        return self.slice_index is not None and not self.slice_index.position


class AnnotationView(Protocol):
    """The window, as an annotator uses it."""

    def show_status(self, line: Message) -> None:
        """Show the status line."""

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message until the next event."""

    def notify(self, text: str) -> None:
        """Show a notification, also where the widget is hidden."""

    def show_busy(self, busy: bool) -> None:
        """Show whether a job runs."""

    def show_progress(self, fraction: float) -> None:
        """Show the fraction of the job that is done, from 0 to 1."""

    def show_notes(self, notes: tuple[str, ...]) -> None:
        """Show the choices that the engine made by itself."""

    def show_curve(self, curve: LossCurve | None, *, fitting: bool = False) -> None:
        """Show the losses of the engine's fit, finished or running; None for an engine without a fit."""

    def show_duration(self, engine: str, seconds: float, shape: tuple[int, int]) -> None:
        """Show how long an engine took for a result of shape (H, W)."""

    def show_classes(self, classes: ClassTable) -> None:
        """Show the class table."""

    def show_brush(self, identity: int) -> None:
        """Show the class of the brush."""

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons that apply."""

    def work_left(self, session: Session) -> str:
        """How much of a project is done and left, in a sentence without an end; empty without a project."""


class HiddenView:
    """The view of an annotator that is not in front: it shows nothing."""

    def _nothing(self, *_args: object, **_options: object) -> None:
        pass

    show_status = show_message = notify = show_busy = show_progress = _nothing
    show_duration = show_notes = show_curve = show_classes = show_brush = show_state = _nothing

    def work_left(self, _session: Session) -> str:
        """Nothing."""
        return ""
