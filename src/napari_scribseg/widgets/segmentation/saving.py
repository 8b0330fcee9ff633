"""Saving labels and strokes: dialogs, suggested names, and writing in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.io import write_labels
from napari_scribseg.io.formats import extension, label_extensions
from napari_scribseg.io.label_files import label_outputs, lost_placement
from napari_scribseg.io.measurement_table import measurements_path
from napari_scribseg.io.outputs import check_outputs
from napari_scribseg.widgets.common.autosaves import SESSION_EXTENSION, file_name
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.fold import window_settings
from napari_scribseg.widgets.common.layers import layer_geometry
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.measured import Measured, measured_now
from napari_scribseg.widgets.segmentation.save_dialog import SaveDialog

__all__ = ["Saver", "choose_labels_path", "choose_session_path", "confirm_copy", "suggested_name"]

_FIRST = {"volume": ".seg.nrrd", "series": ".nii.gz", "pixels": ".tif"}  # extensions, by the kind of image


def suggested_name(name: str, path: str | None, geometry: Geometry) -> Path:
    """A path beside the image, with the extension that labels of its kind were last saved with.

    At first that of 3D Slicer's segmentations for a volume with a geometry, because it keeps names and colours; NIfTI
    for a time series of volumes; TIFF for an image without a geometry.
    """
    kind = _kind(geometry)
    last = str(window_settings().value(f"saved/{kind}", "") or "")
    ending = next((e for e in (last, _FIRST[kind]) if e in label_extensions()), ".nii.gz")
    return _folder(path) / f"{file_name(name)}_labels{ending}"


def _folder(path: str | None) -> Path:
    """The folder of an image; of one without a file, such as sample data, the one that was saved to last."""
    last = str(window_settings().value("saved/folder", "") or "")
    found = (Path(part) for part in (str(Path(path).parent) if path else "", last) if part)
    return next((folder for folder in found if folder.is_dir()), Path.home())


def _kind(geometry: Geometry) -> str:
    """What an image is for the choice of a format: ``"volume"``, ``"series"`` or ``"pixels"``."""
    if geometry.affine is None and geometry.unit != "millimeter":
        return "pixels"
    return "series" if len(geometry.shape) > 3 else "volume"


def choose_labels_path(parent: QWidget, suggested: Path, n_axes: int = 3) -> Path | None:
    """Ask for a file for a label volume of ``n_axes`` axes; None if the dialog was cancelled."""
    dialog = SaveDialog(parent, suggested, n_axes)
    path = dialog.path if dialog.exec() else None
    named = dialog.selectedFiles()
    dialog.deleteLater()
    return None if path is None else _unless_taken(parent, path, confirmed=bool(named) and path == Path(named[0]))


def choose_session_path(parent: QWidget, suggested: Path, *, save: bool) -> Path | None:
    """Ask for a file of strokes; None if the dialog was cancelled."""
    dialog = QFileDialog.getSaveFileName if save else QFileDialog.getOpenFileName
    path, _ = dialog(parent, "Save strokes" if save else "Resume", str(suggested), f"Strokes (*{SESSION_EXTENSION})")
    return _completed(parent, path, (SESSION_EXTENSION,) if save else ("",), SESSION_EXTENSION)


def confirm_copy(parent: QWidget, path: Path) -> bool:
    """Ask whether to continue with a copy of a file that another window has open."""
    question = f"{path.name} is open in another window. Continue with a copy?"
    return QMessageBox.question(parent, "In use", question) == QMessageBox.StandardButton.Yes


def _completed(parent: QWidget, path: str, extensions: tuple[str, ...], extension: str) -> Path | None:
    """The path with an extension; asks before it replaces a file whose extension the dialog did not know."""
    if not path or path.lower().endswith(extensions):
        return Path(path) if path else None
    return _unless_taken(parent, Path(f"{path}{extension}"), confirmed=False)


def _unless_taken(parent: QWidget, path: Path, *, confirmed: bool) -> Path | None:
    """The path; None if it is there and is not to be replaced, as the user ``confirmed`` in the dialog or says here."""
    if not confirmed and path.exists():
        question = f"{path.name} exists. Replace it?"
        if QMessageBox.question(parent, "Replace", question) != QMessageBox.StandardButton.Yes:
            return None
    return path


class Saver:
    """Writes labels and strokes to files that the user chooses, in the background.

    Parameters
    ----------
    widget : QWidget with ``show_message`` and ``notify``
        Parent of the dialogs; it shows the outcome.
    dispatcher : Dispatcher
        For writing in the background.
    """

    def __init__(self, widget: Any, dispatcher: Dispatcher) -> None:
        self._widget = widget
        self._dispatcher = dispatcher
        self._waiting: list[Callable[[], None]] = []

    def save_labels(
        self,
        viewer: ViewerModel,
        annotator: Annotator | None,
        selected: Labels | None,
        tables: dict[str, Any],
        *,
        measure: bool = False,
    ) -> None:
        """Write the result of an annotator; without one the selected labels layer, with the geometry of its image.

        While a job runs, the result is a preview: it is written when the job is done or cancelled.

        ``tables`` are keyword arguments of :func:`~napari_scribseg.io.write_labels`. With ``measure``, a table of
        numbers is written beside the labels.
        """
        if annotator is not None:
            source = annotator.layers.source
            path = choose_labels_path(
                self._widget,
                suggested_name(source.layer.name, source.layer.source.path, source.geometry()),
                len(source.shape),
            )
            if path is not None:
                self._when_final(annotator, path, tables, measure=measure)
        elif selected is not None and not selected.multiscale:
            geometry = layer_geometry(viewer, selected)
            path = choose_labels_path(
                self._widget, suggested_name(selected.name, selected.source.path, geometry), selected.ndim
            )
            if path is not None:
                self._write(path, measured_now(viewer, None, selected), tables, measure=measure)
        else:
            text = "There are no labels to save: press Start painting, or select a labels layer"
            self._widget.show_message(text, error=True)

    def finish(self) -> None:
        """Write at once what waits for the end of a job, because the window closes."""
        for write in list(self._waiting):
            write()

    def _when_final(self, annotator: Annotator, path: Path, tables: dict[str, Any], *, measure: bool) -> None:
        session, image = annotator.session, annotator.layers.source.layer.source.path
        try:
            outputs = [*label_outputs(path, **tables), *([measurements_path(path)] if measure else [])]
            check_outputs(outputs, [Path(image)] if image else [], overwrite=True)
        except InputError as error:
            self._failed(error)
            return

        def write() -> None:
            if write in self._waiting:
                self._waiting.remove(write)
            self._write(path, Measured.of(annotator), tables, measure=measure)

        def on_busy(busy: bool) -> None:
            if not busy and write in self._waiting:
                write()

        if session.is_busy:
            self._waiting.append(write)
            session.events.busy.connect(on_busy)
            self._widget.show_message(f"{path.name} is saved when the job is done; Cancel saves the former result")
        else:
            write()

    def _write(self, path: Path, measured: Measured, tables: dict[str, Any], *, measure: bool) -> None:
        def write() -> tuple[Path, ...]:
            paths = tuple(write_labels(path, measured.labels, measured.geometry, measured.classes, **tables))
            if not measure:
                return paths
            try:
                return (*paths, measured.table().write(measurements_path(path)))
            except InputError as error:
                raise InputError(f"the table of numbers ({error}); the labels are saved") from error

        self._widget.show_message(f"Saving {path.name}…")
        self._dispatcher.aside(
            write,
            lambda paths: self._labels_saved(path, paths, measured.geometry),
            self._failed,
            file=True,
        )

    def _labels_saved(self, path: Path, paths: tuple[Path, ...], geometry: Geometry) -> None:
        window_settings().setValue(f"saved/{_kind(geometry)}", extension(path))
        self._saved(paths, lost_placement(path, geometry))

    def save_session(self, annotator: Annotator | None) -> None:
        """Write the strokes, accepted slices, engine and parameters of an annotator."""
        if annotator is None:
            self._widget.show_message("There are no strokes to save: press Start painting first", error=True)
            return
        layer = annotator.layers.source.layer
        folder = suggested_name(layer.name, layer.source.path, annotator.layers.source.geometry()).parent
        path = choose_session_path(self._widget, folder / f"{file_name(layer.name)}{SESSION_EXTENSION}", save=True)
        if path is None:
            return
        try:
            annotator.session.save(path)
        except InputError as error:
            self._failed(error)
        else:
            self._saved((path,))

    def _saved(self, paths: tuple[Path, ...], lost: str = "") -> None:
        window_settings().setValue("saved/folder", str(paths[0].parent))
        text = f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}"
        self._widget.show_message(f"{text}; {lost}" if lost else text)

    def _failed(self, error: BaseException) -> None:
        text = str(error) if isinstance(error, InputError) else repr(error)
        self._widget.show_message(f"Not saved: {text}", error=True)
        self._widget.notify(f"Not saved: {text}")
