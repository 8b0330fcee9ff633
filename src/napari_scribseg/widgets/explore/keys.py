"""The keys of the explorer: in the embedding, and on its layers in the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt

from napari_scribseg.widgets.common.actions import key_text

__all__ = ["LAYER_KEYS", "STROKE_KEYS", "key_name", "with_key"]

_DIGITS = "0123456789"

LAYER_KEYS = {
    "assign": "Enter",
    "none": "Delete",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "next": "N",
    "split": "S",
    **{digit: digit for digit in _DIGITS},
}
STROKE_KEYS = {"split": "S"}  # the other ones are napari's own there
_WITHOUT = {
    Qt.Key.Key_Return: "assign",
    Qt.Key.Key_Enter: "assign",
    Qt.Key.Key_Delete: "none",
    Qt.Key.Key_Backspace: "none",
    Qt.Key.Key_N: "next",
    Qt.Key.Key_S: "split",
    Qt.Key.Key_F: "fit",
    Qt.Key.Key_Escape: "clear",
}


def key_name(event: Any) -> str | None:
    """The action of a key pressed in the embedding: a digit or a name; None for other keys."""
    modifiers = event.modifiers()
    if modifiers & Qt.KeyboardModifier.ControlModifier:
        if event.key() == Qt.Key.Key_Z:
            return "redo" if modifiers & Qt.KeyboardModifier.ShiftModifier else "undo"
        if event.key() == Qt.Key.Key_A:
            return "all"
        return None
    if event.text() in _DIGITS and event.text():
        return str(event.text())
    return _WITHOUT.get(event.key())


def with_key(text: str, action: str) -> str:
    """A button's text with its key: ``"Undo (Ctrl+Z)"``."""
    return f"{text} ({key_text(LAYER_KEYS[action])})"
