"""Training samples: a crop of a picture, an object in it, and the first strokes of a user."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_all_start_methods
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from napari_scribseg.core import InputError
from napari_scribseg.numerics.augmentation.intensity_changes import unchanged, vary_intensities
from napari_scribseg.numerics.augmentation.warps import Warp, WarpOptions, draw_warp, resample
from napari_scribseg.train.batches import Batch
from napari_scribseg.train.first_strokes import DrawingOptions, draw_stroke_map
from napari_scribseg.train.pack import Item, Pack
from napari_scribseg.train.synthetic import draw_picture, paint_labels
from napari_scribseg.train.targets import box_of, choose_object, choose_region, choose_superpixel, typical_width

__all__ = ["SampleOptions", "TrainingSamples", "loader"]

_TRIES = 50
_HALF = 127.5  # of a resampled mask of 8 bits
_THIN = 0.06  # width of a structure over its extent, below which it is thin
_WIDTHS = (1.6, 8.0)  # of a thin structure in an enlarged crop, in pixels
_ALIKE = 0.3  # share of the label maps in which some structures look alike
_MOST_COUNTED = 48  # pictures of a source that add to its weight
_UNBENT: Mapping[str, Any] = {"turned": 0.0, "angle": 0.0, "stretch": 1.0, "bent": 0.0}

_Drawn = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]  # picture, target, valid


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What samples are drawn from.

    Attributes
    ----------
    size : int
        Pixels along each side.
    synthetic : float
        Share of synthetic pictures.
    superpixels : float
        Share of the others whose object is a superpixel, not a label.
    background : float
        Share of the labelled ones whose object is the background.
    smallest, largest : float
        Smallest and largest share of the crop that an object covers.
    thin : float
        Share of the samples of thin structures that are enlarged as far as these need.
    weights : mapping of str to float
        Weight of sources by name; the others have the square root of the number of their pictures, 48 at most.
    vary : bool
        Whether intensities are changed at random.
    ramp : int
        Samples over which the share of augmented samples rises from 0 to 1; the others are not rotated, stretched, bent
        or changed in their intensities.
    drawing : DrawingOptions
    warp : WarpOptions
    """

    size: int = 128
    synthetic: float = 0.2
    superpixels: float = 0.3
    background: float = 0.08
    smallest: float = 0.003
    largest: float = 0.9
    thin: float = 0.6
    weights: Mapping[str, float] = field(default_factory=dict)
    vary: bool = True
    ramp: int = 0
    drawing: DrawingOptions = field(default_factory=DrawingOptions)
    warp: WarpOptions = field(default_factory=WarpOptions)


