"""The first strokes of a training sample: scribbles on and off the object, clicks, its box or its extreme points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Stroke
from napari_scribseg.simulate import Hand, ScribbleStyle, paint_object, paint_surroundings, simulate_scribble
from napari_scribseg.simulate.boxes import bounding_box, box_stroke, extreme_points, point_strokes
from napari_scribseg.simulate.corrections import object_radius
from napari_scribseg.simulate.painting import part_of_line
from napari_scribseg.simulate.simulated_clicks import robot_click, training_clicks
from napari_scribseg.simulate.simulated_scribbles import paint
from napari_scribseg.train.targets import typical_width

__all__ = ["CORRECTED", "DrawingOptions", "Prompt", "draw_stroke_map", "draw_style"]

Prompt = Literal["scribbles", "clicks", "box", "extreme-points", "none"]

#: The prompts after which a prediction is corrected, by strokes or by a click.
CORRECTED: tuple[Prompt, ...] = ("scribbles", "clicks")

_MOST_NEGATIVE = 3  # strokes off the object
_PAINTED_OFF = 0.8  # share of the painted samples with strokes off the object too
_CANDIDATES = 256  # pixels of each side that clicks are chosen from; with 1000 they take as long as a prediction
_DOT_CANDIDATES = 128  # the same for dots of the pen
_MOST_DOTS = (20, 8)  # on the object and off it
_FINE = 8.0  # pixels; strokes on narrower objects are more often as people paint them
_ON_FINE = 0.8  # share of the samples of such objects with these strokes, where there are any
_WIDER = 0.9  # share of the strokes that run over the border, where the pen is wider than the object


@dataclass(frozen=True, slots=True)
class DrawingOptions:
    """Which strokes a sample starts with.

    Attributes
    ----------
    radius : tuple of two float
        Radius of the pen, in pixels of the crop.
    whole : float
        Share of the scribbles that run through the whole object, as in the paper. Of the others, some lines, a part of
        one line, or little more than a dot is drawn.
    negative : float
        Share of the samples with one to three strokes off the object. The paper has 0.1, but where several classes are
        painted, every class has strokes off it.
    dots : float
        Share of the samples with clicks instead of scribbles: up to 20 dots of the pen on the object, and up to
        8 off it. A network trained on scribbles only needs many dots for many small objects.
    painted : float
        Share of the other samples with strokes as people paint them:
        :func:`~napari_scribseg.simulate.painting.paint_object`; where it is above 0, at least 0.8 of the samples of
        objects that are narrower than 8 pixels, on which it is harder to learn what a stroke means.
    loose : float
        Share of the painted samples whose pen runs over the border; where it is above 0, at least 0.9 where the pen is
        wider than the object.
    broad : tuple of two float
        Radius of the pen of painted samples, in pixels of the crop; uniform on a logarithmic scale.
    published : bool
        Whether scribbles are those of the paper: whole, by its pen of radius 2, which may cross the border. ``radius``
        and ``whole`` are then of no effect on them.
    single : float
        Share of the samples of clicks that start with a single click in the middle of the object.
    prompt : {"scribbles", "clicks", "box", "extreme-points", "none"}
        What is drawn: scribbles; single pixels on the object and near it (paper 003); the outline of the bounding box
        of the object in the crop; a dot on its top-, left-, bottom- and rightmost pixel (paper 001); or nothing, where
        all objects are to be segmented. A box and points depend on ``radius`` and ``slack`` only.
    slack : int
        Largest error of a side of the box, in pixels of the crop, in both directions, and largest distance of a point
        from the extreme (DEXTR: 5 of 512).
    """

    radius: tuple[float, float] = (0.25, 3.5)
    whole: float = 0.5
    negative: float = 0.5
    dots: float = 0.0
    painted: float = 0.0
    loose: float = 0.6
    broad: tuple[float, float] = (0.7, 5.0)
    published: bool = False
    single: float = 0.0
    prompt: Prompt = "scribbles"
    slack: int = 1


def draw_style(options: DrawingOptions, rng: np.random.Generator) -> ScribbleStyle:
    """A random pen, or that of the paper, and how the user draws with it."""
    if options.published:
        return ScribbleStyle(outside="pen")
    return ScribbleStyle(
        tiles=int(rng.integers(2, 7)),
        point_distance=float(rng.choice((6, 9, 13))),  # few values, as a table is cached for each
        deviation=float(rng.uniform(0.3, 2.5)),
        radius=_radius(options, rng),
        torn_share=0.3,
    )


def _radius(options: DrawingOptions, rng: np.random.Generator) -> float:
    """Radius of a random pen, in quarters of a pixel."""
    return round(4 * float(rng.uniform(*options.radius))) / 4


def draw_stroke_map(target: NDArray[np.bool_], options: DrawingOptions, rng: np.random.Generator) -> NDArray[np.int8]:
    """The first strokes of a user.

    Parameters
    ----------
    target : ndarray of shape (S, S), bool
        The object.
    options : DrawingOptions
    rng : Generator
        Advanced.

    Returns
    -------
    ndarray of shape (S, S), int8
        1 on the object, -1 off it, 0 not painted. Nothing is painted where the target is empty, or for the prompt
        ``"none"``. A box and points are 1 throughout.
    """
    stroke_map = np.zeros(target.shape, dtype=np.int8)
    if options.prompt == "none":
        return stroke_map
    if options.prompt == "clicks":
        if options.single and rng.random() < options.single:
            first = robot_click(stroke_map, target)
            if first is not None:
                stroke_map[first.row, first.column] = 1
            return stroke_map
        positive, negative = training_clicks(target, rng, most_candidates=_CANDIDATES)
        stroke_map[tuple(negative.T)] = -1
        stroke_map[tuple(positive.T)] = 1
        return stroke_map
    if options.prompt != "scribbles":
        stroke_map[_box_or_points(target, options, rng)] = 1
        return stroke_map
    if options.dots and rng.random() < options.dots:
        return _dots(target, options, rng)
    width = typical_width(target)
    if options.painted and rng.random() < (max(options.painted, _ON_FINE) if width < _FINE else options.painted):
        return _painted(target, width, options, rng)
    if rng.random() < options.negative:
        for _ in range(int(rng.integers(1, _MOST_NEGATIVE + 1))):
            off = _outside(target, rng)
            stroke_map[_scribble(off, options, rng) & ~target] = -1
    stroke_map[_scribble(target, options, rng)] = 1
    return stroke_map


def _painted(
    target: NDArray[np.bool_], width: float, options: DrawingOptions, rng: np.random.Generator
) -> NDArray[np.int8]:
    """Strokes as people paint them: on the object, and in most samples off it."""
    stroke_map = np.zeros(target.shape, dtype=np.int8)
    radius = round(4 * float(np.exp(rng.uniform(*np.log(options.broad))))) / 4
    loose = max(options.loose, _WIDER) if options.loose and 2 * radius > width else options.loose
    hand = Hand(radius, sway=float(rng.uniform(0, 2)), loose=rng.random() < loose)
    if rng.random() < _PAINTED_OFF:
        for _ in range(int(rng.integers(1, _MOST_NEGATIVE + 1))):
            stroke_map[paint_surroundings(target, hand, rng)] = -1
    for _ in range(int(rng.integers(1, 3))):
        stroke_map[paint_object(target, hand, rng)] = 1
    return stroke_map


def _dots(target: NDArray[np.bool_], options: DrawingOptions, rng: np.random.Generator) -> NDArray[np.int8]:
    """Dots of a pen on the object and near it, cut off at the border."""
    stroke_map = np.zeros(target.shape, dtype=np.int8)
    most_on, most_off = _MOST_DOTS
    positive, negative = training_clicks(
        target, rng, positive=(1, most_on), negative=(0, most_off), most_candidates=_DOT_CANDIDATES
    )
    radius = _radius(options, rng)
    for points, side, value in ((negative, ~target, -1), (positive, target, 1)):
        stroke_map[_pixels(point_strokes(points, 0, radius), target.shape) & side] = value
    return stroke_map


def _box_or_points(target: NDArray[np.bool_], options: DrawingOptions, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Pixels of the outline of the box, or of the four dots, inside the crop."""
    radius, box = _radius(options, rng), bounding_box(target)
    if box is None:
        return np.zeros(target.shape, dtype=bool)
    strokes: tuple[Stroke, ...]
    if options.prompt == "box":
        off = rng.integers(-options.slack, options.slack + 1, (2, 2))
        corners = np.clip(np.reshape(box, (2, 2)) + off, 0, np.subtract(target.shape, 1))
        (top, left), (bottom, right) = np.sort(corners, axis=0).tolist()
        strokes = (box_stroke((top, left, bottom, right), 0, radius),)
    else:
        strokes = point_strokes(extreme_points(target, options.slack, rng), 0, radius)
    return _pixels(strokes, target.shape)


