"""How far a computation is that has parts."""

from __future__ import annotations

from napari_scribseg.core import Report, Segmentation

__all__ = ["part"]


def part(report: Report, start: float, stop: float) -> Report:
    """A report for the part of a computation between two fractions."""

    def told(fraction: float, preview: Segmentation[object] | None = None) -> None:
        report(start + (stop - start) * fraction)

    return told
