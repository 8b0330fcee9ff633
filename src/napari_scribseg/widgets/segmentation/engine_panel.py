"""The engine, its parameters, when it runs, and on which device."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_scribseg.annotate.rules import OVERLAPS
from napari_scribseg.core import EngineInfo, LoadsModels, get_engine
from napari_scribseg.core.registry import engine_class
from napari_scribseg.widgets.common.combos import choose_data, compact_combo
from napari_scribseg.widgets.common.device_combo import device_combo, show_auto
from napari_scribseg.widgets.common.fold import Fold
from napari_scribseg.widgets.common.preferences import preference
from napari_scribseg.widgets.segmentation.engine_chooser import EngineChooser
from napari_scribseg.widgets.segmentation.engine_form import EngineForm
from napari_scribseg.widgets.segmentation.model_page import ModelPage

__all__ = ["EnginePanel"]

_MODES = (("while you paint", "live"), ("after each stroke", "stroke"), ("with Segment (S)", "demand"))
_OVERLAPS = {"overwrite": "may change", "keep": "stay as they are"}


class EnginePanel(QWidget):
    """Combo boxes of engine, mode, device and overlap rule, and the engine's parameters, which can be folded.

    ``changed`` is sent after any of them changed; ``picture_requested`` carries the name of a picture.
    """

    changed = Signal()
    network_requested = Signal()
    picture_requested = Signal(str)

    def __init__(self, infos: dict[str, EngineInfo]) -> None:
        super().__init__()
        self._values: dict[str, dict[str, Any]] = {}
        self._shown = ""
        self.chooser = EngineChooser(infos)
        if preference("engine") in infos:
            self.chooser.choose(preference("engine"))
        self.engine_combo = self.chooser.combo
        self.mode_combo = compact_combo(_MODES)
        self.device_combo = device_combo()
        self.overlap_combo = compact_combo((_OVERLAPS[rule], rule) for rule in OVERLAPS)
        self.overlap_combo.setToolTip(
            "What a result does to labels that are there already, such as loaded ones: it may change them, or fills "
            "only what is still empty"
        )
        self.mode_combo.setToolTip(
            "When a result is computed: while the pen moves (if the engine is fast), when it lifts, or by the button"
        )
        self.form = EngineForm()
        self.form.changed.connect(self._on_form)
        parameters = self._make_parameters()
        self.fold = Fold(parameters, "Parameters of the engine", name="segmentation/parameters")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.models = ModelPage()
        self.models.changed.connect(self._on_model)
        self.models.requested.connect(self.network_requested.emit)
        layout.addWidget(self.chooser)
        layout.addWidget(self.models)
        layout.addLayout(self._make_rows())
        layout.addWidget(self.fold)
        layout.addWidget(parameters)
        self.pictures: dict[str, QPushButton] = {}
        self._picture_row = QVBoxLayout()
        layout.addLayout(self._picture_row)
        self.chooser.changed.connect(self._on_engine)
        for combo in (self.mode_combo, self.device_combo, self.overlap_combo):
            combo.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self._show_form()

    @property
    def engine(self) -> str:
        """Registered name of the chosen engine; empty if there is none."""
        return self.chooser.engine

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters that differ from their defaults."""
        return self.form.values

    @property
    def mode(self) -> str:
        """When to segment: ``"live"``, ``"stroke"`` or ``"demand"``."""
        return str(self.mode_combo.currentData())

    @property
    def device(self) -> str:
        """The chosen device."""
        return str(self.device_combo.currentData())

    @property
    def overlap(self) -> str:
        """What a result may do to earlier labels: ``"overwrite"`` or ``"keep"``."""
        return str(self.overlap_combo.currentData())

    def choose(self, engine: str, values: dict[str, Any], overlap: str, device: str) -> None:
        """Show an engine with parameters, an overlap rule, and a device; no signal is sent."""
        self.chooser.choose(engine)
        for combo, data in ((self.overlap_combo, overlap), (self.device_combo, device)):
            choose_data(combo, data)
        self._values[engine] = dict(values)
        self._show_form()

    def show_device(self, found: str) -> None:
        """Show which device "auto" stands for."""
        show_auto(self.device_combo, found)

    def show_pictures(self, names: tuple[str, ...]) -> None:
        """Show a button for each picture of the engine's features."""
        if names == tuple(self.pictures):
            return
        for button in self.pictures.values():
            self._picture_row.removeWidget(button)
            button.deleteLater()
        self.pictures = {}
        for name in names:
            self.pictures[name] = button = QPushButton(f"Show {name}")
            button.setToolTip(f"Add a colour layer of the {name} that the engine computes for this slice")
            button.clicked.connect(lambda _checked=False, name=name: self.picture_requested.emit(name))
            self._picture_row.addWidget(button)

    def _make_rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.setVerticalSpacing(3)
        for text, combo in (
            ("Result", self.mode_combo),
            ("Runs on", self.device_combo),
            ("Earlier labels", self.overlap_combo),
        ):
            rows.addRow(text, combo)
        return rows

    def _make_parameters(self) -> QWidget:
        """The form, and a button that resets it."""
        parameters = QWidget()
        inner = QVBoxLayout(parameters)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.form)
        reset = QPushButton("Reset")
        reset.setToolTip("Set every parameter of the engine to its default")
        reset.clicked.connect(self.form.reset)
        inner.addWidget(reset)
        return parameters

    def _on_engine(self, _name: str) -> None:
        self._values[self._shown] = self.form.values
        self._show_form()
        self.changed.emit()

    def _on_form(self, _values: dict[str, Any]) -> None:
        self._show_model()
        self.changed.emit()

    def _show_form(self) -> None:
        self._shown = self.engine
        if self._shown:
            self.form.show_engine(engine_class(self._shown), self._values.get(self._shown))
        self._show_model()

    def _show_model(self) -> None:
        """The page of the network, for engines that load one."""
        takes = bool(self._shown) and isinstance(get_engine(self._shown), LoadsModels)
        self.models.setVisible(takes)
        if takes:
            self.models.show_model(str(self.form["model"].value), bool(self.form["trust"].value))

    def _on_model(self, model: str, trust: bool) -> None:
        self.form["model"].value, self.form["trust"].value = model, trust
        self.changed.emit()
