"""Constants of the published model, shared by the reference and the fast paths."""

from __future__ import annotations

__all__ = ["EPSILON", "FORBIDDEN", "MIN_RHO"]

EPSILON = 1e-7  # least normalised density
FORBIDDEN = 1000.0  # cost of another label at a stroke pixel, and of a label without strokes
MIN_RHO = 0.4  # least width of the spatial kernel, in pixels
