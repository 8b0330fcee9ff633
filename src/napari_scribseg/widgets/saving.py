"""Where things are saved: names offered, dialogs, and the folder for what must survive a crash."""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QStandardPaths
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.io import write_labels
from napari_scribseg.io.labels import LABEL_EXTENSIONS
from napari_scribseg.widgets.annotator import Annotator
from napari_scribseg.widgets.colors import layer_classes
from napari_scribseg.widgets.dispatch import Dispatcher
from napari_scribseg.widgets.layers import layer_geometry
from napari_scribseg.widgets.sources import Source

__all__ = [
    "SESSION_EXTENSION",
    "Saver",
    "ask_labels_path",
    "ask_session_path",
    "autosave_folder",
    "autosaves",
    "new_autosave",
    "suggested_name",
]

SESSION_EXTENSION = ".scribseg"
_KEPT = 4


def autosave_folder() -> Path:
    """The folder in the user's own data that keeps strokes; the variable ``SCRIBSEG_AUTOSAVE`` names another."""
    named = os.environ.get("SCRIBSEG_AUTOSAVE")
    if named:
        return Path(named)
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(base) / "napari-scribseg" / "autosave"


def new_autosave(source: Source) -> Path:
    """A file that nothing uses yet for the strokes of an image; of the older ones the newest few are kept."""
    folder = autosave_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for old in autosaves(source)[_KEPT:]:
        old.unlink(missing_ok=True)
    return folder / f"{_stem(source)}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}{SESSION_EXTENSION}"


def autosaves(source: Source) -> list[Path]:
    """The files kept for an image, the newest first."""
    found = autosave_folder().glob(f"{_stem(source)}-*{SESSION_EXTENSION}")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _stem(source: Source) -> str:
    """The beginning of the names of these files: the same for the same image read in the same way."""
    path = source.layer.source.path
    where = f"{Path(path).absolute() if path else source.layer.name}|{source.shape}|{source.channel_axis}"
    return f"{_safe(source.layer.name)}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"


def suggested_name(name: str, path: str | None, geometry: Geometry) -> Path:
    """A path for the label volume beside the image: NIfTI where the geometry is known, else TIFF if that can be."""
    known = geometry.affine is not None or geometry.unit == "millimeter"
    extension = ".tif" if not known and ".tif" in LABEL_EXTENSIONS else ".nii.gz"
    folder = Path(path).parent if path and Path(path).parent.is_dir() else Path.home()
    return folder / f"{_safe(name)}_labels{extension}"


def ask_labels_path(parent: QWidget, suggested: Path) -> Path | None:
    """Ask where to write the label volume; None where the user thought better of it."""
    every = " ".join(f"*{extension}" for extension in LABEL_EXTENSIONS)
    filters = ";;".join([f"Label volumes ({every})", *(f"{e[1:]} (*{e})" for e in LABEL_EXTENSIONS)])
    path, _ = QFileDialog.getSaveFileName(parent, "Save labels", str(suggested), filters)
    if not path:
        return None
    return Path(path if any(path.lower().endswith(e) for e in LABEL_EXTENSIONS) else f"{path}.nii.gz")


def ask_session_path(parent: QWidget, suggested: Path, *, save: bool) -> Path | None:
    """Ask where the strokes are, or where they go; None where the user thought better of it."""
    ask = QFileDialog.getSaveFileName if save else QFileDialog.getOpenFileName
    path, _ = ask(parent, "Save strokes" if save else "Resume", str(suggested), f"Strokes (*{SESSION_EXTENSION})")
    if not path:
        return None
    return Path(path if not save or path.endswith(SESSION_EXTENSION) else f"{path}{SESSION_EXTENSION}")


def _safe(name: str) -> str:
    """A name without what file systems refuse."""
    return re.sub(r"[^\w.\-]+", "_", name).strip("._")[:60] or "image"


class Saver:
    """Asks for a file and writes it, away from the window.

    Parameters
    ----------
    widget : QWidget with ``say``
        Parent of the dialogs; told how it went.
    dispatcher : Dispatcher
        For writing in the background.
    """

    def __init__(self, widget: Any, dispatcher: Dispatcher) -> None:
        self._widget = widget
        self._dispatcher = dispatcher

    def save_labels(
        self, viewer: ViewerModel, annotator: Annotator | None, selected: Labels | None, tables: dict[str, bool]
    ) -> None:
        """Write the result of an annotator; without one the selected labels layer, with the geometry of its image.

        ``tables`` says which files of names and colours go beside it; see :func:`~napari_scribseg.io.write_labels`.
        """
        if annotator is not None:
            source = annotator.layers.source
            labels, geometry, classes = annotator.session.labels, source.geometry(), annotator.session.classes
            name, origin = source.layer.name, source.layer.source.path
        elif selected is not None and not selected.multiscale:
            labels, geometry, classes = selected.data, layer_geometry(viewer, selected), layer_classes(selected)
            name, origin = selected.name, selected.source.path
        else:
            self._widget.say("There are no labels to save: press Start painting, or select a labels layer", error=True)
            return
        path = ask_labels_path(self._widget, suggested_name(name, origin, geometry))
        if path is None:
            return
        self._widget.say(f"Saving {path.name}…")
        self._dispatcher.aside(
            lambda: write_labels(path, np.asarray(labels), geometry, classes, **tables), self._saved, self._failed
        )

    def save_session(self, annotator: Annotator | None) -> None:
        """Write the strokes, accepted slices, engine and parameters of an annotator."""
        if annotator is None:
            self._widget.say("There are no strokes to save: press Start painting first", error=True)
            return
        layer = annotator.layers.source.layer
        folder = suggested_name(layer.name, layer.source.path, annotator.layers.source.geometry()).parent
        path = ask_session_path(self._widget, folder / f"{_safe(layer.name)}{SESSION_EXTENSION}", save=True)
        if path is None:
            return
        try:
            annotator.session.save(path)
        except InputError as error:
            self._failed(error)
        else:
            self._saved((path,))

    def _saved(self, paths: tuple[Path, ...]) -> None:
        self._widget.say(f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}")

    def _failed(self, error: BaseException) -> None:
        text = str(error) if isinstance(error, InputError) else repr(error)
        self._widget.say(f"Not saved: {text}", error=True)
        self._widget.notify(f"Not saved: {text}")
