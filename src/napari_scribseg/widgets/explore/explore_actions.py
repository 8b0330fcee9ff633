"""The actions of Explore segments: buttons, keys and commands.

Keys that napari has on a labels layer (F, Esc and others) work in the embedding only; see ``keys.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from napari_scribseg.explore.edits import NEGATIVE, POSITIVE
from napari_scribseg.widgets.common.action import KEYS_KEY, Action, Actions
from napari_scribseg.widgets.explore.exploration import Exploration
from napari_scribseg.widgets.explore.explore_view import ExploreState
from napari_scribseg.widgets.explore.work import Work

__all__ = ["ACTIONS", "ExploreWindow"]


class ExploreWindow(Protocol):
    """What an action can use of the window."""

    @property
    def exploration(self) -> Exploration:
        """The workspace in front, with its commands."""

    @property
    def work(self) -> Work:
        """Its long work."""

    def add_layer(self) -> None:
        """Add the images of the chosen layer."""

    def add_folder(self) -> None:
        """Ask for a folder, and add its images."""

    def add_files(self) -> None:
        """Ask for files, and add them."""

    def cut(self) -> None:
        """Cut images by the settings of the form."""

    def learn(self) -> None:
        """Learn a metric by the settings of the form."""

    def assign(self) -> None:
        """Assign the class that is chosen in the table."""

    def take_brush(self, value: int) -> None:
        """Take up the brush for strokes that split a segment."""

    def save(self) -> None:
        """Ask for a file, and write the workspace."""

    def resume(self) -> None:
        """Continue with a workspace from a file."""

    def export(self) -> None:
        """Ask for a folder, and write the labels."""

    def finish(self) -> None:
        """Hand the visible image to Scribble segmentation."""

    def show_keys(self) -> None:
        """Open a window with all keys."""


def _has_segments(state: ExploreState) -> bool:
    return state.segments > 0


def _assign_number(number: int) -> Callable[[ExploreWindow], object]:
    """The ``call`` of the action of a digit; 0 is the background."""

    def assign(window: ExploreWindow) -> None:
        window.exploration.assign(number or window.exploration.workspace.classes.background)

    return assign


ACTIONS: Actions[ExploreWindow, ExploreState] = Actions(
    [
        Action(
            "add",
            "Add layer",
            "Add the images of this layer",
            lambda window: window.add_layer(),
            panel="images",
        ),
        Action(
            "folder",
            "Folder…",
            "Add the images of a folder",
            lambda window: window.add_folder(),
            panel="images",
        ),
        Action(
            "files",
            "Files…",
            "Add image files or volumes",
            lambda window: window.add_files(),
            panel="images",
        ),
        Action(
            "cut",
            "Cut",
            "Cut the images into segments with these borders",
            lambda window: window.cut(),
            enabled=lambda state: state.pictures > 0 and not state.busy,
            panel="cutting",
        ),
        Action(
            "embed",
            "Embed",
            "Put like segments near one another (UMAP of their features); pressed again, embed all of them again",
            lambda window: window.work.embed(),
            enabled=lambda state: state.segments > 0 and not state.busy,
            panel="cutting",
        ),
        Action(
            "learn",
            "Learn",
            "Learn from the classes so far which segments are alike (metric learning); the embedding changes",
            lambda window: window.learn(),
            enabled=lambda state: state.labelled > 1 and not state.busy,
            panel="cutting",
        ),
        Action(
            "next",
            "Next",
            "Select the most uncertain segment that was not selected yet",
            lambda window: window.exploration.next_uncertain(),
            key="N",
            panel="embedding",
        ),
        Action(
            "fit",
            "Fit",
            "Show the whole embedding; the wheel zooms, the right button drags",
            lambda window: window.exploration.view.embedding.fit(),
            key="F",
            panel="embedding",
        ),
        Action(
            "assign",
            "Assign",
            "Give the selection the class chosen in the table",
            lambda window: window.assign(),
            key="Enter",
            enabled=lambda state: state.selected > 0,
            label=lambda state: f"Assign {state.class_name}".strip(),
            panel="labels",
        ),
        Action(
            "none",
            "No class",
            "Remove the class of the selection",
            lambda window: window.exploration.assign(0),
            key="Delete",
            enabled=lambda state: state.selected > 0,
            panel="labels",
        ),
        Action(
            "undo",
            "Undo",
            "Undo the last assignment, split or cut",
            lambda window: window.exploration.undo(),
            key="Control-Z",
            enabled=lambda state: state.can_undo,
            panel="labels",
        ),
        Action(
            "redo",
            "Redo",
            "Redo the step that was undone last",
            lambda window: window.exploration.redo(),
            key="Control-Shift-Z",
            enabled=lambda state: state.can_redo,
            panel="labels",
        ),
        Action(
            "local",
            "Own embedding",
            "Put like segments of the selection near one another, below",
            lambda window: window.work.local(),
            enabled=lambda state: state.embedded > 0 and not state.busy,
            panel="labels",
        ),
        Action(
            "positive",
            "+ stroke",
            "Draw on the part that keeps the class",
            lambda window: window.take_brush(POSITIVE),
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "negative",
            "\u2212 stroke",
            "Draw on the part that does not belong to it",
            lambda window: window.take_brush(NEGATIVE),
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "split",
            "Split",
            "Split the selected segment by the strokes drawn on it",
            lambda window: window.work.split(),
            key="S",
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "save",
            "Save workspace…",
            "Write images, segments, classes and embedding to a file, to continue later",
            lambda window: window.save(),
            enabled=lambda state: state.pictures > 0,
            panel="labels",
            short="Save…",
        ),
        Action(
            "resume",
            "Resume…",
            "Continue with a saved or autosaved workspace",
            lambda window: window.resume(),
            enabled=lambda state: not state.busy,
            panel="files",
        ),
        Action(
            "finish",
            "Finish by strokes",
            "Hand the visible image to Scribble segmentation, with its classes as strokes",
            lambda window: window.finish(),
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "export",
            "Save labels…",
            "Write a label file for each image, with its geometry, names and colours",
            lambda window: window.export(),
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "layers",
            "Labels layers",
            "Add a labels layer for each image layer",
            lambda window: window.work.make_layers(),
            enabled=_has_segments,
            panel="files",
        ),
        Action(
            "all",
            "Select all",
            "Select all segments in the embedding",
            lambda window: window.exploration.select(window.exploration.view.embedding.scene.ids),
            key="Control-A",
        ),
        Action(
            "clear",
            "Clear selection",
            "Select nothing",
            lambda window: window.exploration.pick(0, "new"),
            key="Escape",
        ),
        Action("keys", "Keys…", "Show all keys", lambda window: window.show_keys(), key=KEYS_KEY, panel="files"),
        *(
            Action(
                f"class_{digit}",
                f"Class {digit}" if digit else "Background",
                "Give the selection the class of this number" if digit else "Give the selection the background class",
                _assign_number(digit),
                key=str(digit),
            )
            for digit in range(10)
        ),
    ]
)
