"""The form of the images: layers, folders and files to add, and the visible image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_scribseg.explore import Picture
from napari_scribseg.widgets.common.combos import fill_combo
from napari_scribseg.widgets.common.layer_source import LayerSource, channel_choices
from napari_scribseg.widgets.common.layers import image_layers
from napari_scribseg.widgets.explore.panels import action_buttons

__all__ = ["ImagesPanel"]


class ImagesPanel(QWidget):
    """Choosers kept in step with the viewer's list; ``pressed`` with the action of a button, ``turned`` with an image.

    ``refreshed`` has the names of the image layers, and the layers, whenever they changed.
    """

    pressed = Signal(object)
    turned = Signal(int)
    refreshed = Signal(list)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer = QComboBox()
        self.layer.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer.setMinimumContentsLength(8)
        self.layer.setToolTip("An image, a stack of images, or a volume, which becomes its slices along the first axis")
        self.buttons = action_buttons("images", self.pressed)
        self.number = QSpinBox()
        self.number.setToolTip("The visible image; the slider of the canvas moves through those of one layer, too")
        self.name = QLabel("")
        above, below = QHBoxLayout(), QHBoxLayout()
        above.addWidget(self.layer, 1)
        for made in self.buttons.values():
            above.addWidget(made)
        below.addWidget(QLabel("Visible"))
        below.addWidget(self.number)
        below.addWidget(self.name, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addLayout(below)
        self.number.valueChanged.connect(lambda value: self.turned.emit(value - 1))
        for event in self._events():
            event.connect(self.refresh)
        self.refresh()

    @property
    def layers(self) -> list[tuple[str, Any]]:
        """The image layers, by name."""
        return [(layer.name, layer) for layer in image_layers(self._viewer)]

    @property
    def source(self) -> LayerSource | None:
        """The layer chosen, read in the likeliest way."""
        chosen = self.layer.currentData()
        return channel_choices(chosen, image_layers(self._viewer))[0][1] if isinstance(chosen, Image) else None

    def source_of(self, pictures: Sequence[Picture]) -> LayerSource | None:
        """The layer in the viewer that shows an image, or the slices of a volume; None where there is none."""
        first, volume = pictures[0], pictures[0].z_index is not None
        if not volume and len(pictures) > 1:
            return None
        for layer in image_layers(self._viewer):
            source = channel_choices(layer, [layer])[0][1]
            if source.shape != ((len(pictures), *first.shape) if volume else first.shape):
                continue
            if layer.source.path == first.path if first.path is not None else _shows(source, pictures):
                return source
        return None

    def show_picture(self, index: int | None, count: int, name: str) -> None:
        """Show which image is visible, without a signal."""
        self.number.blockSignals(True)
        self.number.setRange(1 if count else 0, count)
        self.number.setSuffix(f" of {count}")
        self.number.setEnabled(count > 0)
        if index is not None:
            self.number.setValue(index + 1)
        self.number.blockSignals(False)
        self.name.setText(name if index is not None else "none" if count else "no images yet")
        self.name.setToolTip(name)

    def refresh(self, _event: Any = None) -> None:
        """Follow the viewer's list of layers."""
        layers = self.layers
        fill_combo(self.layer, layers)
        self.refreshed.emit(layers)
        self.buttons["add"].setEnabled(self.layer.count() > 0)

    def close_events(self) -> None:
        """Disconnect from the viewer."""
        for event in self._events():
            event.disconnect(self.refresh)

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.renamed, events.reordered


def _shows(source: LayerSource, pictures: Sequence[Picture]) -> bool:
    """Whether a layer has the name, and in the first and last slice the values, of pictures that came from a layer."""
    layer, first = source.layer, pictures[0]
    name = first.name if first.z_index is None else first.name.rpartition(" [")[0]
    if layer.name != name or layer.multiscale or source.channel_axis is not None:
        return False
    slices = [layer.data] if first.z_index is None else [layer.data[0], layer.data[-1]]
    return all(
        np.array_equal(np.asarray(shown).astype(picture.array.dtype), picture.array)
        for shown, picture in zip(slices, (first, pictures[-1]), strict=False)
    )
