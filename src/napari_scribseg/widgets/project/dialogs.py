"""The dialogs of a project: a new one, and what to export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.widgets.common.name_field import split_names

if TYPE_CHECKING:
    from napari_scribseg.learn.annotators import MeanAgreement
    from napari_scribseg.learn.labelled import Choice

__all__ = ["AgreementDialog", "ExportDialog", "ExportOrder", "NewProjectDialog"]

_WIDTH = 460  # pixels
_AGREEMENT = ("class", "people", "slices", "Dice", "distance")
_KINDS = (
    ("nnunet", "nnU-Net (imagesTr, labelsTr, dataset.json)"),
    ("monai", "MONAI (a list of images and labels)"),
    ("coco", "COCO (outlines of objects, for images of one slice)"),
)
_WHICH = (
    ("finished", "finished cases"),
    ("accepted", "accepted slices of all cases"),
    ("all", "everything, also what nobody has accepted"),
)


class _Folder(QWidget):
    """A line for a folder, with a button that asks for it."""

    def __init__(self, question: str, folder: Path) -> None:
        super().__init__()
        self._question = question
        self.line, self.button = QLineEdit(str(folder)), QPushButton("Choose…")
        self.button.setAutoDefault(False)
        self.button.clicked.connect(lambda: self._choose())
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)

    def _choose(self) -> None:
        named = QFileDialog.getExistingDirectory(self, self._question, str(Path(self.line.text()).parent))
        if named:
            self.line.setText(named)

    @property
    def path(self) -> Path | None:
        """The folder; None where none is named."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None


class _Question(QDialog):
    """Fields above *OK* and *Cancel*; OK is enabled while the answer is complete."""

    def __init__(self, parent: QWidget, title: str, text: str, confirm: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(_WIDTH)
        self.form = QFormLayout()
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.ok = self.buttons.button(kinds.Ok)
        self.ok.setText(confirm)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        label = QLabel(text)
        label.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addWidget(label)
        column.addLayout(self.form)
        column.addWidget(self.buttons)


class NewProjectDialog(_Question):
    """Asks for the folder of a new project, and for its classes.

    Parameters
    ----------
    parent : QWidget
    folder : Path
        Proposed.
    names : sequence of str
        Of classes, proposed.
    """

    def __init__(self, parent: QWidget, folder: Path, names: tuple[str, ...]) -> None:
        text = "A project is a folder with strokes, labels and what is learned; the images stay where they are."
        super().__init__(parent, "New project", text, "Make project")
        self.folder = _Folder("A folder for the project", folder)
        self.classes = QLineEdit(", ".join(names))
        self.classes.setPlaceholderText("liver, spleen")
        self.classes.setToolTip("Names of the classes, with commas between; more can be added later")
        self.form.addRow("Folder", self.folder)
        self.form.addRow("Classes", self.classes)
        for line in (self.folder.line, self.classes):
            line.textChanged.connect(lambda _text: self._show_complete())
        self._show_complete()
        self.classes.setFocus()

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the classes."""
        return split_names(self.classes.text())

    def _show_complete(self) -> None:
        complete = self.folder.path is not None and bool(self.names)
        self.ok.setEnabled(complete)
        self.ok.setToolTip("" if complete else "Name a folder, and one class at least")


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What to write, and where.

    Attributes
    ----------
    kind : {"nnunet", "monai", "coco"}
    folder : Path
    only : {"finished", "accepted", "all"}
    """

    kind: str
    folder: Path
    only: Choice


class ExportDialog(_Question):
    """Asks for format, cases and folder of an export.

    Parameters
    ----------
    parent : QWidget
    folder : Path
        Proposed.
    finished : int
        Number of finished cases; where there is none, all accepted slices are proposed.
    """

    def __init__(self, parent: QWidget, folder: Path, finished: int) -> None:
        text = "Images and labels are written to a new folder, as other programs read them."
        super().__init__(parent, "Export", text, "Export")
        self.kind, self.only, self.folder = QComboBox(), QComboBox(), _Folder("A folder for the export", folder)
        for combo, entries in ((self.kind, _KINDS), (self.only, _WHICH)):
            for name, text in entries:
                combo.addItem(text, name)
        if not finished:
            self.only.setCurrentIndex(1)
        self.form.addRow("For", self.kind)
        self.form.addRow("What", self.only)
        self.form.addRow("Folder", self.folder)
        self.folder.line.textChanged.connect(lambda _text: self.ok.setEnabled(self.folder.path is not None))

    @property
    def order(self) -> ExportOrder:
        """What was chosen."""
        folder = self.folder.path
        assert folder is not None
        only: Choice = self.only.currentData()
        return ExportOrder(str(self.kind.currentData()), folder, only)


class AgreementDialog(QDialog):
    """A table of how far people agree, by class.

    Parameters
    ----------
    parent : QWidget
    rows : sequence of MeanAgreement
    """

    def __init__(self, parent: QWidget, rows: Sequence[MeanAgreement]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Agreement between people")
        self.resize(_WIDTH, 260)
        self.table = QTableWidget(len(rows), len(_AGREEMENT))
        self.table.setHorizontalHeaderLabels(list(_AGREEMENT))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        for index, row in enumerate(rows):
            texts = row.name, f"{row.who}, {row.whom}", str(row.slices), f"{row.dice:.2f}", f"{row.surface:.2f}"
            for column, text in enumerate(texts):
                self.table.setItem(index, column, QTableWidgetItem(text))
        self.table.resizeColumnsToContents()
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        close.rejected.connect(self.reject)
        rows_below = QVBoxLayout(self)
        rows_below.addWidget(QLabel("Means over the slices that both accepted; the distance is between the borders."))
        rows_below.addWidget(self.table)
        rows_below.addWidget(close)
