"""Preparation in the background when the widget opens, before the first stroke."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.common.colors import class_colormap, warm_up_colors
from napari_scribseg.widgets.common.dispatch import Dispatcher

__all__ = ["PREPARING", "READY", "warm_up"]

PREPARING = "Preparing the engine for this computer; the very first result may take some seconds longer"
READY = "The engine is ready"
_PATIENCE_MS = 700


def warm_up(dispatcher: Dispatcher, show: Callable[[str], object]) -> None:
    """Load the compiled kernels; show a message if it takes long because they are compiled for the first time."""
    progress = {"done": False, "shown": False}

    def finished(_result: object) -> None:
        progress["done"] = True
        if progress["shown"]:
            show(READY)

    def announce() -> None:
        if not progress["done"]:
            progress["shown"] = True
            show(PREPARING)

    dispatcher.later(_PATIENCE_MS, announce)
    colormap = class_colormap(ClassTable.from_ids([1], background=255))

    def prepare() -> None:
        warm_up_colors(colormap)
        importlib.import_module("napari_scribseg.numerics").warm_up()

    dispatcher.aside(prepare, finished, finished)
