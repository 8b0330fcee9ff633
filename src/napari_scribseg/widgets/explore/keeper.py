"""Keeps the workspace of a window on the disk as it grows, so that a crash or a closed window loses nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

from napari_scribseg.explore import Workspace
from napari_scribseg.widgets.explore.view import Services
from napari_scribseg.widgets.saving import autosave_folder

__all__ = ["WORKSPACE_EXTENSION", "Keeper", "kept_workspaces"]

WORKSPACE_EXTENSION = ".npz"

_PAUSE_MS = 20_000  # after a change
_KEPT = 4


def kept_workspaces() -> list[Path]:
    """The workspaces kept on the disk, the newest first."""
    found = autosave_folder().glob(f"explore-*{WORKSPACE_EXTENSION}")
    return sorted(found, key=lambda path: path.name, reverse=True)


class Keeper:
    """Writes one workspace a while after it changed, and at the end.

    Parameters
    ----------
    services : Services
        To write in the background.
    notify : callable
        Told in one sentence, once, where nothing can be kept.
    """

    def __init__(self, services: Services, notify: Callable[[str], object]) -> None:
        self._services, self._notify = services, notify
        self._workspace: Workspace | None = None
        self._path: Path | None = None
        self._waiting = self._changed = False

    def watch(self, workspace: Workspace) -> None:
        """Keep another workspace from now on."""
        self.finish()
        self._workspace, self._path, self._changed = workspace, None, False

    def changed(self) -> None:
        """Something is worth keeping; it is written a little later."""
        self._changed = True
        if not self._waiting:
            self._waiting = True
            self._services.later(_PAUSE_MS, self._later)

    def finish(self) -> None:
        """Write what is not yet written."""
        if self._changed and self._workspace is not None and self._workspace.pictures:
            self._changed = False
            self._write(self._workspace)

    def _later(self) -> None:
        self._waiting = False
        self.finish()

    def _write(self, workspace: Workspace) -> None:
        if self._path is None:
            name = f"explore-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}{WORKSPACE_EXTENSION}"
            self._path = autosave_folder() / name
        path = self._path

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            workspace.save(path)
            for old in kept_workspaces()[_KEPT:]:
                old.unlink(missing_ok=True)

        self._services.aside(write, lambda _none: None, self._failed, file=True)

    def _failed(self, error: BaseException) -> None:
        self._notify(f"The workspace is not kept as you work: {error}")
