"""Padding: values where a scanner measured nothing, such as -32768 outside the field of view of a CT."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["measured_values", "some_values", "without_padding"]

_MAX_SAMPLES = 65536
_SLICES = 8  # of a volume that its display range is read from
_LOWEST = -1500.0  # Hounsfield units and the like end above; what is padded ends below
_LARGEST = 1e30  # no measurement; -3.4e38 and 3.4e38 mark missing values of 32 bits
_SHARE = 0.005  # of all values; a smaller share does not change a percentile
_GAP = 0.25  # of the range of the other values: the least distance of padding from them


def some_values(values: NDArray[Any]) -> NDArray[Any]:
    """At most about 65536 of the values, evenly taken, in one axis: enough for percentiles and covariances."""
    return values.reshape(-1)[:: max(values.size // _MAX_SAMPLES, 1)]


def without_padding(values: NDArray[Any]) -> NDArray[Any]:
    """The values with padding as dark (or, of 3.4e38, as bright) as the others are; the array itself without padding.

    Padding is one value that occurs often and lies far away from all others, at -1500 or below, or beyond 1e30.

    Parameters
    ----------
    values : ndarray of float32 or float64
        Finite; of any shape.
    """
    sample = some_values(values).astype(np.float64)
    for end in (_low_end(sample), _high_end(sample)):
        if end is not None:
            middle, others = end
            beyond = values < middle if middle < others else values > middle
            return without_padding(np.where(beyond, np.float32(others), values))
    return values


def measured_values(array: NDArray[Any]) -> NDArray[np.float64]:
    """Finite values beside padding, in a sample of the slices; may be none.

    Parameters
    ----------
    array : ndarray of two or more axes
        Of any real type; may be mapped from a file.
    """
    slices = array.reshape(-1, *array.shape[-2:])
    sample = some_values(np.asarray(slices[:: max(len(slices) // _SLICES, 1)])).astype(np.float64)
    return _measured(sample[np.isfinite(sample)])


def _measured(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    for end in (_low_end(sample), _high_end(sample)):
        if end is not None:
            middle, others = end
            return _measured(sample[sample > middle] if middle < others else sample[sample < middle])
    return sample


def _low_end(sample: NDArray[np.float64]) -> tuple[float, float] | None:
    """Of padding below: the value halfway to the others, and the lowest of the others but for outliers."""
    value = float(sample.min()) if sample.size else 0.0
    if value > _LOWEST or value != np.rint(value):
        return None
    rest = sample[sample != value]
    if not rest.size or sample.size - rest.size < _SHARE * sample.size:
        return None
    low, high = np.percentile(rest, (0.5, 99.5))
    if high <= low or low - value < _GAP * (high - low):
        return None
    return float(value + (low - value) / 2), float(low)


def _high_end(sample: NDArray[np.float64]) -> tuple[float, float] | None:
    """The same of missing values above; a saturated detector is no padding, so they are those beyond 1e30 only."""
    if not sample.size or sample.max() < _LARGEST:
        return None
    end = _low_end(-sample)
    return None if end is None else (-end[0], -end[1])
