"""How the slices between those with strokes get their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_scribseg.annotate.propagate import NothingToPropagateError, propagate_seeds
from napari_scribseg.core import Engine, Image, Scribbles

__all__ = ["FILLS", "Fill", "Span", "interpolate", "propagate"]

Labels = NDArray[np.intp]
_ABSENT = -2.0  # measured best of a few: hippocampi keep a class that ends within the span for about half of it


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The slices between two that have labels, or beyond the outermost one.

    Attributes
    ----------
    first, last : ndarray of shape (H, W), integer, or None
        Class indices of the slices before and behind the span; one is None where the volume ends.
    images : list of Image
        Of all slices in their order, those of ``first`` and ``last`` included.
    distance : float
        Between neighbouring slices, in the unit of the images' spacing.
    n_classes : int
        Number of classes; 0 is the background.
    engine : Engine
    device : str
        Where it computes.
    """

    first: Labels | None
    last: Labels | None
    images: list[Image]
    distance: float
    n_classes: int
    engine: Engine[Any]
    device: str = "auto"

    @property
    def length(self) -> int:
        """Number of slices that have no labels."""
        return len(self.images) - (self.first is not None) - (self.last is not None)


#: Labels (H, W) of the slices of a span, in their order; None where a slice gets none.
Fill = Callable[[Span], "list[Labels | None]"]


def interpolate(span: Span) -> list[Labels | None]:
    """Of each class, the signed distances to its border on both sides, blended linearly; the largest wins.

    A class that one side lacks shrinks towards it, as if its border were two pixels away there.
    Beyond the outermost labelled slice there is nothing to interpolate.

    References
    ----------
    Raya & Udupa, "Shape-based interpolation of multidimensional objects", IEEE TMI 1990.
    """
    if span.first is None or span.last is None:
        return [None] * span.length
    spacing = span.images[0].spacing
    before, behind = (_signed_distances(labels, span.n_classes, spacing) for labels in (span.first, span.last))
    shares = np.arange(1, span.length + 1) / (span.length + 1)
    return [np.argmax((1 - share) * before + share * behind, axis=0) for share in shares]


def _signed_distances(labels: Labels, n_classes: int, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Distance to the border of each class, (K, H, W): positive inside; of a missing class, :data:`_ABSENT` pixels."""
    farthest = float(np.linalg.norm(np.multiply(labels.shape, spacing)))
    fields = np.full((n_classes, *labels.shape), _ABSENT * min(spacing))
    for k in np.unique(labels):
        inside = labels == k
        if inside.all():
            fields[k] = farthest
        else:
            fields[k] = distance_transform_edt(inside, spacing) - distance_transform_edt(~inside, spacing)
    return fields


def propagate(span: Span) -> list[Labels | None]:
    """One way from slice to slice, as a session propagates: from the first side on, or back where only the last is."""
    if span.first is None:
        turned = replace(span, first=span.last, last=None, images=span.images[::-1])
        return propagate(turned)[::-1]
    found: list[Labels | None] = [None] * span.length
    labels = span.first
    for index in range(span.length):
        image = span.images[index + 1]
        try:
            seeds = propagate_seeds(
                labels, span.images[index], image, np.zeros(labels.shape, np.uint16),
                background=span.n_classes, distance=span.distance,
            )  # fmt: skip
        except NothingToPropagateError:
            break
        classes = np.where(seeds == span.n_classes, 0, np.where(seeds == 0, -1, seeds.astype(np.int32)))
        state = span.engine.prepare(image, span.device)
        labels = span.engine.segment(image, Scribbles(classes, span.n_classes), state).labels.astype(np.intp)
        found[index] = labels
    return found


#: Of the engines that segment slices.
FILLS: dict[str, Fill | None] = {
    "none": None,
    "interpolation": interpolate,
    "propagation": propagate,
}
