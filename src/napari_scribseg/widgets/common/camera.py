"""The camera of a viewer."""

from __future__ import annotations

from typing import Any

__all__ = ["camera_of"]


def camera_of(viewer: Any) -> Any:
    """The camera of a ``napari.Viewer``, which moved to ``viewer.scene`` in napari 0.9."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
