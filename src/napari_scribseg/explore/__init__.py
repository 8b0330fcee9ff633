"""Feature-space annotation: label many segments of many images at once, by what they look like.

Bragantini, Falcão and Najman, Rethinking Interactive Image Segmentation: Feature Space Annotation (2022). Needs the
extra ``explore``; no Qt, no napari.
"""

from napari_scribseg.explore.cutting import CutSettings
from napari_scribseg.explore.pictures import Added, Picture
from napari_scribseg.explore.workspace import Workspace

__all__ = ["Added", "CutSettings", "Picture", "Workspace"]
