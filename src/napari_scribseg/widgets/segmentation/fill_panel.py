"""Filling between slices, and drafts: their buttons, and the strip of slices, always in sight."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_scribseg.annotate.session import Session
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionBar
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.slice_strip import SliceStrip

__all__ = ["FillPanel"]


class FillPanel(QWidget):
    """Buttons and the strip in one row; ``pressed`` carries an action, ``chosen`` a slice."""

    pressed = Signal(object)
    chosen = Signal(SliceIndex)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self.strip = SliceStrip()
        self._group = ActionBar(actions.on("fill"))
        self.buttons = self._group.buttons
        self._group.pressed.connect(self.pressed.emit)
        self.strip.chosen.connect(self.chosen.emit)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 6, 0)
        row.setSpacing(2)
        row.addWidget(self._group)
        row.addWidget(self.strip, 1)

    def follow(self, session: Session | None) -> None:
        """Show the slices of a session from now on."""
        self.strip.follow(session)

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons, and show which slice is displayed; *Draft* is there with a learned network only."""
        self._group.show_state(state)
        self.buttons["draft"].setVisible(state.can_draft)
        self.strip.show_state(state)
        self.setVisible(not state.is_single)
