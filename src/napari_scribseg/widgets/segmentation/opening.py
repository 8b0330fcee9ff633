"""Opens an image that the user chooses, by our own reader."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_scribseg.core import InputError
from napari_scribseg.io.formats import image_extensions
from napari_scribseg.widgets.common.fold import window_settings

__all__ = ["choose_image_path", "open_image"]

_PLUGIN = "napari-scribseg"
_FOLDER = "folder"  # of the image that was opened last


def choose_image_path(parent: QWidget) -> Path | None:
    """Ask for the file of an image; None if the dialog was cancelled."""
    folder = str(window_settings().value(_FOLDER, "") or Path.home())
    filters = f"Images ({' '.join(f'*{extension}' for extension in image_extensions())});;All files (*)"
    path, _ = QFileDialog.getOpenFileName(parent, "Open an image", folder, filters)
    return Path(path) if path else None


def open_image(viewer: ViewerModel, path: Path) -> None:
    """Add an image to the viewer, without napari's question for a reader where several know its extension.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        viewer.open(str(path), plugin=_PLUGIN)
    except Exception as error:  # a reader's error, or napari's own
        reason = error if isinstance(error, InputError) else f"{path.name} cannot be opened: {error!r}"
        raise InputError(str(reason)) from error
    window_settings().setValue(_FOLDER, str(path.parent))
