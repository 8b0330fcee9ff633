"""The actions of Project as commands of napari's manifest: ``commands:learn`` is the action ``learn``."""

from __future__ import annotations

from typing import Any

from napari_scribseg.widgets.common.action_buttons import command_of
from napari_scribseg.widgets.project.project_actions import ACTIONS

TITLE = "Project"  # of the widget, in napari.yaml


def __getattr__(name: str) -> Any:
    """A function of the viewer that carries out the action of this name, in the window, which it opens if needed."""
    if name.startswith("_") or name not in {action.name for action in ACTIONS}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_scribseg.widgets.project.project_widget import ProjectWidget

    return command_of(ACTIONS[name], ProjectWidget, TITLE)
