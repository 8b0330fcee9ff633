"""Combo boxes that keep what was chosen when their entries change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox

__all__ = ["choose_data", "compact_combo", "fill_combo"]


def compact_combo(entries: Iterable[tuple[str, Any]] = ()) -> QComboBox:
    """A combo box of texts with their data, which does not widen the dock to its longest text."""
    combo = QComboBox()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    for text, data in entries:
        combo.addItem(text, data)
    return combo


def fill_combo(combo: QComboBox, entries: Iterable[tuple[str, Any]]) -> None:
    """Replace the entries; the chosen data stay chosen if they are still there. No signal is sent."""
    chosen = combo.currentData()
    with QSignalBlocker(combo):
        combo.clear()
        for text, data in entries:
            combo.addItem(text, data)
    choose_data(combo, chosen)


def choose_data(combo: QComboBox, data: Any) -> None:
    """Choose the entry with these data, the first entry if there is none. No signal is sent."""
    found = (i for i in range(combo.count()) if combo.itemData(i) is data or combo.itemData(i) == data)
    with QSignalBlocker(combo):
        combo.setCurrentIndex(next(found, 0))
