"""How uncertain the class of a segment is, by the features of the labelled ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.explore.needs import need

__all__ = ["uncertainty"]

CENTRES = 8  # of each class
_FALL = 4.0  # odds fall to exp(-4) on the squared way from one class to the farthest
_SAMPLE = 2000  # labelled segments of a class that the centres are computed from

Float32 = NDArray[np.float32]


def uncertainty(features: Float32, examples: Float32, labels: NDArray[np.int32], seed: int = 0) -> Float32:
    """Entropy of the classes' probabilities, which fall with the squared distance to the nearest centre of a class.

    Parameters
    ----------
    features : ndarray of shape (n, D), float32
        Of the segments in question.
    examples : ndarray of shape (m, D), float32
        Of the labelled segments. Each class gets up to 8 centres by k-means.
    labels : ndarray of shape (m,), int32
        Their classes.
    seed : int

    Returns
    -------
    ndarray of shape (n,), float32
        0 (certain) to 1 (all classes alike). Where all labels are of one class, how far a segment is from its centres,
        the farthest 1; 1 everywhere where nothing is labelled.
    """
    classes = np.unique(labels)
    if not len(classes):
        return np.ones(len(features), dtype=np.float32)
    distance = np.stack([_nearest(features, _centres(examples[labels == c], seed)) for c in classes])  # (K, n), squared
    if len(classes) == 1:
        far = np.sqrt(distance[0])
        share: Float32 = far / max(float(far.max(initial=0)), float(np.finfo(np.float32).tiny))
        return share.astype(np.float32)
    least = distance.min(axis=0)
    width = max(float(np.median(distance.max(axis=0))) / _FALL, 1e-6)  # of the spread of the classes, not of one class
    weight = np.exp(-(distance - least) / width)
    p = weight / weight.sum(axis=0)
    entropy: Float32 = -(p * np.log(np.maximum(p, 1e-12))).sum(axis=0) / np.log(len(classes))
    return np.clip(entropy, 0, 1).astype(np.float32)


def _centres(examples: Float32, seed: int) -> Float32:
    cluster = need("sklearn.cluster")
    rows = examples[np.random.default_rng(seed).permutation(len(examples))[:_SAMPLE]]
    count = min(CENTRES, len(np.unique(rows, axis=0)))
    found: Float32 = cluster.KMeans(count, n_init=1, random_state=seed).fit(rows).cluster_centers_
    return found.astype(np.float32)


def _nearest(features: Float32, centres: Float32) -> Float32:
    squares = (features**2).sum(axis=1)[:, np.newaxis] + (centres**2).sum(axis=1) - 2 * features @ centres.T
    nearest: Float32 = np.maximum(squares.min(axis=1), 0)
    return nearest
