"""The actions of Project: buttons and commands. Keys are those of Scribble segmentation, where one paints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from napari_scribseg.widgets.common.action import Action, Actions

__all__ = ["ACTIONS", "ProjectState", "ProjectWindow"]


@dataclass(frozen=True, slots=True)
class ProjectState:
    """State of the window, as far as buttons depend on it.

    Attributes
    ----------
    opened : bool
        Whether a project is open.
    cases, finished : int
        Its number of cases, and how many of them are finished.
    chosen : bool
        Whether a case is chosen in the list.
    accepted : int
        Number of accepted slices in all cases.
    learning, working : bool
        Whether it learns, and whether something else runs.
    learned : bool
        Whether there is a learned network.
    in_front : bool
        Whether a case is open in napari.
    """

    opened: bool = False
    cases: int = 0
    finished: int = 0
    chosen: bool = False
    accepted: int = 0
    learning: bool = False
    working: bool = False
    learned: bool = False
    in_front: bool = False


class ProjectWindow(Protocol):
    """What an action can use of the window."""

    def make_project(self) -> None:
        """Ask for a folder and classes, and make a project."""

    def open_project(self) -> None:
        """Ask for the folder of a project, and open it."""

    def add_files(self) -> None:
        """Ask for files, and add them as cases."""

    def add_folder(self) -> None:
        """Ask for a folder, and add its images as cases."""

    def open_chosen(self) -> None:
        """Open the case that is chosen in the list."""

    def next_case(self) -> None:
        """Open the next case that is not finished."""

    def learn(self) -> None:
        """Learn from all accepted slices."""

    def draft(self) -> None:
        """Draft the case in front."""

    def export(self) -> None:
        """Ask for a format and a folder, and write the cases there."""

    def merge(self) -> None:
        """Ask for a copy of the project, and take over the work in it."""

    def compare_people(self) -> None:
        """Show how far people agree."""

    def cancel_learning(self) -> None:
        """Stop learning."""


ACTIONS: Actions[ProjectWindow, ProjectState] = Actions(
    [
        Action(
            "create",
            "New…",
            "Make a project: a folder for the images that you work on, what you paint, and what is learned from it",
            lambda window: window.make_project(),
            enabled=lambda state: not state.working,
            panel="project",
        ),
        Action(
            "open",
            "Open…",
            "Open the folder of a project where it was left",
            lambda window: window.open_project(),
            enabled=lambda state: not state.working,
            panel="project",
        ),
        Action(
            "add_files",
            "Add images…",
            "Add images as cases; several files at once can be chosen. They stay where they are",
            lambda window: window.add_files(),
            enabled=lambda state: state.opened and not state.working,
            panel="add",
        ),
        Action(
            "add_folder",
            "Add folder…",
            "Add all images of a folder as cases: files, DICOM series, or a BIDS data set. They stay where they are",
            lambda window: window.add_folder(),
            enabled=lambda state: state.opened and not state.working,
            panel="add",
        ),
        Action(
            "open_case",
            "Open case",
            "Open the chosen case with its strokes and labels; so does a double click on it, or Enter",
            lambda window: window.open_chosen(),
            enabled=lambda state: state.chosen and not state.working,
            panel="cases",
        ),
        Action(
            "next_case",
            "Next case",
            "Open the next case that is not finished; so does N, when all slices of a case are accepted",
            lambda window: window.next_case(),
            enabled=lambda state: state.cases > state.finished and not state.working,
            panel="cases",
        ),
        Action(
            "learn",
            "Learn",
            "Learn a network from all accepted slices of the project, in the background: go on painting meanwhile",
            lambda window: window.learn(),
            enabled=lambda state: state.accepted > 0 and not state.learning,
            panel="learn",
        ),
        Action(
            "draft",
            "Draft this case",
            "Fill the slices of the open case that have no labels of their own; one Undo takes it back",
            lambda window: window.draft(),
            enabled=lambda state: state.learned and state.in_front,
            panel="learn",
        ),
        Action(
            "cancel_learning",
            "Cancel learning",
            "Stop learning; the former network stays, and Learn goes on from here",
            lambda window: window.cancel_learning(),
            enabled=lambda state: state.learning,
        ),
        Action(
            "export",
            "Export…",
            "Write images and labels as a data set for nnU-Net, MONAI or COCO",
            lambda window: window.export(),
            enabled=lambda state: state.cases > 0 and not state.working,
            panel="share",
        ),
        Action(
            "merge",
            "Merge a copy…",
            "Take over the accepted slices of a colleague's copy of this project",
            lambda window: window.merge(),
            enabled=lambda state: state.opened and not state.working,
            panel="share",
        ),
        Action(
            "compare_people",
            "Compare people…",
            "Show how far people agree on the slices that two or more of them accepted",
            lambda window: window.compare_people(),
            enabled=lambda state: state.accepted > 0 and not state.working,
            panel="share",
        ),
    ]
)
