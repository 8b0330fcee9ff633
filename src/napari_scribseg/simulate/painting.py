"""Strokes as people paint them with a pen of a fixed width: zigzags, contours, hatches and lines beyond the border.

On medical images people paint zigzags into an object, contours along its border inside or outside, hatches on the
background, and lines along thin structures with a pen that is wider (MedScribble, Wong et al., ScribblePrompt, 2024):
half of such a stroke lies beside the structure, while strokes in thick objects stay inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from napari_scribseg.simulate.human_error import half_pixels, shake
from napari_scribseg.simulate.masks import distance_field, one_part
from napari_scribseg.simulate.simulated_scribbles import paint, simulate_scribble

__all__ = ["Hand", "contour_line", "hatches", "paint_object", "paint_surroundings", "part_of_line", "zigzag"]

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

_OVERSHOOT = 8.0  # mean length of a straight continuation beyond the end of a line, in pixels


@dataclass(frozen=True, slots=True)
class Hand:
    """How a person paints.

    Attributes
    ----------
    radius : float
        Radius of the pen, in pixels, the same for all structures.
    sway : float
        Root mean square of the sideways displacement of a line, in pixels.
    loose : bool
        Whether the pen also paints beyond the border of the object.
    """

    radius: float = 2.0
    sway: float = 1.0
    loose: bool = True


def paint_object(mask: Mask, hand: Hand, rng: np.random.Generator) -> Mask:
    """First strokes of a person on an object.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The object; not empty.
    hand : Hand
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (H, W), bool
        With at least one pixel on the object.
    """
    kind = rng.random()
    if kind < 0.5:
        lines = _middle_lines(mask, rng)
    elif kind < 0.7:
        lines = zigzag(mask, rng.uniform(3, 10) + hand.radius, rng, connected=True)
    elif kind < 0.78:
        lines = zigzag(mask, rng.uniform(4, 12) + hand.radius, rng, connected=False)
    else:
        field = distance_field(mask)
        lines = contour_line(field, float(rng.uniform(0.25, 0.75) * field.max()), rng)
    drawn = _painted(lines, hand, mask, rng)
    if not (drawn & mask).any():
        drawn = simulate_scribble(mask, rng).mask
    return drawn


def paint_surroundings(mask: Mask, hand: Hand, rng: np.random.Generator) -> Mask:
    """First strokes of a person off an object; people take care that almost none lies on it.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        The object.
    hand : Hand
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (H, W), bool
        Empty where there is no room for a line.
    """
    kind = rng.random()
    away = ndimage.distance_transform_edt(~mask)
    if kind < 0.5:
        lines = contour_line(away, float(np.exp(rng.uniform(np.log(1.5), np.log(20)))) + hand.radius, rng)
        if rng.random() < 0.3:
            lines = [_waves(line, rng) for line in lines]
    else:
        lines = hatches(mask.shape, rng)
    kept = [part for line in lines for part in _runs(line, mask, away, hand.radius if rng.random() < 0.8 else 0.5)]
    return _painted(kept, hand, ~mask, rng)


def _painted(lines: list[Points], hand: Hand, side: Mask, rng: np.random.Generator) -> Mask:
    """The pixels of some lines drawn by a hand; ``side`` is where a careful one paints."""
    if hand.sway:
        lines = [shake(line, hand.sway, float(rng.uniform(4, 25)), rng) if len(line) > 8 else line for line in lines]
    if hand.loose:
        lines = [_overshot(line, rng) if rng.random() < 0.1 else line for line in lines]
    dense = [half_pixels(line)[0] for line in lines if len(line)]
    if not dense:
        return np.zeros(side.shape, dtype=bool)
    drawn = paint(np.concatenate(dense), hand.radius, side.shape)
    return drawn if hand.loose else drawn & side


def _middle_lines(mask: Mask, rng: np.random.Generator) -> list[Points]:
    """Lines along the middle of an object: all, the longest, or a part of one."""
    lines = [line.points for line in simulate_scribble(mask, rng).lines]
    if not lines or rng.random() < 0.3:
        return lines
    if rng.random() < 0.5:
        return lines[: int(rng.integers(1, len(lines) + 1))]
    return [part_of_line(lines[int(rng.integers(len(lines)))], 0.2, 1.0, rng)]


def zigzag(mask: Mask, spacing: float, rng: np.random.Generator, *, connected: bool) -> list[Points]:
    """A zigzag or parallel lines across a part of an object.

    Parameters
    ----------
    mask : ndarray of shape (H, W), bool
        Not empty.
    spacing : float
        Distance of two crossings, in pixels.
    rng : Generator
        Advanced.
    connected : bool
        Whether it is one line that turns at each border.

    Returns
    -------
    list of ndarray of shape (L, 2), float64
        Row and column of the points of each line.
    """
    at = np.argwhere(one_part(mask, rng)).astype(np.float64)
    angle = rng.uniform(0, np.pi)
    if len(at) > 2 and rng.random() < 0.6:  # across the long axis
        values, vectors = np.linalg.eigh(np.cov(at.T))
        angle = float(np.arctan2(*vectors[::-1, int(np.argmax(values))])) + rng.normal(0, 0.3)
    along, across = np.asarray([np.cos(angle), np.sin(angle)]), np.asarray([-np.sin(angle), np.cos(angle)])
    u, v = at @ along, at @ across
    row = ((u - u.min()) / spacing).astype(np.intp)
    fill, knots = rng.uniform(0.5, 1.0), []
    for number in range(int(row.max()) + 1):
        here = v[row == number]
        if here.size:
            middle, half = (here.min() + here.max()) / 2, fill * (here.max() - here.min()) / 2
            level = u.min() + (number + 0.5) * spacing
            ends = [level * along + (middle + sign * half) * across for sign in (-1, 1)]
            knots.append(ends if number % 2 or not connected else ends[::-1])
    first = int(rng.integers(0, max(len(knots) // 2, 1)))
    knots = knots[first : first + max(int(rng.uniform(0.4, 1.0) * len(knots)), 1)]
    lines = [np.concatenate(knots)] if connected else [np.asarray(pair) for pair in knots]
    return [half_pixels(line)[0] for line in lines]


def contour_line(field: NDArray[np.float64], level: float, rng: np.random.Generator) -> list[Points]:
    """A part of a line of equal distance from a border.

    Parameters
    ----------
    field : ndarray of shape (H, W), float64
        Distance, in pixels.
    level : float
        Distance of the line.
    rng : Generator
        Advanced.

    Returns
    -------
    list of ndarray of shape (L, 2), float64
        One line, or none where no pixel is that far away.
    """
    found = find_contours(np.pad(field, 1), level)  # type: ignore[no-untyped-call]
    if not found:
        return []
    lengths = np.asarray([len(line) for line in found], dtype=np.float64)
    line = found[int(rng.choice(len(found), p=lengths / lengths.sum()))] - 1
    if np.array_equal(line[0], line[-1]):
        line = np.roll(line[:-1], int(rng.integers(len(line))), axis=0)
    return [part_of_line(line, 0.3, 1.0, rng)]


def hatches(shape: tuple[int, ...], rng: np.random.Generator) -> list[Points]:
    """Some lines side by side, or a long one across the image.

    Parameters
    ----------
    shape : tuple of 2 int
        Of the image.
    rng : Generator
        Advanced.

    Returns
    -------
    list of ndarray of shape (L, 2), float64
    """
    angle, side = rng.uniform(0, np.pi), max(shape)
    along, across = np.asarray([np.cos(angle), np.sin(angle)]), np.asarray([-np.sin(angle), np.cos(angle)])
    middle = rng.uniform(0, 1, 2) * shape
    number = int(rng.integers(1, 9)) if rng.random() < 0.6 else 1
    length = side * float(rng.uniform(0.05, 0.3) if number > 1 else rng.uniform(0.1, 1.0))
    spacing = float(rng.uniform(5, 15))
    lines = []
    for i in range(number):
        start = middle + (i - number / 2) * spacing * across + rng.normal(0, 3, 2)
        line = np.linspace(start - length / 2 * along, start + length / 2 * along, max(int(2 * length), 2))
        bow = rng.normal(0, 0.1) * length * (1 - np.linspace(-1, 1, len(line)) ** 2)
        lines.append(line + bow[:, None] * across)
    return lines


def part_of_line(line: Points, low: float, high: float, rng: np.random.Generator) -> Points:
    """A random part of a line (L, 2), of between two shares of its length."""
    length = max(int(rng.uniform(low, high) * len(line)), 1)
    start = int(rng.integers(len(line) - length + 1))
    return line[start : start + length]


def _runs(line: Points, mask: Mask, away: NDArray[np.float64], least: float) -> list[Points]:
    """The parts of a line that lie in the image and farther than ``least`` pixels from the object."""
    at = np.rint(line).astype(np.intp)
    inside = ((at >= 0) & (at < np.asarray(mask.shape))).all(axis=1)
    at = np.clip(at, 0, np.asarray(mask.shape) - 1)
    good = inside & (away[at[:, 0], at[:, 1]] > least)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(np.int8), [0]))))
    return [line[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 3]


def _waves(line: Points, rng: np.random.Generator) -> Points:
    """A line in waves about its course."""
    if len(line) < 4:
        return line
    way = np.append(0, np.cumsum(np.hypot(*np.diff(line, axis=0).T)))
    normal = np.stack([np.gradient(line[:, 1]), -np.gradient(line[:, 0])], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    swing = rng.uniform(1.5, 5) * np.sin(2 * np.pi * way / rng.uniform(5, 14))
    waved: Points = line + swing[:, None] * normal
    return waved


def _overshot(line: Points, rng: np.random.Generator) -> Points:
    """A line that continues straight beyond its end."""
    if len(line) < 4:
        return line
    heading = line[-1] - line[-4]
    norm = float(np.linalg.norm(heading))
    if norm == 0:
        return line
    return np.concatenate((line, [line[-1] + heading / norm * rng.exponential(_OVERSHOOT)]))
