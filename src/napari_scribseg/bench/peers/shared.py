"""Functions of several peers: intensities from 0 to 1, edges, and one segmentation from a mask for each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.color import rgb2gray
from skimage.filters import sobel

from napari_scribseg.core import Image, Scribbles, Segmentation

State = TypeVar("State")

__all__ = ["channels_last", "edge_strength", "hard_segmentation", "merge_masks", "nearest_class", "one_vs_rest"]


def channels_last(image: Image) -> NDArray[np.float32]:
    """The image as (H, W, C), the range of all its channels brought to [0, 1]."""
    low, high = float(image.data.min()), float(image.data.max())
    scaled = (image.data - np.float32(low)) / np.float32(max(high - low, 1e-12))
    return np.ascontiguousarray(np.moveaxis(scaled, 0, -1))


def edge_strength(image: Image) -> NDArray[np.float64]:
    """Sobel gradient (H, W) of the grey image; of more channels than three, of their mean."""
    pixels = channels_last(image)
    grey = rgb2gray(pixels) if pixels.shape[-1] == 3 else pixels.mean(axis=-1)
    edges: NDArray[np.float64] = sobel(grey)  # type: ignore[no-untyped-call]
    return edges


def hard_segmentation(labels: NDArray[np.integer], scribbles: Scribbles, state: State) -> Segmentation[State]:
    """Labels (H, W) as a segmentation: probability 1 for the label, and for its own class at every seed."""
    probabilities = np.zeros((scribbles.n_classes, *scribbles.shape), dtype=np.float32)
    np.put_along_axis(probabilities, labels[np.newaxis].astype(np.intp), 1, axis=0)
    return Segmentation.of(probabilities, scribbles, state)


def seed_distances(scribbles: Scribbles) -> NDArray[np.float64]:
    """Distance in pixels to the nearest seed of each class, (K, H, W); infinite for a class without seeds."""
    distances = np.full((scribbles.n_classes, *scribbles.shape), np.inf)
    for k in np.flatnonzero(scribbles.counts):
        distances[k] = distance_transform_edt(scribbles.seeds != k)
    return distances


def nearest_class(scribbles: Scribbles) -> NDArray[np.intp]:
    """The class whose seed lies nearest, (H, W)."""
    nearest: NDArray[np.intp] = seed_distances(scribbles).argmin(axis=0)
    return nearest


def merge_masks(claims: NDArray[np.bool_], scribbles: Scribbles) -> NDArray[np.intp]:
    """One label for each pixel from the masks of a two-class method run once for each class.

    Parameters
    ----------
    claims : ndarray of shape (K, H, W), bool
        What each class claims against all others.
    scribbles : Scribbles
        Where no class or more than one claims a pixel, the one with the nearest seed gets it.
    """
    distances = seed_distances(scribbles)
    distances[~claims & claims.any(axis=0)] = np.inf
    merged: NDArray[np.intp] = distances.argmin(axis=0)
    return merged


def one_vs_rest(scribbles: Scribbles, mask_of: Callable[[int], NDArray[np.bool_]]) -> NDArray[np.intp]:
    """One label for each pixel, (H, W), by a method that gives the mask of one class; for two classes it runs once."""
    drawn = np.flatnonzero(scribbles.counts).tolist()
    claims = np.zeros((scribbles.n_classes, *scribbles.shape), dtype=bool)
    for k in drawn[1:] if len(drawn) == 2 else drawn:
        claims[k] = mask_of(k)
    if len(drawn) == 2:
        claims[drawn[0]] = ~claims[drawn[1]]
    return merge_masks(claims, scribbles)
