"""The terms of the labelling energy: the features of an image that they see, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core import Scribbles
from napari_scribseg.core.padding import some_values
from napari_scribseg.numerics.fused.filters import gaussian_gradient, rgb_to_lab, smooth
from napari_scribseg.numerics.intensity import equalize_intensities, is_picture, scale_intensities

__all__ = [
    "BACKGROUND_DENSITY",
    "EPSILON",
    "FORBIDDEN",
    "GLOBAL_SIGMA",
    "LEAST_DENSITY",
    "LEAST_SHARE",
    "LOCAL_ALPHA",
    "LOCAL_SIGMA",
    "MIN_RHO",
    "NO_DENSITY",
    "PAPER_SEMANTIC_RANGE",
    "ImageFeatures",
    "TermWeights",
    "background_label",
    "choose_weights",
    "colour_reliability",
]

EPSILON = 1e-7  # least normalised density
FORBIDDEN = 1000.0  # cost of another label at a stroke pixel, and of a label without strokes
MIN_RHO = 0.4  # least width of the spatial kernel, in pixels
LOCAL_ALPHA = 10.0  # local density: width of the spatial kernel, in distances to the stroke
LOCAL_SIGMA = 8.0  # and of its colour kernel
GLOBAL_SIGMA = 10.0  # global density: width of the colour kernel, on the smoothed image
LEAST_SHARE = 1e-3  # added to a label's share of the local densities
LEAST_DENSITY = 3e-4  # added to a label's global density
BACKGROUND_DENSITY = 0.5  # least global density of the background, of which strokes show a part only
NO_DENSITY = 1e-12  # sum of the local densities below which no label has a share
PAPER_SEMANTIC_RANGE = 255.0  # of semantic features in the published model: that of colours
_SEMANTIC_RANGE = 64.0  # and in the self-tuning model
_MOST_VALIDATION = 320  # stroke pixels from which the reliability of colours is estimated
_SURROUNDINGS = 15.0  # radius around a stroke pixel that is held back, in finest pixels
_MOST_EXTENT = 0.35  # and at most this share of the extent of its label's strokes
_WIDTHS = (1.0, 0.5, 0.25)  # factors on the widths of the colour kernels, from which held-back strokes choose
_DOUBTFUL, _CERTAIN = 0.65, 0.95  # reliability of the colours from which on they count, and decide
_LEAST_INTENSITY = 0.1  # share below which intensities are left out
_LAB = 1.785  # CIELAB units on the scale 0 to 255
_MOST_NOISE = 4.0  # standard deviation of a channel's noise, on the scale 0 to 255
_PATH_GAIN = 100.0  # what an edge adds to the cost of a path
_PATH_POWER = 1.5  # of the edge: one strong edge costs more than many weak ones of the same sum
_SMOOTHING = 1.0  # scale of the smoothed image and of the gradient, in finest pixels

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ImageFeatures:
    """Features of an image for the self-tuning model.

    Attributes
    ----------
    channels : ndarray of shape (C, H, W), float32
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

    channels: Float32
    smoothed: Float32
    edges: Float32
    pixel: tuple[float, float]
    picture: bool

    @classmethod
    def of(cls, data: Float32, pixel: tuple[float, float], semantic: Float32 | None = None) -> ImageFeatures:
        """From an image of shape (C, H, W), with or without semantic features of shape (3, H, W) from 0 to 1."""
        picture = is_picture(data)
        if picture:
            channels = rgb_to_lab(np.require(scale_intensities(data), requirements=["C", "W"]))
            channels *= np.float32(_LAB)
        else:
            channels = np.concatenate([equalize_intensities(scale_intensities(c[np.newaxis])) for c in data])
        channels *= np.asarray([_noise_factor(channel) for channel in channels], dtype=np.float32)[:, None, None]
        gradient = gaussian_gradient(channels, _SMOOTHING, pixel)
        unit = max(float(np.percentile(some_values(gradient), 90)), 0.05 * float(gradient.max()))
        edges = np.multiply(gradient, np.float32(1 / unit if unit > 0 else 0), out=gradient)
        if semantic is not None:
            channels = np.concatenate((channels, semantic * np.float32(_SEMANTIC_RANGE)))
        return cls(channels, smooth(channels, _SMOOTHING, pixel), edges, pixel, picture)

    @property
    def semantic(self) -> Float32:
        """Semantic features of shape (3, H, W), from 0 to 1, where they were given."""
        return self.channels[-3:] / np.float32(_SEMANTIC_RANGE)

    def boundary_weights(self, strength: float) -> Float32:
        """Weight of the boundary length at each pixel, shape (H, W): small on edges, never zero."""
        weights: Float32 = np.exp(np.float32(-strength) * self.edges) + np.float32(1e-3)
        return weights

    def path_cost(self) -> Float32:
        """Cost of a unit of a path's length at each pixel, shape (H, W)."""
        cost: Float32 = np.float32(1) + np.float32(_PATH_GAIN) * self.edges ** np.float32(_PATH_POWER)
        return cost


