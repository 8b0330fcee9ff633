"""Names and colours of classes as napari has them."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.core import ClassTable
from napari_scribseg.io.napari_hooks import class_colors, class_features
from napari_scribseg.io.napari_hooks import layer_classes as read_layer_classes

__all__ = ["DEFAULT_BACKGROUND", "class_colormap", "class_features", "layer_classes", "warm_up_colors"]

DEFAULT_BACKGROUND = 255  # id of background strokes in a new table; saved as 0


def class_colormap(classes: ClassTable) -> DirectLabelColormap:
    """Colours by id; hidden classes are transparent, ids without a class grey."""
    return DirectLabelColormap(color_dict=class_colors(classes))


def layer_classes(layer: Labels) -> ClassTable:
    """Names and colours of a labels layer; a class named "background" is the background."""
    return read_layer_classes({"features": layer.features, "colormap": layer.colormap})


def warm_up_colors(colormap: DirectLabelColormap) -> None:
    """Let napari compile its colour tables, which takes seconds the first time.

    No layer is made here: in another thread than the window's it would read pint's units while they are being loaded.
    """
    for dtype in (np.uint8, np.uint16):
        colormap.map(np.ones((2, 2), dtype))
