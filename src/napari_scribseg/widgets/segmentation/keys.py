"""The keys of the widget, in one place: what they do, and how they are shown on the buttons.

Those that napari keeps for a labels layer (1-7, E P F L Z M X B, - = [ ], Esc, Enter) and for the viewer (V, Space,
arrows, Ctrl with R E T G Y) are left alone, but for undo, redo and new label, which napari would do without the result.
"""

from __future__ import annotations

import sys

__all__ = ["KEYS", "shown", "with_key"]

KEYS = {
    "segment": "S",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "accept": "A",
    "clear": "Shift-C",
    "propagate": "G",
    "next_class": "W",
    "previous_class": "Q",
    "new_class": "M",
    "overlay": "O",
    "save": "Shift-S",
    "cancel": "Shift-X",
}


def with_key(text: str, action: str) -> str:
    """A button's text with its key: ``"Accept slice (A)"``."""
    return f"{text} ({shown(KEYS[action])})"


def shown(key: str) -> str:
    """A key the way people write it on this system."""
    control = "Cmd" if sys.platform == "darwin" else "Ctrl"
    return key.replace("Control", control).replace("-", "+")
