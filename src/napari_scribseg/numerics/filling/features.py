"""What is known of each pixel of a slice between two anchors, for one class against the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.numerics.filling.sides import Side, contrast
from napari_scribseg.numerics.fused.filters import smooth

__all__ = ["N_FEATURES", "N_MAPS", "ONE_SIDED", "REACH", "UNIT", "features", "maps_of", "prior_logits"]

ONE_SIDED = 30  # steps to the side that is missing
REACH = 10.0  # finest pixels at which signed distances are cut off
UNIT = 5.0  # finest pixels of signed distance that are 1 in the maps
SCALES = (1.0, 2.0, 4.0)  # pixels
N_MAPS, N_FEATURES = 9, 30

Float32 = NDArray[np.float32]


def maps_of(sides: Sequence[Side], steps: Sequence[int], image: Float32, k: int) -> Float32:
    """A slice, and what its anchors say of it.

    Parameters
    ----------
    sides : sequence of 1 or 2 Side
        Moved to the slice; beyond the outermost anchor there is one.
    steps : sequence of int
        Slices to each.
    image : ndarray of shape (H, W), float32
        The slice; most values are 0 to 1.
    k : int
        Index of the class.

    Returns
    -------
    ndarray of shape (9, H, W), float32
        The slice and both moved anchors; signed distances to the border of the class of both sides, and blended;
        contrast; the steps to both anchors.
    """
    if len(sides) == 1:
        sides, steps = (sides[0], sides[0]), (steps[0], ONE_SIDED)
    x = np.empty((N_MAPS, *image.shape), np.float32)
    share = np.float32(steps[0] / sum(steps))
    ratios = []
    for i, side in enumerate(sides):
        x[1 + i] = side.image
        np.clip(side.distances[k], -REACH, REACH, out=x[3 + i])
        ratios.append(contrast(side, image, k))
        x[7 + i] = steps[i] / 10
    x[0] = image
    x[:3] = 2 * x[:3] - 1
    x[5] = (1 - share) * x[3] + share * x[4]
    x[3:6] /= UNIT
    x[6] = ((1 - share) * ratios[0] + share * ratios[1]) / 2
    return x


def prior_logits(maps: Float32) -> Float32:
    """Logits (H, W) from the blended distance alone, one a finest pixel."""
    logits: Float32 = UNIT * maps[5]
    return logits


def features(maps: Float32) -> Float32:
    """The maps, their means at three scales, and gradients.

    Parameters
    ----------
    maps : ndarray of shape (9, H, W), float32
        By :func:`maps_of`.

    Returns
    -------
    ndarray of shape (30, H, W), float32
    """
    image, first, last, a, b, blended, ratio, near, far = maps
    share = near / (near + far)
    expected = (1 - share) * first + share * last
    change = image - expected
    found = np.empty((N_FEATURES, *image.shape), np.float32)
    found[:9] = maps
    found[9], found[10] = change, np.abs(a - b)
    averaged = np.stack([ratio, blended, change, image, expected])
    for i, scale in enumerate(SCALES):
        found[11 + 5 * i : 16 + 5 * i] = smooth(averaged, scale)
    outline, own, other = (np.stack(np.gradient(found[i])) for i in (12, 14, 15))
    found[26], found[27] = (outline * own).sum(axis=0), (outline * other).sum(axis=0)
    found[28], found[29] = np.hypot(*own), np.hypot(*other)
    return found
