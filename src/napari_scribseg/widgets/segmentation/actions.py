"""The actions of Scribble segmentation: buttons, keys and commands. ``docs/add-a-button.md`` describes how to add one.

Keys that napari has on a labels layer (1-7, E P F L Z M X B, - = [ ], Esc, Enter) and on the viewer (V, Space, arrows,
Ctrl with R E T G Y) stay napari's; undo, redo and new label are replaced, as napari's own leave the result behind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from napari_scribseg.core.plugins import add_installed
from napari_scribseg.widgets.common.actions import Action, Actions
from napari_scribseg.widgets.segmentation.view import State

if TYPE_CHECKING:
    from napari_scribseg.widgets.segmentation.annotator import Annotator

__all__ = ["ACTIONS", "Window", "add_installed_actions", "with_annotator"]

ACTION_GROUP = "scribseg.actions"


class Window(Protocol):
    """What an action can use of the window."""

    @property
    def viewer(self) -> Any:
        """The napari viewer."""

    def call_annotator(self, call: Callable[[Annotator], object]) -> None:
        """Call ``call(annotator)`` for the image in front; nothing happens before Start painting."""

    def start(self) -> None:
        """Begin to paint on the image that is chosen."""

    def propagate(self) -> None:
        """Propagate over as many slices as the window shows."""

    def step_class(self, by: int) -> None:
        """Paint with the class so many rows further on in the table."""

    def add_class(self) -> None:
        """Add a class to the table."""

    def toggle_overlay(self) -> None:
        """Show the next kind of overlay."""

    def save_labels(self) -> None:
        """Ask for a file and write the labels."""

    def save_strokes(self) -> None:
        """Ask for a file and write the strokes."""

    def resume(self) -> None:
        """Go on with saved strokes."""


def with_annotator(call: Callable[[Annotator], object]) -> Callable[[Window], object]:
    """The ``call`` of an action on the image in front: ``with_annotator(lambda annotator: annotator.undo())``."""
    return lambda window: window.call_annotator(call)


def _ready(state: State) -> bool:
    return state.ready


def _editable(state: State) -> bool:
    return state.ready and not state.accepted


def _accept_label(state: State) -> str:
    text = "Reopen slice" if state.accepted else "Accept slice"
    return f"{text} · {state.n_accepted} accepted" if state.n_accepted else text


ACTIONS: Actions[Window, State] = Actions(
    [
        Action(
            "start",
            "Start painting",
            "Make the layers that are missing, on the image's grid, and take up the brush",
            lambda window: window.start(),
        ),
        Action(
            "segment",
            "Segment",
            "Segment this slice now",
            with_annotator(lambda annotator: annotator.segment()),
            key="S",
            enabled=_editable,
            panel="slice",
        ),
        Action(
            "clear",
            "Clear slice",
            "Remove the strokes and the result of this slice; Undo restores them",
            with_annotator(lambda annotator: annotator.clear()),
            key="Shift-C",
            enabled=_editable,
            panel="slice",
        ),
        Action(
            "undo",
            "Undo",
            "Undo the last stroke together with its result",
            with_annotator(lambda annotator: annotator.undo()),
            key="Control-Z",
            enabled=lambda state: state.can_undo,
            panel="slice",
        ),
        Action(
            "redo",
            "Redo",
            "Redo the stroke that was undone, with its result",
            with_annotator(lambda annotator: annotator.redo()),
            key="Control-Shift-Z",
            enabled=lambda state: state.can_redo,
            panel="slice",
        ),
        Action(
            "accept",
            "Accept slice",
            "Lock this slice: nothing changes it until it is reopened",
            with_annotator(lambda annotator: annotator.toggle_accepted()),
            key="A",
            enabled=_ready,
            label=_accept_label,
            panel="slice",
            wide=True,
        ),
        Action(
            "propagate",
            "Propagate",
            "Propagate the result to the next slices",
            lambda window: window.propagate(),
            key="G",
            enabled=_ready,
            panel="slice",
        ),
        Action(
            "save",
            "Save labels…",
            "Write the label volume with the image's geometry, names and colours",
            lambda window: window.save_labels(),
            key="Shift-S",
            panel="file",
        ),
        Action(
            "save_strokes",
            "Save strokes…",
            "Write strokes, accepted slices, engine and parameters to a file, to resume from it later",
            lambda window: window.save_strokes(),
            panel="file",
        ),
        Action(
            "resume",
            "Resume…",
            "Continue with saved or autosaved strokes",
            lambda window: window.resume(),
            panel="file",
        ),
        Action("next_class", "Next class", "Paint with the next class", lambda window: window.step_class(1), key="W"),
        Action(
            "previous_class",
            "Previous class",
            "Paint with the previous class",
            lambda window: window.step_class(-1),
            key="Q",
        ),
        Action("new_class", "+ class", "Add a class and paint with it", lambda window: window.add_class(), key="M"),
        Action("overlay", "Overlay", "Show the next kind of overlay", lambda window: window.toggle_overlay(), key="O"),
        Action(
            "cancel",
            "Cancel",
            "Stop the running job; the former result stays",
            with_annotator(lambda annotator: annotator.cancel()),
            key="Shift-X",
        ),
    ]
)


@cache
def add_installed_actions() -> None:
    """Add the actions that other packages declare in the entry-point group ``scribseg.actions``, once."""
    add_installed(ACTION_GROUP, Action, ACTIONS.add)
