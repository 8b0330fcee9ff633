"""The picture of an answer's certainty that lies over the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Segmentation

__all__ = ["KINDS", "overlay_values"]

KINDS = ("none", "probability", "uncertainty")


def overlay_values(
    kind: str, probabilities: NDArray[np.float32], ids: tuple[int, ...], identity: int
) -> NDArray[np.float32] | None:
    """What an overlay shows.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    probabilities : ndarray of shape (K, H, W), float32
        Of an answer.
    ids : tuple of int
        Label id of each of the K classes.
    identity : int
        The label id whose probability is asked for; 0 is the background.

    Returns
    -------
    ndarray of shape (H, W), float32, or None
        Numbers from 0 to 1: the probability, or the entropy over log K. None where there is nothing to show, such as
        the probability of a class that the answer does not know.
    """
    if kind == "probability":
        return probabilities[ids.index(identity)] if identity in ids else None
    if kind == "uncertainty":
        return Segmentation(probabilities, None).entropy
    return None
