"""The actions of Scribble segmentation: buttons, keys and commands. ``docs/add-a-button.md`` describes how to add one.

napari keeps its keys on a labels layer (1-7, E P F L Z X B, - = [ ], Esc, Enter) and on the viewer (V, Space, arrows,
Ctrl with R E T G Y). Its undo, redo and new label (M) are replaced, because they leave the result behind. F1 to F9,
which it leaves free, choose classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from napari_scribseg.core.plugins import add_installed
from napari_scribseg.widgets.common.action import KEYS_KEY, Action, Actions
from napari_scribseg.widgets.segmentation.annotation_view import SliceState

if TYPE_CHECKING:
    from napari_scribseg.widgets.common.class_table import ClassTableView
    from napari_scribseg.widgets.segmentation.annotator import Annotator
    from napari_scribseg.widgets.segmentation.annotators import Annotators
    from napari_scribseg.widgets.segmentation.edit_panel import EditPanel
    from napari_scribseg.widgets.segmentation.overlay_panel import OverlayPanel
    from napari_scribseg.widgets.segmentation.pen_panel import PenPanel
    from napari_scribseg.widgets.segmentation.review import Review
    from napari_scribseg.widgets.segmentation.saving import Saver
    from napari_scribseg.widgets.segmentation.slice_list import SliceListPanel
    from napari_scribseg.widgets.segmentation.slice_panel import SlicePanel

__all__ = ["ACTIONS", "SegmentationWindow", "add_installed_actions"]

ACTION_GROUP = "scribseg.actions"


class SegmentationWindow(Protocol):
    """What an action can use of the window.

    Attributes
    ----------
    viewer : napari.Viewer
    classes, pens, slices, slice_list, edits, overlays : QWidget
        Its panels.
    annotators : Annotators
        One for each annotated image.
    saver : Saver
        Writes files.
    review : Review or None
        The project that the images are cases of.
    """

    viewer: Any
    classes: ClassTableView
    pens: PenPanel
    slices: SlicePanel
    slice_list: SliceListPanel
    edits: EditPanel
    overlays: OverlayPanel
    annotators: Annotators
    saver: Saver
    review: Review | None

    def start(self) -> None:
        """Begin to annotate the chosen image."""

    def call_annotator(self, call: Callable[[Annotator], object]) -> None:
        """Call ``call(annotator)`` for the image in front, if there is one."""

    def save_labels(self) -> None:
        """Ask for a file, and write the labels."""

    def resume(self) -> None:
        """Continue with saved strokes."""

    def show_views(self) -> None:
        """Open the dock of other views."""

    def show_numbers(self) -> None:
        """Open the window of measures."""

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message until the next event."""

    def show_keys(self) -> None:
        """Open the window of keys."""


def _with_annotator(call: Callable[[Annotator], object]) -> Callable[[SegmentationWindow], object]:
    """The ``call`` of an action on the image in front."""
    return lambda window: window.call_annotator(call)


def _paint_with_row(row: int) -> Callable[[SegmentationWindow], object]:
    """The ``call`` of the action that chooses a row of the class table."""
    return lambda window: window.classes.choose_row(row)


def _show_next(window: SegmentationWindow) -> None:
    """Show the slice that needs something most; where all are accepted, that of the project's next case."""
    front = window.annotators.front
    if (front is None or not front.look_where_needed()) and not window.slice_list.next_open(1) and window.review:
        window.review.next_case()


def _next_text(state: SliceState) -> str:
    return "Slice that needs a stroke" if state.has_filled or state.has_drafted else "Next open slice"


def _draft(window: SegmentationWindow) -> None:
    """Draft the image in front by the project's network."""
    drafter = window.review.drafter if window.review else None
    if drafter is not None:
        window.call_annotator(lambda annotator: annotator.draft(drafter))
    else:
        window.show_message("There is no learned network: accept slices of a project, and press Learn", error=True)


def _ready(state: SliceState) -> bool:
    return state.ready


def _editable(state: SliceState) -> bool:
    return state.ready and not state.accepted


