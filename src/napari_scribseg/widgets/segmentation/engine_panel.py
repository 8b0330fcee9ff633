"""The engine that segments, its parameters, when it runs, and on which device."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_scribseg.core import EngineInfo, LoadsModels, get_engine
from napari_scribseg.core.registry import engine_class
from napari_scribseg.widgets.segmentation.engine_form import EngineForm
from napari_scribseg.widgets.segmentation.model_page import ModelPage

__all__ = ["EnginePanel"]

FIRST_ENGINE = "svcd"  # selected when the window opens
_MODES = (
    ("live", "live"),
    ("on stroke end", "stroke"),
    ("on demand", "demand"),
)
_OVERLAPS = (("overwrite", "overwrite"), ("keep", "keep"))


class EnginePanel(QWidget):
    """Combo boxes of engine, mode, device and overlap rule, and the engine's parameters, folded away."""

    engine_changed = Signal(str, dict)
    mode_changed = Signal(str)
    device_changed = Signal(str)
    overlap_changed = Signal(str)
    network_requested = Signal()
    picture_requested = Signal(str)

    def __init__(self, infos: dict[str, EngineInfo], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._infos = infos
        self._values: dict[str, dict[str, Any]] = {}
        self._shown = ""
        self.engine_combo, self.mode_combo, self.device_combo, self.overlap_combo = (QComboBox() for _ in range(4))
        for name, info in infos.items():
            self.engine_combo.addItem(info.title.split(" (")[0], name)
        self.engine_combo.setCurrentIndex(max(self.engine_combo.findData(FIRST_ENGINE), 0))
        for text, mode in _MODES:
            self.mode_combo.addItem(text, mode)
        for text, rule in _OVERLAPS:
            self.overlap_combo.addItem(text, rule)
        for device in ("auto", "cpu", "cuda", "mps"):
            self.device_combo.addItem(device, device)
        self.overlap_combo.setToolTip("What a result does to earlier labels, such as loaded ones")
        self.mode_combo.setToolTip(
            "When to segment: while the pen moves (if the engine is fast), when it lifts, or by the button"
        )
        self.form = EngineForm()
        self.form.changed.connect(self._on_form)
        self.fold = self._make_fold()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.models = ModelPage()
        self.models.changed.connect(self._on_model)
        self.models.requested.connect(self.network_requested.emit)
        layout.addLayout(self._make_rows())
        layout.addWidget(self.models)
        layout.addWidget(self.fold)
        layout.addWidget(self._folded)
        self.pictures: dict[str, QPushButton] = {}
        self._picture_row = QVBoxLayout()
        layout.addLayout(self._picture_row)
        self.engine_combo.currentIndexChanged.connect(self._on_engine)
        self.mode_combo.currentIndexChanged.connect(lambda _index: self.mode_changed.emit(self.mode))
        self.device_combo.currentIndexChanged.connect(lambda _index: self.device_changed.emit(self.device))
        self.overlap_combo.currentIndexChanged.connect(lambda _index: self.overlap_changed.emit(self.overlap))
        self._show_form()

    @property
    def engine(self) -> str:
        """Registered name of the engine chosen; empty where there is none."""
        return self.engine_combo.currentData() or ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of its parameters that are not at their defaults."""
        return self.form.values

    @property
    def mode(self) -> str:
        """When the engine segments."""
        return str(self.mode_combo.currentData())

    @property
    def device(self) -> str:
        """The chosen device."""
        return str(self.device_combo.currentData())

    @property
    def overlap(self) -> str:
        """What a result may do to earlier labels."""
        return str(self.overlap_combo.currentData())

    def choose(self, engine: str, values: dict[str, Any], overlap: str, device: str) -> None:
        """Show an engine with parameters, an overlap rule, and a device; no signal is sent."""
        for combo, data in ((self.engine_combo, engine), (self.overlap_combo, overlap), (self.device_combo, device)):
            combo.blockSignals(True)
            combo.setCurrentIndex(max(combo.findData(data), 0))
            combo.blockSignals(False)
        self._values[engine] = dict(values)
        self._show_form()

    def show_device(self, found: str) -> None:
        """Show which device "auto" means here."""
        self.device_combo.setItemText(0, f"auto: {found}")

    def show_pictures(self, names: tuple[str, ...]) -> None:
        """Show a button for each of these pictures of the engine's features."""
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
            ("Engine", self.engine_combo),
            ("Segment", self.mode_combo),
            ("Device", self.device_combo),
            ("Overlap", self.overlap_combo),
        ):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(12)
            rows.addRow(text, combo)
        return rows

    def _make_fold(self) -> QToolButton:
        """A heading that shows and hides the form."""
        self._folded = QWidget()
        inner = QVBoxLayout(self._folded)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(self.form)
        reset = QPushButton("Defaults")
        reset.setToolTip("Put every parameter of the engine back to its default")
        reset.clicked.connect(self.form.reset)
        inner.addWidget(reset)
        self._folded.hide()
        fold = QToolButton()
        fold.setText("Parameters of the engine")
        fold.setCheckable(True)
        fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        fold.setArrowType(Qt.ArrowType.RightArrow)
        fold.toggled.connect(self._on_fold)
        return fold

    def _on_fold(self, opened: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._folded.setVisible(opened)

    def _on_engine(self, _index: int) -> None:
        self._values[self._shown] = self.form.values
        self._show_form()
        self._emit_change()

    def _on_form(self, _values: dict[str, Any]) -> None:
        self._show_model()
        self._emit_change()

    def _emit_change(self) -> None:
        self.engine_changed.emit(self.engine, self.parameters)

    def _show_form(self) -> None:
        self._shown = self.engine
        if self._shown:
            info = self._infos[self._shown]
            self.engine_combo.setToolTip(f"{info.title}: {info.summary}")
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
        self._emit_change()
