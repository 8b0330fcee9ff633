"""The buttons for the displayed slice."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionButtons
from napari_scribseg.widgets.segmentation.annotation_view import SliceState

__all__ = ["SlicePanel"]


class SlicePanel(QWidget):
    """Buttons, over how many slices to propagate, and whether filled slices follow corrections.

    ``pressed`` carries an action, ``follows_chosen`` whether they follow.
    """

    pressed = Signal(object)
    follows_chosen = Signal(bool)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self.count_box = QSpinBox()
        self.count_box.setRange(-999, 999)
        self.count_box.setValue(5)
        self.count_box.valueChanged.connect(self._show_noun)
        self._show_noun(self.count_box.value())
        self.count_box.setToolTip("Over how many slices to propagate; negative: towards the first slice")
        self._group = ActionButtons(actions.on("slice"), {"propagate": self.count_box})
        self._group.pressed.connect(self.pressed.emit)
        self.buttons = self._group.buttons
        self.follows = QCheckBox("filled slices follow corrections")
        self.follows.setToolTip(
            "After a correction, the filled slices up to the next painted or accepted ones are filled again"
        )
        self.follows.clicked.connect(lambda checked: self.follows_chosen.emit(checked))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._group)
        column.addWidget(self.follows)
        self.show_state(SliceState())

    def _show_noun(self, count: int) -> None:
        self.count_box.setSuffix(" slice" if abs(count) == 1 else " slices")

    @property
    def count(self) -> int:
        """Number of slices to propagate over; negative towards the first slice."""
        return self.count_box.value()

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons that apply."""
        self._group.show_state(state)
        self.follows.setEnabled(state.has_filled)
        self.follows.setChecked(state.follows)
        for widget in (self.buttons["propagate"], self.count_box, self.follows):
            widget.setVisible(not state.is_single)
