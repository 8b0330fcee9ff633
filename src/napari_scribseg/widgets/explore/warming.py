"""Warm-up in the background when the explorer opens, so that the first frame, cut and embedding do not wait."""

from __future__ import annotations

import contextlib

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.explore.embedding import fit_embedding
from napari_scribseg.explore.needs import need
from napari_scribseg.widgets.common.colors import class_colormap, warm_up_colors
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.explore.scene import Scene
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["warm_up"]

_PACKAGES = (  # their import holds Python's lock and blocks the window
    "higra",
    "sklearn.cluster",
    "pytorch_metric_learning.losses",
    "pytorch_metric_learning.samplers",
)


def warm_up(dispatcher: Dispatcher) -> None:
    """Load the compiled loops of the embedding and its scene, and the packages of the extra."""
    colormap = class_colormap(ClassTable.from_ids([1], background=255))
    dispatcher.aside(lambda: _warm_up(colormap), lambda _none: None, lambda _error: None)


def _warm_up(colormap: DirectLabelColormap) -> None:
    tiles = Tiles()
    scene = Scene(tiles)
    ids = np.arange(1, 4)
    scene.show(ids, np.eye(3, 2, dtype=np.float32), (60, 60), 0.0, smoothly=False)
    tiles.put(ids[:2], np.zeros((2, tiles.side, tiles.side, 3), dtype=np.uint8))
    scene.frame(60, 60)
    fit_embedding(np.eye(8, dtype=np.float32), np.zeros(8, dtype=np.int32))
    warm_up_colors(colormap)
    for name in _PACKAGES:
        with contextlib.suppress(InputError):  # reported when it is needed
            need(name)
    _describe_one()


def _describe_one() -> None:
    """Load the shipped network and show it a small picture."""
    from napari_scribseg.explore.encoders import MapEncoder

    MapEncoder().describe(np.zeros((1, 16, 16), dtype=np.float32), np.zeros((16, 16), dtype=np.int32))
