"""The forms of the explorer: cutting; the tools above the embedding; labels; correction and files."""

from __future__ import annotations

import math
from typing import Any

from psygnal import Signal, SignalInstance
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.explore import CutSettings
from napari_scribseg.widgets.common.action_buttons import make_button
from napari_scribseg.widgets.common.combos import choose_data, fill_combo
from napari_scribseg.widgets.common.device_combo import device_combo
from napari_scribseg.widgets.explore.embedding_view import TOOLS
from napari_scribseg.widgets.explore.encoder_form import EncoderForm
from napari_scribseg.widgets.explore.exploration import FILTERS
from napari_scribseg.widgets.explore.explore_actions import ACTIONS
from napari_scribseg.widgets.explore.explore_view import ExploreState
from napari_scribseg.widgets.explore.scene import STYLES
from napari_scribseg.widgets.explore.work import PORTIONS

__all__ = ["ButtonGrid", "CutPanel", "EmbeddingBar", "action_buttons", "file_panel", "label_bar", "show_actions"]

_STEPS = 1000  # of the threshold slider
_RANGES = {"volume": (0.1, 1e5), "area": (1.0, 1e6), "dynamics": (1e-3, 1.0)}  # of thresholds, in the criterion's unit
_BORDERS = {"brightness": "gaussian", "network": "network", "my layer": "given"}
_MERGING = {"size by contrast": "volume", "size": "area", "contrast": "dynamics"}
_TIPS = {
    "gradient": "Where borders are: where brightness or colour changes (gaussian gradient at two scales), where the "
    "network of this package sees edges, or where a layer of yours is large (an edge map of the shape of the visible "
    "image)",
    "edges": "The layer that holds the edges of the visible image, stack or volume",
    "criterion": "Which segments are merged with a neighbour first: the smallest, those with the least contrast, or "
    "both (area, dynamics and volume of the watershed hierarchy)",
    "threshold": "To the right, more segments are merged (threshold of the hierarchy); the contours follow live, Cut "
    "makes the segments",
    "simplification": "Borders weaker than this are dropped, whatever is beside them (simplification by the mean "
    "gradient): lower it to keep faint borders",
}


def action_buttons(panel: str, pressed: SignalInstance) -> dict[str, QPushButton]:
    """The buttons of a panel's actions by name; ``pressed`` carries the action of a button that is clicked."""
    made = {}
    for action in ACTIONS.on(panel):
        made[action.name] = button = make_button(action)
        button.clicked.connect(lambda _checked=False, action=action: pressed.emit(action))
    return made


def show_actions(buttons: dict[str, QPushButton], state: ExploreState) -> None:
    """Enable the buttons that make sense in a state, and show the texts that depend on it."""
    for name, button in buttons.items():
        button.setEnabled(ACTIONS[name].enabled(state))
        button.setText(ACTIONS[name].button_text(state))


def _combo(choices: Any, tip: str, letters: int = 0) -> QComboBox:
    """A chooser; one that may shrink to so many letters where ``letters`` are given."""
    combo = QComboBox()
    if letters:
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(letters)
    for text in choices:
        combo.addItem(text, choices[text] if isinstance(choices, dict) else text)
    combo.setToolTip(tip)
    return combo


