"""Errors of people who draw: shaky and short lines, lines over the border, strokes of the wrong class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import InputError
from napari_scribseg.simulate.simulated_scribbles import Line

__all__ = ["HumanError", "apply_error", "half_pixels", "overshoot", "shake", "shorten"]


@dataclass(frozen=True, slots=True)
class HumanError:
    """Errors of a simulated user; none by default.

    Attributes
    ----------
    jitter : float
        Root mean square of the sideways displacement along a line, in pixels.
    jitter_length : float
        Standard deviation of the Gaussian that smooths the displacement along the line, in pixels.
    steered : bool
        Whether jitter stops at the border of the label, as of a person who takes care.
    shortened : float
        Largest share of a line that is missing at its ends, 0 to 1; the share is uniform.
    spill : float
        Mean length by which a line runs past the border of its label, in pixels; the length is exponential.
    spill_rate : float
        Share of the lines that do so, 0 to 1.
    wrong_label : float
        Share of the lines that are painted in another class, 0 to 1.
    """

    jitter: float = 0.0
    jitter_length: float = 5.0
    steered: bool = False
    shortened: float = 0.0
    spill: float = 0.0
    spill_rate: float = 0.0
    wrong_label: float = 0.0

    def __post_init__(self) -> None:
        for name in ("jitter", "jitter_length", "spill"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; a finite number of pixels of at least 0 is expected")
        for name in ("shortened", "spill_rate", "wrong_label"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a share from 0 to 1 is expected")


def apply_error(line: Line, label: NDArray[np.bool_], error: HumanError, seed: np.random.Generator) -> Line:
    """A line as a person would draw it with ``line`` intended.

    Parameters
    ----------
    line : Line
        The intended line.
    label : ndarray of shape (H, W), bool
        The label that it is intended for.
    error : HumanError
        ``wrong_label`` is not used.
    seed : Generator
        Of the errors.

    Returns
    -------
    Line
        Its ``leaves`` is also True where the error moves the line out of the label, so that the pen paints there
        (unless ``ScribbleStyle.outside`` is ``"never"``).
    """
    points, leaves = line.points, line.leaves
    if error.shortened > 0:
        part = shorten(len(points), error.shortened, seed)
        points, leaves = points[part], leaves[part]
    if error.jitter > 0:
        kept_inside = _inside(points, label)
        moved = shake(points, error.jitter, error.jitter_length, seed)
        if error.steered:
            moved, kept_inside = _steer(points, moved, kept_inside, label), np.zeros_like(kept_inside)
        points, origin = half_pixels(moved)
        leaves = leaves[origin] | (kept_inside[origin] & ~_inside(points, label))
    if error.spill > 0 and seed.random() < error.spill_rate:
        longer = overshoot(points, label, seed.exponential(error.spill), seed)
        if longer is not None:
            before, points, after = longer
            leaves = np.concatenate([np.ones(len(before), bool), leaves, np.ones(len(after), bool)])
            points = np.concatenate([before, points, after])
    return Line(line.knots, points, leaves)


def shake(points: NDArray[np.float64], size: float, length: float, seed: np.random.Generator) -> NDArray[np.float64]:
    """Displace a line sideways by smooth noise.

    Parameters
    ----------
    points : ndarray of shape (L, 2), float64
        Positions along the line.
    size : float
        Root mean square of the displacement, in pixels.
    length : float
        Standard deviation of the Gaussian that smooths it, in pixels along the line.
    seed : Generator
        Of the noise.

    Returns
    -------
    ndarray of shape (L, 2), float64
        A single position is displaced in both directions.
    """
    if len(points) == 1:
        return points + seed.normal(0, size / np.sqrt(2), (1, 2))
    along = np.gradient(points, axis=0)
    steps = np.hypot(along[:, 0], along[:, 1])
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(steps, 1e-9)[:, np.newaxis]
    width = length / max(steps.mean(), 1e-9)
    noise = seed.standard_normal(len(points))
    if width > 0.5:  # a narrower Gaussian does not smooth
        noise = ndimage.gaussian_filter1d(noise, width, mode="wrap") * np.sqrt(2 * width * np.sqrt(np.pi))
    moved: NDArray[np.float64] = points + size * noise[:, np.newaxis] * normal
    return moved


def shorten(n: int, most: float, seed: np.random.Generator) -> slice:
    """The part of ``n`` positions, at least one, that remains when a share of up to ``most`` is cut off at the ends."""
    left = max(n - int(seed.uniform(0, most) * n), 1)
    start = int(seed.integers(n - left + 1))
    return slice(start, start + left)


def overshoot(
    points: NDArray[np.float64], label: NDArray[np.bool_], beyond: float, seed: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Continue a line straight past the border of its label, at the end from which the way out is shorter.

    Parameters
    ----------
    points : ndarray of shape (L, 2), float64
        Positions along the line.
    label : ndarray of shape (H, W), bool
        The label that it is intended for.
    beyond : float
        Length past the border, in pixels.
    seed : Generator
        Of the direction in which a single position continues.

    Returns
    -------
    tuple of 3 ndarray or None
        The positions before the line, shape (A, 2), the line, and those after it, shape (B, 2), half a pixel apart;
        None where neither end can leave the label inside the image.
    """
    reach = min(8, len(points) - 1)
    heads = (points[-1] - points[-1 - reach], points[0] - points[reach])
    if not np.hypot(*heads[0]) > 0:
        turn = seed.uniform(0, 2 * np.pi)
        heads = (np.asarray([np.sin(turn), np.cos(turn)]), -np.asarray([np.sin(turn), np.cos(turn)]))
    step = 0.5 * np.arange(1, 2 * int(np.hypot(*label.shape)) + 2)[:, np.newaxis]
    ways = []
    for start, head in zip((points[-1], points[0]), heads, strict=True):
        way = start + step * head / max(np.hypot(*head), 1e-9)
        at = np.rint(way).astype(np.intp)
        stays = ((at >= 0) & (at < label.shape)).all(axis=1)
        n = len(stays) if stays.all() else int(np.argmin(stays))
        out = np.flatnonzero(~label[at[:n, 0], at[:n, 1]])
        ways.append((int(out[0]) if out.size else len(way), way[:n]))
    exits = [way[0] for way in ways]
    end = int(exits[1] < exits[0])
    if exits[end] >= len(step):
        return None
    more = ways[end][1][: exits[end] + int(np.ceil(2 * beyond))]
    nothing = np.zeros((0, 2))
    return (more[::-1], points, nothing) if end else (nothing, points, more)


