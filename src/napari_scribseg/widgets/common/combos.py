"""Combo boxes that keep what was chosen when their choices change."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox

__all__ = ["compact_combo", "fill_combo"]


def compact_combo() -> QComboBox:
    """A combo box that does not widen the dock to its longest name."""
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    return combo


def fill_combo(combo: QComboBox, choices: list[tuple[str, Any]]) -> None:
    """Show other choices; the chosen data stay chosen if they are still among them. No signal is sent."""
    combo.blockSignals(True)
    chosen = combo.currentData()
    combo.clear()
    for text, data in choices:
        combo.addItem(text, data)
    index = next((i for i, (_, data) in enumerate(choices) if data is chosen or data == chosen), 0)
    combo.setCurrentIndex(index if choices else -1)
    combo.blockSignals(False)
