"""Names and colours of classes the way napari has them, there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.core import ClassTable, LabelClass

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
    """Names and colours of a labels layer, from its features and its colormap."""
    table = ClassTable()
    names = dict(zip(layer.features.get("index", ()), layer.features.get("name", ()), strict=False))
    for identity, name in names.items():
        if identity > 0:
            r, g, b, _ = (float(c) for c in layer.colormap.map(int(identity)))
            table = table.with_class(LabelClass(int(identity), str(name), (r, g, b, 1.0)))
    return table


def warm_up_labels() -> None:
    """Make a labels layer for nobody: napari compiles its colour tables at the first one, which takes seconds."""
    classes = ClassTable.from_ids([1], background=255)
    for dtype in (np.uint8, np.uint16):
        layer = Labels(np.ones((2, 2), dtype), colormap=class_colormap(classes), features=class_features(classes))
        layer.refresh()
