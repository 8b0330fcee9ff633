"""Signed distances of the classes of a labelled slice, and labels from the distances of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

__all__ = [
    "Blend",
    "blend",
    "border_motion",
    "borders",
    "both_distances",
    "box_around",
    "most_likely",
    "signed_distances",
]

ABSENT = -2.0  # signed distance, in finest pixels, of a class that a slice lacks
MARGIN = 16  # pixels around the borders of the classes that are looked at
FARTHEST = 1e3  # finest pixels; a class that covers the whole slice
BLUR = 0.5  # finest pixels by which a border is uncertain on the anchor itself, and
DRIFT = 0.35  # as many more for each slice from there

Labels = NDArray[np.integer]
Float32 = NDArray[np.float32]


def signed_distances(labels: Labels, ids: NDArray[np.integer], pixel: tuple[float, float]) -> Float32:
    """Distance of each pixel to the border of each class, positive inside of it.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integer
    ids : ndarray of shape (K,), integer
        The classes.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest.

    Returns
    -------
    ndarray of shape (K, H, W), float32
        In finest pixels; ``ABSENT`` for a class that the slice lacks.
    """
    found = np.full((len(ids), *labels.shape), ABSENT, np.float32)
    for k, label in enumerate(ids):
        inside = labels == label
        if inside.all():
            found[k] = FARTHEST
        elif inside.any():
            found[k] = distance_transform_edt(inside, pixel) - distance_transform_edt(~inside, pixel)
    return found


def box_around(first: Labels, last: Labels, margin: int = MARGIN) -> tuple[slice, slice] | None:
    """The box around all borders of two slices and around all pixels where they differ; None without any."""
    marked = (first != last) | borders(first) | borders(last)
    if not marked.any():
        return None
    sides = []
    for axis in (1, 0):
        at = np.flatnonzero(marked.any(axis=axis))
        sides.append(slice(max(int(at[0]) - margin, 0), int(at[-1]) + margin + 1))
    return sides[0], sides[1]


def borders(labels: Labels) -> NDArray[np.bool_]:
    """The pixels of shape (H, W) that have a neighbour, in their row or column, of another class."""
    marked = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    marked[1:] |= rows
    marked[:-1] |= rows
    marked[:, 1:] |= columns
    marked[:, :-1] |= columns
    return marked


def both_distances(
    first: Labels, last: Labels, ids: NDArray[np.integer], pixel: tuple[float, float]
) -> tuple[Float32, Float32]:
    """The signed distances of two slices.

    Where one lacks a class of the other, its other classes are no deeper than twice that class in the other: else the
    depth of the background would end it at once.

    Parameters
    ----------
    first, last, ids, pixel
        As for :func:`signed_distances`.

    Returns
    -------
    tuple of 2 ndarray of shape (K, H, W), float32
    """
    pair = signed_distances(first, ids, pixel), signed_distances(last, ids, pixel)
    for own, other in (pair, pair[::-1]):
        lacking = [k for k in range(len(ids)) if not (own[k] > 0).any() and (other[k] > 0).any()]
        if lacking:
            np.minimum(own, 2 * max(float(other[k].max()) for k in lacking), out=own)
    return pair


def border_motion(first: Labels, last: Labels, pixel: tuple[float, float]) -> float:
    """How far the borders of the classes that two slices have lie apart, in finest pixels.

    Parameters
    ----------
    first, last : ndarray of shape (H, W), integer
    pixel : tuple of 2 float
        As for :func:`signed_distances`.

    Returns
    -------
    float
        Mean over the classes and both slices; 0 where they have no border of a class in common.
    """
    box = box_around(first, last)
    if box is None:
        return 0.0
    parts = first[box], last[box]
    ids = np.union1d(*parts)
    pair = both_distances(*parts, ids, pixel)
    found = []
    for own, other in (pair, pair[::-1]):
        for k in range(len(ids)):
            edge = np.abs(own[k]) <= 1
            if edge.any() and (own[k] > 0).any() and (other[k] > 0).any():
                found.append(float(np.abs(other[k][edge]).mean()))
    return float(np.mean(found)) if found else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """Labels and certainty from the signed distances of two sides.

    Attributes
    ----------
    index : ndarray of shape (H, W), intp
        Of the class.
    certainty : ndarray of shape (H, W), float32
        Mean over both sides of the probability that each gives to that class, 0 to 1.
    """

    index: NDArray[np.intp]
    certainty: Float32


def blend(sides: Sequence[Float32], steps: Sequence[int]) -> Blend:
    """Blend the signed distances of one or two sides by how near each is.

    Parameters
    ----------
    sides : sequence of ndarray of shape (K, H, W), float32
    steps : sequence of int
        Slices from each side, at least 1.

    Returns
    -------
    Blend
    """
    shares = [1.0] if len(sides) == 1 else [steps[1] / sum(steps), steps[0] / sum(steps)]
    mixed = sum(np.float32(share) * side for share, side in zip(shares, sides, strict=True))
    index = np.argmax(mixed, axis=0)
    certainty = np.zeros(index.shape, np.float32)
    for share, side, n in zip(shares, sides, steps, strict=True):
        certainty += np.float32(share) * _probability(side, index, BLUR + DRIFT * n)
    return Blend(index, np.clip(certainty, 0, 1))


def most_likely(logits: Float32) -> Blend:
    """The class with the largest logit, and its share of the probabilities of all.

    Parameters
    ----------
    logits : ndarray of shape (K, H, W), float32
        Of each class against the others.

    Returns
    -------
    Blend
    """
    index = np.argmax(logits, axis=0)
    probabilities = 1 / (1 + np.exp(-logits))
    share: Float32 = np.take_along_axis(probabilities, index[np.newaxis], axis=0)[0]
    return Blend(index, share / np.maximum(probabilities.sum(axis=0), np.float32(1e-6)))


def _probability(side: Float32, index: NDArray[np.intp], width: float) -> Float32:
    """Softmax over the classes of distances in units of ``width``, of the chosen class."""
    scaled = side / np.float32(width)
    scaled -= scaled.max(axis=0)
    np.exp(scaled, out=scaled)
    share: Float32 = np.take_along_axis(scaled, index[np.newaxis], axis=0)[0] / scaled.sum(axis=0)
    return share