def _steer(
    points: NDArray[np.float64], moved: NDArray[np.float64], kept_inside: NDArray[np.bool_], label: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Positions (L, 2) moved, by half as often as needed, so that they stay in the label; others are not moved."""
    steered = moved.copy()
    for share in (1 / 2, 1 / 4, 0.0):
        out = ~(kept_inside & _inside(steered, label))
        steered[out] = points[out] + share * (moved[out] - points[out])
    return steered


def _inside(points: NDArray[np.float64], label: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the pixel nearest to each position, in the image, belongs to the label; shape (L,)."""
    at = np.clip(np.rint(points).astype(np.intp), 0, np.asarray(label.shape) - 1)
    inside: NDArray[np.bool_] = label[at[:, 0], at[:, 1]]
    return inside


def half_pixels(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The same line with positions half a pixel or less apart along each axis, and the old position before each."""
    pieces = np.maximum(np.ceil(2 * np.abs(np.diff(points, axis=0)).max(axis=1, initial=0)), 1).astype(np.intp)
    at = np.append(0, np.cumsum(pieces))
    where = np.arange(at[-1] + 1)
    dense = np.stack([np.interp(where, at, points[:, axis]) for axis in (0, 1)], axis=1)
    return dense, np.searchsorted(at, where, side="right") - 1
