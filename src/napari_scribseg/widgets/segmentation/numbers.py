"""The window *Measures*: measures of the classes, computed beside the window."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.core import Cancelled, Geometry, InputError
from napari_scribseg.core.anatomy import slice_names
from napari_scribseg.io.measurement_table import MeasurementTable, measurements_path
from napari_scribseg.kernel import Call, Deliver, Jobs, Worker
from napari_scribseg.widgets.common.combos import compact_combo, fill_combo
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.segmentation.measured import Measured
from napari_scribseg.widgets.segmentation.saving import suggested_name

__all__ = ["NumbersWindow"]

_STALE_MS = 500  # between looks whether the labels changed
_SIZE = 760, 320  # pixels
_TEXTS = ("class", "slices")  # columns that hold no numbers


class NumbersWindow(QDialog):
    """A table of measures that stays open beside the viewer.

    Parameters
    ----------
    parent : QWidget
        The dock.
    measured : callable
        Gives what to measure now; raises InputError where there is nothing.
    deliver : callable
        Calls a function in the window's thread.
    """

    def __init__(self, parent: QWidget, measured: Callable[[], Measured], deliver: Deliver) -> None:
        super().__init__(parent)
        self.setWindowTitle("Measures")
        self.setModal(False)
        self.resize(*_SIZE)
        self._measured = measured
        self._subject: Measured | None = None
        self._shown: MeasurementTable | None = None
        self._version = 0
        self._worker = Worker("scribseg-numbers")
        self._jobs: Jobs[Call] = Jobs(self._worker, deliver)
        self._deliver = deliver
        self.cells = QTableWidget()
        self.cells.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.cells.verticalHeader().hide()
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.per_slice = QCheckBox("every slice along")
        self.axis_combo = compact_combo()
        self.update_button = QPushButton("Update")
        self.update_button.setToolTip("Measure the labels as they are now")
        self.copy_button = QPushButton("Copy")
        self.copy_button.setToolTip("Copy the table for a spreadsheet")
        self.save_button = QPushButton("Save CSV…")
        self.cancel_button = QPushButton("Cancel")
        self._lay_out()
        self.per_slice.toggled.connect(lambda _checked: self.measure())
        self.axis_combo.activated.connect(lambda _index: self._on_axis())
        self.update_button.clicked.connect(lambda: self.measure())
        self.copy_button.clicked.connect(lambda: self.copy())
        self.save_button.clicked.connect(lambda: self.save())
        self.cancel_button.clicked.connect(lambda: self._jobs.cancel())
        self._jobs.busy.connect(self._show_busy)
        self._show_busy(False)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._show_stale)
        self._timer.start(_STALE_MS)

    @property
    def is_busy(self) -> bool:
        """Whether a table is being computed."""
        return self._jobs.running is not None

    def measure(self) -> None:
        """Measure the labels as they are now; a table that is being computed is dropped."""
        try:
            subject = self._measured()
        except InputError as error:
            self.line.setText(user_message(error))
            return
        self._subject, self._version = subject, subject.version()
        self._fill_axes(subject.geometry)
        axis = self.axis_combo.currentData() if self.per_slice.isChecked() else None
        call = Call(
            lambda report: subject.table(axis, report),
            lambda table: self._show_table(subject, table),
            self._failed,
            progress=lambda fraction: self._deliver(lambda: self.progress.setValue(round(100 * fraction))),
            name="measuring",
        )
        self.line.setText(f"Measuring {subject.name}…")
        self._jobs.submit(call)

    def copy(self) -> None:
        """Copy the table, with tabs between the cells."""
        if self._shown is not None:
            QApplication.clipboard().setText("\n".join("\t".join(row) for row in self._shown.text()))

    def save(self) -> None:
        """Ask for a file, and write the table."""
        if self._shown is None or self._subject is None:
            return
        subject = self._subject
        suggested = measurements_path(suggested_name(subject.name, subject.path, subject.geometry))
        path, _ = QFileDialog.getSaveFileName(self, "Save numbers", str(suggested), "Tables (*.csv)")
        if not path:
            return
        try:
            written = self._shown.write(Path(path if path.lower().endswith(".csv") else f"{path}.csv"))
        except InputError as error:
            self.line.setText(f"Not saved: {error}")
        else:
            self.line.setText(f"Saved {written.name} in {written.parent}")

    def end(self) -> None:
        """Stop measuring, and close."""
        self._jobs.busy.disconnect()
        self._jobs.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)
        with contextlib.suppress(RuntimeError):  # napari closes the viewer first, and Qt this window with it
            self._timer.stop()
            self.close()

    def _lay_out(self) -> None:
        choices, foot = QHBoxLayout(), QHBoxLayout()
        choices.addWidget(self.per_slice)
        choices.addWidget(self.axis_combo)
        choices.addStretch(1)
        for button in (self.update_button, self.copy_button, self.save_button):
            choices.addWidget(button)
        foot.addWidget(self.line, 1)
        foot.addWidget(self.progress)
        foot.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.addLayout(choices)
        column.addWidget(self.cells, 1)
        column.addLayout(foot)

    def _fill_axes(self, geometry: Geometry) -> None:
        n_axes = len(geometry.shape)
        names = slice_names(geometry) or geometry.axis_names
        axes = range(max(n_axes - 3, 0), n_axes) if n_axes > 2 else ()
        fill_combo(self.axis_combo, [(f"{names[axis]} (axis {axis})", axis) for axis in axes])
        self.per_slice.setEnabled(n_axes > 2)
        self.axis_combo.setEnabled(n_axes > 2)

    def _on_axis(self) -> None:
        if self.per_slice.isChecked():
            self.measure()

    def _show_table(self, subject: Measured, table: MeasurementTable) -> None:
        self._shown = table
        header, *rows = table.text()
        self.cells.setColumnCount(len(header))
        self.cells.setHorizontalHeaderLabels(header)
        self.cells.setRowCount(len(rows))
        for n, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                if header[column] not in _TEXTS:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.cells.setItem(n, column, item)
        self.cells.resizeColumnsToContents()
        unit = "" if subject.geometry.unit == "millimeter" else "; its voxels have no size, so that volumes are missing"
        self.line.setText(f"{subject.name}{unit}")

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self.line.setText("Cancelled; the former table stays" if self._shown else "Cancelled")
        else:
            self.line.setText(user_message(error))

    def _show_busy(self, busy: bool) -> None:
        self.progress.setValue(0)
        self.progress.setVisible(busy)
        self.cancel_button.setVisible(busy)
        for button in (self.copy_button, self.save_button):
            button.setEnabled(not busy and self._shown is not None)

    def _show_stale(self) -> None:
        """Mark a table of labels that changed since."""
        stale = self._subject is not None and self._subject.version() != self._version
        self.setWindowTitle("Measures (the labels changed since: press Update)" if stale else "Measures")
