"""Buttons of actions, and their commands in napari's command palette."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import napari
from app_model import Application
from psygnal import Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QWidget

from napari_scribseg.widgets.common.action import Action, Actions

__all__ = ["ActionBar", "ActionButtons", "command_of", "make_button", "register_commands"]


def make_button(action: Action[Any, Any]) -> QPushButton:
    """A button with the text, key and tooltip of an action, not connected."""
    button = QPushButton(action.button_text())
    button.setToolTip(action.full_tooltip)
    return button


class ActionButtons(QWidget):
    """The buttons of some actions, two in a row; ``pressed`` carries the action.

    Parameters
    ----------
    actions : iterable of Action
        In the order of the buttons.
    beside : mapping of str to QWidget
        By the name of an action: a widget in the row of its button.
    """

    pressed = Signal(object)

    def __init__(self, actions: Iterable[Action[Any, Any]], beside: Mapping[str, QWidget] | None = None) -> None:
        super().__init__()
        beside = beside or {}
        self.buttons: dict[str, QPushButton] = {}
        self._actions = tuple(actions)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        row = column = 0
        for action in self._actions:
            self.buttons[action.name] = button = make_button(action)
            button.clicked.connect(lambda _checked=False, action=action: self.pressed.emit(action))
            companion = beside.get(action.name)
            if action.wide or companion is not None:
                row, column = row + (column > 0), 0
                cells = QHBoxLayout()
                cells.setSpacing(4)
                cells.addWidget(button, 1)
                if companion is not None:
                    cells.addWidget(companion)
                grid.addLayout(cells, row, 0, 1, 2)
                row += 1
            else:
                grid.addWidget(button, row, column)
                row, column = row + column, 1 - column

    def show_state(self, state: Any) -> None:
        """Enable the buttons that apply in a state, and show the texts that depend on it."""
        for action in self._actions:
            button = self.buttons[action.name]
            button.setEnabled(action.enabled(state))
            if action.label is not None:
                button.setText(action.button_text(state))


class ActionBar(QWidget):
    """The buttons of some actions in one row, with short texts and without keys; ``pressed`` carries the action."""

    pressed = Signal(object)

    def __init__(self, actions: Iterable[Action[Any, Any]]) -> None:
        super().__init__()
        self.buttons: dict[str, QPushButton] = {}
        self._actions = tuple(actions)
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(4)
        for action in self._actions:
            self.buttons[action.name] = button = make_button(action)
            button.setText(action.short or action.text)
            button.clicked.connect(lambda _checked=False, action=action: self.pressed.emit(action))
            row.addWidget(button, 1)

    def show_state(self, state: Any) -> None:
        """Enable the buttons that apply in a state, and show the texts that depend on it."""
        for action in self._actions:
            self.buttons[action.name].setEnabled(action.enabled(state))
            if action.label is not None:
                self.buttons[action.name].setText(action.label(state))


def register_commands(actions: Actions[Any, Any], widget: type[QWidget], title: str) -> None:
    """Put the actions of a window, once, into napari's command palette.

    A command applies to the current viewer, and opens the window there if needed; ``title`` is that of the manifest.
    """
    app = Application.get_app("napari")
    if app is None:  # the viewer of a test has an application of another name
        return
    for action in actions:
        command = f"napari-scribseg.{title.lower().replace(' ', '-')}.{action.name}"
        if command not in app.commands:
            app.register_action(
                command, f"{action.text} ({title})", callback=command_of(action, widget, title), palette=True
            )


def command_of(action: Action[Any, Any], widget: type[QWidget], title: str) -> Any:
    """A function of a viewer that carries out an action in its window, which is opened there if needed."""

    def call(viewer: napari.Viewer) -> None:
        docked = viewer.window.dock_widgets.values()
        window = next((each for each in docked if isinstance(each, widget)), None)
        if window is None:
            _, window = viewer.window.add_plugin_dock_widget("napari-scribseg", title)
        action.call(window)

    return call