class CutPanel(QWidget):
    """How images are cut; ``previewed`` while the slider moves, ``pressed`` with the action of a button.

    ``device_chosen`` carries the device of a choice by the user.
    """

    previewed = Signal()
    device_chosen = Signal(str)
    pressed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.gradient = _combo(_BORDERS, _TIPS["gradient"], letters=7)
        self.edges, self._edges_label = _combo((), _TIPS["edges"], letters=6), QLabel("layer")
        self.criterion = _combo(_MERGING, _TIPS["criterion"], letters=7)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip(_TIPS["threshold"])
        self.value = QDoubleSpinBox()
        self.value.setDecimals(3)
        self.value.setToolTip(_TIPS["threshold"])
        self.auto = QCheckBox("so that images get about")
        self.auto.setChecked(True)
        self.auto.setToolTip("Find the coarseness at which images have so many segments on average")
        self.regions = QSpinBox()
        self.regions.setRange(2, 5000)
        self.regions.setValue(50)
        self.regions.setSuffix(" segments")
        self.simplification = QDoubleSpinBox()
        self.simplification.setRange(0, 1)
        self.simplification.setSingleStep(0.01)
        self.simplification.setDecimals(3)
        self.simplification.setValue(CutSettings().simplification)
        self.simplification.setPrefix("borders below ")
        self.simplification.setToolTip(_TIPS["simplification"])
        self.portion = _combo(
            PORTIONS, "Which images are cut; segments that stay the same keep their classes", letters=8
        )
        self.buttons = action_buttons("cutting", self.pressed)
        self.deep = QCheckBox("network too")
        self.deep.setToolTip(
            "Train the last stage of the network, too, and describe all segments again: slower; not for models of timm"
        )
        self.encoder = EncoderForm()
        self.device = device_combo()
        self._lay_out()
        self._set_range()
        self.slider.valueChanged.connect(self._on_slider)
        self.value.valueChanged.connect(self._on_value)
        self.gradient.currentIndexChanged.connect(lambda _i: self._on_gradient())
        self.criterion.currentIndexChanged.connect(lambda _i: self._on_criterion())
        self.simplification.valueChanged.connect(lambda _value: self._changed())
        self.auto.toggled.connect(lambda _on: self._show_auto())
        self.edges.currentIndexChanged.connect(lambda _i: self._changed())
        self.device.activated.connect(lambda _i: self.device_chosen.emit(self.device.currentData()))
        self._show_auto()
        self._show_edges()

    @property
    def edge_layer(self) -> Any:
        """The layer of the user's edge map; None where the gradient is another, or there is none."""
        return self.edges.currentData() if self.gradient.currentData() == "given" else None

    def show_layers(self, layers: list[tuple[str, Any]]) -> None:
        """Show the layers that may be edge maps, without a signal."""
        fill_combo(self.edges, layers)

    @property
    def threshold(self) -> float:
        """The threshold of the slider."""
        return float(self.value.value())

    @property
    def settings(self) -> dict[str, Any]:
        """Gradient, criterion and simplification."""
        return {
            "gradient": self.gradient.currentData(),
            "criterion": self.criterion.currentData(),
            "simplification": self.simplification.value(),
        }

    def show_settings(self, settings: CutSettings) -> None:
        """Show the settings of the last cut, without a signal."""
        for combo, value in ((self.gradient, settings.gradient), (self.criterion, settings.criterion)):
            combo.blockSignals(True)
            combo.setCurrentIndex(max(combo.findData(value), 0))
            combo.blockSignals(False)
        self._show_edges()
        self._set_range()
        self.simplification.blockSignals(True)
        self.simplification.setValue(settings.simplification)
        self.simplification.blockSignals(False)
        self._show_value(settings.threshold)

    def show_device(self, device: str) -> None:
        """Show where networks compute, without a signal."""
        choose_data(self.device, device)

    def show_state(self, state: ExploreState) -> None:
        """Enable what makes sense."""
        show_actions(self.buttons, state)
        self.deep.setEnabled(not state.busy)
        self.encoder.setEnabled(not state.busy)
        self.device.setEnabled(not state.busy)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(3)
        kinds = QHBoxLayout()
        kinds.addWidget(self.gradient, 1)
        kinds.addWidget(self._edges_label)
        kinds.addWidget(self.edges, 1)
        threshold = QHBoxLayout()
        threshold.addWidget(self.slider, 1)
        threshold.addWidget(self.value)
        auto = QHBoxLayout()
        auto.addWidget(self.auto)
        auto.addWidget(self.regions, 1)
        doing = QHBoxLayout()
        doing.addWidget(self.portion, 1)
        doing.addWidget(self.buttons["cut"], 1)
        form.addRow("Borders", kinds)
        form.addRow("Merge by", self.criterion)
        form.addRow("Coarseness", threshold)
        form.addRow("", auto)
        form.addRow("Drop", self.simplification)
        form.addRow("Segments", doing)
        form.addRow("Compare", self.encoder)
        form.addRow("Runs on", self.device)
        embedding = QHBoxLayout()
        embedding.addWidget(self.buttons["embed"], 1)
        embedding.addWidget(self.buttons["learn"], 1)
        embedding.addWidget(self.deep)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(embedding)

    def _set_range(self) -> None:
        low, high = _RANGES[self.criterion.currentData()]
        self.value.blockSignals(True)
        self.value.setRange(0, high)
        self.value.blockSignals(False)
        self._show_value(math.sqrt(low * high) if self.threshold > high else self.threshold)

    def _show_value(self, threshold: float) -> None:
        low, high = _RANGES[self.criterion.currentData()]
        for widget in (self.slider, self.value):
            widget.blockSignals(True)
        self.value.setValue(threshold)
        self.slider.setValue(round(_STEPS * math.log(min(max(threshold, low), high) / low) / math.log(high / low)))
        for widget in (self.slider, self.value):
            widget.blockSignals(False)

    def _on_gradient(self) -> None:
        self._show_edges()
        self._changed()

    def _show_edges(self) -> None:
        for widget in (self.edges, self._edges_label):
            widget.setVisible(self.gradient.currentData() == "given")

    def _on_criterion(self) -> None:
        self._set_range()
        self._changed()

    def _on_slider(self, position: int) -> None:
        low, high = _RANGES[self.criterion.currentData()]
        self._show_value(low * (high / low) ** (position / _STEPS))
        self._preview()

    def _on_value(self, value: float) -> None:
        self._show_value(value)
        self._preview()

    def _changed(self) -> None:
        if not self.auto.isChecked():  # there is a threshold to look at
            self._preview()

    def _preview(self) -> None:
        self.auto.setChecked(False)
        self.previewed.emit()

    def _show_auto(self) -> None:
        self.regions.setEnabled(self.auto.isChecked())


