"""The slices between two labelled ones, from both sides: their shapes, moved as the image moves."""

from __future__ import annotations

from napari_scribseg.numerics.filling.span import FilledSlice, Refine, fill_span

__all__ = ["FilledSlice", "Refine", "fill_span"]
