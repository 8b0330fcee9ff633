"""What is measured of a class: its size, its intensities and where it lies."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Measurement"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A class in a whole volume, or in one of its slices. What cannot be measured is None.

    Attributes
    ----------
    id : int
        The class.
    time : int or None
        Which volume of a series.
    slice : int or None
        Which slice; None for the whole.
    voxels : int
        Number of voxels, or of pixels of a 2D image.
    volume_ml : float or None
        Volume in millilitres, of a slice that of its voxels; None where the size of a voxel is not known.
    area_mm2, perimeter_mm : float or None
        Of a slice or a 2D image.
    mean, sd, p5, median, p95 : float or None
        Of the finite values of the image: mean, standard deviation of the sample, percentiles 5, 50 and 95 (linear
        interpolation between values).
    surface_mm2 : float or None
        Of a whole volume.
    centre_voxel : tuple of float or None
        Mean index along each axis of space; None without voxels.
    centre_mm : tuple of float or None
        The same point in RAS+ millimetres; None where the position in the patient is not known.
    """

    id: int
    time: int | None = None
    slice: int | None = None
    voxels: int = 0
    volume_ml: float | None = None
    area_mm2: float | None = None
    perimeter_mm: float | None = None
    mean: float | None = None
    sd: float | None = None
    p5: float | None = None
    median: float | None = None
    p95: float | None = None
    surface_mm2: float | None = None
    centre_voxel: tuple[float, ...] | None = None
    centre_mm: tuple[float, float, float] | None = None
