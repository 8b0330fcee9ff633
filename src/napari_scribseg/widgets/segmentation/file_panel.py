"""The buttons for files, and the tables that are written beside the labels."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QMenu, QPushButton, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionButtons
from napari_scribseg.widgets.segmentation.annotation_view import SliceState

__all__ = ["FilePanel"]

_TABLES = (
    ("bids_tsv", "always a BIDS table (_dseg.tsv)"),
    ("itksnap", "also an ITK-SNAP label file"),
    ("measurements", "also a table of numbers (_measurements.csv)"),
)


class FilePanel(QWidget):
    """Buttons and a menu of tables; ``pressed`` carries an action."""

    pressed = Signal(object)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self._group = ActionButtons(actions.on("file"))
        self._group.pressed.connect(self.pressed.emit)
        self.buttons = self._group.buttons
        self.table_choices: dict[str, QAction] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._group)
        column.addWidget(self._make_tables())

    @property
    def tables(self) -> dict[str, bool | None]:
        """Whether tables of names and colours are written beside the label volume; None: if the format needs one."""
        return {
            "bids_tsv": self.table_choices["bids_tsv"].isChecked() or None,
            "itksnap": self.table_choices["itksnap"].isChecked(),
        }

    @property
    def measure(self) -> bool:
        """Whether a table of numbers is written beside the label volume."""
        return bool(self.table_choices["measurements"].isChecked())

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons that apply."""
        self._group.show_state(state)

    def _make_tables(self) -> QPushButton:
        """A menu of the tables beside the labels."""
        menu = QMenu(self)
        for name, text in _TABLES:
            action = QAction(text, menu)
            action.setCheckable(True)
            menu.addAction(action)
            self.table_choices[name] = action
        more = QPushButton("Tables beside the labels")
        more.setToolTip("Tables of names and colours, which the format may have no place for, and of numbers")
        more.setMenu(menu)
        return more
