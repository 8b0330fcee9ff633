"""Actions of a window: one entry gives a button, a key, a command of napari and a row of the documentation.

No Qt and no napari here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["KEYS_KEY", "Action", "Actions", "key_text"]

KEYS_KEY = "?"  # of Qt: napari's key bindings have no question mark, and its place depends on the keyboard

Window = TypeVar("Window")
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Action(Generic[Window, State]):
    """One thing that a user can do in a window.

    Attributes
    ----------
    name : str
        Unique among the actions of the window; an identifier.
    text : str
        On the button, and in napari's command palette.
    tooltip : str
        What it does, in one sentence.
    call : callable
        ``call(window)`` carries it out.
    key : str
        As napari writes it, such as ``"Shift-C"``; empty for none. It works on the layers of the window's images.
    enabled : callable
        ``enabled(state)`` says whether the button can be pressed.
    label : callable, optional
        ``label(state)`` gives the text on the button where it depends on the state.
    panel : str
        The panel with its button; empty for an action without a button.
    wide : bool
        Whether the button has a row to itself.
    short : str
        The text on the button of a narrow bar, where the key stands in the tooltip only; empty: ``text``.
    """

    name: str
    text: str
    tooltip: str
    call: Callable[[Window], object]
    key: str = ""
    enabled: Callable[[State], bool] = lambda _state: True
    label: Callable[[State], str] | None = None
    panel: str = ""
    wide: bool = False
    short: str = ""

    def button_text(self, state: State | None = None) -> str:
        """The text on the button, with the key: ``"Undo (Ctrl+Z)"``."""
        text = self.text if state is None or self.label is None else self.label(state)
        return f"{text} ({key_text(self.key)})" if self.key else text

    @property
    def full_tooltip(self) -> str:
        """The tooltip, with the key."""
        return f"{self.tooltip} ({key_text(self.key)})" if self.key else self.tooltip


class Actions(Generic[Window, State]):
    """The registry of a window's actions, in the order of its buttons.

    Parameters
    ----------
    actions : iterable of Action
        To begin with.

    Raises
    ------
    ValueError
        If two actions have the same name or key.
    """

    def __init__(self, actions: Iterable[Action[Window, State]] = ()) -> None:
        self._actions: dict[str, Action[Window, State]] = {}
        for action in actions:
            self.add(action)

    def add(self, action: Action[Window, State]) -> None:
        """Add an action to all windows that are opened later."""
        if action.name in self._actions:
            raise ValueError(f"there is an action {action.name!r} already")
        former = next((other.name for other in self if action.key and other.key == action.key), None)
        if former is not None:
            raise ValueError(f"the key {action.key} of {action.name!r} is the key of {former!r} already")
        self._actions[action.name] = action

    def remove(self, name: str) -> None:
        """Remove an action."""
        del self._actions[name]

    def __iter__(self) -> Iterator[Action[Window, State]]:
        return iter(tuple(self._actions.values()))

    def __getitem__(self, name: str) -> Action[Window, State]:
        return self._actions[name]

    def on(self, panel: str) -> list[Action[Window, State]]:
        """The actions with a button on a panel."""
        return [action for action in self if action.panel == panel]

    def table(self) -> str:
        """The table of the documentation, in Markdown."""
        rows = ["| key | action | what it does |", "|---|---|---|"]
        rows += [f"| {key_text(a.key, 'linux')} | {a.text.rstrip('…')} | {a.tooltip} |" for a in self]
        return "\n".join(rows)


def key_text(key: str, platform: str = sys.platform) -> str:
    """A key as users of a platform write it: ``"Ctrl+Z"``, on macOS ``"Cmd+Z"``."""
    return key.replace("Control", "Cmd" if platform == "darwin" else "Ctrl").replace("-", "+")
