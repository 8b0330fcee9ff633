"""Training samples: a view of a picture, an object in it, and a user's first strokes; drawn anew for every number."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_all_start_methods

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_scribseg.core import InputError
from napari_scribseg.train.drawing import DrawingOptions, draw_signal
from napari_scribseg.train.geometry import GeometryOptions, draw_view, look
from napari_scribseg.train.intensity import as_seen, vary_intensities
from napari_scribseg.train.pack import Item, Pack
from napari_scribseg.train.synthetic import draw_picture
from napari_scribseg.train.targets import box_of, choose_object, choose_region, choose_superpixel

__all__ = ["Sample", "SampleOptions", "Samples", "loader"]

_TRIES = 50


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
        An object covers at least and at most this share of the view.
    weights : mapping of str to float
        Of sources, by name; the others count with the square root of the number of their groups.
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
    known : ndarray of shape (S, S), bool
        Where the truth is known.
    signal : ndarray of shape (S, S), int8
        1 strokes on the object, -1 strokes off it, 0 not painted.
    """

    image: NDArray[np.float32]
    target: NDArray[np.bool_]
    known: NDArray[np.bool_]
    signal: NDArray[np.int8]


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
            weights.append(self.options.weights.get(source, np.sqrt(len(groups)) + 2))
        self.weights = np.asarray(weights) / np.sum(weights)

    def __len__(self) -> int:
        return np.iinfo(np.int64).max

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sample = self.draw(index)
        image, signal = torch.from_numpy(sample.image), torch.from_numpy(sample.signal)
        return image, torch.from_numpy(sample.target), torch.from_numpy(sample.known), signal

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
        planes, target, known = found
        share = np.count_nonzero(target) / target.size
        if not options.smallest <= share <= options.largest or not known.any():
            return None
        image = vary_intensities(planes, rng) if options.vary else as_seen(planes)
        if not np.isfinite(image).all() or image.std() < 1e-3:
            return None
        signal = draw_signal(target, options.drawing, rng)
        drawn = options.drawing.prompt == "none" or (signal == 1).any()
        return Sample(image, target, known, signal) if drawn else None

    def _made_up(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]] | None:
        planes, labels = draw_picture(self.options.size, rng)
        target = choose_region(labels, rng)
        return None if target is None else (planes, target, np.ones(target.shape, dtype=bool))

    def _real(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]] | None:
        groups = self.by_group[int(rng.choice(len(self.weights), p=self.weights))]
        group = groups[int(rng.integers(len(groups)))]
        item = group[int(rng.integers(len(group)))]
        image, labels = self.pack.load(item)
        options = self.options
        if rng.random() < options.superpixels:
            target, box = None, self._any_box(labels.shape[:2], rng)
        else:
            target = choose_object(item, labels, rng, options.background)
            if target is None or not target.any():
                return None
            box = box_of(target)
            if options.drawing.prompt == "none":
                target = labels > (-1 if item.background is None else item.background)
        view = draw_view(box, labels.shape, options.size, options.geometry, rng)
        planes = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
        if target is None:
            seen = look(planes, view)
            region = choose_superpixel(seen, rng)
            return None if region is None else (seen, region, np.ones(region.shape, dtype=bool))
        masks = np.stack((target, labels >= 0)).astype(np.float32)
        both: NDArray[np.float32] = np.concatenate((planes, masks))
        seen = look(both, view)
        return seen[:-2], seen[-2] > 0.5, seen[-1] > 0.5

    @staticmethod
    def _any_box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, float, float, float]:
        """A place in the picture where a superpixel may be looked for."""
        extent = float(np.exp(rng.uniform(np.log(0.15), 0)) * max(shape))
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        return row - extent / 4, column - extent / 4, extent / 2, extent / 2


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
