"""A form for the parameters of an engine, built from its fields with magicgui."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, LineEdit, SpinBox, Widget
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_scribseg.core import Parameter, parameters_of

__all__ = ["EngineForm"]

_LARGEST_INT = 2**31 - 1  # of a spin box
_LARGEST = 1e15
_MOST_DECIMALS = 15
_WIDTH = 90  # pixels


class EngineForm(QWidget):
    """Widgets for the fields of one engine class; ``changed`` carries the values that differ from the defaults."""

    changed = Signal(dict)

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, _Row] = {}
        self._names: dict[str, Any] = {}
        self._fixed: set[str] = set()  # fields whose value is given
        self._inner = QWidget()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self._inner)

    def show_engine(self, engine: type[Any], values: dict[str, Any] | None = None) -> None:
        """Replace the rows by those of an engine class; ``values`` are shown instead of its defaults."""
        self._rows = {p.name: _Row(p, (values or {}).get(p.name, p.default)) for p in parameters_of(engine)}
        self._names = {}
        self._fixed = set()
        former, self._inner = self._inner, QWidget()
        rows = QFormLayout(self._inner)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, row in self._rows.items():
            rows.addRow(row.parameter.label, row.widget.native)
            self._names[name] = rows.labelForField(row.widget.native)
            self._names[name].setToolTip(row.parameter.tip)
            row.connect(self._emit)
        self._hide_idle()
        self._layout.replaceWidget(former, self._inner)
        former.setParent(None)
        former.deleteLater()

    @property
    def values(self) -> dict[str, Any]:
        """Names and values of the fields that differ from their defaults."""
        return {name: row.value for name, row in self._rows.items() if row.value != row.parameter.default}

    def reset(self) -> None:
        """Reset every field to its default, and emit once."""
        for row in self._rows.values():
            row.value = row.parameter.default
        self._emit()

    def name_lengths(self, unit: str) -> None:
        """Write the unit of lengths behind the names that have one: mm, pixels or voxels."""
        for name, row in self._rows.items():
            self._names[name].setText(_in_unit(row.parameter.label, unit))
            for widget in (self._names[name], row.widget.native, row.field.native):
                widget.setToolTip(_in_unit(row.parameter.tip, unit))

    def fix(self, name: str, value: Any) -> bool:
        """Give a field a value that is the only one that fits, and hide it; None: its default, to be chosen again.

        Returns whether that is a change.
        """
        if name not in self._rows or (name in self._fixed) == (value is not None):
            return False
        row = self._rows[name]
        row.value = row.parameter.default if value is None else value
        (self._fixed.discard if value is None else self._fixed.add)(name)
        self._hide_idle()
        return True

    def _hide_idle(self) -> None:
        """Hide the parameters of modes that are off, and those that are fixed."""
        for name, row in self._rows.items():
            when = row.parameter.shown.when
            used = when is None or when[0] not in self._rows or self._rows[when[0]].value in when[1]
            used = used and name not in self._fixed
            for widget in (row.widget.native, self._names[name]):
                widget.setVisible(used)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, name: str) -> _Row:
        return self._rows[name]

    def _emit(self) -> None:
        self._hide_idle()
        self.changed.emit(self.values)


class _Row:
    """One field: its widget, with an ``auto`` box before it if None is allowed."""

    def __init__(self, parameter: Parameter, value: Any) -> None:
        self.parameter = parameter
        self.field: Any = _make_field(parameter)
        self.auto: CheckBox | None = None
        self.widget: Widget = self.field
        if parameter.optional:
            self.auto = CheckBox(text="auto", tooltip="The engine chooses the value and shows it below")
            inner: Container[Any] = Container(widgets=[self.auto, self.field], layout="horizontal", labels=False)
            inner.margins = (0, 0, 0, 0)
            self.widget = inner
            self.auto.changed.connect(self._enable)
        if not isinstance(self.field, CheckBox):  # the dock has no room for the longest number of a range
            self.field.native.setMinimumWidth(_WIDTH)
        self.widget.tooltip = self.field.tooltip = parameter.tip
        self.value = value

    @property
    def value(self) -> Any:
        """The value of the field; None for ``auto``."""
        return None if self.auto is not None and self.auto.value else self.field.value

    @value.setter
    def value(self, value: Any) -> None:
        with self.field.changed.blocked():
            if self.auto is not None:
                with self.auto.changed.blocked():
                    self.auto.value = value is None
                self._enable()
            if value is not None:
                if self.parameter.kind == "float":  # a field rounds to its decimals
                    self.field.native.setDecimals(max(self.field.native.decimals(), _decimals(value)))
                self.field.value = value

    def connect(self, changed: Any) -> None:
        """Call a function without arguments whenever the user changes the value."""
        if self.parameter.kind == "text":  # a path is used when it is complete
            self.field.native.editingFinished.connect(changed)
        else:
            self.field.changed.connect(lambda _value: changed())
        if self.auto is not None:
            self.auto.changed.connect(lambda _value: changed())

    def _enable(self) -> None:
        self.field.enabled = self.auto is None or not self.auto.value


def _make_field(parameter: Parameter) -> Any:
    """The magicgui widget for a kind of parameter."""
    if parameter.kind == "choice":
        texts = parameter.shown.choices or tuple(map(str, parameter.choices))
        return ComboBox(choices=list(zip(texts, parameter.choices, strict=True)))
    if parameter.kind == "bool":
        return CheckBox(text="")
    if parameter.kind == "text":
        return LineEdit()
    largest = _LARGEST_INT if parameter.kind == "int" else _LARGEST
    low, high = max(parameter.low, -largest), min(parameter.high, largest)
    if parameter.kind == "int":
        field: Any = SpinBox(min=math.ceil(low), max=math.floor(high), step=max(round(parameter.step), 1))
    else:
        field = FloatSpinBox(min=low, max=high, step=parameter.step)
        field.native.setDecimals(max(2, 1 - math.floor(math.log10(parameter.step))))
    field.native.setKeyboardTracking(False)  # a value is used when it is complete, not digit by digit
    field.value = min(max(0, field.min), field.max)
    return field


def _in_unit(text: str, unit: str) -> str:
    """A text about millimetres in another unit."""
    return re.sub(r"\bmm\b", unit, text)


def _decimals(value: float) -> int:
    """Number of decimals that a number is written with."""
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return min(max(-exponent, 0), _MOST_DECIMALS) if isinstance(exponent, int) else 0
