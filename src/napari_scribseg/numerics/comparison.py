"""Two masks compared: their overlap, and the distances between their boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["boundary_distances", "overlap"]


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Dice coefficient and intersection over union of two masks; both 1 where both are empty."""
    common, total = int(np.count_nonzero(found & true)), int(np.count_nonzero(found)) + int(np.count_nonzero(true))
    if total == 0:
        return 1.0, 1.0
    return 2 * common / total, common / (total - common)


def boundary_distances(
    found: NDArray[np.bool_], true: NDArray[np.bool_], spacing: tuple[float, ...]
) -> tuple[float, float, float]:
    """Distances between the boundaries of two masks, by SimpleITK's contour and distance-map filters.

    Parameters
    ----------
    found, true : ndarray of shape (\\*S), bool
        Of the same shape.
    spacing : tuple of float
        Voxel size along each axis.

    Returns
    -------
    hausdorff, hausdorff95, surface : float
        Maximum, 95th percentile and mean over the boundary voxels of both masks of the distance to the other's
        boundary, in the unit of ``spacing``. 0 where both masks are empty, the diagonal of the image where one is.
    """
    if not found.any() and not true.any():
        return 0.0, 0.0, 0.0
    if not found.any() or not true.any():
        diagonal = float(np.linalg.norm(np.asarray(found.shape) * spacing))
        return diagonal, diagonal, diagonal
    distances = np.concatenate([_to_boundary(found, true, spacing), _to_boundary(true, found, spacing)])
    return float(distances.max()), float(np.percentile(distances, 95)), float(distances.mean())


def _to_boundary(mask: NDArray[np.bool_], other: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Distance of each boundary voxel of ``mask`` to the boundary of ``other``."""
    import SimpleITK

    sitk: Any = SimpleITK
    contours = []
    for values in (mask, other):
        image = sitk.GetImageFromArray(np.pad(values, 1).astype(np.uint8))  # an object at the rim has a boundary there
        image.SetSpacing(tuple(float(s) for s in reversed(spacing)))
        contours.append(sitk.LabelContour(image, fullyConnected=True))
    field = sitk.SignedMaurerDistanceMap(contours[1], squaredDistance=False, useImageSpacing=True)
    at_boundary = sitk.GetArrayViewFromImage(contours[0]).astype(bool)
    distances: NDArray[np.float32] = np.abs(sitk.GetArrayViewFromImage(field)[at_boundary])
    return distances
