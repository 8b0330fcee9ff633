"""The image to annotate, its channels, and the layers of strokes and results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action import Action
from napari_scribseg.widgets.common.action_buttons import make_button
from napari_scribseg.widgets.common.combos import choose_data, compact_combo, fill_combo
from napari_scribseg.widgets.common.fold import Fold
from napari_scribseg.widgets.common.layer_source import LayerSource, channel_choices
from napari_scribseg.widgets.common.layers import image_layers, label_layers

__all__ = ["ImagePanel"]

_NEW, _NONE = "new layer", "none"
_OFFER = 90  # pixels of text on the button of an offer


class ImagePanel(QWidget):
    """Combo boxes of layers, which follow the viewer's list, the button *Start painting*, and one that offers more.

    ``picked`` is emitted after ``image_chosen`` where the user chose the image, and not a change of the viewer's list.
    """

    image_chosen = Signal(object)
    picked = Signal()
    clicks_chosen = Signal(object)

    def __init__(self, viewer: ViewerModel, start: Action[Any, Any]) -> None:
        super().__init__()
        self._viewer = viewer
        self.image_combo, self.channels_combo = compact_combo(), compact_combo()
        self.strokes_combo, self.result_combo, self.clicks_combo = compact_combo(), compact_combo(), compact_combo()
        self.strokes_combo.setToolTip("Where to paint: a new layer, or a labels layer of the image's shape")
        self.result_combo.setToolTip("Where the result goes: a new layer, or existing labels to be corrected")
        self.clicks_combo.setToolTip(
            "A points layer whose points are painted as dots, or a shapes layer whose shapes are painted as outlines: "
            "in the class that their column 'class' names, else in the one chosen in the table"
        )
        self.channels_combo.setToolTip("The channels: one axis of the image, or several images of the same shape")
        self.start, self.offer = make_button(start), QPushButton("Resume")
        self.offer.hide()
        self._form = _form((("Image", self.image_combo), ("Channels", self.channels_combo)))
        layers = QWidget()
        more = _form((("Strokes", self.strokes_combo), ("Result", self.result_combo), ("Clicks", self.clicks_combo)))
        layers.setLayout(more)
        self.fold = Fold(layers, "Layers", name="segmentation/layers")
        self.fold.setToolTip("Layers that are there already: of strokes, of labels to be corrected, of clicks")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._form)
        row = QHBoxLayout()
        row.addWidget(self.fold)
        row.addWidget(self.start, 1)
        row.addWidget(self.offer)
        layout.addLayout(row)
        layout.addWidget(layers)
        self.image_combo.currentIndexChanged.connect(self._on_picked)
        self.clicks_combo.currentIndexChanged.connect(lambda _index: self.clicks_chosen.emit(self.clicks))
        for event in self._list_events():
            event.connect(self.refresh)
        self.refresh()

    def _list_events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.renamed, events.reordered

    @property
    def image(self) -> Image | None:
        """The chosen image; None if there is none."""
        image: Image | None = self.image_combo.currentData()
        return image

    @property
    def source(self) -> LayerSource | None:
        """The chosen image with the chosen channels; None if there is no image."""
        source: LayerSource | None = self.channels_combo.currentData()
        return source

    @property
    def strokes(self) -> Labels | None:
        """The layer to paint on; None for a new one."""
        strokes: Labels | None = self.strokes_combo.currentData()
        return strokes

    @property
    def result(self) -> Labels | None:
        """The layer of the result; None for a new one."""
        result: Labels | None = self.result_combo.currentData()
        return result

    @property
    def clicks(self) -> Points | Shapes | None:
        """The layer whose points are clicks, or whose shapes are outlines; None for none."""
        clicks: Points | Shapes | None = self.clicks_combo.currentData()
        return clicks

    def choose(self, image: Image, strokes: Labels | None = None, result: Labels | None = None) -> None:
        """Choose layers; no signal is sent."""
        for combo, layer in ((self.image_combo, image), (self.strokes_combo, strokes), (self.result_combo, result)):
            choose_data(combo, layer)
        self._fill_channels()

    def pick(self, image: Image) -> None:
        """Choose an image as a user does, with all signals."""
        combo = self.image_combo
        combo.setCurrentIndex(
            next((i for i in range(combo.count()) if combo.itemData(i) is image), combo.currentIndex())
        )

    def show_offer(self, text: str, tooltip: str) -> None:
        """Show a button beside *Start painting*; without a text there is none."""
        self.offer.setVisible(bool(text))
        if text:
            metrics = self.offer.fontMetrics()
            self.offer.setText(metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, _OFFER))
            self.offer.setToolTip(tooltip)

    def refresh(self, _event: Any = None) -> None:
        """Follow a change of the viewer's list of layers."""
        images, former = image_layers(self._viewer), self.image
        fill_combo(self.image_combo, [(layer.name, layer) for layer in images])
        for combo in (self.strokes_combo, self.result_combo):
            fill_combo(combo, [(_NEW, None), *((layer.name, layer) for layer in label_layers(self._viewer))])
        clicks = self.clicks
        drawn = (layer for layer in self._viewer.layers if isinstance(layer, (Points, Shapes)))
        fill_combo(self.clicks_combo, [(_NONE, None), *((layer.name, layer) for layer in drawn)])
        if self.clicks is not clicks:
            self.clicks_chosen.emit(self.clicks)
        if self.image is not former:
            self._on_image()
            return
        self._fill_channels()
        if self.strokes is None and self.result is None:
            self._find_layers()

    def close_events(self) -> None:
        """Disconnect from the viewer."""
        for event in self._list_events():
            event.disconnect(self.refresh)

    def _on_picked(self, _index: int) -> None:
        self._on_image()
        self.picked.emit()

    def _on_image(self) -> None:
        self._fill_channels()
        self._find_layers()
        self.image_chosen.emit(self.image)

    def _find_layers(self) -> None:
        """Choose the layers that belong to the image by name and shape, such as those of sample data."""
        source = self.source
        layers = [] if source is None else [x for x in label_layers(self._viewer) if x.data.shape == source.layer_shape]
        for combo, role in ((self.strokes_combo, "strokes"), (self.result_combo, "labels")):
            choose_data(combo, next((x for x in layers if source and x.name == f"{source.layer.name} {role}"), None))

    def _fill_channels(self) -> None:
        image = self.image
        choices = [] if image is None or image.ndim < 2 else channel_choices(image, image_layers(self._viewer))
        fill_combo(self.channels_combo, choices)
        for widget in (self.channels_combo, self._form.labelForField(self.channels_combo)):
            widget.setVisible(len(choices) > 1)


def _form(rows: Iterable[tuple[str, QWidget]]) -> QFormLayout:
    """Fields with their names before them."""
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setVerticalSpacing(3)
    for text, field in rows:
        form.addRow(text, field)
    return form
