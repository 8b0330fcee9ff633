"""SVCD: spatially varying colour distributions and a convex relaxation, the strokes' segmentation without training."""

from napari_scribseg.engines.svcd.engine import SVCD

__all__ = ["SVCD"]