ACTIONS: Actions[SegmentationWindow, SliceState] = Actions(
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
            _with_annotator(lambda annotator: annotator.segment()),
            key="S",
            enabled=_editable,
            panel="slice",
        ),
        Action(
            "clear",
            "Clear slice",
            "Remove the strokes and the result of this slice; Undo restores them",
            _with_annotator(lambda annotator: annotator.clear()),
            key="Shift-C",
            enabled=_editable,
            panel="slice",
        ),
        Action(
            "undo",
            "Undo",
            "Undo the last stroke together with its result",
            _with_annotator(lambda annotator: annotator.undo()),
            key="Control-Z",
            enabled=lambda state: state.can_undo,
            panel="bar",
        ),
        Action(
            "redo",
            "Redo",
            "Redo the stroke that was undone, with its result",
            _with_annotator(lambda annotator: annotator.redo()),
            key="Control-Shift-Z",
            enabled=lambda state: state.can_redo,
            panel="bar",
        ),
        Action(
            "accept",
            "Accept slice",
            "Lock this slice until it is reopened, and go on to the next one with strokes or labels",
            _with_annotator(lambda annotator: annotator.toggle_accepted()),
            key="A",
            enabled=_ready,
            label=lambda state: "Reopen" if state.accepted else "Accept",
            panel="bar",
        ),
        Action(
            "next_open",
            "Next slice",
            "Show the slice that most needs a stroke if some are filled or drafted; else the next that is not accepted",
            _show_next,
            key="N",
            enabled=_ready,
            label=_next_text,
            panel="slices",
            wide=True,
        ),
        Action(
            "previous_open",
            "Previous open slice",
            "Show the slice before this one that is not accepted",
            lambda window: window.slice_list.next_open(-1),
            key="Shift-N",
            enabled=_ready,
            panel="slices",
            wide=True,
        ),
        Action(
            "uncertain",
            "Most uncertain place",
            "Show where labels are most likely wrong in the slices that are not accepted; again: in the next slice",
            _with_annotator(lambda annotator: annotator.look_at_uncertain()),
            key="U",
            enabled=_ready,
            panel="slices",
            wide=True,
        ),
        Action(
            "propagate",
            "Propagate",
            "Propagate the result to the slices after this one, or before it for a negative number",
            lambda window: window.call_annotator(lambda annotator: annotator.propagate(window.slices.count)),
            key="G",
            enabled=_ready,
            panel="slice",
        ),
        Action(
            "fill",
            "Fill between",
            "Fill the slices between those that are painted or accepted, and beyond as far as the image supports it",
            _with_annotator(lambda annotator: annotator.fill()),
            key="Shift-G",
            enabled=_ready,
            panel="fill",
        ),
        Action(
            "draft",
            "Draft",
            "Fill the slices without labels of their own by the network that learned from accepted ones of the project",
            _draft,
            key="Shift-D",
            enabled=lambda state: state.ready and state.can_draft,
            panel="fill",
        ),
        Action(
            "save",
            "Save labels…",
            "Write the label volume with the image's geometry, names and colours",
            lambda window: window.save_labels(),
            key="Shift-S",
            panel="bar",
            short="Save…",
        ),
        Action(
            "save_strokes",
            "Save strokes…",
            "Write strokes, accepted slices, engine and parameters to a file, to resume from it later",
            lambda window: window.saver.save_session(window.annotators.front),
            panel="file",
        ),
        Action(
            "resume",
            "Resume…",
            "Continue with saved or autosaved strokes",
            lambda window: window.resume(),
            panel="file",
        ),
        Action(
            "numbers",
            "Measure…",
            "Measure the classes: volume, intensities, surface and centre",
            lambda window: window.show_numbers(),
        ),
        Action(
            "views",
            "Other views",
            "Show slices along the other two axes, linked with this one, and the labels in 3D",
            lambda window: window.show_views(),
            panel="display",
        ),
        *(
            Action(
                f"class_{n}",
                f"Class in row {n}",
                f"Paint with the class in row {n}",
                _paint_with_row(n - 1),
                key=f"F{n}",
            )
            for n in range(1, 10)
        ),
        Action("next_class", "Next class", "Paint with the next class", lambda window: window.classes.step(1), key="W"),
        Action(
            "previous_class",
            "Previous class",
            "Paint with the previous class",
            lambda window: window.classes.step(-1),
            key="Q",
        ),
        Action(
            "new_class", "+ class", "Add a class and paint with it", lambda window: window.classes.add_class(), key="M"
        ),
        Action(
            "overlay",
            "Overlay",
            "Show the next kind of overlay",
            lambda window: window.overlays.toggle(),
            key="O",
        ),
        Action(
            "pen_strokes",
            "Strokes",
            "Paint strokes, which the engine follows",
            lambda window: window.pens.choose("strokes"),
        ),
        Action(
            "pen_result",
            "Paint",
            "Paint the class on the result itself; no result changes it until a stroke is painted over it",
            lambda window: window.pens.choose("result"),
        ),
        Action(
            "pen_erase",
            "Erase",
            "Erase on the result itself; no result changes it until a stroke is painted over it",
            lambda window: window.pens.choose("erase"),
        ),
        Action(
            "next_pen",
            "Next pen",
            "Switch the pen from strokes to the result, to the eraser, and back",
            lambda window: window.pens.choose_next(),
            key="D",
        ),
        Action(
            "preview_tool",
            "Preview",
            "Show what the tool would add and remove; nothing is changed",
            lambda window: window.call_annotator(lambda a: a.run_tool(window.edits.request, preview=True)),
            enabled=_ready,
            panel="edit",
        ),
        Action(
            "apply_tool",
            "Apply",
            "Edit the class in the brush by the tool, as one step",
            lambda window: window.call_annotator(lambda a: a.run_tool(window.edits.request, preview=False)),
            enabled=_ready,
            panel="edit",
        ),
        Action(
            "cancel",
            "Cancel",
            "Stop the running job; the former result stays",
            _with_annotator(lambda annotator: annotator.cancel()),
            key="Shift-X",
        ),
        Action("keys", "Keys…", "Show all keys", lambda window: window.show_keys(), key=KEYS_KEY, panel="file"),
    ]
)


@cache
def add_installed_actions() -> None:
    """Add the actions that other packages declare in the entry-point group ``scribseg.actions``, once."""
    add_installed(ACTION_GROUP, Action, ACTIONS.add)
