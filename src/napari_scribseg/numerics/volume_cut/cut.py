"""Labels of a whole volume at once, from strokes and labelled slices of any orientation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_scribseg.core import InputError, Report, silent
from napari_scribseg.numerics.volume_cut.band import Band
from napari_scribseg.numerics.volume_cut.energy import FORBIDDEN, CoarseEnergy, border_weights, edge_unit
from napari_scribseg.numerics.volume_cut.features import Grey, GreyScale, smooth_and_edges
from napari_scribseg.numerics.volume_cut.grid import (
    Factors,
    block_means,
    block_middles,
    block_seeds,
    coarsening,
    interpolated,
    nearest,
)
from napari_scribseg.numerics.volume_cut.relaxation import BandRelaxation

__all__ = ["CutVolume", "cut_volume"]

MOST_VOXELS = 250_000  # of the coarse grid, which is solved whole
REACH = 6.0  # finest voxels around the borders of a certain prior within which labels may change
CERTAIN = 0.95  # of a prior that is kept farther away
NEAR = 1.5  # finest voxels around a seed that contradicts a prior within which it is doubted, beside the seed's depth
MOST_DOUBT = 10.0  # and at most so many
STEPS, FINE_STEPS = 200, 40
MOST_COSTS = 1 << 21  # voxels times classes that are refined together
_ROUND = 10  # steps between two reports
_STILL = 1e-3  # share of the voxels that still move when the work ends
_SLAB, _HALO = 16, 4  # slices whose features are computed together, and further ones around what is computed

Float32 = NDArray[np.float32]
Voxel = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class CutVolume:
    """A labelled volume.

    Attributes
    ----------
    labels : ndarray of shape (Z, Y, X), uint8 or uint16
        The class of each voxel.
    coarse : ndarray of shape (z, y, x), float16
        How sure each block is, 0 to 1, by its cost and that of the next cheapest class.
    factors : tuple of 3 int
        Voxels of a block along each axis.
    seeds : ndarray of shape (Z, Y, X), integer
        As given; these voxels are sure.
    """

    labels: NDArray[np.unsignedinteger]
    coarse: NDArray[np.float16]
    factors: Factors
    seeds: NDArray[np.integer]

    @property
    def certainty(self) -> NDArray[np.float16]:
        """How sure each voxel is, shape (Z, Y, X)."""
        found = nearest(self.coarse, self.factors, self.labels.shape).copy()
        found[self.seeds >= 0] = 1
        return found

    def certainty_of(self, index: int) -> Float32:
        """How sure the voxels of a slice are, shape (Y, X)."""
        block = self.coarse[index // self.factors[0]][np.newaxis]
        found: Float32 = nearest(block, (1, *self.factors[1:]), (1, *self.labels.shape[1:]))[0].astype(np.float32)
        found[self.seeds[index] >= 0] = 1
        return found


def cut_volume(
    image: Grey,
    seeds: NDArray[np.integer],
    n_classes: int,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    prior: NDArray[np.integer] | None = None,
    certainty: ArrayLike | None = None,
    report: Report = silent,
) -> CutVolume:
    """Label a volume by the least energy of its labels in three dimensions.

    The energy is that of :mod:`napari_scribseg.numerics.volume_cut.energy`. It is first minimised on a grid of at most
    :data:`MOST_VOXELS` voxels, then on the single voxels around the borders found there.

    Parameters
    ----------
    image : ndarray of shape (Z, Y, X) or (C, Z, Y, X)
        The mean of the channels counts. Or what reads slabs of one of shape (Z, Y, X).
    seeds : ndarray of shape (Z, Y, X), integer
        Class 0..K-1 of each voxel of a stroke, of any orientation, or of a labelled slice; -1 elsewhere. They keep it.
    n_classes : int
        K.
    spacing : tuple of 3 float
        Size of a voxel.
    prior : ndarray of shape (Z, Y, X), integer, optional
        Class of each voxel by labels from before, such as filled ones; -1 where it is unknown. They stay where they
        are certain, farther than :data:`REACH` from their borders, and no seed near by contradicts them.
    certainty : array_like of shape (Z, Y, X), optional
        How sure the prior is, 0 to 1, or of type uint8, 0 to 255; sure by default.
    report : Report
        Called with the share that is done; what it raises ends the work.

    Returns
    -------
    CutVolume

    Raises
    ------
    InputError
        If a shape does not fit, a class is not one of K, or seeds and prior together have fewer than two classes.

    References
    ----------
    Nieuwenhuis and Cremers, "Spatially varying color distributions for interactive multilabel segmentation", IEEE
    TPAMI 2013, whose energy is that of single slices; Zach et al., "Fast global labeling for real-time stereo using
    multiple plane sweeps", VMV 2008.
    """
    _require(image, seeds, n_classes, spacing, prior)
    image = image if len(image.shape) == 3 else image[:].mean(axis=0, dtype=np.float32)
    finest = min(spacing)
    voxel = (spacing[0] / finest, spacing[1] / finest, spacing[2] / finest)
    factors = coarsening(seeds.shape, voxel, MOST_VOXELS)
    scale = GreyScale.of(image)
    report(0.02)
    sizes = (voxel[0] * factors[0], voxel[1] * factors[1], voxel[2] * factors[2])
    small = block_seeds(seeds, factors, n_classes)
    former = None if prior is None else block_middles(prior, factors)
    free, sure = np.ones(small.shape, bool), None
    if former is not None:
        sure = doubted(small, former, _coarse_certainty(certainty, factors, small.shape), sizes)
        free = may_change(former, sure, sizes)
    energy = CoarseEnergy.of(
        scale.apply(_block_means(image, factors)), small, n_classes, sizes, former, sure,
        lambda share: report(0.02 + 0.4 * share),
    )  # fmt: skip
    labels = _solve(energy, small, former, free, sizes, lambda share: report(0.42 + 0.2 * share))
    labels = labels.astype(np.min_scalar_type(n_classes - 1))
    found = np.array(nearest(labels, factors, seeds.shape))
    if factors != (1, 1, 1):
        mask = _to_refine(found, labels, small, free, prior, factors)
        fine = _Fine(image, scale, voxel)
        _refine(found, mask, fine, seeds, energy, factors, lambda share: report(0.62 + 0.38 * share))
    np.copyto(found, seeds, where=seeds >= 0, casting="unsafe")
    report(1.0)
    return CutVolume(found, energy.certainty(labels), factors, seeds)


def _coarse_certainty(certainty: ArrayLike | None, factors: Factors, shape: tuple[int, ...]) -> Float32:
    """The certainty of a prior on the coarse grid, 0 to 1."""
    if certainty is None:
        return np.ones(shape, np.float32)
    given = np.asarray(certainty)
    middles = block_middles(given, factors).astype(np.float32)
    return middles / np.float32(255) if given.dtype == np.uint8 else middles


def _block_means(image: Grey, factors: Factors) -> Float32:
    """Means over blocks, of one slab after the other."""
    thick = max(_SLAB // factors[0], 1) * factors[0]
    slabs = range(0, image.shape[0], thick)
    return np.concatenate([block_means(image[first : first + thick], factors) for first in slabs])


def _to_refine(
    found: NDArray[np.unsignedinteger],
    labels: NDArray[np.integer],
    seeds: NDArray[np.int32],
    free: NDArray[np.bool_],
    prior: NDArray[np.integer] | None,
    factors: Factors,
) -> NDArray[np.bool_]:
    """The voxels that are solved one by one, shape (Z, Y, X); a prior that stays is put into ``found``.

    ``labels``, ``seeds`` and ``free`` are those of the coarse grid.
    """
    rough = _borders(labels) | ((seeds >= 0) & (seeds != labels))
    mask = np.empty(found.shape, bool)
    for block in range(len(labels)):
        slab = slice(block * factors[0], (block + 1) * factors[0])
        shape = mask[slab].shape
        mask[slab] = nearest(rough[block : block + 1], factors, shape)
        if prior is not None:
            given, part = prior[slab], found[slab]
            kept = nearest(~free[block : block + 1], factors, shape) & (given >= 0)
            np.copyto(part, given, where=kept, casting="unsafe")
            mask[slab] = (mask[slab] | ((part != given) & (given >= 0))) & ~kept
    return mask


def doubted(seeds: NDArray[np.int32], prior: NDArray[np.integer], certainty: Float32, voxel: Voxel) -> Float32:
    """The certainty of a prior, lower around seeds that contradict it, the farther the deeper they lie in its region.

    Parameters
    ----------
    seeds, prior : ndarray of shape (Z, Y, X), integer
    certainty : ndarray of shape (Z, Y, X), float32
    voxel : tuple of 3 float
        Size of a voxel, in finest voxels.

    Returns
    -------
    ndarray of shape (Z, Y, X), float32
        0 in the reach of such a seed, within its region, and as before from twice that distance on.
    """
    sure: Float32 = np.where(prior < 0, np.float32(0), certainty)
    against = (seeds >= 0) & (prior >= 0) & (seeds != prior)
    if not against.any():
        return sure
    for k in np.unique(prior[against]):
        region = prior == k
        far, at = ndimage.distance_transform_edt(~(against & region), sampling=voxel, return_indices=True)
        depth = ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"), sampling=voxel)[1:-1, 1:-1, 1:-1]
        reach = np.minimum(NEAR * min(voxel) + depth[tuple(at)], max(MOST_DOUBT, min(voxel)))
        sure[region] *= np.clip(far / reach - 1, 0, 1)[region]
    return sure


def may_change(prior: NDArray[np.integer], certainty: Float32, voxel: Voxel) -> NDArray[np.bool_]:
    """Where the labels of a prior may change: where they are uncertain, and near their borders."""
    free: NDArray[np.bool_] = certainty < CERTAIN
    borders = _borders(prior)
    if borders.any():
        free |= ndimage.distance_transform_edt(~borders, sampling=voxel) <= REACH
    return free


def _solve(
    energy: CoarseEnergy,
    seeds: NDArray[np.int32],
    prior: NDArray[np.integer] | None,
    free: NDArray[np.bool_],
    voxel: Voxel,
    done: Callable[[float], None],
) -> NDArray[np.integer]:
    """The labels of the coarse grid, shape (z, y, x)."""
    band = Band.of(free)
    cost = energy.smooth_cost.reshape(len(energy.smooth_cost), -1).T[band.flat]
    cost += energy.of_intensity(band.take(energy.smooth))
    weights = border_weights(band, band.take(energy.edges), voxel)
    relaxation = BandRelaxation(band, _forced(cost, band.take(seeds)), weights)
    _advance(relaxation, STEPS, done)
    labels = np.zeros(free.shape, np.int64) if prior is None else prior.astype(np.int64)
    labels.reshape(-1)[band.flat] = relaxation.primal.argmax(axis=1)
    return labels


def _forced(cost: Float32, seeds: NDArray[np.integer]) -> Float32:
    """Costs of shape (N, K), relative to the cheapest class, which make seeds (N,) keep their class; in place."""
    cost -= cost.min(axis=1, keepdims=True)
    np.minimum(cost, np.float32(FORBIDDEN), out=cost)
    hard = np.flatnonzero(seeds >= 0)
    cost[hard] = FORBIDDEN
    cost[hard, seeds[hard]] = 0
    return cost


def _advance(relaxation: BandRelaxation, most: int, done: Callable[[float], None]) -> None:
    """Take steps until hardly anything moves."""
    for taken in range(0, most, _ROUND):
        done(taken / most)
        if relaxation.advance(_ROUND) <= _STILL:
            break


class _Fine:
    """Features of single voxels, computed some slices at a time."""

    def __init__(self, grey: Grey, scale: GreyScale, voxel: Voxel) -> None:
        self.grey, self.scale, self.voxel = grey, scale, voxel

    def of(self, mask: NDArray[np.bool_]) -> tuple[Float32, Float32]:
        """Smoothed intensities and sizes of the gradient, in its unit, of the voxels of a mask; both of shape (N,)."""
        smooth, edges, sample = [], [], []
        halo = max(round(_HALO / self.voxel[0]), 1)
        for first in range(0, len(mask), _SLAB):
            last = min(first + _SLAB, len(mask))
            low, high = max(first - halo, 0), min(last + halo, len(mask))
            fields = smooth_and_edges(self.scale.apply(self.grey[low:high]), self.voxel)
            values, sizes = (field[first - low : last - low] for field in fields)
            smooth.append(values[mask[first:last]])
            edges.append(sizes[mask[first:last]])
            sample.append(sizes.reshape(-1)[::7].copy())
        return np.concatenate(smooth), np.concatenate(edges) / edge_unit(np.concatenate(sample))


def _refine(
    labels: NDArray[np.unsignedinteger],
    mask: NDArray[np.bool_],
    fine: _Fine,
    seeds: NDArray[np.integer],
    energy: CoarseEnergy,
    factors: Factors,
    done: Callable[[float], None],
) -> None:
    """Solve the voxels of a mask, from their present labels; in place."""
    if not mask.any():
        return
    smooth, edges = fine.of(mask)
    done(0.2)
    starts = np.cumsum([0, *map(np.count_nonzero, mask)])
    slabs = _slabs(starts, len(energy.density))
    for number, (inner, around) in enumerate(slabs):
        band = Band.of(mask[around])
        own = slice(starts[around.start], starts[around.stop])
        z, y, x = np.unravel_index(band.flat, band.shape)
        cost = interpolated(energy.smooth_cost, factors, (z + around.start, y, x))
        cost += energy.of_intensity(smooth[own])
        weights = border_weights(band, edges[own], fine.voxel)
        cost = _forced(cost, band.take(seeds[around]))
        relaxation = BandRelaxation(band, cost, weights, band.take(labels[around]))
        _advance(relaxation, FINE_STEPS, partial(_share_of, done, number, len(slabs)))
        kept = slice(starts[inner.start] - own.start, starts[inner.stop] - own.start)
        within = band.flat[kept] - (inner.start - around.start) * labels[0].size
        labels[inner].reshape(-1)[within] = relaxation.primal[kept].argmax(axis=1)


def _share_of(done: Callable[[float], None], number: int, count: int, share: float) -> None:
    done(0.2 + 0.8 * (number + share) / count)


def _slabs(starts: NDArray[np.integer], n_classes: int) -> list[tuple[slice, slice]]:
    """Slabs of slices with about equally many voxels, each with the slices around that are solved with it.

    ``starts`` has the number of voxels before each slice, and of all.
    """
    n, count = len(starts) - 1, max(-(-int(starts[-1]) * n_classes // MOST_COSTS), 1)
    cuts = np.searchsorted(starts, starts[-1] * np.arange(1, count) / count).tolist()
    return [
        (slice(low, high), slice(max(low - _HALO, 0), min(high + _HALO, n)))
        for low, high in pairwise(sorted({0, *cuts, n}))
    ]


def _borders(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """The voxels that have a neighbour, also across edges and corners, of another class."""
    low: NDArray[np.bool_] = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    return low


def _require(
    image: Grey,
    seeds: NDArray[np.integer],
    n_classes: int,
    spacing: tuple[float, ...],
    prior: NDArray[np.integer] | None,
) -> None:
    if seeds.ndim != 3 or image.shape[-3:] != seeds.shape or len(image.shape) not in (3, 4):
        raise InputError(
            f"the image has shape {image.shape} and the seeds {seeds.shape}; (Z, Y, X) or (C, Z, Y, X), and the same "
            "(Z, Y, X), are expected"
        )
    if len(spacing) != 3 or not min(spacing) > 0:
        raise InputError(f"the spacing is {spacing}; three numbers above 0 are expected")
    for what, classes in (("seeds", seeds), ("prior", prior)):
        if classes is None:
            continue
        if classes.shape != seeds.shape:
            raise InputError(f"the {what} has shape {classes.shape}; the seeds have {seeds.shape}")
        low, high = int(classes.min()), int(classes.max())
        if low < -1 or high >= n_classes:
            raise InputError(f"the {what} holds classes from {low} to {high}; -1 to {n_classes - 1} are expected")
    given = {int(k) for part in (seeds, prior) if part is not None for slice_ in part for k in _present(slice_)}
    if len(given - {-1}) < 2:
        raise InputError("seeds and prior have fewer than two classes; at least two are expected")


def _present(classes: NDArray[np.integer]) -> list[int]:
    """The values of -1 or more."""
    found: list[int] = (np.flatnonzero(np.bincount(classes.ravel() + 1)) - 1).tolist()
    return found
