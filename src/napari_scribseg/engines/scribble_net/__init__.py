"""A trained network that answers each stroke: every class against the rest, in crops around what is drawn."""

from napari_scribseg.engines.scribble_net.engine import ScribbleNet

__all__ = ["ScribbleNet"]
