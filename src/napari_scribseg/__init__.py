"""Scribble segmentation for napari: paint a few strokes, see the segmentation update, save it with its geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_scribseg.annotate.session import Session as Session
    from napari_scribseg.core.classes import ClassTable as ClassTable
    from napari_scribseg.core.classes import LabelClass as LabelClass
    from napari_scribseg.core.engine import Segmentation as Segmentation
    from napari_scribseg.core.errors import Cancelled as Cancelled
    from napari_scribseg.core.errors import InputError as InputError
    from napari_scribseg.core.image import Image as Image
    from napari_scribseg.core.registry import engine_names as engine_names
    from napari_scribseg.core.registry import get_engine as get_engine
    from napari_scribseg.core.scribbles import Scribbles as Scribbles
    from napari_scribseg.core.scribbles import Stroke as Stroke
    from napari_scribseg.core.source import SliceIndex as SliceIndex
    from napari_scribseg.core.source import Source as Source
    from napari_scribseg.numerics.measure import measure_labels as measure_labels

_HOMES = {
    "Cancelled": "core.errors",
    "ClassTable": "core.classes",
    "Image": "core.image",
    "InputError": "core.errors",
    "LabelClass": "core.classes",
    "Scribbles": "core.scribbles",
    "Segmentation": "core.engine",
    "Session": "annotate.session",
    "SliceIndex": "core.source",
    "Source": "core.source",
    "Stroke": "core.scribbles",
    "engine_names": "core.registry",
    "get_engine": "core.registry",
    "measure_labels": "numerics.measure",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-scribseg")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
