"""The buttons for the slice in sight, the overlay, and saving."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_scribseg.widgets.segmentation.keys import with_key
from napari_scribseg.widgets.segmentation.overlay import KINDS
from napari_scribseg.widgets.segmentation.view import State

__all__ = ["SlicePanel"]

_BUTTONS = (
    ("segment", "Segment", "Segment the slice in sight now"),
    ("clear", "Clear slice", "Remove the strokes and the result of the slice in sight; Undo brings them back"),
    ("undo", "Undo", "Take back the last stroke together with its result"),
    ("redo", "Redo", "Do again what was taken back"),
    ("accept", "Accept slice", "Lock the slice in sight: nothing changes it until it is reopened"),
    ("propagate", "Propagate", "Carry the result over to the next slices"),
    ("save", "Save labels…", "Write the label volume with the image's geometry, names and colours"),
)


class SlicePanel(QWidget):
    """Tells ``pressed(action)`` by the names in :data:`~napari_scribseg.widgets.segmentation.keys.KEYS`."""

    pressed = Signal(str)
    overlay_changed = Signal(str, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, QPushButton] = {}
        for action, text, tip in _BUTTONS:
            button = QPushButton(with_key(text, action))
            button.setToolTip(tip)
            button.clicked.connect(lambda _checked=False, name=action: self.pressed.emit(name))
            self.buttons[action] = button
        self._count = QSpinBox()
        self._count.setRange(-999, 999)
        self._count.setValue(5)
        self._count.setSuffix(" slices")
        self._count.setToolTip("How many slices further on; negative: slices before this one")
        self.resume = QPushButton("Resume…")
        self.resume.setToolTip("Go on with strokes that were saved, or kept after a crash")
        self.resume.clicked.connect(lambda: self.pressed.emit("resume"))
        self.keep = QPushButton("Save strokes…")
        self.keep.setToolTip("Save strokes, accepted slices, engine and parameters, to go on with another day")
        self.keep.clicked.connect(lambda: self.pressed.emit("keep"))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        rows = (
            ("segment", "clear"),
            ("undo", "redo"),
            ("accept", None),
        )
        for row, (left, right) in enumerate(rows):
            grid.addWidget(self.buttons[left], row, 0, 1, 1 if right else 2)
            if right:
                grid.addWidget(self.buttons[right], row, 1)
        grid.addWidget(self.buttons["propagate"], 3, 0)
        grid.addWidget(self._count, 3, 1)
        grid.addLayout(self._make_overlay(), 4, 0, 1, 2)
        grid.addLayout(self._make_save(), 5, 0, 1, 2)
        grid.addWidget(self.keep, 6, 0)
        grid.addWidget(self.resume, 6, 1)
        self.show_state(State())

    @property
    def count(self) -> int:
        """How many slices to propagate over."""
        return self._count.value()

    @property
    def overlay(self) -> tuple[str, float]:
        """Kind and opacity of the overlay."""
        return str(self._overlay.currentData()), self._opacity.value() / 100

    def toggle_overlay(self) -> None:
        """Go on to the next kind of overlay."""
        self._overlay.setCurrentIndex((self._overlay.currentIndex() + 1) % self._overlay.count())

    def show_state(self, state: State) -> None:
        """Enable what makes sense."""
        for action in ("segment", "clear", "accept", "propagate"):
            self.buttons[action].setEnabled(state.ready)
        for action in ("segment", "clear"):
            self.buttons[action].setEnabled(state.ready and not state.accepted)
        self.buttons["undo"].setEnabled(state.can_undo)
        self.buttons["redo"].setEnabled(state.can_redo)
        text = "Reopen slice" if state.accepted else "Accept slice"
        done = f" · {state.n_accepted} accepted" if state.n_accepted else ""
        self.buttons["accept"].setText(with_key(text, "accept") + done)

    @property
    def tables(self) -> dict[str, bool | None]:
        """Which tables of names and colours are written beside the label volume; None: where they are needed."""
        return {
            "bids_tsv": self._tables["bids_tsv"].isChecked() or None,
            "itksnap": self._tables["itksnap"].isChecked(),
        }

    def _make_save(self) -> QHBoxLayout:
        """The save button, with what else to write behind a small arrow."""
        menu = QMenu(self)
        self._tables: dict[str, QAction] = {}
        for name, text in (("bids_tsv", "always a BIDS table (_dseg.tsv)"), ("itksnap", "also an ITK-SNAP label file")):
            action = QAction(text, menu)
            action.setCheckable(True)
            menu.addAction(action)
            self._tables[name] = action
        more = QPushButton("with")
        more.setToolTip("Names and colours stand in a table beside the labels where the format has no place for them")
        more.setMenu(menu)
        row = QHBoxLayout()
        row.addWidget(self.buttons["save"], 1)
        row.addWidget(more)
        return row

    def _make_overlay(self) -> QHBoxLayout:
        self._overlay = QComboBox()
        for kind in KINDS:
            self._overlay.addItem(f"overlay: {kind}", kind)
        self._overlay.setToolTip(with_key("Probability of the class in the brush, or uncertainty", "overlay"))
        self._opacity = QSlider(Qt.Orientation.Horizontal)
        self._opacity.setRange(0, 100)
        self._opacity.setValue(50)
        self._opacity.setToolTip("Opacity of the overlay")
        self._overlay.currentIndexChanged.connect(self._tell_overlay)
        self._opacity.valueChanged.connect(self._tell_overlay)
        row = QHBoxLayout()
        row.addWidget(self._overlay, 3)
        row.addWidget(QLabel("◐"))
        row.addWidget(self._opacity, 2)
        return row

    def _tell_overlay(self, _value: int) -> None:
        self.overlay_changed.emit(*self.overlay)
