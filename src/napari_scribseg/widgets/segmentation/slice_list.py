"""The slices of the image with their state: strokes, labels, accepted, or in need of a look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from psygnal import Signal
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSignalBlocker, Qt
from qtpy.QtWidgets import QAbstractItemView, QLabel, QListView, QVBoxLayout, QWidget

from napari_scribseg.annotate.session import Session
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionButtons
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.session_slots import reconnect

__all__ = ["SliceFacts", "SliceListModel", "SliceListPanel", "state_of"]

_ROWS = 6  # that are in sight
FILLED, DRAFTED = "◐ filled", "◐ drafted"
ACCEPTED, LOOK, DONE, PAINTED, EMPTY = "✓ accepted", "◐ needs a look", "● strokes and labels", "○ strokes only", "empty"


class SliceFacts(Protocol):
    """What the layers know of a slice."""

    def has_unsent(self, slice_index: SliceIndex) -> bool:
        """Whether it has strokes that the session does not have yet."""

    def where(self, slice_index: SliceIndex) -> str:
        """Its name."""


def state_of(session: Session, slice_index: SliceIndex, *, unsent: bool = False) -> str:
    """The state of a slice: filled, drafted, or with labels that no stroke of theirs has checked, which need a look.

    It has ``unsent`` strokes if they are in the layer only, until the slice is displayed.
    """
    if session.is_accepted(slice_index):
        return ACCEPTED
    labelled = bool(session.label_ids(slice_index))
    if unsent:
        return PAINTED
    for made, certainties in ((FILLED, session.filled), (DRAFTED, session.drafted)):
        if slice_index in certainties:
            return f"{made}, {certainties[slice_index]:.0%} sure"
    drawn = bool(session.drawn_ids(slice_index))
    if labelled:
        return DONE if drawn and session.is_anchor(slice_index) else LOOK
    return PAINTED if drawn else EMPTY


class SliceListModel(QAbstractListModel):
    """The slices along one axis; the state of a slice is found when it comes into sight."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._facts: SliceFacts | None = None
        self.slices: tuple[SliceIndex, ...] = ()
        self._states: dict[int, str] = {}

    def show(self, session: Session | None, slices: Iterable[SliceIndex], facts: SliceFacts | None = None) -> None:
        """Show other slices, or those of another session; ``facts`` are what the session does not know of them."""
        self.beginResetModel()
        self._facts = facts
        self._session, self.slices = session, tuple(slices)
        self._states.clear()
        self.endResetModel()

    def refresh(self, slices: Iterable[SliceIndex] | None = None) -> None:
        """Find the state of some slices, or of all, anew."""
        rows = range(len(self.slices)) if slices is None else [row for s in slices if (row := self.row_of(s)) >= 0]
        for row in rows:
            self._states.pop(row, None)
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), 0))

    def row_of(self, slice_index: SliceIndex) -> int:
        """The row of a slice; -1 where it is not listed."""
        row = slice_index.position[-1] if slice_index.position else 0
        return row if row < len(self.slices) and self.slices[row] == slice_index else -1

    def next_open(self, row: int, by: int) -> int:
        """The next row that is not accepted, ``by`` 1 below or -1 above, cyclically; -1 if all are."""
        n = len(self.slices)
        steps = ((row + by * step) % n for step in range(1, n + 1)) if n else iter(())
        accepted = frozenset() if self._session is None else self._session.accepted
        return next((other for other in steps if self.slices[other] not in accepted), -1)

    @property
    def work(self) -> str:
        """How much is done: ``"12 of 60 slices accepted"``."""
        accepted = frozenset() if self._session is None else self._session.accepted
        return f"{sum(s in accepted for s in self.slices)} of {len(self.slices)} slices accepted" if self.slices else ""

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802  Qt's name
        """Number of slices."""
        return 0 if parent is not None and parent.isValid() else len(self.slices)

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The name of a slice and its state."""
        if role != Qt.ItemDataRole.DisplayRole or self._session is None or not index.isValid():
            return None
        row, session, facts = index.row(), self._session, self._facts
        slice_index = self.slices[row]
        if row not in self._states:
            unsent = facts is not None and facts.has_unsent(slice_index)
            self._states[row] = state_of(session, slice_index, unsent=unsent)
        where = session.volume.where(slice_index) if facts is None else facts.where(slice_index)
        return f"{where}   {self._states[row]}"


class SliceListPanel(QWidget):
    """The list, the state of the work, and buttons; ``chosen`` carries a slice, ``pressed`` an action."""

    chosen = Signal(SliceIndex)
    pressed = Signal(object)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self._session: Session | None = None
        self._facts: SliceFacts | None = None
        self._along: object = None  # what the slices of the list have in common
        self.model = SliceListModel()
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setUniformItemSizes(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # so that the keys of the canvas go on working
        self.view.setFixedHeight(_ROWS * (self.view.fontMetrics().height() + 4) + 4)
        self.view.clicked.connect(self._on_click)
        self.work = QLabel("")
        self._group = ActionButtons(actions.on("slices"))
        self._group.pressed.connect(self.pressed.emit)
        self.buttons = self._group.buttons
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for widget in (self.work, self.view, self._group):
            column.addWidget(widget)

    def follow(self, session: Session | None, facts: SliceFacts | None = None) -> None:
        """Show the slices of a session from now on; ``facts`` as of :meth:`SliceListModel.show`."""
        if session is self._session:
            return
        self._facts = facts
        reconnect(
            self._session,
            session,
            {
                "updated": self._on_slice,
                "restored": self._on_slice,
                "stepped": self._on_stepped,
                "changed": self._on_changed,
            },
        )
        self._session, self._along = session, None
        self.model.show(None, ())
        self._show_work()

    def show_state(self, state: SliceState) -> None:
        """Show which slice is displayed, along which axis, and what can be pressed."""
        slice_index = state.slice_index
        if slice_index is not None and self._session is not None and slice_index.position:
            along = slice_index.displayed, slice_index.position[:-1]
            if along != self._along:
                axis, self._along = slice_index.others[-1], along
                count = self._session.volume.shape[axis]
                self.model.show(self._session, (slice_index.at(axis, i) for i in range(count)), self._facts)
            self.model.refresh((slice_index,))
            self._show_row(self.model.row_of(slice_index))
        self._show_work()
        self._group.show_state(state)
        for widget in (self.work, self.view, self.buttons["next_open"], self.buttons["previous_open"]):
            widget.setVisible(not state.is_single)

    def next_open(self, by: int) -> bool:
        """Choose the next slice that is not accepted, below (1) or above (-1); whether there is one."""
        row = self.model.next_open(self.view.currentIndex().row(), by)
        if row >= 0:
            self.chosen.emit(self.model.slices[row])
        return row >= 0

    def _show_row(self, row: int) -> None:
        index = self.model.index(row, 0)
        if index != self.view.currentIndex():
            with QSignalBlocker(self.view):
                self.view.setCurrentIndex(index)
            self.view.scrollTo(index)

    def _show_work(self) -> None:
        if self.work.text() != self.model.work:  # any change beside the canvas repaints the whole window
            self.work.setText(self.model.work)

    def _on_click(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.slices[index.row()])

    def _on_slice(self, event: Any) -> None:
        self.model.refresh((event.slice_index,))

    def _on_stepped(self, event: Any) -> None:
        self.model.refresh(event.slices)

    def _on_changed(self) -> None:
        self.model.refresh()
        self._show_work()