class TrainingSamples(Dataset[Batch]):
    """Any number of samples; sample ``i`` is the same in every run, process and order.

    Parameters
    ----------
    pack : Pack
    sources : sequence of str
        Those to train on.
    seed : int
    options : SampleOptions, optional

    Raises
    ------
    InputError
        If the pack lacks one of the sources, or there is none.
    """

    def __init__(self, pack: Pack, sources: Sequence[str], seed: int, options: SampleOptions | None = None) -> None:
        self.pack, self.seed, self.options = pack, seed, options or SampleOptions()
        pack.require(sources, "to train on")
        self.by_group: list[list[list[Item]]] = []
        weights = []
        for source in sorted(set(sources)):
            groups: dict[str, list[Item]] = {}
            for item in pack.items:
                if item.source == source:
                    groups.setdefault(item.group, []).append(item)
            self.by_group.append(list(groups.values()))
            pictures = min(sum(map(len, groups.values())), _MOST_COUNTED)
            weights.append(self.options.weights.get(source, np.sqrt(pictures) + 2))
        self.weights = np.asarray(weights) / np.sum(weights)

    def __len__(self) -> int:
        return np.iinfo(np.int64).max

    def __getitem__(self, index: int) -> Batch:
        """Sample number ``index``, without the first axis.

        Raises
        ------
        InputError
            If no usable object is found in many pictures.
        """
        rng = np.random.default_rng([self.seed, index])
        options = self.options
        if index < options.ramp and rng.random() >= index / options.ramp:
            options = replace(options, vary=False, warp=replace(options.warp, **_UNBENT))
        for _ in range(_TRIES):
            sample = self._try(rng, options)
            if sample is not None:
                return sample
        raise InputError(f"no usable object was found in {_TRIES} pictures; labels with objects are expected")

    def _try(self, rng: np.random.Generator, options: SampleOptions) -> Batch | None:
        """A sample; None where what was drawn cannot be used."""
        drawn = self._synthetic(rng) if rng.random() < options.synthetic else self._real(rng, options)
        if drawn is None:
            return None
        channels, target, valid = drawn
        share = np.count_nonzero(target) / target.size
        if not options.smallest <= share <= options.largest or not valid.any():
            return None
        image = vary_intensities(channels, rng) if options.vary else unchanged(channels)
        if not np.isfinite(image).all() or image.std() < 1e-3:
            return None
        stroke_map = draw_stroke_map(target, options.drawing, rng)
        if options.drawing.prompt != "none" and not (stroke_map == 1).any():
            return None
        return Batch(*map(torch.from_numpy, (image, target, valid, stroke_map)))

    def _synthetic(self, rng: np.random.Generator) -> _Drawn | None:
        channels, labels = draw_picture(self.options.size, rng)
        target = choose_region(labels, rng)
        return None if target is None else (channels, target, np.ones(target.shape, dtype=bool))

    def _real(self, rng: np.random.Generator, options: SampleOptions) -> _Drawn | None:
        groups = self.by_group[int(rng.choice(len(self.weights), p=self.weights))]
        group = groups[int(rng.integers(len(groups)))]
        item = group[int(rng.integers(len(group)))]
        image, labels = self.pack.load(item)
        if item.labels_only:
            return self._from_label_map(labels, rng, options)
        if rng.random() < options.superpixels:
            return self._superpixel(image, rng, options)
        target = choose_object(item, labels, rng, options.background)
        if target is None or not target.any():
            return None
        warp = _warp_of(target, rng, options)
        if options.drawing.prompt == "none":
            target = labels > (-1 if item.background is None else item.background)
        masks = resample(np.stack((target, labels >= 0), axis=-1).astype(np.uint8) * np.uint8(255), warp)
        return resample(image, warp) / np.float32(255), masks[0] > _HALF, masks[1] > _HALF

    def _superpixel(self, image: NDArray[np.uint8], rng: np.random.Generator, options: SampleOptions) -> _Drawn | None:
        """A superpixel anywhere in a picture."""
        height, width = image.shape[:2]
        extent = float(np.exp(rng.uniform(np.log(0.15), 0)) * max(height, width))
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        box = row - extent / 4, column - extent / 4, extent / 2, extent / 2
        crop = resample(image, draw_warp(box, (height, width), options.size, options.warp, rng)) / np.float32(255)
        region = choose_superpixel(crop, rng)
        return None if region is None else (crop, region, np.ones(region.shape, dtype=bool))

    def _from_label_map(
        self, labels: NDArray[np.int32], rng: np.random.Generator, options: SampleOptions
    ) -> _Drawn | None:
        """A picture synthesised from a label map; in a share of them some structures look alike."""
        ids = np.flatnonzero(np.bincount(labels.reshape(-1) + 1)) - 1
        chosen = ids[ids > 0]
        if not chosen.size:
            return None
        warp = _warp_of(labels == rng.choice(chosen), rng, options)
        at = [np.clip(np.rint(axis), 0, n - 1).astype(np.intp) for axis, n in zip(warp.at, labels.shape, strict=True)]
        crop = np.unique(labels[at[0], at[1]], return_inverse=True)[1].reshape(warp.at.shape[1:]).astype(np.int32)
        target = choose_region(crop, rng)
        if target is None:
            return None
        n = int(crop.max()) + 1
        alike = rng.integers(0, n, n) if rng.random() < _ALIKE else np.arange(n)
        return paint_labels(alike[crop].astype(np.int32), rng), target, np.ones(target.shape, dtype=bool)


def _warp_of(target: NDArray[np.bool_], rng: np.random.Generator, options: SampleOptions) -> Warp:
    """A crop of an object; a share of the thin ones is enlarged as far as their width needs."""
    warp, box = options.warp, box_of(target)
    width = typical_width(target[_around(box[0], box[2]), _around(box[1], box[3])])
    if warp.scale is None and width < _THIN * max(box[2:]) and rng.random() < options.thin:
        side = options.size * width / float(np.exp(rng.uniform(*np.log(_WIDTHS))))
        rows, columns = np.nonzero(target)
        at = int(rng.integers(rows.size))
        box, warp = (rows[at] - side / 4, columns[at] - side / 4, side / 2, side / 2), replace(warp, context=(2, 2))
    return draw_warp(box, target.shape, options.size, warp, rng)


def _around(first: float, length: float) -> slice:
    """The pixels of a side of a box, and one more on both ends."""
    return slice(max(int(first) - 1, 0), int(first + length) + 1)


def loader(
    samples: TrainingSamples, first: int, stop: int, batch: int, workers: int, share: tuple[int, int] = (0, 1)
) -> DataLoader[Batch]:
    """Batches of the samples of some steps, in order.

    Parameters
    ----------
    samples : TrainingSamples
    first, stop : int
        Steps; step ``s`` has the samples ``s * batch`` to ``(s + 1) * batch - 1``.
    batch : int
        Samples of a step, over all training processes.
    workers : int
        Processes that draw samples; 0 for none.
    share : tuple of two int
        Number of this training process, and how many there are; each gets its part of every batch.
    """
    rank, world = share
    if batch % world:
        raise InputError(f"a batch of {batch} cannot be shared by {world} processes; a multiple of it is expected")
    part = batch // world
    starts = range(first * batch + rank * part, stop * batch, batch)
    order: Any = [range(start, start + part) for start in starts]
    return DataLoader(
        samples, batch_sampler=order, num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers and "fork" in get_all_start_methods() else None,
        worker_init_fn=_ignore_signals if workers else None,
    )  # fmt: skip


def _ignore_signals(worker: int) -> None:
    """Leave it to an interrupted run to end its workers once the step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