def _pixels(strokes: Iterable[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The pixels that any of the strokes covers."""
    drawn = np.zeros(shape, dtype=bool)
    for stroke in strokes:
        drawn |= stroke.rasterize(shape)
    return drawn


def _outside(target: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where a stroke off the object is drawn: anywhere off it, or in a ring around it."""
    if rng.random() < 0.4:
        return ~target
    distance = ndimage.distance_transform_edt(~target)
    near = rng.uniform(0, 4)
    far = near + max(object_radius(target) * rng.uniform(0.3, 1.2), 4)
    ring: NDArray[np.bool_] = (distance > near) & (distance < far)
    return ring


def _scribble(mask: NDArray[np.bool_], options: DrawingOptions, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A scribble through a mask, or a part of one."""
    style = draw_style(options, rng)
    drawn = simulate_scribble(mask, rng, style)
    if options.published or not drawn.lines or rng.random() < options.whole:
        return drawn.mask
    lines = [line.points for line in drawn.lines]
    kind = rng.random()
    if kind < 0.35:
        lines = lines[: int(rng.integers(1, len(lines) + 1))]
    else:
        low, high = (0.25, 0.8) if kind < 0.8 else (0, 0.2)
        line = lines[int(rng.integers(len(lines))) if rng.random() < 0.3 else 0]
        lines = [part_of_line(line, low, high, rng)]
    part = paint(np.concatenate(lines), style.radius, mask.shape) & drawn.mask
    return part if part.any() else drawn.mask
