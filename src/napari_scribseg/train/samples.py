"""Training samples: a crop of a picture, an object in it, and a user's first strokes; drawn anew for every number."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_all_start_methods

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_scribseg.core import InputError
from napari_scribseg.train.drawing import DrawingOptions, draw_stroke_map
from napari_scribseg.train.geometry import Crop, GeometryOptions, draw_crop, look
from napari_scribseg.train.intensity import as_seen, vary_intensities
from napari_scribseg.train.pack import Item, Pack
from napari_scribseg.train.synthetic import draw_picture, paint_labels
from napari_scribseg.train.targets import box_of, choose_object, choose_region, choose_superpixel, typical_width

__all__ = ["Sample", "SampleOptions", "Samples", "loader"]

_TRIES = 50
_HALF = 127.5  # of what a crop shows of a mask
_THIN = 0.06  # width of a structure over its extent, below which it is thin
_WIDTHS = (1.6, 8.0)  # pixels of a crop that a thin structure is wide, seen from near
_ALIKE = 0.3  # share of the label maps in which some structures look alike
_MOST_COUNTED = 48  # pictures of a source that add to its weight

_Drawn = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]  # picture, target, known


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What samples are drawn from.

    Attributes
    ----------
    size : int
        Pixels along each side.
    synthetic : float
        Share of made-up pictures.
    superpixels : float
        Share of the others whose object is a region of like pixels, not a label.
    background : float
        Share of the labelled ones whose object is the background.
    smallest, largest : float
        An object covers at least and at most this share of the crop.
    thin : float
        Share of the samples of thin structures that are seen from as near as these need.
    weights : mapping of str to float
        Of sources, by name; the others count with the square root of the number of their pictures, of 48 at most.
    vary : bool
        Whether intensities are changed at random; else they are those of the picture.
    drawing : DrawingOptions
    geometry : GeometryOptions
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
    drawing: DrawingOptions = field(default_factory=DrawingOptions)
    geometry: GeometryOptions = field(default_factory=GeometryOptions)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One object to segment.

    Attributes
    ----------
    image : ndarray of shape (3, S, S), float32
        From -1 to 1.
    target : ndarray of shape (S, S), bool
    valid : ndarray of shape (S, S), bool
        Where the truth is known.
    stroke_map : ndarray of shape (S, S), int8
        1 strokes on the object, -1 strokes off it, 0 not painted.
    """

    image: NDArray[np.float32]
    target: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    stroke_map: NDArray[np.int8]


