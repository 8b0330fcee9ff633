"""The folder of autosaved strokes and workspaces, in the user's data folder."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from pathlib import Path

from qtpy.QtCore import QStandardPaths

from napari_scribseg.io.lock import is_in_use
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.preferences import preference

__all__ = [
    "SESSION_EXTENSION",
    "WORKSPACE_EXTENSION",
    "autosave_folder",
    "autosaves",
    "file_name",
    "new_autosave",
    "new_workspace_autosave",
    "prune",
    "saved_at",
    "workspace_autosaves",
]

SESSION_EXTENSION, WORKSPACE_EXTENSION = ".scribseg", ".npz"
_N_OLDER = 4  # autosaves of an image, or of workspaces, that stay beside a new one


def autosave_folder() -> Path:
    """The folder of all autosaves: of ``SCRIBSEG_AUTOSAVE`` in the environment, of the preferences, or the usual."""
    if named := os.environ.get("SCRIBSEG_AUTOSAVE") or preference("autosave_folder"):
        return Path(named).expanduser()
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base) / "napari-scribseg" / "autosave"


def new_autosave(source: LayerSource) -> Path:
    """A new file for the strokes of an image; the oldest autosaves of the image are removed."""
    prune(sorted(autosaves(source), key=saved_at, reverse=True)[_N_OLDER:])
    return _new_file(f"{file_name(source.layer.name)}-{_digest(source)}", SESSION_EXTENSION)


def new_workspace_autosave() -> Path:
    """A new file for a workspace; the oldest autosaves of workspaces are removed."""
    prune(workspace_autosaves()[_N_OLDER:])
    return _new_file("explore", WORKSPACE_EXTENSION)


def _new_file(name: str, extension: str) -> Path:
    folder = autosave_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}{extension}"


def prune(old: list[Path]) -> None:
    """Remove files that no window has open, and the locks of processes that were killed."""
    for path in old:
        if not is_in_use(path):
            path.unlink(missing_ok=True)
    for lock in autosave_folder().glob(".*.lock"):
        is_in_use(lock.with_name(lock.name[1:].removesuffix(".lock")))  # removes a lock that no process holds


def autosaves(source: LayerSource) -> list[Path]:
    """The autosaves of an image, the newest first, but those under the layer's name before all others.

    Several layers can come from one file, and a layer can be renamed.
    """
    digest, name = _digest(source), file_name(source.layer.name)
    found = autosave_folder().glob(f"*-{digest}-*{SESSION_EXTENSION}")
    return sorted(found, key=lambda path: (path.name.startswith(f"{name}-{digest}"), saved_at(path)), reverse=True)


def workspace_autosaves() -> list[Path]:
    """The autosaved workspaces, the newest first."""
    return sorted(autosave_folder().glob(f"explore-*{WORKSPACE_EXTENSION}"), key=lambda path: path.name, reverse=True)


def file_name(name: str) -> str:
    """A layer's name without the characters that file systems refuse."""
    return re.sub(r"[^\w.\-]+", "_", name).strip("._")[:60] or "image"


def saved_at(path: Path) -> float:
    """When a file was written; 0 if another window has just removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _digest(source: LayerSource) -> str:
    """Hash of the image's path (the layer's name if that is unknown), shape and channel axis."""
    path = source.layer.source.path
    where = f"{Path(path).absolute() if path else source.layer.name}|{source.shape}|{source.channel_axis}"
    return hashlib.sha256(where.encode()).hexdigest()[:12]
