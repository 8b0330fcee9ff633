"""Networks that learn from what a user accepted, and projects of many cases; needs no window.

A module is loaded when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_scribseg.learn.agreement import Agreement
    from napari_scribseg.learn.case import Case, Counts
    from napari_scribseg.learn.examples import Example, examples_of
    from napari_scribseg.learn.learning_process import learn_in_subprocess
    from napari_scribseg.learn.network import Card, LearnedNetwork
    from napari_scribseg.learn.project import Project
    from napari_scribseg.learn.training import LearnSettings, learn

__all__ = [
    "Agreement",
    "Card",
    "Case",
    "Counts",
    "Example",
    "LearnSettings",
    "LearnedNetwork",
    "Project",
    "examples_of",
    "learn",
    "learn_in_subprocess",
]

_MODULES = {
    "Agreement": "agreement",
    "Card": "network",
    "Case": "case",
    "Counts": "case",
    "Example": "examples",
    "LearnSettings": "training",
    "LearnedNetwork": "network",
    "Project": "project",
    "examples_of": "examples",
    "learn": "training",
    "learn_in_subprocess": "learning_process",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
