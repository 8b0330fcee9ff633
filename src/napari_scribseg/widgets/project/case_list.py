"""The list of cases with their state: a double click, or Enter, opens one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

__all__ = ["CaseList", "CaseRow"]

_COLUMNS = ("Case", "State", "Accepted")
_MARKS = {"new": "○", "drafted": "◔", "started": "◐", "finished": "✓"}
_SHOWN = "▶ "  # before the name of the case that is open
_LOWEST = 90  # pixels


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What the list shows of a case.

    Attributes
    ----------
    name : str
        Of the case.
    state : {"new", "drafted", "started", "finished"}
        How far it is.
    accepted, slices : int
        How many of its slices are accepted.
    note : str
        What the tooltip says beside, such as where its image is.
    """

    name: str
    state: str
    accepted: int
    slices: int
    note: str = ""

    @property
    def texts(self) -> tuple[str, str, str]:
        """By column."""
        return self.name, f"{_MARKS[self.state]} {self.state}", f"{self.accepted} of {self.slices}"


class CaseList(QTreeWidget):
    """One row for each case; ``opened`` carries the name of one that the user opens, ``chosen`` of one in the list."""

    opened = Signal(str)
    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[CaseRow, ...] = ()
        self._shown = ""
        self.setColumnCount(len(_COLUMNS))
        self.setHeaderLabels(list(_COLUMNS))
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(_LOWEST)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.itemDoubleClicked.connect(lambda item, _column: self.opened.emit(self.name_of(item)))
        self.currentItemChanged.connect(lambda item, _former: self.chosen.emit(self.name_of(item)))

    @property
    def current(self) -> str:
        """The name of the case that is chosen; empty for none."""
        return self.name_of(self.currentItem())

    def name_of(self, item: QTreeWidgetItem | None) -> str:
        """The name of the case of a row."""
        return "" if item is None else str(item.data(0, Qt.ItemDataRole.UserRole))

    def show_cases(self, rows: Iterable[CaseRow], shown: str) -> None:
        """Show cases; ``shown`` is the one that is open in napari, and is chosen when it is opened."""
        rows = tuple(rows)
        if (rows, shown) == (self.rows, self._shown):
            return
        chosen = shown if shown != self._shown else self.current or shown
        with QSignalBlocker(self):
            if [row.name for row in rows] != [row.name for row in self.rows]:
                self.clear()
                self.addTopLevelItems([QTreeWidgetItem() for _ in rows])
            for index, row in enumerate(rows):
                item = self.topLevelItem(index)
                assert item is not None
                self._fill(item, row, is_shown=row.name == shown)
                if row.name == chosen:
                    self.setCurrentItem(item)
        self.rows, self._shown = rows, shown
        self.chosen.emit(self.current)

    def choose(self, name: str) -> None:
        """Choose a case in the list."""
        for index, row in enumerate(self.rows):
            item = self.topLevelItem(index)
            if row.name == name and item is not None:
                self.setCurrentItem(item)

    def _fill(self, item: QTreeWidgetItem, row: CaseRow, *, is_shown: bool) -> None:
        item.setData(0, Qt.ItemDataRole.UserRole, row.name)
        name, *others = row.texts
        for column, text in enumerate((f"{_SHOWN}{name}" if is_shown else name, *others)):
            item.setText(column, text)
            item.setToolTip(column, "\n".join(part for part in (name, row.note) if part))
            font = item.font(column)
            font.setBold(is_shown)
            item.setFont(column, font)
        item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802  Qt's name
        """Open the chosen case at Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current:
            self.opened.emit(self.current)
        else:
            super().keyPressEvent(event)
