"""The writer of napari's File > Save: geometry that a layer has lost is taken from the image below it."""

from __future__ import annotations

from typing import Any

import napari
from napari.layers import Labels

from napari_scribseg.io import napari_hooks
from napari_scribseg.widgets.common.layers import image_of

__all__ = ["write_labels_layer"]


def write_labels_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Save a labels layer; one that was made with napari's own button lies where the image below it lies.

    Parameters, results and errors as of :func:`napari_scribseg.io.napari_hooks.write_labels_layer`.
    """
    viewer = napari.current_viewer()
    layers = () if viewer is None else viewer.layers
    layer = next((one for one in layers if isinstance(one, Labels) and one.data is data), None)
    image = None if viewer is None or layer is None else image_of(viewer, layer)
    if image is not None:
        meta = {**meta, "metadata": {**meta.get("metadata", {}), **image.metadata}}
    return napari_hooks.write_labels_layer(path, data, meta)
