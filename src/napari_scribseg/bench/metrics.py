"""Scores of a result: means over classes, the share of stroke pixels with their class, how errors are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_scribseg.numerics.comparison import boundary_distances, overlap

__all__ = ["Scores", "calibration_error", "error_auc", "score", "seed_accuracy"]

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