class EmbeddingBar(QWidget):
    """The tools above the embedding: box or lasso, thumbnails or points, filter, next uncertain segment."""

    tool_changed = Signal(str)
    style_changed = Signal(str)
    filter_changed = Signal(str)
    pressed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = _combo(TOOLS, "What the left button draws; Shift adds to the selection, Ctrl takes away")
        self.style_of = _combo(
            STYLES,
            "Grid: every thumbnail in sight, like ones side by side. Map: near ones are alike, far ones are not. "
            "Points: without thumbnails",
        )
        filters = "Which segments are shown: all, those without a class, or uncertain ones"
        self.filter = _combo(FILTERS, filters)
        self.buttons = action_buttons("embedding", self.pressed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in (self.tool, self.style_of, self.filter, *self.buttons.values()):
            row.addWidget(widget)
        for combo, signal in (
            (self.tool, self.tool_changed),
            (self.style_of, self.style_changed),
            (self.filter, self.filter_changed),
        ):
            combo.currentIndexChanged.connect(lambda _i, c=combo, s=signal: s.emit(c.currentData()))


class ButtonGrid(QWidget):
    """The buttons of a panel's actions; ``pressed`` carries the action.

    Parameters
    ----------
    panel : str
    places : dict of str to tuple of 3 int
        Row, column and width of each button by the name of its action.
    """

    pressed = Signal(object)

    def __init__(self, panel: str, places: dict[str, tuple[int, int, int]]) -> None:
        super().__init__()
        self.buttons = action_buttons(panel, self.pressed)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for name, (row, column, width) in places.items():
            grid.addWidget(self.buttons[name], row, column, 1, width)
        for column in range(grid.columnCount()):
            grid.setColumnStretch(column, 1)

    def show_state(self, state: ExploreState) -> None:
        """Enable the buttons that make sense, and show the texts that depend on the state."""
        show_actions(self.buttons, state)


def label_bar() -> ButtonGrid:
    """Commands that are always in sight: assign, no class, the selection's own embedding; undo, redo, save."""
    places = {"assign": (0, 0, 3), "none": (0, 3, 2), "local": (0, 5, 2), "undo": (1, 0, 2), "redo": (1, 2, 2)}
    places["save"] = (1, 4, 3)
    return ButtonGrid("labels", places)


def file_panel() -> ButtonGrid:
    """Correction by strokes, and files."""
    rows = (("positive", "negative", "split"), ("export", "layers"), ("resume", "finish"), ("keys",))
    return ButtonGrid("files", {n: (row, i, 1) for row, names in enumerate(rows) for i, n in enumerate(names)})
