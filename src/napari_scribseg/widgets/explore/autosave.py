"""Keeps the workspace of a window on the disk as it grows, so that a crash or a closed window loses nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

from napari_scribseg.explore import Workspace
from napari_scribseg.widgets.common.autosaves import autosave_folder, prune
from napari_scribseg.widgets.explore.view import Services

__all__ = ["WORKSPACE_EXTENSION", "Keeper", "autosaved_workspaces"]

WORKSPACE_EXTENSION = ".npz"

_KEPT = 4


def autosaved_workspaces() -> list[Path]:
    """The workspaces kept on the disk, the newest first."""
    found = autosave_folder().glob(f"explore-*{WORKSPACE_EXTENSION}")
    return sorted(found, key=lambda path: path.name, reverse=True)


class Keeper:
    """Keeps one workspace in a file of its own, from its first change on.

    Parameters
    ----------
    services : Services
        To write for the last time in the background.
    notify : callable
        Told in one sentence, once, where nothing can be kept.
    """

    def __init__(self, services: Services, notify: Callable[[str], object]) -> None:
        self._services, self._notify = services, notify
        self._workspace: Workspace | None = None
        self._begun = False

    def watch(self, workspace: Workspace) -> None:
        """Keep another workspace from now on."""
        self.finish()
        self._workspace, self._begun = workspace, False

    def changed(self) -> None:
        """Something is worth keeping."""
        if self._begun or self._workspace is None:
            return
        self._begun = True
        name = f"explore-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}{WORKSPACE_EXTENSION}"
        try:
            autosave_folder().mkdir(parents=True, exist_ok=True)
            prune(autosaved_workspaces()[_KEPT:])
        except OSError as error:
            self._failed(str(error))
        else:
            self._workspace.keep(autosave_folder() / name, self._failed)

    def finish(self) -> None:
        """Write what is not yet written."""
        if self._workspace is not None and self._begun:
            self._services.aside(
                self._workspace.close, lambda _none: None, lambda error: self._failed(str(error)), file=True
            )

    def _failed(self, error: str) -> None:
        self._services.post(lambda: self._notify(f"The workspace is not kept as you work: {error}"))
