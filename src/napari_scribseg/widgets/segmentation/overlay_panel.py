"""Which overlay is shown, and its opacity."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from napari_scribseg.widgets.common.action import Action, key_text
from napari_scribseg.widgets.common.combos import compact_combo
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.overlay import KINDS

__all__ = ["OverlayPanel"]


class OverlayPanel(QWidget):
    """A combo box and a slider; ``changed`` carries the kind and the opacity (0 to 1)."""

    changed = Signal(str, float)

    def __init__(self, action: Action[Any, SliceState]) -> None:
        super().__init__()
        self.combo = compact_combo((f"overlay: {kind}", kind) for kind in KINDS)
        self.combo.setToolTip(f"Probability of the class in the brush, or uncertainty ({key_text(action.key)})")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(50)
        self.slider.setToolTip("Opacity of the overlay")
        self.combo.currentIndexChanged.connect(self._on_change)
        self.slider.valueChanged.connect(self._on_change)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 3)
        row.addWidget(QLabel("◐"))
        row.addWidget(self.slider, 2)

    @property
    def overlay(self) -> tuple[str, float]:
        """Kind and opacity (0 to 1) of the overlay."""
        return str(self.combo.currentData()), self.slider.value() / 100

    def toggle(self) -> None:
        """Show the next kind of overlay."""
        self.combo.setCurrentIndex((self.combo.currentIndex() + 1) % self.combo.count())

    def _on_change(self, _value: int) -> None:
        self.changed.emit(*self.overlay)
