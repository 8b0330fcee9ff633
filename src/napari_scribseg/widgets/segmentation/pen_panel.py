"""What the pen does: strokes for the engine, or painting and erasing on the result; and which values it paints."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import make_button
from napari_scribseg.widgets.common.rows import in_row
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.result_editor import BRUSHES, Brush

__all__ = ["PenPanel"]

_LARGEST = 1e6  # of a value of the image


class PenPanel(QWidget):
    """A button for each pen, and the range of values that it paints; ``changed`` carries a :class:`Brush`."""

    changed = Signal(object)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(self._make_pens(actions))
        column.addWidget(self._make_limits())
        column.addWidget(self.limits_row)

    @property
    def brush(self) -> Brush:
        """What the pen does."""
        limits = (self.low.value(), self.high.value()) if self.limited.isChecked() else None
        return Brush(BRUSHES[self.buttons.checkedId()], limits)

    def choose(self, kind: str) -> None:
        """Choose what the pen does, as its button does."""
        self.buttons.button(BRUSHES.index(kind)).click()

    def choose_next(self) -> None:
        """Choose the next of strokes, result and eraser."""
        self.choose(BRUSHES[(self.buttons.checkedId() + 1) % len(BRUSHES)])

    def show_pen(self, kind: str) -> None:
        """Show what the pen does; no signal is sent."""
        self.buttons.button(BRUSHES.index(kind)).setChecked(True)

    def show_state(self, state: SliceState) -> None:
        """Enable what applies."""
        for button in self.buttons.buttons():
            button.setEnabled(state.ready)

    def _make_pens(self, actions: Actions[Any, SliceState]) -> QHBoxLayout:
        self.buttons = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(4)
        for i, kind in enumerate(BRUSHES):
            button = make_button(actions[f"pen_{kind}"])
            button.setCheckable(True)
            button.setChecked(i == 0)
            self.buttons.addButton(button, i)
            row.addWidget(button)
        self.buttons.idClicked.connect(self._on_change)
        return row

    def _make_limits(self) -> QCheckBox:
        self.limited = QCheckBox("paint only values in a range")
        self.limited.setToolTip(
            "The pen paints only pixels whose value in the image lies in this range, such as HU of a CT"
        )
        self.low, self.high = _value_box(100), _value_box(300)
        self.limited.toggled.connect(self._on_change)
        for box in (self.low, self.high):
            box.valueChanged.connect(self._on_change)
        self.limits_row = in_row("from", self.low, "to", self.high)
        self.limits_row.setVisible(False)
        self.limited.toggled.connect(self.limits_row.setVisible)
        return self.limited

    def _on_change(self, _value: object = None) -> None:
        self.changed.emit(self.brush)


def _value_box(value: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(-_LARGEST, _LARGEST)
    box.setDecimals(1)
    box.setKeyboardTracking(False)
    box.setValue(value)
    return box
