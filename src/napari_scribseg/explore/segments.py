"""The segments of all images: their pixels, their class, their position in the embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_scribseg.core import InputError

__all__ = ["RegionProperties", "SegmentTable", "Segments", "describe_regions"]

_COLUMNS: dict[str, tuple[Any, tuple[int, ...], float]] = {  # type, shape of an entry, value where there is none
    "image": (np.int32, (), -1),
    "area": (np.int64, (), 0),
    "box": (np.int32, (4,), 0),
    "label": (np.int32, (), 0),
    "xy": (np.float32, (2,), np.nan),
    "has_embedding": (np.bool_, (), False),
    "fingerprint": (np.int64, (2,), 0),
}

Key = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class RegionProperties:
    """Disjoint regions of an image, not yet segments.

    Attributes
    ----------
    area : ndarray of shape (k,), int64
        Pixels.
    box : ndarray of shape (k, 4), int32
        First row, first column, and the ones behind the last.
    fingerprint : ndarray of shape (k, 2), int64
        Two hashes of the pixels.
    """

    area: NDArray[np.int64]
    box: NDArray[np.int32]
    fingerprint: NDArray[np.int64]


def describe_regions(regions: NDArray[np.int32], origin: tuple[int, int], width: int) -> RegionProperties:
    """Area, box and fingerprint of each region.

    Parameters
    ----------
    regions : ndarray of shape (h, w), int32
        0 to k - 1, each present; -1 for pixels of none.
    origin : tuple of 2 int
        Row and column of its first pixel in the image.
    width : int
        Columns of the image.
    """
    inside = regions >= 0
    rows, columns = np.nonzero(inside)
    index = regions[inside]
    positions = (rows + origin[0]) * width + columns + origin[1]
    k = int(index.max()) + 1 if index.size else 0
    mixed = _mixed(positions)
    area = np.bincount(index, minlength=k)
    halves = [np.bincount(index, weights=(mixed >> np.uint64(s)) & np.uint64(0xFFFFFF), minlength=k) for s in (8, 40)]
    boxes = np.zeros((k, 4), dtype=np.int32)
    for i, (down, across) in enumerate(ndimage.find_objects(regions + 1)):
        boxes[i] = down.start, across.start, down.stop, across.stop
    boxes += np.array([*origin, *origin], dtype=np.int32)
    return RegionProperties(area, boxes, np.stack(halves, axis=1).astype(np.int64))  # sums below 2**53: exact


def _mixed(positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Pseudo-random 64 bits for each position (splitmix64, Steele et al. 2014)."""
    z = positions.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Some segments at one moment; any thread may read them.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64
    image, area, box, fingerprint, label, xy, has_embedding, features : ndarray
        As in :class:`SegmentTable`, in the order of ``ids``; copies.
    maps : tuple of (ndarray of shape (H, W), int32) or None
        Of all images.
    """

    ids: NDArray[np.int64]
    image: NDArray[np.int32]
    area: NDArray[np.int64]
    box: NDArray[np.int32]
    fingerprint: NDArray[np.int64]
    label: NDArray[np.int32]
    xy: NDArray[np.float32]
    has_embedding: NDArray[np.bool_]
    features: NDArray[np.float32]
    maps: tuple[NDArray[np.int32] | None, ...]

    @property
    def described(self) -> NDArray[np.bool_]:
        """Which of them have features, shape (n,)."""
        return _described(self.features)


class SegmentTable:
    """Segments by id: an id stands for one set of pixels of an image, always.

    A segment that a new cut has replaced stays in the table: where a later cut makes the same pixels a segment again,
    it has its former id, and with it class, features and embedding. All methods belong to the owner's thread; maps and
    rows of features are replaced, never overwritten, so that references to them are snapshots.

    Attributes
    ----------
    maps : list of (ndarray of shape (H, W), int32) or None
        The id of the segment of each pixel, from 1 on; None for an image that was not cut. A map is replaced when it
        changes, never written into.
    image, area, box, label, xy, has_embedding, fingerprint : ndarray
        One entry for each id, that of 0 unused. ``label`` 0 is unlabelled; ``xy`` is the position in the embedding, NaN
        where there is none; ``has_embedding`` tells whether it comes from the segment's own features; ``fingerprint``
        is that of :class:`RegionProperties`.
    features : ndarray of shape (n, D), float32
        Rows of NaN where there are none; D is 0 before the first.
    """

    image: NDArray[np.int32]
    area: NDArray[np.int64]
    box: NDArray[np.int32]
    label: NDArray[np.int32]
    xy: NDArray[np.float32]
    has_embedding: NDArray[np.bool_]
    fingerprint: NDArray[np.int64]

    def __init__(self) -> None:
        self.maps: list[NDArray[np.int32] | None] = []
        self._shapes: list[tuple[int, int]] = []
        self.features: NDArray[np.float32] = np.zeros((1, 0), dtype=np.float32)
        self._alive: list[NDArray[np.int64]] = []
        self.keys: dict[Key, int] = {}
        self._size = 1
        for name, (dtype, shape, empty) in _COLUMNS.items():
            setattr(self, name, np.full((1, *shape), empty, dtype=dtype))

    def __len__(self) -> int:
        """Number of ids given, with the 0 that stands for no segment."""
        return self._size

    def add_images(self, shapes: Sequence[tuple[int, int]]) -> None:
        """Room for more images of these shapes, not cut yet."""
        self.maps += [None] * len(shapes)
        self._shapes += shapes
        self._alive += [np.zeros(0, dtype=np.int64)] * len(shapes)

    def map(self, image: int) -> NDArray[np.int32]:
        """The id of the segment of each pixel, shape (H, W); 0 everywhere where the image was not cut."""
        found = self.maps[image]
        return np.zeros(self._shapes[image], dtype=np.int32) if found is None else found

    def ids(self, image: int | None = None) -> NDArray[np.int64]:
        """The segments that there are now, of one image or of all, in ascending order within an image."""
        if image is not None:
            return self._alive[image]
        return np.concatenate(self._alive) if self._alive else np.zeros(0, dtype=np.int64)

    def alive(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ids are segments now."""
        now = np.zeros(self._size, dtype=bool)
        now[self.ids()] = True
        return now[ids]

    def identify(self, image: int, regions: RegionProperties) -> NDArray[np.int64]:
        """The id of each region, shape (k,); new ones for pixels that were no segment before."""
        keys = [(image, int(a), int(p), int(q)) for a, (p, q) in zip(regions.area, regions.fingerprint, strict=True)]
        ids = np.array([self.keys.get(key, 0) for key in keys], dtype=np.int64)
        new = np.flatnonzero(ids == 0)
        ids[new] = self._size + np.arange(len(new))
        self._grow(len(new))
        self.keys.update((keys[i], int(ids[i])) for i in new)
        self.image[ids[new]] = image
        self.area[ids[new]] = regions.area[new]
        self.box[ids[new]] = regions.box[new]
        self.fingerprint[ids[new]] = regions.fingerprint[new]
        return ids

    def put(self, image: int, window: tuple[slice, slice], ids: NDArray[np.integer]) -> None:
        """Write ids into a window of an image's map; 0 in ``ids`` takes pixels away."""
        found = self.map(image).copy()
        before = found[window]
        whole = ids.shape == found.shape
        gone = set() if whole else set(np.unique(before).tolist())
        before[...] = ids
        self.maps[image] = found
        now = np.flatnonzero(np.bincount(ids.reshape(-1)))
        if whole:
            self._alive[image] = now[now > 0]
        else:
            remaining = [i for i in self._alive[image].tolist() if i not in gone]
            self._alive[image] = np.array(sorted({*remaining, *now[now > 0].tolist()}), dtype=np.int64)

    def set_features(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Set features; those of another length are dropped."""
        if self.features.shape[1] != rows.shape[1]:
            self.features = np.full((len(self.image), rows.shape[1]), np.nan, dtype=np.float32)
        self.features[ids] = rows

    def clear_features(self) -> None:
        """Drop all features."""
        self.features = np.zeros((len(self.image), 0), dtype=np.float32)

    def snapshot(self, ids: NDArray[np.int64]) -> Segments:
        """These segments as they are now."""
        columns = {name: getattr(self, name)[ids] for name in _COLUMNS}
        return Segments(ids, features=self.features[ids], maps=tuple(self.maps), **columns)

    def described(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the ids have features."""
        return _described(self.features[ids])

    def require(self, ids: Any) -> NDArray[np.int64]:
        """Ids that a user gave, sorted, each once.

        Raises
        ------
        InputError
            If they are no whole numbers, or one is no segment now.
        """
        given = np.atleast_1d(np.asarray(ids))
        if given.size == 0:
            return np.zeros(0, dtype=np.int64)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise InputError(f"segment ids are {ids!r}; whole numbers are expected")
        wanted = np.unique(given.astype(np.int64))
        valid = (wanted > 0) & (wanted < self._size)
        valid[valid] = self.alive(wanted[valid])
        if not valid.all():
            raise InputError(f"there is no segment {wanted[~valid][0]}; the ids that the workspace gives are expected")
        return wanted

    def reserve(self, size: int) -> None:
        """Let the next id be ``size``, as in the workspace that a file was made from."""
        self._grow(size - self._size)

    def _grow(self, count: int) -> None:
        self._size += count
        room = len(self.image)
        if self._size <= room:
            return
        more = max(self._size, 2 * room) - room
        for name, (dtype, shape, empty) in _COLUMNS.items():
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.full((more, *shape), empty, dtype=dtype))))
        extra = np.full((more, self.features.shape[1]), np.nan, dtype=np.float32)
        self.features = np.concatenate((self.features, extra))


def _described(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(features[:, :1]).any(axis=1), dtype=bool)
