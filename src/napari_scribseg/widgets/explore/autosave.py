"""Files of autosaved workspaces."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from napari_scribseg.widgets.common.autosaves import autosave_folder, prune

__all__ = ["WORKSPACE_EXTENSION", "autosaved_workspaces", "new_autosave"]

WORKSPACE_EXTENSION = ".npz"
_N_OLDER = 4  # autosaves that stay beside a new one


def autosaved_workspaces() -> list[Path]:
    """The autosaved workspaces, the newest first."""
    found = autosave_folder().glob(f"explore-*{WORKSPACE_EXTENSION}")
    return sorted(found, key=lambda path: path.name, reverse=True)


def new_autosave() -> Path:
    """A new file for a workspace; the oldest autosaves are removed."""
    folder = autosave_folder()
    folder.mkdir(parents=True, exist_ok=True)
    prune(autosaved_workspaces()[_N_OLDER:])
    return folder / f"explore-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}{WORKSPACE_EXTENSION}"
