"""What is done in the background when the explorer opens, so that the first frame and the first cut find it done."""

from __future__ import annotations

import numpy as np

from napari_scribseg.widgets.colors import warm_up_labels
from napari_scribseg.widgets.dispatch import Dispatcher
from napari_scribseg.widgets.explore.scene import Scene
from napari_scribseg.widgets.explore.tiles import Tiles

__all__ = ["warm_up"]


def warm_up(dispatcher: Dispatcher) -> None:
    """Load the compiled loops of the plane; the very first time they are compiled."""
    dispatcher.aside(_warm_up, lambda _none: None, lambda _error: None)


def _warm_up() -> None:
    tiles = Tiles()
    scene = Scene(tiles)
    ids = np.arange(1, 4)
    scene.show(ids, np.eye(3, 2, dtype=np.float32), (60, 60), 0.0, smoothly=False)
    tiles.put(ids[:2], np.zeros((2, tiles.side, tiles.side, 3), dtype=np.uint8))
    scene.frame(60, 60)
    warm_up_labels()
