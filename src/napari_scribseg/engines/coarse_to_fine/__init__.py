"""Coarse to fine: a rough outline on a coarse grid, made a mask by a network that is fitted to the one image."""

from napari_scribseg.engines.coarse_to_fine.engine import CoarseToFine

__all__ = ["CoarseToFine"]
