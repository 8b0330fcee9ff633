"""The self-tuning model: which terms make up the cost of a label, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Scribbles
from napari_scribseg.numerics.fused.filters import gaussian_gradient, rgb_to_lab, smooth
from napari_scribseg.numerics.intensity import equalize_intensities, is_picture, scale_intensities, some_values

if TYPE_CHECKING:
    from napari_scribseg.engines.svcd.engine import SVCD

__all__ = [
    "LEAST_SHARE",
    "LEAST_TONE",
    "NO_DENSITY",
    "OPEN_TONE",
    "PAPER_MEANING",
    "PLACE_ALPHA",
    "PLACE_SIGMA",
    "TONE_SIGMA",
    "Look",
    "Recipe",
    "choose_recipe",
    "colour_reliability",
    "open_label",
    "semantic_channels",
]

PLACE_ALPHA = 10.0  # width of the spatial kernel, in distances to the stroke
PLACE_SIGMA = 8.0  # width of its colour kernel
TONE_SIGMA = 10.0  # width of the kernel of colours alone, on the smoothed image
LEAST_SHARE = 1e-3  # added to a label's share of the densities
LEAST_TONE = 1e-3  # added to a label's density of colours alone
OPEN_TONE = 0.5  # least density of colours alone that the background has: no strokes show all that lies there
NO_DENSITY = 1e-12  # sum of the densities below which no label has a share
PAPER_MEANING = 255.0  # range of semantic features in the published model, that of colours
_MEANING = 64.0  # and in the self-tuning model
_JUDGED = 320  # stroke pixels that the reliability of colours is judged by
_HIDDEN = 15.0  # radius around a stroke pixel that is held back, in finest pixels
_HIDDEN_SHARE = 0.35  # and at most this share of the extent of its label's strokes
_WIDTHS = (1.0, 0.5, 0.25)  # factors on the widths of the colour kernels, from which held-back strokes choose
_DOUBTFUL, _CERTAIN = 0.65, 0.95  # reliability of the colours from which on they count, and decide
_LEAST_INTENSITY = 0.1  # share below which intensities are left out
_LAB = 1.785  # CIELAB units on the scale 0 to 255
_MOST_NOISE = 4.0  # standard deviation of a channel's noise, on the scale 0 to 255
_PATH_GAIN = 50.0  # what an edge adds to the cost of a path
_SMOOTHING = 1.0  # scale of the smoothed image and of the gradient, in finest pixels

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the model sees of an image.

    Attributes
    ----------
    features : ndarray of shape (C, H, W), float32
        CIELAB colours of a picture, scaled intensities of anything else, on a scale of about 0 to 255; then semantic
        features, where they are asked for.
    smoothed : ndarray of shape (C, H, W), float32
        The same, smoothed.
    edges : ndarray of shape (H, W), float32
        Size of the gradient, in units of its 90th percentile.
    pixel : tuple of 2 float
        Size of a pixel along rows and columns, in units of the finest pixel.
    picture : bool
        Whether it is an RGB picture.
    """

    features: Float32
    smoothed: Float32
    edges: Float32
    pixel: tuple[float, float]
    picture: bool

    @classmethod
    def at(cls, data: Float32, pixel: tuple[float, float], semantic: Float32 | None = None) -> Look:
        """Look at an image of shape (C, H, W), with semantic features of shape (3, H, W) from 0 to 1 or without."""
        picture = is_picture(data)
        if picture:
            features = rgb_to_lab(np.require(scale_intensities(data), requirements=["C", "W"]))
            features *= np.float32(_LAB)
        else:
            features = np.concatenate([equalize_intensities(scale_intensities(c[np.newaxis])) for c in data])
        features *= np.asarray([_quietening(channel) for channel in features], dtype=np.float32)[:, None, None]
        gradient = gaussian_gradient(features, _SMOOTHING, pixel)
        unit = max(float(np.percentile(some_values(gradient), 90)), 0.05 * float(gradient.max()))
        edges = np.multiply(gradient, np.float32(1 / unit if unit > 0 else 0), out=gradient)
        if semantic is not None:
            features = np.concatenate((features, semantic * np.float32(_MEANING)))
        return cls(features, smooth(features, _SMOOTHING, pixel), edges, pixel, picture)

    @property
    def semantic(self) -> Float32:
        """Semantic features of shape (3, H, W), from 0 to 1, of a look that was given them."""
        return self.features[-3:] / np.float32(_MEANING)

    def boundary_weights(self, strength: float) -> Float32:
        """Weight of the boundary length at each pixel, shape (H, W): small on edges, never nothing."""
        weights: Float32 = np.exp(np.float32(-strength) * self.edges) + np.float32(1e-3)
        return weights

    def path_cost(self) -> Float32:
        """Cost of a unit of a path's length at each pixel, shape (H, W)."""
        cost: Float32 = np.float32(1) + np.float32(_PATH_GAIN) * self.edges
        return cost


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much each term of the cost of a label counts.

    Attributes
    ----------
    place : float
        ``-log`` of the label's share of the spatially varying densities.
    near : float
        ``log(1 + Euclidean distance)`` to the label's strokes.
    path : float
        ``log(1 + geodesic distance)`` to them, along paths that avoid edges.
    tone : float
        ``-log`` of the density of colours alone, that of the background label at least ``OPEN_TONE``.
    smoothness : float
        Weight of the boundary length.
    edge : float
        How fast a boundary gets cheaper with the gradient.
    width : float
        Factor on the widths of the colour kernels.
    """

    place: float
    near: float
    path: float
    tone: float
    smoothness: float
    edge: float
    width: float = 1.0

    def towards(self, other: Recipe, share: float) -> Recipe:
        """A recipe between this one (share 0) and another (share 1)."""
        return Recipe(*((1 - share) * a + share * b for a, b in zip(astuple(self), astuple(other), strict=True)))


_BY_PATH = Recipe(place=0.0, near=3.0, path=3.5, tone=1.0, smoothness=4.0, edge=1.0)
_BY_COLOUR = Recipe(place=1.0, near=0.0, path=0.0, tone=0.0, smoothness=55.0, edge=0.7)


def choose_recipe(look: Look, seeds: NDArray[np.int32], n_classes: int) -> tuple[Recipe, tuple[str, ...]]:
    """The weights for an image with strokes, and what to tell the user of them.

    Colours decide in RGB pictures. Elsewhere they count the more the better they tell held-back stroke pixels apart,
    with the kernel width that does so best; paths that avoid edges do the rest.
    """
    if look.picture:
        return _BY_COLOUR, ("colour picture: labels by the colours near their strokes",)
    judged = colour_reliability(look, seeds, n_classes, [w * PLACE_SIGMA for w in _WIDTHS])
    reliability, width = max(zip(judged, _WIDTHS, strict=True))
    share = min((reliability - _DOUBTFUL) / (_CERTAIN - _DOUBTFUL), 1.0)
    share = share if share > _LEAST_INTENSITY else 0.0
    recipe = replace(_BY_PATH.towards(_BY_COLOUR, share), width=width)
    how = f"reliability {reliability:.2f}, kernel width {width * PLACE_SIGMA:g}"
    return recipe, (f"labels {share:.0%} by intensity ({how}), {1 - share:.0%} by paths that avoid edges",)


def semantic_channels(engine: SVCD, data: Float32, device: str) -> Float32 | None:
    """Semantic features of an image, shape (3, H, W), from 0 to 1; None where the engine wants none."""
    if engine.features == "colour":
        return None
    from napari_scribseg.prompting.semantic import semantic_features  # torch is loaded for it alone

    return semantic_features(data, engine.backbone, device)


def open_label(scribbles: Scribbles) -> int | None:
    """The index of the class that stands for the background, if any: its strokes show only part of what belongs to it.

    The class with the id 0; else the one whose strokes' bounding box encloses those of all other classes.
    """
    if 0 in scribbles.ids:
        return scribbles.ids.index(0)
    boxes = {}
    for label in np.flatnonzero(scribbles.counts):
        rows, columns = np.nonzero(scribbles.seeds == label)
        boxes[int(label)] = (rows.min(), columns.min(), -rows.max(), -columns.max())
    least = tuple(min(values) for values in zip(*boxes.values(), strict=True))
    return next((label for label, box in boxes.items() if box == least), None)


def _quietening(channel: Float32) -> float:
    """The factor, at most 1, that brings a channel's noise down to what its colour kernel can bear.

    The noise is estimated from second differences (Immerkaer 1996), by their median: edges do not count as noise.
    """
    if min(channel.shape) < 3:
        return 1.0
    rows = channel[:-2] - 2 * channel[1:-1] + channel[2:]
    mixed = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    noise = float(np.median(np.abs(some_values(mixed)))) / (0.6745 * 6)
    return min(1.0, _MOST_NOISE / noise) if noise > 0 else 1.0


def colour_reliability(look: Look, seeds: NDArray[np.int32], n_classes: int, sigmas: Sequence[float]) -> list[float]:
    """How well colour alone tells stroke pixels apart whose surroundings are held back, by kernels of several widths.

    Returns
    -------
    list of float
        For each width: 1 where the held-back pixels' own labels are certain, 0 where colour says nothing, negative
        where it misleads: ``1 + mean over labels of the mean log share / log K``.
    """
    places, colours, labels = [], [], []
    for label in range(n_classes):
        flat = np.flatnonzero(seeds == label)
        most = max(_JUDGED // n_classes, 8)
        flat = flat[np.arange(min(most, len(flat))) * len(flat) // min(most, max(len(flat), 1))] if len(flat) else flat
        rows, columns = np.divmod(flat, seeds.shape[1])
        places.append(np.column_stack((rows * look.pixel[0], columns * look.pixel[1])))
        colours.append(look.features[:, rows, columns].T)
        labels.append(np.full(len(flat), label))
    place, colour, label_of = np.concatenate(places), np.concatenate(colours), np.concatenate(labels)
    drawn = [k for k in range(n_classes) if len(places[k])]
    hidden = np.empty(n_classes)
    for k in drawn:
        hidden[k] = min(_HIDDEN, _HIDDEN_SHARE * float(np.linalg.norm(np.ptp(places[k], axis=0))))
    gaps = _squared_gaps(colour)
    seen = _squared_gaps(place) > np.square(hidden[label_of])[:, np.newaxis]
    members = np.stack([label_of == k for k in drawn]).astype(np.float32)
    numbers = np.maximum(members @ seen.T.astype(np.float32), 1)
    judged = []
    for sigma in sigmas:
        shares = (members @ (np.exp(gaps * (-0.5 / sigma**2)) * seen).T + 1e-6) / numbers
        shares /= shares.sum(axis=0)
        scores = [np.log(shares[i, label_of == k] + LEAST_SHARE).mean() for i, k in enumerate(drawn)]
        judged.append(float(1 + np.mean(scores) / np.log(len(drawn))))
    return judged


def _squared_gaps(points: NDArray[np.floating]) -> Float32:
    """Squared distances between all rows."""
    gaps = np.zeros((len(points), len(points)), dtype=np.float32)
    for column in points.T.astype(np.float32):
        gaps += np.square(column[:, np.newaxis] - column)
    return gaps
