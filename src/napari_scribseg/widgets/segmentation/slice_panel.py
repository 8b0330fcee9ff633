"""The buttons for a slice and for files, and the overlay."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.widgets.common.action import Action, Actions, key_text
from napari_scribseg.widgets.common.action_buttons import ActionButtons
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.overlay import KINDS

__all__ = ["SlicePanel"]


class SlicePanel(QWidget):
    """Buttons and overlay; ``pressed`` carries an action, ``overlay_changed`` kind and opacity (0 to 1)."""

    pressed = Signal(object)
    overlay_changed = Signal(str, float)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self.count_box = QSpinBox()
        self.count_box.setRange(-999, 999)
        self.count_box.setValue(5)
        self.count_box.setSuffix(" slices")
        self.count_box.setToolTip("Over how many slices to propagate; negative: towards the first slice")
        groups = (
            ActionButtons(actions.on("slice"), {"propagate": self.count_box}),
            ActionButtons(actions.on("file"), {"save": self._make_tables()}),
        )
        self.buttons = {name: button for group in groups for name, button in group.buttons.items()}
        self._groups = groups
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(groups[0])
        column.addLayout(self._make_overlay(actions["overlay"]))
        column.addWidget(groups[1])
        for group in groups:
            group.pressed.connect(self.pressed.emit)
        self.show_state(SliceState())

    @property
    def count(self) -> int:
        """Number of slices to propagate over; negative towards the first slice."""
        return self.count_box.value()

    @property
    def overlay(self) -> tuple[str, float]:
        """Kind and opacity (0 to 1) of the overlay."""
        return str(self.overlay_combo.currentData()), self.opacity_slider.value() / 100

    def toggle_overlay(self) -> None:
        """Show the next kind of overlay."""
        self.overlay_combo.setCurrentIndex((self.overlay_combo.currentIndex() + 1) % self.overlay_combo.count())

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons that apply."""
        for group in self._groups:
            group.show_state(state)

    @property
    def tables(self) -> dict[str, bool | None]:
        """Whether tables of names and colours are written beside the label volume; None: if the format needs one."""
        return {
            "bids_tsv": self.table_choices["bids_tsv"].isChecked() or None,
            "itksnap": self.table_choices["itksnap"].isChecked(),
        }

    def _make_tables(self) -> QPushButton:
        """A menu of the tables beside the labels."""
        menu = QMenu(self)
        self.table_choices: dict[str, QAction] = {}
        for name, text in (("bids_tsv", "always a BIDS table (_dseg.tsv)"), ("itksnap", "also an ITK-SNAP label file")):
            action = QAction(text, menu)
            action.setCheckable(True)
            menu.addAction(action)
            self.table_choices[name] = action
        more = QPushButton("with")
        more.setToolTip("A table beside the labels has names and colours that the format cannot store")
        more.setMenu(menu)
        return more

    def _make_overlay(self, action: Action[Any, SliceState]) -> QHBoxLayout:
        self.overlay_combo = QComboBox()
        for kind in KINDS:
            self.overlay_combo.addItem(f"overlay: {kind}", kind)
        self.overlay_combo.setToolTip(f"Probability of the class in the brush, or uncertainty ({key_text(action.key)})")
        self.opacity_slider = QSlider(Qt.Orientation.Horizontal)
        self.opacity_slider.setRange(0, 100)
        self.opacity_slider.setValue(50)
        self.opacity_slider.setToolTip("Opacity of the overlay")
        self.overlay_combo.currentIndexChanged.connect(self._on_overlay)
        self.opacity_slider.valueChanged.connect(self._on_overlay)
        row = QHBoxLayout()
        row.addWidget(self.overlay_combo, 3)
        row.addWidget(QLabel("◐"))
        row.addWidget(self.opacity_slider, 2)
        return row

    def _on_overlay(self, _value: int) -> None:
        self.overlay_changed.emit(*self.overlay)