class Samples(Dataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
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
        If there is no such source in the pack, or none at all while not everything is made up.
    """

    def __init__(self, pack: Pack, sources: Sequence[str], seed: int, options: SampleOptions | None = None) -> None:
        self.pack, self.seed, self.options = pack, seed, options or SampleOptions()
        unknown = sorted(set(sources) - set(pack.sources))
        if unknown or not sources:
            raise InputError(
                f"the pack has no source {', '.join(unknown) or 'to train on'}; it has {', '.join(pack.sources)}"
            )
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

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sample = self.draw(index)
        image, stroke_map = torch.from_numpy(sample.image), torch.from_numpy(sample.stroke_map)
        return image, torch.from_numpy(sample.target), torch.from_numpy(sample.valid), stroke_map

    def draw(self, index: int) -> Sample:
        """Sample number ``index``.

        Raises
        ------
        InputError
            If no usable object is found in many pictures.
        """
        rng = np.random.default_rng([self.seed, index])
        for _ in range(_TRIES):
            sample = self._try(rng)
            if sample is not None:
                return sample
        raise InputError(f"no usable object was found in {_TRIES} pictures; labels with objects are expected")

    def _try(self, rng: np.random.Generator) -> Sample | None:
        """A sample, or None where what was drawn is of no use."""
        options = self.options
        made_up = rng.random() < options.synthetic
        found = self._made_up(rng) if made_up else self._real(rng)
        if found is None:
            return None
        channels, target, valid = found
        share = np.count_nonzero(target) / target.size
        if not options.smallest <= share <= options.largest or not valid.any():
            return None
        image = vary_intensities(channels, rng) if options.vary else as_seen(channels)
        if not np.isfinite(image).all() or image.std() < 1e-3:
            return None
        stroke_map = draw_stroke_map(target, options.drawing, rng)
        drawn = options.drawing.prompt == "none" or (stroke_map == 1).any()
        return Sample(image, target, valid, stroke_map) if drawn else None

    def _made_up(self, rng: np.random.Generator) -> _Drawn | None:
        channels, labels = draw_picture(self.options.size, rng)
        target = choose_region(labels, rng)
        return None if target is None else (channels, target, np.ones(target.shape, dtype=bool))

    def _real(self, rng: np.random.Generator) -> _Drawn | None:
        groups = self.by_group[int(rng.choice(len(self.weights), p=self.weights))]
        group = groups[int(rng.integers(len(groups)))]
        item = group[int(rng.integers(len(group)))]
        image, labels = self.pack.load(item)
        if item.labels_only:
            return self._synthesised(labels, rng)
        if rng.random() < self.options.superpixels:
            crop = draw_crop(self._any_box(labels.shape, rng), labels.shape, *self._how, rng)
            seen = look(image, crop) / np.float32(255)
            region = choose_superpixel(seen, rng)
            return None if region is None else (seen, region, np.ones(region.shape, dtype=bool))
        target = choose_object(item, labels, rng, self.options.background)
        if target is None or not target.any():
            return None
        crop = self._crop_of(target, rng)
        if self.options.drawing.prompt == "none":
            target = labels > (-1 if item.background is None else item.background)
        masks = look(np.stack((target, labels >= 0), axis=-1).astype(np.uint8) * np.uint8(255), crop)
        return look(image, crop) / np.float32(255), masks[0] > _HALF, masks[1] > _HALF

    @property
    def _how(self) -> tuple[int, GeometryOptions]:
        return self.options.size, self.options.geometry

    def _crop_of(self, target: NDArray[np.bool_], rng: np.random.Generator) -> Crop:
        """A crop of an object; of a thin one often one that is as near as its width needs."""
        options, box = self.options, box_of(target)
        width = typical_width(target[_around(box[0], box[2]), _around(box[1], box[3])])
        if options.geometry.scale is None and width < _THIN * max(box[2:]) and rng.random() < options.thin:
            side = options.size * width / float(np.exp(rng.uniform(*np.log(_WIDTHS))))
            rows, columns = np.nonzero(target)
            at = int(rng.integers(rows.size))
            box = (rows[at] - side / 4, columns[at] - side / 4, side / 2, side / 2)
            return draw_crop(box, target.shape, options.size, replace(options.geometry, context=(2.0, 2.0)), rng)
        return draw_crop(box, target.shape, *self._how, rng)

    def _synthesised(self, labels: NDArray[np.int32], rng: np.random.Generator) -> _Drawn | None:
        """A picture made up from a label map, some of whose neighbours look alike."""
        ids = np.flatnonzero(np.bincount(labels.reshape(-1) + 1)) - 1
        chosen = ids[(ids > 0)]
        if not chosen.size:
            return None
        crop = self._crop_of(labels == rng.choice(chosen), rng)
        at = [np.clip(np.rint(axis), 0, n - 1).astype(np.intp) for axis, n in zip(crop.at, labels.shape, strict=True)]
        seen = np.unique(labels[at[0], at[1]], return_inverse=True)[1].reshape(crop.at.shape[1:]).astype(np.int32)
        target = choose_region(seen, rng)
        if target is None:
            return None
        alike = (
            rng.integers(0, seen.max() + 1, int(seen.max()) + 1) if rng.random() < _ALIKE else np.arange(seen.max() + 1)
        )
        return paint_labels(alike[seen].astype(np.int32), rng), target, np.ones(target.shape, dtype=bool)

    @staticmethod
    def _any_box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, float, float, float]:
        """A place in the picture where a superpixel may be looked for."""
        extent = float(np.exp(rng.uniform(np.log(0.15), 0)) * max(shape))
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        return row - extent / 4, column - extent / 4, extent / 2, extent / 2


def _around(first: float, length: float) -> slice:
    """The pixels of a side of a box, and one more on both ends."""
    return slice(max(int(first) - 1, 0), int(first + length) + 1)


def loader(
    samples: Samples, first: int, stop: int, batch: int, workers: int, share: tuple[int, int] = (0, 1)
) -> DataLoader[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Batches of the samples of some steps, in order.

    Parameters
    ----------
    samples : Samples
    first, stop : int
        Steps; step ``s`` has the samples ``s * batch`` to ``(s + 1) * batch - 1``.
    batch : int
        Over all processes together.
    workers : int
        Processes that draw samples; 0 for none.
    share : tuple of two int
        Number of this training process, and how many there are; each gets its part of every batch.
    """
    rank, world = share
    if batch % world:
        raise InputError(f"a batch of {batch} cannot be shared by {world} processes; a multiple of it is expected")
    part = batch // world
    order = _Steps(first, stop, batch, rank * part, part)
    return DataLoader(
        samples, batch_sampler=order, num_workers=workers, prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers and "fork" in get_all_start_methods() else None,
        worker_init_fn=_leave_signals if workers else None,
    )  # fmt: skip


def _leave_signals(worker: int) -> None:
    """An interrupted run ends its workers itself, once the step is done; they have none of its handlers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The numbers of the samples of each step, for one process."""

    first: int
    stop: int
    batch: int
    offset: int
    part: int

    def __len__(self) -> int:
        return self.stop - self.first

    def __iter__(self):  # type: ignore[no-untyped-def]
        for step in range(self.first, self.stop):
            start = step * self.batch + self.offset
            yield list(range(start, start + self.part))
