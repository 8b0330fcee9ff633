"""Projects: cases that are annotated, learned from, shared and exported together; needs no window.

A module is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_scribseg.learn.case import Case, Counts
    from napari_scribseg.learn.project import Project

__all__ = ["Case", "Counts", "Project"]

_MODULES = {
    "Case": "case",
    "Counts": "case",
    "Project": "project",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
