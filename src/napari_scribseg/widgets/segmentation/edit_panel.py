"""The section of edits: what the pen does, and the tools that edit the class in the brush."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.core import ClassTable
from napari_scribseg.numerics.editing import TOOLS
from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionButtons, make_button
from napari_scribseg.widgets.common.combos import compact_combo, fill_combo
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.engine_form import EngineForm
from napari_scribseg.widgets.segmentation.result_editor import BRUSHES, Brush, ToolRequest

__all__ = ["EditPanel"]

_SCOPES = (("on this slice", "slice"), ("on slices", "range"), ("on all slices", "volume"))
_SMALL = 50.0  # pixels or voxels of a part that is small
_LARGEST = 1e6  # of a value of the image


class EditPanel(QWidget):
    """Pen, tools and buttons; ``pressed`` carries an action, ``brush_changed`` a :class:`Brush`."""

    pressed = Signal(object)
    brush_changed = Signal(object)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self._classes = ClassTable()
        self._unit = "mm"  # of lengths
        self._ranged: tuple[int, int] | None = None  # axis and number of the slices that the fields of a range are for
        self._buttons = ActionButtons(actions.on("edit"))
        self._buttons.pressed.connect(self.pressed.emit)
        self.buttons = self._buttons.buttons
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(self._make_pen(actions))
        column.addWidget(self._make_limits())
        column.addWidget(self.limits_row)
        column.addWidget(self._make_tool())
        column.addWidget(self.form)
        column.addWidget(self.other_row)
        column.addWidget(self._make_scope())
        column.addWidget(self.range_row)
        column.addLayout(self._make_options())
        column.addWidget(self._buttons)
        self._on_tool()
        self._on_scope()

    # what is chosen ---------------------------------------------------------------------------------------------------

    @property
    def brush(self) -> Brush:
        """What the pen does."""
        limits = (self.low.value(), self.high.value()) if self.limited.isChecked() else None
        return Brush(BRUSHES[self._pens.checkedId()], limits)

    @property
    def request(self) -> ToolRequest:
        """The chosen tool with its parameters, and where it works."""
        name = str(self.tool_combo.currentData())
        parameters = dict(self.form.values)
        if "other" in self.form:
            parameters["other"] = int(self.other_combo.currentData() or 1)
        return ToolRequest(
            name,
            parameters,
            str(self.scope_combo.currentData()),
            self.first.value(),
            self.last.value(),
            self.each_slice.isChecked(),
            "all" if self.over.isChecked() else "background",
        )

    def choose_pen(self, kind: str) -> None:
        """Choose what the pen does, as its button does."""
        self._pens.button(BRUSHES.index(kind)).click()

    def next_pen(self) -> None:
        """Choose the next of strokes, result and eraser."""
        self.choose_pen(BRUSHES[(self._pens.checkedId() + 1) % len(BRUSHES)])

    # what is shown ----------------------------------------------------------------------------------------------------

    def show_state(self, state: SliceState) -> None:
        """Enable what applies."""
        self._buttons.show_state(state)
        for button in self._pens.buttons():
            button.setEnabled(state.ready)

    def show_annotator(self, annotator: Annotator | None) -> None:
        """Show the pen, the classes and the number of slices of the image in front."""
        if annotator is None:
            self._pens.button(0).setChecked(True)
            return
        self._pens.button(BRUSHES.index(annotator.editor.brush.kind)).setChecked(True)
        self._show_classes(annotator.session.classes)
        geometry, slice_index = annotator.session.volume.geometry, annotator.layers.slice_index()
        single = len(geometry.shape) == 2
        for widget in (self.scope_combo, self.each_slice):
            widget.setVisible(not single)
        self._unit = "mm" if geometry.unit == "millimeter" else "pixels" if single else "voxels"
        self._show_unit()
        if slice_index is not None and slice_index.others:
            axis, here = slice_index.others[-1], slice_index.position[-1]
            self._show_slices(axis, annotator.session.volume.shape[axis], here)

    def _show_classes(self, classes: ClassTable) -> None:
        """Fill the choice of the other class."""
        if classes is self._classes:
            return
        self._classes = classes
        fill_combo(self.other_combo, ((label.name, label.id) for label in classes if not label.background))

    def _show_unit(self) -> None:
        """Name the parameters of the tools in mm and ml, or in pixels or voxels of an image without a scale."""
        for form in self.findChildren(EngineForm):
            form.name_lengths(self._unit)
            changed = form.fix("unit", None if self._unit == "mm" else "voxels")
            if changed and "size" in form:
                size = form["size"]
                size.value = size.parameter.default if self._unit == "mm" else _SMALL

    def _show_slices(self, axis: int, n_slices: int, here: int) -> None:
        """Bound the fields of a range; along another axis, the range begins at the displayed slice."""
        if self._ranged != (axis, n_slices):
            self._ranged = axis, n_slices
            for field in (self.first, self.last):
                field.setRange(0, n_slices - 1)
                field.setValue(here)

    # the widgets ------------------------------------------------------------------------------------------------------

    def _make_pen(self, actions: Actions[Any, SliceState]) -> QHBoxLayout:
        self._pens = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(4)
        for i, kind in enumerate(BRUSHES):
            button = make_button(actions[f"pen_{kind}"])
            button.setCheckable(True)
            button.setChecked(i == 0)
            self._pens.addButton(button, i)
            row.addWidget(button)
        self._pens.idClicked.connect(self._on_brush)
        return row

    def _make_limits(self) -> QCheckBox:
        self.limited = QCheckBox("paint only values in a range")
        self.limited.setToolTip(
            "The pen paints only pixels whose value in the image lies in this range, such as HU of a CT"
        )
        self.low, self.high = _value_box(100), _value_box(300)
        self.limited.toggled.connect(self._on_brush)
        for box in (self.low, self.high):
            box.valueChanged.connect(self._on_brush)
        self.limits_row = _row("from", self.low, "to", self.high)
        self.limits_row.setVisible(False)
        self.limited.toggled.connect(self.limits_row.setVisible)
        return self.limited

    def _make_tool(self) -> QWidget:
        self.tool_combo = compact_combo((tool.info.title, name) for name, tool in TOOLS.items())
        self.tool_combo.currentIndexChanged.connect(self._on_tool)
        self.form = EngineForm()
        self.other_combo = compact_combo(())
        self.other_combo.setToolTip("The other class")
        self.other_row = _row("other class", self.other_combo)
        return self.tool_combo

    def _make_scope(self) -> QWidget:
        self.scope_combo = compact_combo(_SCOPES)
        self.scope_combo.setToolTip("The slices that the tool sees and changes")
        self.scope_combo.currentIndexChanged.connect(self._on_scope)
        self.first, self.last = QSpinBox(), QSpinBox()
        for box in (self.first, self.last):
            box.setRange(0, 0)
            box.setToolTip("First and last slice, both included")
        self.range_row = _row("from", self.first, "to", self.last)
        return self.scope_combo

    def _make_options(self) -> QHBoxLayout:
        self.each_slice = QCheckBox("slice by slice")
        self.each_slice.setToolTip("Edit each slice by itself, in 2D, and not all together in 3D")
        self.over = QCheckBox("over other classes")
        self.over.setToolTip("The class may also take voxels of other classes that are not locked, not only background")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.each_slice)
        row.addWidget(self.over)
        return row

    def _on_brush(self, _value: object = None) -> None:
        self.brush_changed.emit(self.brush)

    def _on_tool(self, _index: int = 0) -> None:
        tool = TOOLS[str(self.tool_combo.currentData())]
        self.tool_combo.setToolTip(f"{tool.info.summary}; the class is that of the brush")
        self.form.show_engine(tool)
        self._show_unit()
        self.form.setVisible(any(name != "other" for name in self.form))
        self.other_row.setVisible("other" in self.form)
        self.over.setEnabled(tool.info.grows)
        self.each_slice.setEnabled(not tool.info.across)

    def _on_scope(self, _index: int = 0) -> None:
        self.range_row.setVisible(self.scope_combo.currentData() == "range")


def _value_box(value: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(-_LARGEST, _LARGEST)
    box.setDecimals(1)
    box.setKeyboardTracking(False)
    box.setValue(value)
    return box


def _row(*parts: str | QWidget) -> QWidget:
    """Texts and fields beside each other."""
    made = QWidget()
    row = QHBoxLayout(made)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for part in parts:
        if isinstance(part, str):
            row.addWidget(QLabel(part))
        else:
            row.addWidget(part, 1)
    return made
