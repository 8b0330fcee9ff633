"""Statistics of scores: means with intervals, clicks needed, area under the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core import InputError

__all__ = ["Interval", "area_under_curve", "bootstrap_mean", "interactions_needed"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: ArrayLike, groups: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean of the values, with a percentile bootstrap interval.

    Groups are drawn, not values, because slices of a patient are not independent; the mean is that of the values.

    Parameters
    ----------
    values : array_like of shape (N,)
        One for each case; NaN is left out.
    groups : array_like of shape (N,), str
        Group of each.
    level : float
        Share of the resampled means inside the interval.
    resamples : int
        Number of times that groups are drawn with replacement.
    seed : int
        The same seed gives the same interval.

    Returns
    -------
    Interval
        All NaN without values; of one group alone the ends are the mean.

    Raises
    ------
    InputError
        If there are not as many groups as values.
    """
    array = np.asarray(values, dtype=np.float64)
    names = np.asarray(groups, dtype=object)
    if names.size != array.size:
        raise InputError(f"{names.size} groups were given for {array.size} values; one for each is expected")
    kept = np.isfinite(array)
    if not kept.any():
        return Interval(np.nan, np.nan, np.nan)
    array = array[kept]
    _, index = np.unique(names[kept], return_inverse=True)
    sums, counts = np.bincount(index, weights=array), np.bincount(index)
    drawn = np.random.default_rng(seed).integers(0, sums.size, (resamples, sums.size))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (50 - 50 * level, 50 + 50 * level))
    return Interval(float(array.mean()), float(low), float(high))


def interactions_needed(curve: ArrayLike, target: float, most: int) -> int:
    """Number of the first interaction whose score reaches a target (NoC, paper 003, section 4.1).

    Parameters
    ----------
    curve : array_like of shape (N,)
        Score after interaction 1, 2, ...
    target : float
        Score to reach.
    most : int
        The number where it is never reached (paper: 20).
    """
    reached = np.flatnonzero(np.asarray(curve)[:most] >= target)
    return int(reached[0]) + 1 if reached.size else most


def area_under_curve(curve: ArrayLike) -> float:
    """Area under a score over the interactions, normalised to [0, 1] (AuC, paper 003, section 4.1).

    Parameters
    ----------
    curve : array_like of shape (N,)
        Score after interaction 1, 2, ..., N; of a single one the area is the score.
    """
    scores: NDArray[np.float64] = np.asarray(curve, dtype=np.float64)
    return float(scores[0]) if scores.size == 1 else float(np.trapezoid(scores) / (scores.size - 1))
