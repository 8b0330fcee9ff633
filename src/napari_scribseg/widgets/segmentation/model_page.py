"""A user's own U-Net: choose the file of a network, allow its code to run, and describe its input."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.card import ModelCard, card_path, read_card, write_card
from napari_scribseg.engines.brs.model_source import find_source, needs_no_strokes, runs_code, shipped_names

__all__ = ["CardDialog", "ModelPage"]

_FILES = "Networks (*.safetensors *.pt2 *.pt *.ts *.pth);;All files (*)"
_KINDS = {
    "shipped": "comes with the package; choose a file for your own network",
    "safetensors": "weights only; no code is run",
    "export": "a program of torch.export",
    "torchscript": "a TorchScript program",
    "bundle": "a MONAI bundle",
    "factory": "a function",
}


class ModelPage(QGroupBox):
    """The network of an engine; ``changed`` carries the engine's parameters ``model`` and ``trust``.

    ``requested`` is sent when the network shall segment without strokes.
    """

    changed = Signal(str, bool)
    requested = Signal()

    def __init__(self) -> None:
        super().__init__("Your own U-Net")
        self._model = ""
        file, folder = QPushButton("File…"), QPushButton("Bundle…")
        file.setToolTip("A network of torch.export (.pt2), TorchScript (.pt), or of this package (.safetensors)")
        folder.setToolTip("The folder of a MONAI bundle")
        own = QPushButton("Built-in")
        own.setToolTip("The networks that come with the package")
        own.setMenu(self._shipped(own))
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.trust = QCheckBox("Run its code: I trust its source")
        self.card = QPushButton("Input…")
        self.card.setToolTip("Scaling, outputs and classes of the network; saved in a small file beside it")
        self.predict = QPushButton("Segment without strokes")
        self.predict.setToolTip("Segment this slice by the network alone; strokes correct the result")
        file.clicked.connect(self._on_file)
        folder.clicked.connect(self._on_folder)
        self.trust.toggled.connect(self._on_trust)
        self.card.clicked.connect(self._on_card)
        self.predict.clicked.connect(lambda: self.requested.emit())
        top, bottom = QHBoxLayout(), QHBoxLayout()
        for row, buttons in ((top, (file, folder, own)), (bottom, (self.card, self.predict))):
            for button in buttons:
                row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.about)
        layout.addWidget(self.trust)
        layout.addLayout(bottom)
        self.show_model("", False)

    def _shipped(self, button: QPushButton) -> QMenu:
        menu = QMenu(button)
        for name in shipped_names():
            action = menu.addAction(name)
            assert action is not None  # Qt always makes one
            action.triggered.connect(lambda _checked=False, name=name: self.choose(name))
        return menu

    def show_model(self, model: str, trust: bool) -> None:
        """Show a network as chosen; no signal is sent."""
        self._model = model
        with QSignalBlocker(self.trust):
            self.trust.setChecked(trust)
        try:
            source, reason, alone = find_source(model), runs_code(model), needs_no_strokes(model)
        except InputError as error:
            self.about.setText(f"⚠ {error}")
            self.trust.hide()
            self.card.setEnabled(False)
            self.predict.setEnabled(False)
            return
        card = "" if source.kind in ("shipped", "factory") or not card_path(model).is_file() else "; its card is used"
        strokes = "" if alone else "; it needs strokes"
        self.about.setText(f"{reason or f'{source.name}: {_KINDS[source.kind]}{card}'}{strokes}")
        self.predict.setEnabled(alone and (trust or not reason))
        self.trust.setVisible(bool(reason))
        self.card.setEnabled(source.kind not in ("shipped", "factory"))

    def choose(self, model: str) -> None:
        """Choose a network; the user has to trust it anew."""
        self.show_model(model, False)
        self._emit_change()

    def _on_trust(self, trust: bool) -> None:
        self.show_model(self._model, trust)
        self._emit_change()

    def _emit_change(self) -> None:
        self.changed.emit(self._model, self.trust.isChecked())

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A trained network", str(Path(self._model).parent), _FILES)
        if path:
            self.choose(path)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "The folder of a MONAI bundle", str(Path(self._model).parent))
        if path:
            self.choose(path)

    def _on_card(self) -> None:
        dialog = CardDialog(self._model, self)
        if dialog.exec():
            self.show_model(self._model, self.trust.isChecked())
            self._emit_change()


class CardDialog(QDialog):
    """The fields of a network's card; OK writes the card beside the network if all fields are valid."""

    def __init__(self, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Input of {Path(model).name}")
        self._model = model
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        try:
            card = read_card(model) or ModelCard()
        except InputError as error:
            card = ModelCard()
            self.problem.setText(f"⚠ {error}")
        hints = get_type_hints(ModelCard)
        self.fields: dict[str, QComboBox | QLineEdit] = {}
        form = QFormLayout()
        for name, value in dataclasses.asdict(card).items():
            self.fields[name] = widget = _field(hints[name], value)
            form.addRow(name, widget)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Default values are found by trials; the documentation of brs explains each field."))
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)

    def accept(self) -> None:
        """Write the card and close, or show what is wrong."""
        try:
            card = ModelCard(**{name: _value(name, widget) for name, widget in self.fields.items()})
            write_card(self._model, card)
        except InputError as error:
            self.problem.setText(f"⚠ {error}")
            return
        except OSError as error:
            self.problem.setText(f"⚠ the card cannot be written beside the network ({error.strerror})")
            return
        super().accept()


def _field(hint: Any, value: Any) -> QComboBox | QLineEdit:
    """A combo box for a choice, else a line edit; lists are written as 1, 2, 3."""
    if get_origin(hint) is Literal or isinstance(value, bool) or value is None:
        combo = QComboBox()
        choices = get_args(hint) if get_origin(hint) is Literal else (None, True, False)
        for choice in choices:
            combo.addItem({None: "found by trials", True: "yes", False: "no"}.get(choice, str(choice)), choice)
        combo.setCurrentIndex(choices.index(value))
        return combo
    return QLineEdit(json.dumps(list(value))[1:-1] if isinstance(value, tuple) else json.dumps(value))


def _value(name: str, widget: QComboBox | QLineEdit) -> Any:
    if isinstance(widget, QComboBox):
        return widget.currentData()
    text = widget.text().strip()
    many = isinstance(dataclasses.asdict(ModelCard())[name], tuple)
    try:
        return json.loads(f"[{text}]" if many else text)
    except ValueError:
        pass
    if many and name == "classes":
        return [part.strip() for part in text.split(",")]
    raise InputError(f"{name} is {text!r}; {'numbers such as 0.5, 99.5' if many else 'a number'} is expected")
