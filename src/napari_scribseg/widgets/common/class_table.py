"""The table of classes: name, colour, id, visible, locked, background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QMouseEvent, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.classes import default_color
from napari_scribseg.widgets.common.name_field import NameField

__all__ = ["ClassTableView"]

_COLOR, _NAME, _ID, _SHOW, _LOCK, _BACKGROUND = range(6)
_BOXES = _SHOW, _LOCK, _BACKGROUND
_ROW = 23  # pixels
_YES, _NO = "☑", "☐"  # napari's style hides the frame of an empty check box
_HEADS = ("", "class", "id", "show", "lock", "bg")
_TIPS = (
    "Colour: double-click to choose another",
    "Name: double-click to change it",
    "Number in the label volume: double-click to change it",
    "Whether the class is shown: click to change it",
    "Whether results leave the voxels of this class unchanged",
    "The class that stands for the background: it is saved as 0",
)


class ClassTableView(QWidget):
    """Shows a :class:`ClassTable` and lets the user change it.

    ``changed`` carries the table that the user wants, which the owner accepts by :meth:`show_classes`; ``selected`` the
    id of the class to paint with, at every click on its row; ``refused`` a message. The highlighted row is always that
    of the class that is painted: a click on a box changes the box only.
    """

    changed = Signal(ClassTable)
    selected = Signal(int)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._classes = ClassTable()
        self.table = _make_table()
        self.table.itemChanged.connect(self._on_item)
        self.table.box_clicked.connect(self._on_box)
        self.table.cellClicked.connect(self._on_click)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.names = NameField()
        self.names.setToolTip(
            "Name the selected class, or classes to be added: one name, or several separated by commas (Return)"
        )
        self.names.returnPressed.connect(self._on_names)
        self.add = QPushButton("+ class")
        self.add.setToolTip("Add a class")
        self.add.clicked.connect(lambda: self._on_names() if self.names.names else self.add_class())
        remove = QPushButton("- class")
        remove.setToolTip("Remove the selected class; it must have no strokes")
        remove.clicked.connect(self.remove_class)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.names, 1)
        buttons.addWidget(self.add)
        buttons.addWidget(remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(buttons)

    @property
    def classes(self) -> ClassTable:
        """The table as shown."""
        return self._classes

    @property
    def current(self) -> int | None:
        """The id of the selected row."""
        row = self.table.currentRow()
        return self._classes.ids[row] if 0 <= row < len(self._classes) else None

    def show_classes(self, classes: ClassTable) -> None:
        """Show a table; the selected class stays selected, or the one that took its row."""
        current, former = self.current, self._classes
        self._classes = classes
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(classes))
            for row, label in enumerate(classes):
                for column, item in enumerate(_row_items(label)):
                    self.table.setItem(row, column, item)
        rows = max(2, min(len(classes), 7))
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + _ROW * rows + 6)
        self.select(classes.successor(current, former))

    def select(self, identity: int | None) -> None:
        """Select the row of a class, or none if the table does not have it; no signal is sent."""
        row = self._classes.ids.index(identity) if identity is not None and identity in self._classes else -1
        highlighted = {index.row() for index in self.table.selectedIndexes()}
        if row == self.table.currentRow() and highlighted == ({row} if row >= 0 else set()):
            return
        with QSignalBlocker(self.table):
            if row < 0:
                self.table.setCurrentCell(-1, -1)
                self.table.clearSelection()
            else:
                self.table.selectRow(row)

    def add_class(self) -> None:
        """Propose one more class, with the first free id."""
        identity = self._classes.free_id()
        if self._propose(lambda: self._classes.with_ids([identity])) and identity in self._classes:
            self.select(identity)
            self.selected.emit(identity)

    def add_names(self, names: Sequence[str]) -> None:
        """Propose classes of these names, as :meth:`ClassTable.with_names` makes them, and paint with the first."""
        selected = self.current
        if names and self._propose(lambda: self._classes.with_names(names, selected)):
            first = next((c.id for c in self._classes if c.name.lower() == names[0].lower()), None)
            if first is not None:
                self.select(first)
                self.selected.emit(first)

    def _on_names(self) -> None:
        """Names were entered in the field."""
        names = self.names.names
        self.names.leave(names)
        self.add_names(names)

    def remove_class(self) -> None:
        """Propose to remove the selected class."""
        identity = self.current
        if identity is None:
            self.refused.emit("No class is selected; click a row of the table first")
        else:
            self._propose(lambda: self._classes.without(identity))

    def step(self, by: int) -> None:
        """Select the class ``by`` rows below, cyclically, and emit it."""
        if len(self._classes):
            self.table.selectRow((self.table.currentRow() + by) % len(self._classes))

    def choose_row(self, row: int) -> None:
        """Select the class of a row and emit it; nothing happens where there is no such row."""
        if row < len(self._classes):
            self.table.selectRow(row)
            self.selected.emit(self._classes.ids[row])  # also where it was selected before

    def choose_color(self, identity: int) -> None:
        """Let the user choose the colour of a class."""
        label = self._classes[identity]
        chosen = QColorDialog.getColor(QColor.fromRgbF(*label.color), self, f"Colour of {label.name}")
        if chosen.isValid():
            r, g, b = (min(max(float(c), 0.0), 1.0) for c in (chosen.redF(), chosen.greenF(), chosen.blueF()))
            color = (r, g, b, label.color[3])
            self._propose(lambda: self._classes.with_class(replace(label, color=color)))

    def _propose(self, make: Callable[[], ClassTable]) -> bool:
        """Make a new table and emit it; if that fails, show the old one and emit why."""
        try:
            proposed = make()
        except InputError as error:
            self.show_classes(self._classes)
            self.refused.emit(str(error))
            return False
        self.changed.emit(proposed)
        return True

    def _on_item(self, item: QTableWidgetItem) -> None:
        label = self._classes.classes[item.row()]
        self._propose(lambda: _edited(self._classes, label, item))

    def _on_box(self, row: int, column: int) -> None:
        label = self._classes.classes[row]
        self._propose(lambda: _toggled(self._classes, label, column))

    def _on_click(self, row: int, _column: int) -> None:
        self.selected.emit(self._classes.ids[row])  # also where the row was selected before

    def _on_double_click(self, row: int, column: int) -> None:
        if column == _COLOR:
            self.choose_color(self._classes.ids[row])

    def _on_selection(self) -> None:
        current = self.current
        if current is None:
            return
        if not self.table.selectedIndexes():  # a click with Ctrl on the selected row
            self.select(current)
        self.selected.emit(current)


def _edited(classes: ClassTable, label: LabelClass, item: QTableWidgetItem) -> ClassTable:
    """The table after the user changed the text of a cell in the row of ``label``."""
    text = item.text().strip()
    if item.column() == _NAME:
        if not text:
            raise InputError("the name of the class is empty; at least one character is expected")
        return classes.with_class(replace(label, name=text))
    if not text.isdecimal():
        raise InputError(f"the id {text!r} is not a number; expected 1 to 65535")
    new = replace(label, id=int(text))
    return ClassTable(tuple(new if c.id == label.id else c for c in classes))


def _toggled(classes: ClassTable, label: LabelClass, column: int) -> ClassTable:
    """The table after a click into a column of check marks."""
    if column == _SHOW:
        return classes.with_class(replace(label, visible=not label.visible))
    if column == _LOCK:
        return classes.with_class(replace(label, locked=not label.locked))
    others = ClassTable(tuple(_as_foreground(c) for c in classes))
    return others if label.background else others.as_background(label.id)


def _as_foreground(label: LabelClass) -> LabelClass:
    """The class as one that is not the background, with a name and colour of its own."""
    if not label.background:
        return label
    name = f"class {label.id}" if label.name == "background" else label.name
    return replace(label, background=False, name=name, color=default_color(label.id))


class _Table(QTableWidget):
    """A table with boxes: a click on one emits ``box_clicked`` with row and column, and selects nothing."""

    box_clicked = Signal(int, int)

    def __init__(self, n_columns: int) -> None:
        super().__init__(0, n_columns)
        self._pressed: tuple[int, int] | None = None

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Take a press on a box."""
        self._pressed = self._box_at(event)
        if self._pressed is None:
            super().mousePressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Take the second press on a box as another one."""
        self._pressed = self._box_at(event)
        if self._pressed is None:
            super().mouseDoubleClickEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Select nothing by a drag that began on a box."""
        if self._pressed is None:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802  Qt's name
        """Click the box that was pressed."""
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            super().mouseReleaseEvent(event)
        elif pressed == self._box_at(event):
            self.box_clicked.emit(*pressed)

    def _box_at(self, event: QMouseEvent) -> tuple[int, int] | None:
        """Row and column of the box under the pointer, for the left button."""
        index = self.indexAt(event.position().toPoint())
        left = event.button() == Qt.MouseButton.LeftButton
        return (index.row(), index.column()) if left and index.isValid() and index.column() in _BOXES else None


