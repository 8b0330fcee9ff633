"""A volume's labels solved in three dimensions: all strokes and labelled slices at once, whatever their orientation.

- ``cut``: coarse to fine, and what of a prior may change; ``energy``: the terms; ``features``: what they see
- ``span``: the slices between two labelled ones
- ``grid``: blocks of voxels; ``band``: some voxels and their neighbours; ``paths``, ``relaxation``: compiled loops
"""

from __future__ import annotations

from napari_scribseg.numerics.volume_cut.cut import CutVolume, cut_volume
from napari_scribseg.numerics.volume_cut.span import cut_span

__all__ = ["CutVolume", "cut_span", "cut_volume"]
