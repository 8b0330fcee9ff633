"""Names and colours of classes the way napari has them, there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.core import ClassTable
from napari_scribseg.io.napari_hooks import layer_classes as read_layer_classes

__all__ = ["class_colormap", "class_features", "layer_classes", "warm_up_labels"]


def class_colormap(classes: ClassTable) -> DirectLabelColormap:
    """Colours by id; hidden classes are transparent, ids without a class grey."""
    colors: dict[int | None, Any] = {None: (0.6, 0.6, 0.6, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    colors.update({c.id: (*c.color[:3], c.color[3] if c.visible else 0.0) for c in classes})
    return DirectLabelColormap(color_dict=colors)


def class_features(classes: ClassTable) -> dict[str, list[Any]]:
    """The table that napari shows under the mouse, and that writers read: ``index`` and ``name``."""
    return {"index": [0, *classes.ids], "name": ["unlabelled", *(c.name for c in classes)]}


def layer_classes(layer: Labels) -> ClassTable:
    """Names and colours of a labels layer; a class named "background" is the background."""
    table = read_layer_classes({"features": layer.features, "colormap": layer.colormap})
    named = next((c.id for c in table if c.name.lower() == "background"), None)
    return table if named is None else table.as_background(named)


def warm_up_labels() -> None:
    """Make a labels layer for nobody: napari compiles its colour tables at the first one, which takes seconds."""
    classes = ClassTable.from_ids([1], background=255)
    for dtype in (np.uint8, np.uint16):
        layer = Labels(np.ones((2, 2), dtype), colormap=class_colormap(classes), features=class_features(classes))
        layer.refresh()