def _make_table() -> _Table:
    table = _Table(len(_HEADS))
    for column, (text, tip) in enumerate(zip(_HEADS, _TIPS, strict=True)):
        head = QTableWidgetItem(text)
        head.setToolTip(tip)
        table.setHorizontalHeaderItem(column, head)
    header = table.horizontalHeader()
    header.setMinimumSectionSize(20)
    for column in range(len(_HEADS)):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    edit = QAbstractItemView.EditTrigger
    table.setEditTriggers(edit.DoubleClicked | edit.EditKeyPressed)
    table.setIconSize(QSize(16, 16))
    return table


def _row_items(label: LabelClass) -> list[QTableWidgetItem]:
    """The six cells of a class."""
    swatch = QPixmap(16, 16)
    swatch.fill(QColor.fromRgbF(*label.color[:3]))
    icon = QIcon(swatch)
    icon.addPixmap(swatch, QIcon.Mode.Selected)  # as it is, not tinted by the selection
    color = QTableWidgetItem(icon, "")
    color.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    cells = [color, QTableWidgetItem(label.name), QTableWidgetItem(str(label.id))]
    for yes in (label.visible, label.locked, label.background):
        cell = QTableWidgetItem(_YES if yes else _NO)
        cell.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        cell.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
        cells.append(cell)
    for cell, tip in zip(cells, _TIPS, strict=True):
        cell.setToolTip(tip)
    return cells
