"""A window with all keys: those of our actions, and of napari's that one needs while painting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined]
from qtpy.QtWidgets import QDialog, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action import KEYS_KEY, Action, key_text

__all__ = ["KeySheet", "key_rows", "on_question_mark"]

_NAPARI = {
    "napari:activate_labels_paint_mode": "Brush",
    "napari:activate_labels_erase_mode": "Eraser",
    "napari:activate_labels_fill_mode": "Fill",
    "napari:activate_labels_picker_mode": "Pick the class under the pointer",
    "napari:decrease_brush_size": "Smaller brush",
    "napari:increase_brush_size": "Larger brush",
    "napari:hold_for_pan_zoom": "Move and zoom, while it is held",
    "napari:toggle_selected_visibility": "Show or hide the selected layer",
    "napari:increment_dims_left": "Slice before",
    "napari:increment_dims_right": "Next slice",
    "napari:reset_view": "The whole image",
}


def key_rows(actions: Iterable[Action[Any, Any]], names: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
    """Key, name and tooltip of the actions that have a key; ``names`` are what some actions are called just now."""
    names = names or {}
    return [(key_text(a.key), names.get(a.name, a.text.rstrip("…")), a.tooltip) for a in actions if a.key]


def on_question_mark(widget: QWidget, call: Callable[[], object]) -> None:
    """Call a function at a question mark anywhere in a widget's window, where others may wait for it, too."""
    shortcut = QShortcut(QKeySequence(KEYS_KEY), widget)
    shortcut.activated.connect(call)
    shortcut.activatedAmbiguously.connect(call)  # Qt chooses one of those that wait


class KeySheet(QDialog):
    """Stays beside the viewer's window until it is closed; napari's keys are those of its present settings.

    Parameters
    ----------
    actions : mapping of str to iterable of Action
        By the title of their dock.
    parent : QWidget, optional
        The dock.
    names : mapping of str to str, optional
        By the name of an action: what it is called just now, such as the class that it chooses.
    """

    def __init__(
        self,
        actions: Mapping[str, Iterable[Action[Any, Any]]],
        parent: QWidget | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.table = QLabel(_page({title: key_rows(some, names) for title, some in actions.items()}, _napari_rows()))
        self.table.setTextFormat(Qt.TextFormat.RichText)
        self.table.setContentsMargins(12, 8, 12, 8)
        area = QScrollArea()
        area.setWidget(self.table)
        area.setWidgetResizable(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        self.resize(self.table.sizeHint().width() + 40, 600)


def _napari_rows() -> list[tuple[str, str, str]]:
    """The keys of napari as the user has set them."""
    keys = get_settings().shortcuts.shortcuts
    return [(" or ".join(map(str, keys[name])), text, "") for name, text in _NAPARI.items() if keys.get(name)]


def _page(ours: dict[str, list[tuple[str, str, str]]], theirs: list[tuple[str, str, str]]) -> str:
    parts = []
    for title, rows in {**ours, "napari, on a labels layer": theirs}.items():
        cells = "".join(
            f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;</td><td>{escape(text)}&nbsp;&nbsp;</td><td>{escape(tip)}</td></tr>"
            for key, text, tip in rows
        )
        parts.append(f"<h3>{title}</h3><table cellpadding='2'>{cells}</table>")
    return "".join(parts)
