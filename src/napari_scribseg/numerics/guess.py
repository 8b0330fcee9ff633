"""Segmentation with a guess: labels that nobody has looked at, such as those of a slice that was filled.

A stroke there says that the guess is wrong, and not only beside the stroke. So the engine answers for the whole slice:
it is given the strokes and, as weak seeds, the pixels of which the guess is sure, and its answer is weighed against the
guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Engine, Image, Report, Scribbles, Segmentation
from napari_scribseg.numerics.interior import depth_in, interior

__all__ = ["certainty_of", "segment_with_guess"]

MARGIN = 2.0  # finest pixels by which labels are eroded before they become seeds
SURE = 0.8  # certainty of a pixel that becomes one
CLEAR = 2.0  # finest pixels around a contradicting stroke without such seeds
SHARE = 3.0  # of the log odds of the guess, beside those of the engine
FARTHEST = 2.0  # reaches from a contradicting stroke within which it has less
LEAST, LEAST_OF_ENGINE = 0.01, 1e-4  # probability of a class by the guess, and by the engine


def certainty_of(labels: NDArray[np.integer], spacing: tuple[float, ...], drift: float) -> NDArray[np.float32]:
    """How sure the labels of a guess are, by how far from a border they lie.

    The place of a border is taken to be logistic around where it is.

    Parameters
    ----------
    labels : ndarray of shape (H, W), integer
        Below 0 where unknown.
    spacing : tuple of 2 float
        Size of a pixel.
    drift : float
        How far borders may have moved, in the unit of ``spacing``; above 0.

    Returns
    -------
    ndarray of shape (H, W), float32
        Above 0 and below 1.
    """
    depth = np.zeros(labels.shape)
    for identity in np.unique(labels[labels >= 0]):
        region = labels == identity
        depth[region] = depth_in(region, spacing)[region]
    certainty: NDArray[np.float32] = (1 / (1 + np.exp(-2 * depth / drift))).astype(np.float32)
    return np.clip(certainty, LEAST, 1 - LEAST)


def segment_with_guess(
    engine: Engine[Any],
    image: Image,
    scribbles: Scribbles,
    against: NDArray[np.bool_],
    doubt: NDArray[np.float32],
    state: object,
    report: Report,
) -> Segmentation[Any]:
    """The segmentation by any engine from strokes on a guess.

    Parameters
    ----------
    engine : Engine
    image : Image
    scribbles : Scribbles
        With a prior, whose weight is how sure it is.
    against : ndarray of shape (H, W), bool
        The stroke pixels that contradict the guess.
    doubt : ndarray of shape (H, W), float32
        Distance to strokes that contradict the guess, in their reach; infinite where none does.
    state : object
        As for :meth:`Engine.segment <napari_scribseg.core.Engine.segment>`.
    report : Report

    Returns
    -------
    Segmentation
        Of all classes of ``scribbles``.

    Raises
    ------
    InputError, Cancelled
        As the engine's own method.
    """
    prior, weight = scribbles.prior, scribbles.weight
    assert prior is not None
    assert weight is not None
    posed = _posed(scribbles, prior, weight, against, image.spacing)
    if np.count_nonzero(posed.counts) < (2 if posed.n_classes > 2 else engine.info.min_classes):
        only_class = int(np.argmax(posed.counts))  # it takes what is in reach of its strokes
        labels = np.where((doubt <= 1) | (prior < 0), only_class, prior)
        kept = Scribbles(np.where(scribbles.seeds >= 0, scribbles.seeds, labels), scribbles.n_classes, scribbles.ids)
        only = np.full((scribbles.n_classes, *scribbles.shape), 1 / scribbles.n_classes, np.float32)
        report(1.0)
        return Segmentation.of(only, kept, state)
    share = SHARE * np.clip(doubt / FARTHEST, 0, 1) * np.log(_probabilities(prior, weight, scribbles.n_classes))

    def weighed(found: Segmentation[object]) -> Segmentation[object]:
        odds = np.log(np.maximum(found.probabilities, LEAST_OF_ENGINE)) + share
        odds -= odds.max(axis=0)
        np.exp(odds, out=odds)
        made = replace(found, probabilities=(odds / odds.sum(axis=0)).astype(np.float32))
        made.set_seeds(np.where(found.binding(scribbles.seeds), scribbles.seeds, -1).astype(np.int32))
        return made

    def with_guess(fraction: float, preview: Segmentation[object] | None = None) -> None:
        report(fraction, None if preview is None else weighed(preview))

    return weighed(engine.segment(image, posed, state, with_guess))


def _posed(
    scribbles: Scribbles,
    prior: NDArray[np.int32],
    weight: NDArray[np.float32],
    against: NDArray[np.bool_],
    spacing: tuple[float, ...],
) -> Scribbles:
    """The strokes, and seeds where the guess is sure and no stroke near contradicts it."""
    finest, seeds = min(spacing), scribbles.seeds.copy()
    free = (seeds < 0) & (weight > SURE)
    if against.any():
        free &= ndimage.distance_transform_edt(~against, sampling=spacing) >= CLEAR * finest
    for k in np.unique(prior[prior >= 0]):
        seeds[interior(prior == k, spacing, MARGIN * finest) & free] = k
    return Scribbles(seeds, scribbles.n_classes, scribbles.ids)


def _probabilities(prior: NDArray[np.int32], weight: NDArray[np.float32], n_classes: int) -> NDArray[np.float32]:
    """Of each class by the guess, shape (K, H, W)."""
    others = (1 - weight) / max(n_classes - 1, 1)
    found = np.where(prior == np.arange(n_classes)[:, np.newaxis, np.newaxis], weight, others)
    return np.clip(np.where(prior >= 0, found, 1 / n_classes), LEAST, 1).astype(np.float32)
