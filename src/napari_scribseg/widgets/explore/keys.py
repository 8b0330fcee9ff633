"""The keys of the explorer: in the embedding, and on its layers in the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt

from napari_scribseg.widgets.common.action import KEYS_KEY, Action
from napari_scribseg.widgets.explore.explore_actions import ACTIONS, ExploreWindow
from napari_scribseg.widgets.explore.explore_view import ExploreState

__all__ = ["LAYER_ACTIONS", "STROKE_ACTIONS", "action_of"]

_NOT_ON_LAYERS = ("F", "Escape", "Control-A", KEYS_KEY)  # napari's own; the last is a shortcut of the window
_NAMED = {
    Qt.Key.Key_Return: "Enter",
    Qt.Key.Key_Enter: "Enter",
    Qt.Key.Key_Delete: "Delete",
    Qt.Key.Key_Backspace: "Delete",
    Qt.Key.Key_Escape: "Escape",
    Qt.Key.Key_Z: "Z",
    Qt.Key.Key_A: "A",
}
_BY_KEY = {action.key: action for action in ACTIONS if action.key}

LAYER_ACTIONS = tuple(action for action in _BY_KEY.values() if action.key not in _NOT_ON_LAYERS)
STROKE_ACTIONS = (ACTIONS["split"],)  # the other keys are napari's own there


def action_of(event: Any) -> Action[ExploreWindow, ExploreState] | None:
    """The action of a key pressed in the embedding; None for other keys."""
    modifiers = event.modifiers()
    if modifiers & Qt.KeyboardModifier.ControlModifier:
        shift = "Shift-" if modifiers & Qt.KeyboardModifier.ShiftModifier else ""
        return _BY_KEY.get(f"Control-{shift}{_NAMED.get(event.key(), '')}")
    return _BY_KEY.get(_NAMED.get(event.key(), str(event.text()).upper()))
