"""The energy of a volume's labels: the terms of the slices' energy (``numerics.variational``), in three dimensions.

The cost of a class at a voxel is ``log(1 + Euclidean distance)`` to its seeds, ``log(1 + geodesic distance)`` to them
along paths that avoid edges, ``-log`` of the density of its intensities, and, where there is a prior, how far the voxel
lies outside of the prior's region of that class. A border costs its area, less on edges of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.numerics.volume_cut.band import Band
from napari_scribseg.numerics.volume_cut.features import smooth_and_edges
from napari_scribseg.numerics.volume_cut.paths import path_lengths

__all__ = ["FORBIDDEN", "CoarseEnergy", "border_weights"]

FORBIDDEN = 1000.0  # cost of another class at a seed, and of a class without seeds
GEODESIC, EUCLIDEAN, DENSITY, PRIOR = 4.5, 2.0, 1.0, 16.0  # weights of the terms
SMOOTHNESS = 4.0  # of the area of borders
GAIN, POWER = 100.0, 1.5  # what an edge adds to the cost of a path: gain * edge ** power
SIGMA = 10.0  # width of the densities' kernel, on the scale 0 to 255
LEAST_DENSITY = 0.02  # added to the density, whose largest value is 1
TRUST = 2.0  # power of a prior's certainty in its weight
MARGIN = 1.6  # difference of costs at which a label is sure by 1 / (1 + exp(-1))
BLUR = 2.0  # finest voxels within which the border of a prior is uncertain
LEAST_PRIOR = 0.01  # added to the share of a class in a prior
_PLAUSIBLE = 0.5  # certainty of a prior from which on it can stand for seeds
_FARTHEST = 1e4  # finest voxels; a path where none leads

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class CoarseEnergy:
    """The energy on a grid that is solved whole.

    Attributes
    ----------
    smooth_cost : ndarray of shape (K, z, y, x), float32
        The terms of places: distances and prior.
    density : ndarray of shape (K, 256), float32
        The cost of an intensity for each class.
    smooth, edges : ndarray of shape (z, y, x), float32
        The image, smoothed, and the size of its gradient in units of its 90th percentile.
    """

    smooth_cost: Float32
    density: Float32
    smooth: Float32
    edges: Float32

    @classmethod
    def of(
        cls,
        grey: Float32,
        seeds: NDArray[np.int32],
        n_classes: int,
        voxel: tuple[float, float, float],
        prior: NDArray[np.integer] | None,
        certainty: Float32 | None,
        done: Callable[[float], None],
    ) -> CoarseEnergy:
        """From an image on the scale 0 to 255, seeds (-1 elsewhere), and a prior with its certainty; all (z, y, x)."""
        smooth, edges = smooth_and_edges(grey, voxel)
        edges /= edge_unit(edges)
        sources = seeds if prior is None or certainty is None else _with_insides(seeds, prior, certainty, n_classes)
        cost = _distance_cost(sources, n_classes, edges, voxel, done)
        if prior is not None and certainty is not None:
            cost += _prior_cost(prior, certainty, n_classes, voxel)
        return cls(cost, _density_cost(smooth, sources, n_classes), smooth, edges)

    def certainty(self, labels: NDArray[np.integer]) -> NDArray[np.float16]:
        """How sure labels of shape (z, y, x) are, 0 to 1, by their cost and that of the cheapest other class."""
        cost = self.smooth_cost + self.density[:, np.clip(self.smooth, 0, 255).astype(np.uint8)]
        place = labels[np.newaxis]
        own = np.take_along_axis(cost, place, axis=0)[0]
        np.put_along_axis(cost, place, np.float32(np.inf), axis=0)
        margin = np.clip((cost.min(axis=0) - own) / np.float32(MARGIN), -20, 20)
        sure: NDArray[np.float16] = (1 / (1 + np.exp(-margin))).astype(np.float16)
        return sure

    def of_intensity(self, smooth: Float32) -> Float32:
        """The cost of each class by the intensities alone, shape (N, K), of smoothed values of shape (N,)."""
        return np.ascontiguousarray(self.density.T)[np.clip(smooth, 0, 255).astype(np.uint8)]


def edge_unit(edges: Float32) -> np.float32:
    """The size of a gradient that counts as 1."""
    return np.float32(max(float(np.percentile(edges, 90)), 0.05 * float(edges.max(initial=0)), 1e-6))


def _with_insides(
    seeds: NDArray[np.int32], prior: NDArray[np.integer], certainty: Float32, n_classes: int
) -> NDArray[np.int32]:
    """The seeds, and for a class without any the inside of its region in the prior, where that is certain."""
    found = seeds.copy()
    for k in np.setdiff1d(np.arange(n_classes), seeds):
        region = (prior == k) & (certainty > _PLAUSIBLE)
        if region.any():
            depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1]
            found[(depth >= depth.max() / 2) & (found < 0)] = k
    return found


def _distance_cost(
    seeds: NDArray[np.int32],
    n_classes: int,
    edges: Float32,
    voxel: tuple[float, float, float],
    done: Callable[[float], None],
) -> Float32:
    """The terms of Euclidean and geodesic distances to the seeds of each class, shape (K, z, y, x)."""
    everywhere = Band.of(np.ones(seeds.shape, bool))
    path = (np.float32(1) + np.float32(GAIN) * edges ** np.float32(POWER)).reshape(-1)
    lengths = path_lengths(everywhere, path, seeds.reshape(-1), n_classes, voxel, done)
    cost: Float32 = np.log1p(np.minimum(lengths, np.float32(_FARTHEST))).reshape(n_classes, *seeds.shape)
    cost *= np.float32(GEODESIC)
    for k in range(n_classes):
        if (seeds == k).any():
            far = ndimage.distance_transform_edt(seeds != k, sampling=voxel)
            cost[k] += np.float32(EUCLIDEAN) * np.log1p(far).astype(np.float32)
        else:
            cost[k] = FORBIDDEN
    return cost


def _density_cost(smooth: Float32, seeds: NDArray[np.int32], n_classes: int) -> Float32:
    """The cost of an intensity for each class, shape (K, 256): ``-log`` of the density of its seeds."""
    density = np.zeros((n_classes, 256), np.float32)
    for k in range(n_classes):
        values = np.clip(smooth[seeds == k], 0, 255).astype(np.uint8)
        if values.size:
            counts = np.bincount(values, minlength=256).astype(np.float32)
            density[k] = ndimage.gaussian_filter1d(counts / values.size, SIGMA, mode="nearest")
    density /= max(float(density.max()), 1e-9)
    cost: Float32 = np.float32(-DENSITY) * np.log(density + np.float32(LEAST_DENSITY))
    return cost


def _prior_cost(
    prior: NDArray[np.integer], certainty: Float32, n_classes: int, voxel: tuple[float, float, float]
) -> Float32:
    """The cost of leaving a prior, (K, z, y, x): ``-log`` of a class's share, which changes across the border."""
    share = np.empty((n_classes, *prior.shape), np.float32)
    for k in range(n_classes):
        inside = prior == k
        if inside.all() or not inside.any():
            share[k] = inside
            continue
        depth = ndimage.distance_transform_edt(inside, voxel) - ndimage.distance_transform_edt(~inside, voxel)
        share[k] = 1 / (1 + np.exp(np.clip(-depth / BLUR, -20, 20)))
    share /= share.sum(axis=0) + np.float32(1e-6)
    cost: Float32 = np.float32(-PRIOR) * np.log(share + np.float32(LEAST_PRIOR))
    return cost * certainty ** np.float32(TRUST)


def border_weights(band: Band, edges: Float32, voxel: tuple[float, float, float]) -> Float32:
    """Price of a border between each voxel of a band and the next one along each axis, shape (3, N).

    ``edges`` has shape (N,), in units of the 90th percentile of an image.
    """
    price = np.exp(-edges) + np.float32(1e-3)
    weights = np.zeros((3, len(band)), np.float32)
    for axis in range(3):
        linked = band.after[axis] >= 0
        mean = (price[linked] + price[band.after[axis][linked]]) / np.float32(2)
        weights[axis, linked] = np.float32(SMOOTHNESS / voxel[axis]) * mean
    return weights
