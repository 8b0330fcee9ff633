"""The image to annotate, its channels, and the layers to paint on and to write to."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_scribseg.widgets.common.action_buttons import make_button
from napari_scribseg.widgets.common.actions import Action
from napari_scribseg.widgets.common.combos import compact_combo, fill_combo
from napari_scribseg.widgets.common.layers import image_layers, label_layers
from napari_scribseg.widgets.common.sources import LayerSource, channel_choices

__all__ = ["ImagePanel"]

_NEW, _NONE = "new layer", "none"


class ImagePanel(QWidget):
    """Combo boxes of layers, which follow the viewer's list, and the button that begins."""

    image_chosen = Signal(object)
    clicks_chosen = Signal(object)
    started = Signal()

    def __init__(self, viewer: ViewerModel, start: Action[Any, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
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
        self.start = make_button(start)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(3)
        for text, combo in (
            ("Image", self.image_combo),
            ("Channels", self.channels_combo),
            ("Strokes", self.strokes_combo),
            ("Result", self.result_combo),
            ("Clicks", self.clicks_combo),
        ):
            form.addRow(text, combo)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.start)
        self.image_combo.currentIndexChanged.connect(self._on_image)
        self.clicks_combo.currentIndexChanged.connect(lambda _index: self.clicks_chosen.emit(self.clicks))
        self.start.clicked.connect(lambda: self.started.emit())
        for event in self._list_events():
            event.connect(self.refresh)
        self.refresh()

    def _list_events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.renamed, events.reordered

    @property
    def image(self) -> Image | None:
        """The image chosen."""
        chosen = self.image_combo.currentData()
        return chosen if isinstance(chosen, Image) else None

    @property
    def source(self) -> LayerSource | None:
        """The image with its channels as chosen."""
        chosen = self.channels_combo.currentData()
        return chosen if isinstance(chosen, LayerSource) else None

    @property
    def strokes(self) -> Labels | None:
        """The layer to paint on; None for a new one."""
        chosen = self.strokes_combo.currentData()
        return chosen if isinstance(chosen, Labels) else None

    @property
    def result(self) -> Labels | None:
        """The layer to write to; None for a new one."""
        chosen = self.result_combo.currentData()
        return chosen if isinstance(chosen, Labels) else None

    @property
    def clicks(self) -> Points | Shapes | None:
        """The layer whose points are clicks, or whose shapes are outlines; None for none."""
        chosen = self.clicks_combo.currentData()
        return chosen if isinstance(chosen, (Points, Shapes)) else None

    def choose(self, image: Image, strokes: Labels | None = None, result: Labels | None = None) -> None:
        """Show these layers as chosen; no signal is sent."""
        for combo, layer in ((self.image_combo, image), (self.strokes_combo, strokes), (self.result_combo, result)):
            combo.blockSignals(True)
            combo.setCurrentIndex(max(_index(combo, layer), 0))
            combo.blockSignals(False)
        self._fill_channels()

    def refresh(self, _event: Any = None) -> None:
        """Follow a change of the viewer's list of layers."""
        images, former = image_layers(self._viewer), self.image
        fill_combo(self.image_combo, [(layer.name, layer) for layer in images])
        for combo in (self.strokes_combo, self.result_combo):
            fill_combo(combo, [(_NEW, None), *((layer.name, layer) for layer in label_layers(self._viewer))])
        clicks = self.clicks
        fill_combo(
            self.clicks_combo,
            [(_NONE, None), *((one.name, one) for one in self._viewer.layers if isinstance(one, (Points, Shapes)))],
        )
        if self.clicks is not clicks:
            self.clicks_chosen.emit(self.clicks)
        self.start.setEnabled(bool(images))
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

    def _on_image(self, _index: int = 0) -> None:
        self._fill_channels()
        self._find_layers()
        self.image_chosen.emit(self.image)

    def _find_layers(self) -> None:
        """Choose the layers that belong to the image by their name and shape, such as those of sample data."""
        for combo, role in ((self.strokes_combo, "strokes"), (self.result_combo, "labels")):
            found = None
            if self.source is not None:
                name, shape = f"{self.source.layer.name} {role}", self.source.layer_shape
                layers = label_layers(self._viewer)
                found = next((one for one in layers if one.name == name and one.data.shape == shape), None)
            combo.setCurrentIndex(max(_index(combo, found), 0))

    def _fill_channels(self) -> None:
        image = self.image
        choices = [] if image is None or image.ndim < 2 else channel_choices(image, image_layers(self._viewer))
        fill_combo(self.channels_combo, list(choices))
        self.channels_combo.setEnabled(len(choices) > 1)


def _index(combo: QComboBox, data: Any) -> int:
    return next((i for i in range(combo.count()) if combo.itemData(i) is data), -1)
