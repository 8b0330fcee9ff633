"""The section of edits: the tools that edit the class in the brush."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QSpinBox, QStackedWidget, QVBoxLayout, QWidget

from napari_scribseg.core import ClassTable
from napari_scribseg.numerics.editing import TOOLS
from napari_scribseg.widgets.common.action import Actions
from napari_scribseg.widgets.common.action_buttons import ActionButtons
from napari_scribseg.widgets.common.combos import compact_combo, fill_combo
from napari_scribseg.widgets.common.rows import in_column, in_row
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.engine_form import EngineForm
from napari_scribseg.widgets.segmentation.result_editor import ToolRequest

__all__ = ["EditPanel"]

_SCOPES = (("on this slice", "slice"), ("on slices", "range"), ("on all slices", "volume"))
_SMALL = 50.0  # pixels or voxels of a part that is small


class EditPanel(QWidget):
    """Tools and buttons; ``pressed`` carries an action. Nothing moves when another tool or scope is chosen."""

    pressed = Signal(object)

    def __init__(self, actions: Actions[Any, SliceState]) -> None:
        super().__init__()
        self._classes = ClassTable()
        self._unit = ""  # of lengths
        self._ranged: tuple[int, int] | None = None  # axis and number of the slices that the fields of a range are for
        self._buttons = ActionButtons(actions.on("edit"))
        self._buttons.pressed.connect(self.pressed.emit)
        self.buttons = self._buttons.buttons
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self._make_tool())
        column.addWidget(self._forms)
        column.addWidget(self._make_scope())
        column.addWidget(self.range_row)
        column.addLayout(self._make_options())
        column.addWidget(self._buttons)
        self._on_tool()
        self._on_scope()

    # what is chosen ---------------------------------------------------------------------------------------------------

    @property
    def form(self) -> EngineForm:
        """The parameters of the chosen tool."""
        return self._form_of[str(self.tool_combo.currentData())]

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

    # what is shown ----------------------------------------------------------------------------------------------------

    def show_state(self, state: SliceState) -> None:
        """Enable what applies."""
        self._buttons.show_state(state)

    def show_annotator(self, annotator: Annotator | None) -> None:
        """Show the classes and the number of slices of the image in front."""
        if annotator is None:
            return
        self._show_classes(annotator.session.classes)
        geometry, slice_index = annotator.session.volume.geometry, annotator.layers.slice_index()
        single = len(geometry.shape) == 2
        for widget in (self.scope_combo, self.each_slice):
            widget.setVisible(not single)
        unit = "mm" if geometry.unit == "millimeter" else "pixels" if single else "voxels"
        if unit != self._unit:
            self._unit = unit
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

    def _make_tool(self) -> QWidget:
        self.tool_combo = compact_combo((tool.info.title, name) for name, tool in TOOLS.items())
        self.tool_combo.currentIndexChanged.connect(self._on_tool)
        self.other_combo = compact_combo(())
        self.other_combo.setToolTip("The other class")
        self._form_of: dict[str, EngineForm] = {}
        self._forms = QStackedWidget()  # as high as the highest of them
        for name, tool in TOOLS.items():
            self._form_of[name] = form = EngineForm()
            form.show_engine(tool)
            other = [in_row("other class", self.other_combo)] if "other" in form else []
            self._forms.addWidget(in_column(form, *other, stretch=True))
        return self.tool_combo

    def _make_scope(self) -> QWidget:
        self.scope_combo = compact_combo(_SCOPES)
        self.scope_combo.setToolTip("The slices that the tool sees and changes")
        self.scope_combo.currentIndexChanged.connect(self._on_scope)
        self.first, self.last = QSpinBox(), QSpinBox()
        for box in (self.first, self.last):
            box.setRange(0, 0)
            box.setToolTip("First and last slice, both included")
        self.range_row = in_row("from", self.first, "to", self.last)
        policy = self.range_row.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.range_row.setSizePolicy(policy)
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

    def _on_tool(self, _index: int = 0) -> None:
        tool = TOOLS[str(self.tool_combo.currentData())]
        self.tool_combo.setToolTip(f"{tool.info.summary}; the class is that of the brush")
        self._forms.setCurrentIndex(self.tool_combo.currentIndex())
        self.over.setEnabled(tool.info.grows)
        self.each_slice.setEnabled(not tool.info.across)

    def _on_scope(self, _index: int = 0) -> None:
        self.range_row.setVisible(self.scope_combo.currentData() == "range")
