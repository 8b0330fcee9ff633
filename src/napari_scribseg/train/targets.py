"""The object of a training sample: a label of a packed picture, a part of it, or a superpixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.simulate.masks import one_part
from napari_scribseg.train.pack import Item
from napari_scribseg.train.superpixels import felzenszwalb_regions

__all__ = ["box_of", "choose_object", "choose_region", "choose_superpixel", "typical_width"]


def choose_object(
    item: Item, labels: NDArray[np.int32], rng: np.random.Generator, background: float = 0.08
) -> NDArray[np.bool_] | None:
    """An object of a picture.

    Parameters
    ----------
    item : Item
    labels : ndarray of shape (H, W), int32
    rng : Generator
        Advanced.
    background : float
        Share of the samples whose object is the background, which a user paints as a class of its own.

    Returns
    -------
    ndarray of shape (H, W), bool, or None
        None where there is no object.
    """
    ids = np.flatnonzero(np.bincount(labels.reshape(-1) + 1)) - 1
    objects = ids[(ids >= 0) & (ids != (-1 if item.background is None else item.background))]
    if not objects.size:
        return None
    if item.background is not None and rng.random() < background:
        everything_else: NDArray[np.bool_] = labels == item.background
        return everything_else
    if item.instances and rng.random() < 0.12:
        return np.isin(labels, objects)
    mask: NDArray[np.bool_] = labels == rng.choice(objects)
    if not item.instances and rng.random() < 0.6:
        return one_part(mask, rng, power=0.5)
    return mask


def choose_superpixel(channels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """A superpixel of random size (Felzenszwalb and Huttenlocher 2004).

    As in ScribblePrompt (Wong et al. 2024), superpixels make a network general beyond the labelled kinds of images.

    Parameters
    ----------
    channels : ndarray of shape (C, S, S), float32
        From 0 to 1.
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (S, S), bool, or None
        None where every superpixel is too small or too large.
    """
    scale = float(np.exp(rng.uniform(np.log(20), np.log(800))))
    regions = felzenszwalb_regions(channels, scale, float(rng.uniform(0.3, 1.5)), 40)
    return choose_region(regions, rng, parts=False)


def choose_region(
    labels: NDArray[np.int32], rng: np.random.Generator, *, parts: bool = True
) -> NDArray[np.bool_] | None:
    """A label of a map in which every id is an object.

    Parameters
    ----------
    labels : ndarray of shape (S, S), int32
        From 0.
    rng : Generator
        Advanced.
    parts : bool
        Whether half of the time one connected part of the label is chosen.

    Returns
    -------
    ndarray of shape (S, S), bool, or None
        None where no label covers between 0.5 and 70 percent of the map.
    """
    counts = np.bincount(labels.reshape(-1))
    fit = np.flatnonzero((counts > 0.005 * labels.size) & (counts < 0.7 * labels.size))
    if not fit.size:
        return None
    mask: NDArray[np.bool_] = labels == rng.choice(fit)
    return one_part(mask, rng) if parts and rng.random() < 0.5 else mask


def box_of(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """First row, first column, height and width of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        float(rows[0]), float(columns[0]), float(rows[-1] - rows[0] + 1), float(columns[-1] - columns[0] + 1)
    )  # fmt: skip


def typical_width(mask: NDArray[np.bool_]) -> float:
    """Width of a ribbon with the area and the border of a mask, in pixels; 0 if it is empty."""
    border = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    return 2.0 * np.count_nonzero(mask) / max(border * np.pi / 4, 1.0)  # edges of pixels to length, over all directions
