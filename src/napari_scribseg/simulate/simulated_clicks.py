"""Clicks: random ones for training, and the next one of a robot for measuring (paper 003, sections 3.1 and 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from napari_scribseg.core import InputError
from napari_scribseg.simulate.corrections import as_probability, errors
from napari_scribseg.simulate.masks import as_mask, distance_field, require_same_shape

__all__ = ["Click", "background_band", "k_medoids", "robot_click", "training_clicks"]


@dataclass(frozen=True, slots=True)
class Click:
    """One click: its pixel, and whether it is on the object."""

    row: int
    column: int
    positive: bool


def training_clicks(
    label: ArrayLike,
    seed: int | np.random.Generator,
    *,
    positive: tuple[int, int] = (1, 10),
    negative: tuple[int, int] = (0, 10),
    band: tuple[float, float] = (5.0, 40.0),
    most_candidates: int = 1000,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Random clicks on an object and on the background near it.

    Parameters
    ----------
    label : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.
    seed : int or Generator
        The same seed gives the same clicks.
    positive, negative : tuple of 2 int
        Fewest and most clicks on the object, and off it; the number is uniform (paper: 1 to 10, 0 to 10).
    band : tuple of 2 float
        Smallest and largest distance of a background click from the object, in pixels (paper: 5 to 40).
    most_candidates : int
        Most pixels among which medoids are chosen, drawn at random where there are more: time and memory grow with the
        square. The paper has no limit.

    Returns
    -------
    positive : ndarray of shape (P, 2), intp
        Row and column of the clicks on the object; none for an empty label.
    negative : ndarray of shape (N, 2), intp
        Of those on the background; fewer where there are fewer candidates.

    Raises
    ------
    InputError
        If ``label`` is no image of labels, or a range is not ascending from 0.
    """
    mask, seed = as_mask(label), np.random.default_rng(seed)
    for name, (low, high) in (("positive", positive), ("negative", negative), ("band", band)):
        if not 0 <= low <= high:
            raise InputError(f"{name} is {(low, high)}; two numbers of at least 0 in ascending order are expected")
    if most_candidates < 1:
        raise InputError(f"most_candidates is {most_candidates}; a number of at least 1 is expected")
    numbers = [int(seed.integers(low, high, endpoint=True)) for low, high in (positive, negative)]
    clicks = []
    for number, candidates in zip(numbers, (mask, background_band(mask, band)), strict=True):
        pixels = np.argwhere(candidates)
        if len(pixels) > most_candidates:
            pixels = pixels[seed.choice(len(pixels), most_candidates, replace=False)]
        clicks.append(pixels[k_medoids(pixels, number, seed)])
    return clicks[0], clicks[1]


def background_band(mask: NDArray[np.bool_], band: tuple[float, float]) -> NDArray[np.bool_]:
    """Background within ``band`` pixels of the object, ends included; shape (H, W), nothing without an object."""
    if not mask.any():
        return np.zeros_like(mask)
    away = ndimage.distance_transform_edt(~mask)
    near: NDArray[np.bool_] = ~mask & (away >= band[0]) & (away <= band[1])
    return near


def k_medoids(points: NDArray[np.intp], k: int, seed: np.random.Generator, rounds: int = 50) -> NDArray[np.intp]:
    """The k medoids of some points by Euclidean distance.

    Parameters
    ----------
    points : ndarray of shape (N, 2), intp
        Different positions.
    k : int
        Number of medoids; all points where there are no more.
    seed : Generator
        Of the first medoids, each drawn by its squared distance from those before it (k-means++).
    rounds : int
        Most rounds of assigning points and moving medoids.

    Returns
    -------
    ndarray of shape (min(k, N),), intp
        Ascending numbers of the medoids.

    Notes
    -----
    The clustering of Kaufman & Rousseeuw (1990) by alternation (Park & Jun 2009); it finds a local minimum, as theirs.
    """
    if k >= len(points):
        return np.arange(len(points))
    if k < 1:
        return np.zeros(0, dtype=np.intp)
    distance = cdist(points, points)
    medoids = [int(seed.integers(len(points)))]
    while len(medoids) < k:
        chance = distance[:, medoids].min(axis=1) ** 2
        medoids.append(int(seed.choice(len(points), p=chance / chance.sum())))
    found = np.sort(medoids)
    for _ in range(rounds):
        nearest = distance[:, found].argmin(axis=1)
        groups = [np.flatnonzero(nearest == j) for j in range(k)]
        moved = np.sort([g[distance[np.ix_(g, g)].sum(axis=1).argmin()] for g in groups])
        if np.array_equal(moved, found):
            break
        found = moved
    return found.astype(np.intp)


def robot_click(
    prediction: ArrayLike,
    truth: ArrayLike,
    clicked: list[Click] | tuple[Click, ...] = (),
    *,
    larger: Literal["peak", "pixels"] = "peak",
) -> Click | None:
    """The click of a robot on the larger error, at the pixel farthest from its border.

    Parameters
    ----------
    prediction : array_like of shape (H, W)
        Probability of the object, 0 to 1, or its mask.
    truth : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.
    clicked : sequence of Click
        Clicks so far; no pixel is clicked twice.
    larger : {"peak", "pixels"}
        The measure of an error: the peak of its distance transform (the authors' code), or the number of its pixels
        (the paper). The object is clicked where both errors are equal.

    Returns
    -------
    Click or None
        The first such pixel in the order of rows and columns; None where every wrong pixel was clicked.

    Raises
    ------
    InputError
        If the shapes differ, the prediction is no probability, or ``larger`` is another word.

    Notes
    -----
    The outside of the image counts as right, so that an error at its border is clicked inside the image.
    """
    target, predicted = as_mask(truth, "truth"), as_probability(prediction)
    require_same_shape(predicted, target, ("prediction", "truth"))
    if larger not in ("peak", "pixels"):
        raise InputError(f"larger is {larger!r}; 'peak' or 'pixels' is expected")
    free = np.ones(target.shape, dtype=bool)
    for click in clicked:
        free[click.row, click.column] = False
    depths, sizes = [], []
    for wrong in errors(predicted, target):
        depths.append(distance_field(wrong) * free)
        sizes.append(depths[-1].max() if larger == "peak" else np.count_nonzero(wrong & free))
    side = int(sizes[1] > sizes[0])
    if sizes[side] == 0:
        return None
    row, column = np.unravel_index(int(depths[side].argmax()), target.shape)
    return Click(int(row), int(column), side == 0)
