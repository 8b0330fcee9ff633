"""The stroke by which a person corrects a wrong prediction (paper 001, section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_scribseg.core import InputError
from napari_scribseg.simulate.masks import as_mask, require_same_shape
from napari_scribseg.simulate.simulated_scribbles import (
    ScribbleStyle,
    SimulatedScribble,
    paint_lines,
    simulate_scribble,
)

__all__ = ["Correction", "as_probability", "errors", "object_radius", "simulate_correction", "temporary_label"]


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """The correction of a prediction by the simulated user.

    Attributes
    ----------
    sign : int
        1 where the prediction is too small and object was painted, -1 where it is too large, 0 where it is good enough.
    stroke_map : ndarray of shape (H, W), int8
        Old and new strokes: 1 object, -1 background, 0 not painted.
    temporary : ndarray of shape (H, W), bool
        The label that the new stroke was drawn into.
    scribble : SimulatedScribble or None
        The new stroke; None where ``sign`` is 0.
    """

    sign: int
    stroke_map: NDArray[np.int8]
    temporary: NDArray[np.bool_]
    scribble: SimulatedScribble | None


def simulate_correction(
    prediction: ArrayLike,
    truth: ArrayLike,
    stroke_map: ArrayLike,
    seed: int | np.random.Generator,
    style: ScribbleStyle | None = None,
    *,
    tolerance: float = 0.01,
    reach: float | None = None,
    stay: bool = True,
    spill: bool = False,
) -> Correction:
    """Add a stroke where a prediction is wrong.

    Parameters
    ----------
    prediction : array_like of shape (H, W)
        Probability of the object, 0 to 1, or its mask.
    truth : array_like of shape (H, W), bool or integer
        What is not 0 belongs to the object.
    stroke_map : array_like of shape (H, W), integer
        The strokes so far: 1 object, -1 background, 0 not painted.
    seed : int or Generator
        The same seed gives the same stroke.
    style : ScribbleStyle, optional
        How the user draws.
    tolerance : float
        A prediction whose wrong pixels are fewer than this share of the object's is not corrected (paper: 0.01).
    reach : float, optional
        Largest distance of the stroke from the error, in pixels; by default the radius of the object, as in the paper.
    stay : bool
        Whether an object stroke stays on the object and a background stroke off it. As the paper is worded, its
        temporary label may reach across the border, and the stroke with it.
    spill : bool
        Whether the pen also paints past the border; its middle follows ``stay``.

    Returns
    -------
    Correction
        The new stroke is painted over the old ones.

    Raises
    ------
    InputError
        If the arrays differ in shape, or hold other values.
    """
    target, predicted, old = as_mask(truth, "truth"), as_probability(prediction), np.asarray(stroke_map)
    require_same_shape(predicted, target, ("prediction", "truth"))
    require_same_shape(old, target, ("stroke map", "truth"))
    if old.dtype.kind not in "iu" or np.any((old < -1) | (old > 1)):
        raise InputError("the strokes so far hold other values than -1, 0 and 1; these integers are expected")
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"the tolerance is {tolerance}; a share of at least 0 is expected")
    if reach is not None and not (np.isfinite(reach) and reach >= 0):
        raise InputError(f"the reach is {reach}; a number of pixels of at least 0 is expected")
    new = old.astype(np.int8)
    missing, surplus = errors(predicted, target)
    n_wrong = np.count_nonzero(missing) + np.count_nonzero(surplus)
    if n_wrong == 0 or n_wrong < tolerance * np.count_nonzero(target):
        return Correction(0, new, np.zeros(target.shape, dtype=bool), None)
    sign = -1 if np.count_nonzero(surplus) > np.count_nonzero(missing) else 1
    temporary = temporary_label(surplus if sign < 0 else missing, object_radius(target) if reach is None else reach)
    if stay:
        temporary &= target == (sign > 0)
    scribble = simulate_scribble(temporary, seed, style)
    if spill:
        drawn = paint_lines(scribble.lines, temporary, replace(style or ScribbleStyle(), outside="pen"))
    else:
        drawn = scribble.mask & (target == (sign > 0)) if stay else scribble.mask
    new[drawn] = sign
    return Correction(sign, new, temporary, scribble)


def as_probability(prediction: ArrayLike) -> NDArray[np.float64]:
    """A prediction as probabilities, shape (H, W).

    Raises
    ------
    InputError
        If it has not two axes, or holds values outside 0 to 1.
    """
    predicted = np.asarray(prediction)
    if predicted.dtype.kind not in "biuf" or predicted.ndim != 2:
        raise InputError(
            f"the prediction is {predicted.dtype} of shape {predicted.shape}; numbers of shape (H, W) are expected"
        )
    predicted = predicted.astype(np.float64)
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise InputError("the prediction holds NaN or values outside 0 to 1; probabilities or a mask are expected")
    return predicted


def errors(predicted: NDArray[np.float64], target: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Missing and surplus pixels of a prediction, by differences above 0.5; shape (H, W)."""
    return target - predicted > 0.5, predicted - target > 0.5


def object_radius(target: NDArray[np.bool_]) -> float:
    """Radius, in pixels, of the disc that has the area of the object; 0 where it is empty."""
    return float(np.sqrt(np.count_nonzero(target) / np.pi))


def temporary_label(wrong: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """The wrong pixels and those within ``reach`` pixels of them, so that new strokes meet old ones.

    ``wrong``, of shape (H, W), holds at least one pixel.
    """
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~wrong) <= reach
    return near
