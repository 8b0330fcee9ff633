"""Names and colours of classes the way napari has them, there and back."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.core import ClassTable
from napari_scribseg.io.napari_hooks import class_colors, class_features
from napari_scribseg.io.napari_hooks import layer_classes as read_layer_classes

__all__ = ["class_colormap", "class_features", "layer_classes", "warm_up_labels"]


def class_colormap(classes: ClassTable) -> DirectLabelColormap:
    """Colours by id; hidden classes are transparent, ids without a class grey."""
    return DirectLabelColormap(color_dict=class_colors(classes))


def layer_classes(layer: Labels) -> ClassTable:
    """Names and colours of a labels layer; a class named "background" is the background."""
    return read_layer_classes({"features": layer.features, "colormap": layer.colormap})


def warm_up_labels() -> None:
    """Make a labels layer for nobody: napari compiles its colour tables at the first one, which takes seconds."""
    classes = ClassTable.from_ids([1], background=255)
    for dtype in (np.uint8, np.uint16):
        layer = Labels(np.ones((2, 2), dtype), colormap=class_colormap(classes), features=class_features(classes))
        layer.refresh()