@dataclass(frozen=True, slots=True)
class TermWeights:
    """Weights of the terms of a label's cost.

    Attributes
    ----------
    local_density : float
        ``-log`` of the label's share of the spatially varying densities.
    euclidean : float
        ``log(1 + Euclidean distance)`` to the label's strokes.
    geodesic : float
        ``log(1 + geodesic distance)`` to them, along paths that avoid edges.
    global_density : float
        ``-log`` of the density of colours alone, that of the background label at least ``BACKGROUND_DENSITY``.
    smoothness : float
        Weight of the boundary length.
    edge : float
        How fast a boundary gets cheaper with the gradient.
    width : float
        Factor on the widths of the colour kernels.
    """

    local_density: float
    euclidean: float
    geodesic: float
    global_density: float
    smoothness: float
    edge: float
    width: float = 1.0

    def towards(self, other: TermWeights, share: float) -> TermWeights:
        """Weights between these (share 0) and others (share 1)."""
        return TermWeights(*((1 - share) * a + share * b for a, b in zip(astuple(self), astuple(other), strict=True)))


_BY_PATH = TermWeights(local_density=0.0, euclidean=2.0, geodesic=4.5, global_density=1.0, smoothness=4.0, edge=1.0)
_BY_COLOUR = TermWeights(local_density=1.0, euclidean=0.0, geodesic=0.0, global_density=0.0, smoothness=55.0, edge=0.7)


def choose_weights(
    features: ImageFeatures, seeds: NDArray[np.int32], n_classes: int
) -> tuple[TermWeights, tuple[str, ...]]:
    """The weights for an image with strokes, and notes for the user.

    Colours decide in RGB pictures. Elsewhere they count the more the better they separate held-back stroke pixels,
    with the kernel width that does so best; paths that avoid edges do the rest.
    """
    if features.picture:
        return _BY_COLOUR, ("colour picture: labels by the colours near their strokes",)
    reliabilities = colour_reliability(features, seeds, n_classes, [w * LOCAL_SIGMA for w in _WIDTHS])
    reliability, width = max(zip(reliabilities, _WIDTHS, strict=True))
    share = min((reliability - _DOUBTFUL) / (_CERTAIN - _DOUBTFUL), 1.0)
    share = share if share > _LEAST_INTENSITY else 0.0
    weights = replace(_BY_PATH.towards(_BY_COLOUR, share), width=width)
    how = f"reliability {reliability:.2f}, kernel width {width * LOCAL_SIGMA:g}"
    return weights, (f"labels {share:.0%} by intensity ({how}), {1 - share:.0%} by paths that avoid edges",)


def background_label(scribbles: Scribbles) -> int | None:
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


def _noise_factor(channel: Float32) -> float:
    """The factor, at most 1, that lowers a channel's noise to ``_MOST_NOISE``.

    The noise is estimated from second differences (Immerkaer 1996), by their median, which edges hardly change.
    """
    if min(channel.shape) < 3:
        return 1.0
    rows = channel[:-2] - 2 * channel[1:-1] + channel[2:]
    mixed = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    noise = float(np.median(np.abs(some_values(mixed)))) / (0.6745 * 6)
    return min(1.0, _MOST_NOISE / noise) if noise > 0 else 1.0


def colour_reliability(
    features: ImageFeatures, seeds: NDArray[np.int32], n_classes: int, sigmas: Sequence[float]
) -> list[float]:
    """How well colour alone separates stroke pixels whose surroundings are held back, by kernels of several widths.

    Returns
    -------
    list of float
        For each width: 1 where the held-back pixels' own labels are certain, 0 where colour is uninformative, negative
        where it misleads: ``1 + mean over labels of the mean log share / log K``.
    """
    positions, colours, labels = [], [], []
    for label in range(n_classes):
        flat = np.flatnonzero(seeds == label)
        most = max(_MOST_VALIDATION // n_classes, 8)
        flat = flat[np.arange(min(most, len(flat))) * len(flat) // min(most, max(len(flat), 1))] if len(flat) else flat
        rows, columns = np.divmod(flat, seeds.shape[1])
        positions.append(np.column_stack((rows * features.pixel[0], columns * features.pixel[1])))
        colours.append(features.channels[:, rows, columns].T)
        labels.append(np.full(len(flat), label))
    position, colour, label_of = np.concatenate(positions), np.concatenate(colours), np.concatenate(labels)
    drawn = [k for k in range(n_classes) if len(positions[k])]
    radius = np.empty(n_classes)
    for k in drawn:
        radius[k] = min(_SURROUNDINGS, _MOST_EXTENT * float(np.linalg.norm(np.ptp(positions[k], axis=0))))
    colour_distances = _squared_distances(colour)
    visible = _squared_distances(position) > np.square(radius[label_of])[:, np.newaxis]
    members = np.stack([label_of == k for k in drawn]).astype(np.float32)
    counts = np.maximum(members @ visible.T.astype(np.float32), 1)
    reliabilities = []
    for sigma in sigmas:
        shares = (members @ (np.exp(colour_distances * (-0.5 / sigma**2)) * visible).T + 1e-6) / counts
        shares /= shares.sum(axis=0)
        scores = [np.log(shares[i, label_of == k] + LEAST_SHARE).mean() for i, k in enumerate(drawn)]
        reliabilities.append(float(1 + np.mean(scores) / np.log(len(drawn))))
    return reliabilities


def _squared_distances(points: NDArray[np.floating]) -> Float32:
    """Squared distances between all rows."""
    distances = np.zeros((len(points), len(points)), dtype=np.float32)
    for column in points.T.astype(np.float32):
        distances += np.square(column[:, np.newaxis] - column)
    return distances
