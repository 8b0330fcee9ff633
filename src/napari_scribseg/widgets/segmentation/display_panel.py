"""How the image is displayed: its window, the axis that slices cut, radiological display and letters."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from napari_scribseg.core.padding import measured_values
from napari_scribseg.core.windows import DisplayWindow, display_windows
from napari_scribseg.widgets.common.action import Action
from napari_scribseg.widgets.common.action_buttons import make_button
from napari_scribseg.widgets.common.combos import choose_data, compact_combo, fill_combo
from napari_scribseg.widgets.common.fold import window_settings
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.patient_view import PatientView

__all__ = ["DisplayPanel", "windows_of"]

_BY_HAND = "as set by hand"
_UNPLACED = "The image does not say how it lies in the patient"


def windows_of(layer: Image) -> tuple[DisplayWindow, ...]:
    """The windows to offer for a layer: those that our reader found, or those of the values; none of colours.

    Of an image that is read lazily, or of several resolutions, they are those of the reader only.
    """
    left = layer.metadata.get("scribseg")
    found = left.get("windows") if isinstance(left, dict) else None
    if isinstance(found, tuple):
        return found
    if layer.rgb or layer.multiscale or not isinstance(layer.data, np.ndarray) or layer.data.ndim < 2:
        return ()
    return display_windows(layer.data)


class DisplayPanel(QWidget):
    """Choosers that change what is on the screen, never the data.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    views : Action, optional
        Of the button that opens other views.

    Attributes
    ----------
    view : PatientView
        Letters, radiological display and the axis of the slices.
    """

    def __init__(self, viewer: ViewerModel, views: Action[Any, Any] | None = None) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Image | None = None
        self._windows: tuple[DisplayWindow, ...] = ()
        self.view = PatientView(viewer)
        self.contrast_combo, self.slices_combo = compact_combo(), compact_combo()
        self.contrast_combo.setToolTip(
            "The range of values from black to white; the slider of the layer changes it too"
        )
        self.slices_combo.setToolTip("Along which axis to go through the volume")
        self.radiological_box = QCheckBox("radiological")
        self.letters_box = QCheckBox("letters")
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(3)
        form.addRow("Contrast", self.contrast_combo)
        form.addRow("Slices", self.slices_combo)
        row = QHBoxLayout()
        row.addWidget(self.radiological_box)
        row.addWidget(self.letters_box)
        row.addStretch(1)
        self.views_button = None if views is None else make_button(views)
        if self.views_button is not None:
            row.addWidget(self.views_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(form)
        column.addLayout(row)
        self.contrast_combo.activated.connect(lambda _index: self._on_contrast())
        self.slices_combo.activated.connect(lambda _index: self._on_slices())
        self.radiological_box.toggled.connect(self._on_radiological)
        self.letters_box.toggled.connect(self._on_letters)
        for event in self._events():
            event.connect(self._show_slices)
        self.follow(None)
        for box in (self.radiological_box, self.letters_box):
            box.setChecked(str(window_settings().value(f"display/{box.text()}", False)).lower() == "true")

    def follow(self, source: LayerSource | None) -> None:
        """Display this image from now on."""
        if self._layer is not None:
            self._layer.events.contrast_limits.disconnect(self._show_contrast)
        self._layer, self._windows = None if source is None else source.layer, ()
        if self._layer is not None:
            self._windows = windows_of(self._layer)
            _widen_range(self._layer, self._windows)
            self._layer.events.contrast_limits.connect(self._show_contrast)
        self.view.follow(source)
        self._show_contrast()
        self._show_slices()
        placed = self.view.is_placed
        self.radiological_box.setEnabled(placed)
        for box in (self.radiological_box, self.letters_box):
            box.setVisible(placed)
        self.letters_box.setEnabled(placed and self.view.can_letter)
        self.radiological_box.setToolTip(
            "The patient's right on the left of the screen, front or head above" if placed else _UNPLACED
        )
        letters = "Where the patient's right (R), left (L), front (A), back (P), head (S) and feet (I) are"
        self.letters_box.setToolTip((letters if placed else _UNPLACED) if self.view.can_letter else "Needs napari 0.9")

    def begin(self) -> None:
        """Display the patient as radiologists do, with letters, unless the user has chosen otherwise before.

        A view that was transposed by hand stays.
        """
        rows, columns = self._viewer.dims.order[-2:]
        if not self.view.shows_patient or rows > columns:
            return
        for box, show in ((self.radiological_box, self._show_radiological), (self.letters_box, self._show_letters)):
            if box.isEnabled() and not window_settings().contains(f"display/{box.text()}"):
                with QSignalBlocker(box):
                    box.setChecked(True)
                show(True)

    def close_events(self) -> None:
        """Disconnect from the viewer, and undo the display."""
        for event in self._events():
            event.disconnect(self._show_slices)
        if self._layer is not None:  # the fields may be gone: napari closes the viewer first
            self._layer.events.contrast_limits.disconnect(self._show_contrast)
            self._layer = None
        self.view.follow(None)
        self.view.close()

    def _events(self) -> tuple[Any, ...]:
        dims = self._viewer.dims.events
        return dims.order, dims.ndisplay, dims.ndim

    def _show_contrast(self, _event: Any = None) -> None:
        """Show which window the layer has."""
        entries = [(f"{w.name}: {w.low:.5g} to {w.high:.5g}", w) for w in self._windows]
        limits = None if self._layer is None else tuple(self._layer.contrast_limits)
        shown = next((w for w in self._windows if limits == (w.low, w.high)), None)
        fill_combo(self.contrast_combo, [*([] if shown else [(_BY_HAND, None)]), *entries])
        choose_data(self.contrast_combo, shown)
        self.contrast_combo.setEnabled(bool(self._windows))

    def _on_contrast(self) -> None:
        window = self.contrast_combo.currentData()
        if self._layer is not None and window is not None:
            self._layer.contrast_limits = (window.low, window.high)

    def _show_slices(self, _event: Any = None) -> None:
        """Show which axis the slices cut."""
        axes, axis = self.view.slice_axes(), self.view.slice_axis
        other = "3D view" if self._viewer.dims.ndisplay == 3 else "other axes"
        fill_combo(self.slices_combo, [*axes, *([(other, None)] if axes and axis is None else [])])
        choose_data(self.slices_combo, axis)
        for widget in (self.slices_combo, self._form.labelForField(self.slices_combo)):
            widget.setVisible(bool(axes))

    def _on_slices(self) -> None:
        axis = self.slices_combo.currentData()
        if axis is not None and axis != self.view.slice_axis:
            self.view.show_slices(axis)

    def _show_radiological(self, wanted: bool) -> None:
        self.view.radiological = wanted

    def _show_letters(self, shown: bool) -> None:
        self.view.letters = shown

    def _on_radiological(self, wanted: bool) -> None:
        self._show_radiological(wanted)
        window_settings().setValue("display/radiological", wanted)
        if wanted and self.letters_box.isEnabled():
            self.letters_box.setChecked(True)

    def _on_letters(self, shown: bool) -> None:
        self._show_letters(shown)
        window_settings().setValue("display/letters", shown)


def _widen_range(layer: Image, windows: tuple[DisplayWindow, ...]) -> None:
    """Let the layer's slider reach all windows and values; a window alone leaves it no room."""
    if not windows:
        return
    low, high = layer.contrast_limits_range
    values = measured_values(layer.data) if isinstance(layer.data, np.ndarray) else np.empty(0)
    ends = [low, high, *(v for w in windows for v in (w.low, w.high))]
    if values.size:
        ends += [float(values.min()), float(values.max())]
    layer.contrast_limits_range = (min(ends), max(ends))
