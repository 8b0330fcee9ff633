"""The camera of a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["camera_of", "fit_view"]

_PART = 0.95  # of the canvas that a fitted layer takes


def camera_of(viewer: Any) -> Any:
    """The camera of a ``napari.Viewer``, which moved to ``viewer.scene`` in napari 0.9."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def fit_view(viewer: Any, layer: Any) -> None:
    """Fit the displayed axes of a layer into the canvas; before napari 0.9 all layers are fitted.

    ``ViewerModel.reset_view`` takes no layer with fewer axes than the viewer has.
    """
    viewer.reset_view()
    missing = viewer.dims.ndim - layer.ndim
    if not hasattr(viewer, "canvas") or min(viewer.dims.displayed) < missing:
        return
    shown = [axis - missing for axis in viewer.dims.displayed]
    low, high = np.asarray(layer.extent.world)[:, shown]
    camera = camera_of(viewer)
    camera.center = tuple((low + high) / 2)
    if viewer.dims.ndisplay == 2:
        sizes = high - low + np.abs(np.asarray(layer.extent.step)[shown])
        camera.zoom = _PART * float(np.min(np.asarray(viewer.canvas.size) / sizes))
