"""Segmentation with a prior: labels from before the strokes, corrected near the strokes only.

A stroke on existing labels is a correction. The engine gets the strokes and, as weak seeds, the interiors of the labels
that no stroke contradicts. Its result is used where it is connected to a contradicting stroke; all other labels stay.
A prior that is only a guess, with weights below 1, is not kept but weighed: see :mod:`~napari_scribseg.numerics.guess`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Engine, Hint, Image, Report, Scribbles, Segmentation, silent
from napari_scribseg.numerics.guess import segment_with_guess
from napari_scribseg.numerics.interior import depth_in, interior

__all__ = ["segment_with_prior"]

MARGIN = 2.0  # finest pixels by which the labels are eroded: their border is what strokes correct first
REACH = 1.5  # finest pixels around a stroke within which labels that it contradicts are doubted, and
DEPTHS = 1.0  # as many times the stroke's depth in the region that it contradicts
FARTHEST = 2.0  # reaches from a stroke within which it changes labels
STAYS = Hint("only the labels near the new strokes change; all others stay as they were")


def segment_with_prior(
    engine: Engine[Any], image: Image, scribbles: Scribbles, state: Any, report: Report = silent
) -> Segmentation[Any]:
    """The segmentation by any engine from strokes on existing labels; without a prior, ``engine.segment``.

    The engine gets the strokes and weak seeds inside the labels. A stroke takes from the labels that it contradicts the
    connected pixels that the engine gives to its class, within a distance that grows with its depth in them. Every
    stroke pixel has its class, every other pixel keeps its label.

    Where the weight of the prior is below 1, it is a guess, and the engine answers for all pixels
    (:func:`~napari_scribseg.numerics.guess.segment_with_guess`).

    Parameters
    ----------
    engine : Engine
    image : Image
    scribbles : Scribbles
        Strokes of one class are enough where the prior has another one.
    state : Any
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
    if scribbles.prior is None:
        return engine.segment(image, scribbles, state, report)
    scribbles.require(image.shape)
    change = _Change.of(scribbles, scribbles.prior, image.spacing)
    if scribbles.weight is not None and (scribbles.weight < 1).any() and scribbles.n_classes <= engine.info.max_classes:
        return segment_with_guess(engine, image, scribbles, change.against, change.doubt, state, report)
    posed = change.seeds_for(engine.info.max_classes)
    if posed is None:
        report(1.0)
        return change.limit(None, None, state)

    def with_prior(fraction: float, preview: Segmentation[object] | None = None) -> None:
        report(fraction, None if preview is None else change.limit(preview, posed, preview.state))

    result = engine.segment(image, posed, state, with_prior)
    return change.limit(result, posed, result.state)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """The part of a prior that strokes may change.

    Attributes
    ----------
    scribbles : Scribbles
    prior : ndarray of shape (H, W), int32
        Theirs.
    spacing : tuple of float
    against : ndarray of shape (H, W), bool
        The stroke pixels that contradict it.
    doubt : ndarray of shape (H, W), float32
        Distance to strokes that contradict the label of a pixel, in their reach; infinite where none does. It
        grows with their depth in the region and, of a class that the prior lacks on its background, with their own
        extent: the prior may not contain that class at all.
    """

    scribbles: Scribbles
    prior: NDArray[np.int32]
    spacing: tuple[float, ...]
    against: NDArray[np.bool_]
    doubt: NDArray[np.float32]

    @classmethod
    def of(cls, scribbles: Scribbles, prior: NDArray[np.int32], spacing: tuple[float, ...]) -> _Change:
        """From strokes on a prior."""
        against = (scribbles.seeds >= 0) & (prior >= 0) & (scribbles.seeds != prior)
        doubt = np.full(scribbles.shape, np.inf, np.float32)
        new = against & ~np.isin(scribbles.seeds, np.unique(prior))
        extents = _extents(new, spacing)
        for k in np.unique(prior[against]):
            region = prior == k
            distance, nearest = ndimage.distance_transform_edt(
                ~(against & region), sampling=spacing, return_indices=True
            )
            reach = REACH * min(spacing) + DEPTHS * depth_in(region, spacing)
            reach += extents if scribbles.ids[k] == 0 else 0
            doubt[region] = (distance / reach[tuple(nearest)])[region]
        return cls(scribbles, prior, spacing, against, doubt)

    def seeds_for(self, most: int) -> Scribbles | None:
        """The scribbles for an engine of at most so many classes; None where it need not be called."""
        if not self.against.any() and (self.prior >= 0).all():
            return None
        seeds = self._weak_seeds()
        drawn = np.flatnonzero(self.scribbles.counts)
        others = np.setdiff1d(seeds[seeds >= 0], drawn)
        if len(drawn) + len(others) < 2:
            return None
        own = max(most - len(drawn), 0)
        kept = np.sort([*drawn, *others[:own]])
        index = np.full(self.scribbles.n_classes + 1, -1, np.int32)
        if own:  # unpainted classes can only lose pixels: those that the engine has no room for go together
            index[others] = np.searchsorted(kept, others[:own][-1:])
        index[kept] = np.arange(len(kept))
        return Scribbles(index[seeds], len(kept), tuple(self.scribbles.ids[k] for k in kept))

    def _weak_seeds(self) -> NDArray[np.int32]:
        """The strokes, and seeds inside the regions of the prior, except where strokes make these doubtful."""
        seeds: NDArray[np.int32] = self.scribbles.seeds.copy()
        finest = min(self.spacing)
        certain = self.doubt > 1
        if self.against.any():
            certain &= ndimage.distance_transform_edt(~self.against, sampling=self.spacing) > REACH * finest
        for k in np.unique(self.prior[self.prior >= 0]):
            inside = interior(self.prior == k, self.spacing, MARGIN * finest) & (seeds < 0)
            seeds[inside & certain] = k
        return seeds

    def limit(self, result: Segmentation[Any] | None, posed: Scribbles | None, state: Any) -> Segmentation[Any]:
        """The engine's result near contradicting strokes, and the prior elsewhere; without a result, the strokes alone.

        Probabilities are the engine's where it has the same most probable class.
        """
        own: NDArray[np.int32] = self.prior
        notes: tuple[str, ...] = (STAYS,)
        outlines, curve = False, None
        if result is not None and posed is not None:
            index = np.asarray([self.scribbles.ids.index(i) for i in posed.ids], np.int32)
            own, notes = index[result.labels], (*result.notes, STAYS)
            outlines, curve = result.outlines, result.curve
        labels = np.where(self.prior >= 0, self.prior, own)
        hard = self.scribbles.seeds >= 0
        found = own if outlines else np.where(hard, self.scribbles.seeds, own)
        for k in np.unique(self.scribbles.seeds[self.against]):
            labels[self._taken(k, found == k, outlines)] = k
        if not outlines:
            labels[hard] = self.scribbles.seeds[hard]
        probabilities = np.zeros((self.scribbles.n_classes, *labels.shape), np.float32)
        np.put_along_axis(probabilities, labels[np.newaxis], 1, axis=0)
        if result is not None:
            same = own == labels
            for k, probability in zip(index, result.probabilities, strict=True):
                probabilities[k][same] = probability[same]
        return Segmentation(probabilities, state, notes, outlines, curve)

    def _taken(self, k: int, found: NDArray[np.bool_], outlines: bool) -> NDArray[np.bool_]:
        """The pixels that a class takes from those that its strokes contradict: connected parts of its found pixels.

        A part begins at a stroke; that of a rough outline, whose own pixels may lie outside, only near one, and it goes
        as far as the outline does.
        """
        start = self.against & (self.scribbles.seeds == k)
        loses = np.isin(self.prior, np.unique(self.prior[start])) & ((self.doubt <= FARTHEST) | outlines)
        parts, n_parts = ndimage.label(found & ((loses & (self.prior != k)) | (self.prior < 0)))
        begun = np.zeros(n_parts + 1, bool)
        begun[parts[self.doubt <= 1 if outlines else start]] = True
        begun[0] = False
        taken: NDArray[np.bool_] = begun[parts]
        return taken


def _extents(strokes: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """At each stroke pixel, the diagonal of the box around its stroke; 0 elsewhere."""
    parts, _ = ndimage.label(strokes, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    sides = [[(side.stop - side.start) * size for side, size in zip(box, spacing, strict=True)] for box in boxes]
    diagonals: NDArray[np.float64] = np.asarray([0.0, *(float(np.hypot(*pair)) for pair in sides)])
    found: NDArray[np.float64] = diagonals[parts]
    return found
