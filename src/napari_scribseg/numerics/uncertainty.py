"""How likely each label is wrong, from the probabilities of any engine and the places of the strokes.

Probabilities alone say little of this: an engine that fits the image's colours is certain of its labels wherever a
colour was painted, also where it is wrong. Errors lie near boundaries, far from strokes of the label's rivals, and in
parts of a class that no stroke touches. A logistic regression on these measures knows more than the probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["MEASURES", "error_measures", "error_probability"]

#: What :func:`error_measures` returns, in its order.
MEASURES = ("margin", "boundary", "rival", "untouched")

# By benchmarks/uncertainty.py, which fits them: for each measure, and for none of them.
_WEIGHTS = (-0.139, -1.086, -0.017, 1.618)
_BIAS = -5.889

_LEAST = 1e-4  # probability, in the margin
_NEAR = 0.003  # added to distances, so that their logarithm is finite

Float32 = NDArray[np.float32]


def error_probability(probabilities: Float32, seeds: NDArray[np.int32]) -> Float32:
    """The probability of each pixel's label to be wrong.

    Parameters
    ----------
    probabilities : ndarray of shape (K, H, W), float32
        Of an engine's result, summing to 1 over the first axis.
    seeds : ndarray of shape (H, W), int32
        The strokes it was made from: class index, -1 where nothing was painted.

    Returns
    -------
    ndarray of shape (H, W), float32
        0 to 1, of the most probable class against all others; 0 on strokes that have their class, and everywhere where
        there is one class.

    Notes
    -----
    A logistic regression on :func:`error_measures`, fitted to the errors of ``scribble-net`` and ``svcd`` with
    simulated strokes on sources that no network was trained on. docs/uncertainty.md has its calibration.
    """
    if len(probabilities) < 2:
        return np.zeros(seeds.shape, dtype=np.float32)
    logit = np.tensordot(error_measures(probabilities, seeds), np.asarray(_WEIGHTS, np.float32), axes=1) + _BIAS
    found: Float32 = (1 / (1 + np.exp(-logit))).astype(np.float32)
    found[(seeds >= 0) & (np.argmax(probabilities, axis=0) == seeds)] = 0
    return found


def error_measures(probabilities: Float32, seeds: NDArray[np.int32]) -> Float32:
    """What tells a wrong label from a right one at each pixel.

    Parameters
    ----------
    probabilities : ndarray of shape (K, H, W), float32
        Of K >= 2 classes.
    seeds : ndarray of shape (H, W), int32
        Class index of the strokes, -1 elsewhere.

    Returns
    -------
    ndarray of shape (H, W, 4), float32
        In the order of :data:`MEASURES`: logarithm of the most probable class's probability over the second's;
        logarithm of the distance to the labels' nearest boundary; of that to the nearest stroke of another class than
        the label; 1 in a connected part of a label without a stroke of it, else 0. Distances are in shares of the
        square root of the image's area, and 1 at most.
    """
    labels = np.argmax(probabilities, axis=0)
    second, most = np.partition(probabilities, -2, axis=0)[-2:]
    margin = np.log(np.maximum(most, _LEAST)) - np.log(np.maximum(second, _LEAST))
    rival = np.ones(seeds.shape, dtype=np.float32)
    untouched = np.zeros(seeds.shape, dtype=np.float32)
    for k in range(len(probabilities)):
        painted, own = seeds == k, labels == k
        rival[~own] = np.minimum(rival, _distance(painted))[~own]
        untouched[own & ~_touched(own, painted)] = 1
    columns = margin, np.log(_distance(_boundary(labels)) + _NEAR), np.log(rival + _NEAR), untouched
    return np.stack(columns, axis=-1).astype(np.float32)


def _touched(own: NDArray[np.bool_], painted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of a label that hold a stroke of it."""
    parts, count = ndimage.label(own)
    holds = np.zeros(count + 1, dtype=np.bool_)
    holds[parts[painted]] = True
    holds[0] = False
    touched: NDArray[np.bool_] = holds[parts]
    return touched


def _boundary(labels: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour has another label."""
    found = np.zeros(labels.shape, dtype=np.bool_)
    found[:-1] |= labels[:-1] != labels[1:]
    found[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return found


def _distance(mask: NDArray[np.bool_]) -> Float32:
    """Distance to the mask in shares of the square root of the image's area, 1 at most and where the mask is empty."""
    if not mask.any():
        return np.ones(mask.shape, dtype=np.float32)
    share: Float32 = (ndimage.distance_transform_edt(~mask) / np.sqrt(mask.size)).astype(np.float32)
    return np.minimum(share, np.float32(1))
