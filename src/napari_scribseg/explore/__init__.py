"""Feature-space annotation: label many segments of many images at once, by their features.

Bragantini, Falcão and Najman, Rethinking Interactive Image Segmentation: Feature Space Annotation (2022). Needs the
extra ``explore``; no Qt, no napari. A module is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_scribseg.explore.cutting import CutSettings
    from napari_scribseg.explore.workspace import Workspace
    from napari_scribseg.explore.workspace_images import Added, Picture

__all__ = ["Added", "CutSettings", "Picture", "Workspace"]

_MODULES = {
    "Added": "workspace_images",
    "CutSettings": "cutting",
    "Picture": "workspace_images",
    "Workspace": "workspace",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
