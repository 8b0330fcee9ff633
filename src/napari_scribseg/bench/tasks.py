"""The tasks of a case: its slices or objects, and the classes that count."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import Image
from napari_scribseg.datasets.case import UNKNOWN, Case
from napari_scribseg.datasets.views import drawn, semantic, single_object, slices

__all__ = ["DRAWN_PROTOCOLS", "VOLUME_PROTOCOLS", "BenchTask", "Protocol", "evenly", "random_generator", "tasks"]

Protocol = Literal["human", "strokes", "clicks", "initial-mask", "volume", "every-nth", "every-nth-truth"]
VOLUME_PROTOCOLS: tuple[Protocol, ...] = ("volume", "every-nth", "every-nth-truth")
DRAWN_PROTOCOLS: tuple[Protocol, ...] = ("human", "every-nth")  # those that need a person's strokes
T = TypeVar("T")

_SMALLEST = 20  # pixels of a class that a robot user draws into
_ROBOT_SLICES = 3
_SMALLEST_OBJECT = 100  # pixels of an object that is clicked on


@dataclass(frozen=True, slots=True, eq=False)
class BenchTask:
    """One image, or volume, to segment.

    Attributes
    ----------
    name, group : str
        As in :class:`~napari_scribseg.datasets.case.Case`.
    image : Image
        Two spatial axes; three of a volume.
    truth : ndarray of shape (\\*S), int64
        Index of the class, 0 to ``n_classes - 1``; -1 where it is unknown.
    n_classes : int
        Number of classes.
    counted : tuple of int
        The classes whose scores count: all but the background.
    strokes : ndarray of shape (\\*S), int32, or None
        A person's strokes: class index, -1 where nothing was painted.
    unit : str
        Of the image's spacing: ``"mm"`` or ``"px"``.
    nearest : ndarray of shape (H, W), int32, or None
        In the protocol ``initial-mask``: the id of the object that lies nearest to each pixel.
    """

    name: str
    group: str
    image: Image
    truth: NDArray[np.int64]
    n_classes: int
    counted: tuple[int, ...]
    strokes: NDArray[np.int32] | None
    unit: str
    nearest: NDArray[np.int32] | None = None


def tasks(case: Case, protocol: Protocol, *, most_slices: int | None = None, seed: int = 0) -> Iterator[BenchTask]:
    """The tasks of a case.

    ``human``: every slice with a person's strokes for two classes or more; labels without strokes count as background.
    ``strokes``: all labels, instances as one class; of a volume, some slices evenly chosen. ``clicks``: one
    object for each slice, drawn at random, against the rest. ``initial-mask``: all objects as one class. ``volume``,
    ``every-nth-truth``: the whole volume with all labels; ``every-nth``: with those that have a person's strokes.

    Parameters
    ----------
    case : Case
        Of two or three axes.
    protocol : {"human", "strokes", "clicks", "initial-mask", "volume", "every-nth", "every-nth-truth"}
        Who draws.
    most_slices : int, optional
        Slices of a volume, evenly chosen; by default three for a robot user, and all with a person's strokes.
    seed : int
        Chooses the objects; the same seed gives the same tasks.

    Yields
    ------
    BenchTask
    """
    if protocol in DRAWN_PROTOCOLS and case.strokes is None:  # a folder may hold strokes for some of its images
        return
    if protocol in VOLUME_PROTOCOLS:
        if case.truth.ndim != 3:
            return
        views: Iterable[Case] = [drawn(case) if protocol == "every-nth" else replace(case, strokes=None)]
    elif protocol == "human":
        views = (drawn(view) for view in _flat(case, most_slices, strokes_only=True))
    else:
        flat = _flat(case, most_slices or _ROBOT_SLICES, smallest=_SMALLEST_OBJECT)
        views = (replace(view, strokes=None) for view in flat)
    for view in views:
        task = _task(_requested(view, protocol, seed))
        if task is not None:
            yield replace(task, nearest=_nearest(view)) if protocol == "initial-mask" else task


def random_generator(seed: int, *names: str) -> np.random.Generator:
    """The same generator for the same seed and names, in every process and on every machine."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def evenly(items: Sequence[T], most: int | None) -> list[T]:
    """Up to ``most`` of the items, evenly spaced, in their order; all for None."""
    if most is None or most >= len(items):
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _flat(case: Case, most: int | None, **which: Any) -> Iterator[Case]:
    """The case itself, or up to ``most`` of its slices, evenly spaced; ``which`` goes to ``slices``."""
    if case.truth.ndim == 2:
        yield case
        return
    yield from evenly(list(slices(case, **which)), most)


def _requested(case: Case, protocol: Protocol, seed: int) -> Case:
    """The case with the labels that a robot user segments."""
    if protocol == "initial-mask":
        return semantic(case)
    if protocol in VOLUME_PROTOCOLS:
        return case
    if protocol != "clicks":
        return semantic(case) if case.instances and protocol == "strokes" else case
    ids, sizes = np.unique(case.truth, return_counts=True)
    objects = [(i, n) for i, n in zip(ids.tolist(), sizes.tolist(), strict=True) if i in case.objects]
    if not objects:
        return case
    worth = [i for i, n in objects if n >= _SMALLEST_OBJECT] or [max(objects, key=lambda pair: pair[1])[0]]
    return single_object(case, worth[random_generator(seed, case.name).integers(len(worth))])


def _nearest(case: Case) -> NDArray[np.int32]:
    """The id of the object nearest to each pixel; connected parts are objects where the labels are classes."""
    ids = case.truth
    if not case.instances:
        ids = ndimage.label(semantic(case).truth == 1, np.ones((3, 3)))[0]
        rest = ids == 0
    else:
        rest = semantic(case).truth != 1
    where = ndimage.distance_transform_edt(rest, sampling=case.spacing, return_distances=False, return_indices=True)
    return np.asarray(ids[tuple(where)], dtype=np.int32)


def _task(case: Case) -> BenchTask | None:
    """The case with class indices for label ids; None where it has fewer than two classes or no object."""
    shown = case.truth if case.strokes is None else case.strokes
    ids, sizes = np.unique(shown, return_counts=True)
    smallest = _SMALLEST if case.strokes is None else 1
    kept = [i for i, n in zip(ids.tolist(), sizes.tolist(), strict=True) if i != UNKNOWN and n >= smallest]
    if case.background in kept:
        kept.insert(0, kept.pop(kept.index(case.background)))
    if len(kept) < 2:
        return None
    counted = tuple(range(1 if kept[0] == case.background else 0, len(kept)))
    return BenchTask(
        case.name,
        case.group or case.name,
        Image.from_array(case.image, case.spacing),
        _indices(case.truth, kept).astype(np.int64),
        len(kept),
        counted,
        None if case.strokes is None else _indices(case.strokes, kept),
        case.unit,
    )


def _indices(labels: NDArray[np.int32], ids: list[int]) -> NDArray[np.int32]:
    """Position in ``ids`` of each label, -1 for the others."""
    table = np.full(max(int(labels.max()), *ids) + 2, UNKNOWN, dtype=np.int32)
    table[ids] = np.arange(len(ids))
    table[-1] = UNKNOWN  # the entry of -1
    return table[labels]
