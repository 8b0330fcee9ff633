"""A volume's labels solved in three dimensions: all strokes and labelled slices at once, whatever their orientation.

- ``cut``: coarse to fine, and what of a prior may change; ``energy``: the terms; ``features``: what they see
- ``grid``: blocks of voxels; ``band``: some voxels and their neighbours; ``paths``, ``relaxation``: compiled loops
"""

from __future__ import annotations

from napari_scribseg.numerics.volume_cut.cut import cut_volume

__all__ = ["cut_volume"]
