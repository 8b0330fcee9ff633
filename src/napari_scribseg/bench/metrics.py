"""Scores of a result: overlap, distances between boundaries, and the share of stroke pixels with their class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["Scores", "boundary_distances", "calibration_error", "error_auc", "overlap", "score", "seed_accuracy"]

_BINS = 15  # of the calibration error


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the classes that count.

    Attributes
    ----------
    dice, iou : float
        0 to 1; a class that is neither in the result nor in the truth scores 1.
    hausdorff, hausdorff95, surface : float
        Largest, 95th percentile and mean of the distances between the boundaries, both ways, in the unit of the
        spacing. Of a class that is missing in one of them, the diagonal of the image.
    """

    dice: float
    iou: float
    hausdorff: float
    hausdorff95: float
    surface: float


def score(
    labels: NDArray[np.integer], truth: NDArray[np.integer], classes: Iterable[int], spacing: tuple[float, ...] | None
) -> Scores:
    """Compare a result with the truth.

    Parameters
    ----------
    labels : ndarray of shape (\\*S), integer
        Class of each pixel in the result.
    truth : ndarray of shape (\\*S), integer
        True class; -1 where it is unknown, which is not counted.
    classes : iterable of int
        The classes that count.
    spacing : tuple of float, or None
        Pixel size; None leaves the distances out, which are NaN then.

    Returns
    -------
    Scores
    """
    rows = []
    valid = truth >= 0
    for k in classes:
        found, true = (labels == k) & valid, truth == k
        distances = (np.nan,) * 3 if spacing is None else boundary_distances(found, true, spacing)
        rows.append((*overlap(found, true), *distances))
    return Scores(*(float(v) for v in np.mean(rows, axis=0)))


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


def seed_accuracy(labels: NDArray[np.integer], seeds: NDArray[np.integer]) -> float:
    """Share of the painted pixels that have the class painted there; 1 where nothing is painted."""
    painted = seeds >= 0
    return float((labels[painted] == seeds[painted]).mean()) if painted.any() else 1.0


def error_auc(risk: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic of error detection.

    Parameters
    ----------
    risk : ndarray of shape (N,), floating
        Of each pixel's label to be wrong, in any unit.
    wrong : ndarray of shape (N,), bool
        Which labels are wrong.

    Returns
    -------
    float
        The probability that a wrong label has more risk than a right one: 0.5 by chance; NaN if none or all are wrong.
    """
    n_wrong = int(wrong.sum())
    n_right = wrong.size - n_wrong
    if not n_wrong or not n_right:
        return float("nan")
    ranks = rankdata(risk)
    return float((ranks[wrong].sum() - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right))


def calibration_error(risk: NDArray[np.floating], wrong: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean distance between the predicted and the observed share of errors, in 15 bins.

    Parameters
    ----------
    risk : ndarray of shape (N,), floating
        Probability of each pixel's label to be wrong, 0 to 1.
    wrong : ndarray of shape (N,), bool
        Which labels are wrong.

    Returns
    -------
    float
        0 to 1; NaN for no pixel.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    if not wrong.size:
        return float("nan")
    bins = np.minimum((risk * _BINS).astype(np.intp), _BINS - 1)
    difference = np.bincount(bins, risk, _BINS) - np.bincount(bins, wrong, _BINS)
    return float(np.abs(difference).sum() / wrong.size)
