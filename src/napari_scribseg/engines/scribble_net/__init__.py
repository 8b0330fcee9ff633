"""A trained network that predicts each class against the rest, in crops around its strokes."""

from napari_scribseg.engines.scribble_net.engine import ScribbleNet

__all__ = ["ScribbleNet"]
