"""The strokes of a volume, stored by voxel: strokes are few, volumes are large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.core.source import SliceIndex

__all__ = ["StrokeStore"]

_Leaf = tuple[NDArray[np.signedinteger[Any]], NDArray[np.uint16]]


class StrokeStore:
    """The painted ids of a volume, readable and writable slice by slice along any pair of axes.

    Slices that cross share their voxels. Each slice of the last two axes with paint is one leaf: the flat indices
    of its painted voxels, ascending, and their ids: 6 bytes a voxel, nothing for what is unpainted.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._index = np.int32 if shape[-2] * shape[-1] < 2**31 else np.int64
        self._leaves: dict[tuple[int, ...], _Leaf] = {}

    def get(self, slice_index: SliceIndex) -> NDArray[Any]:
        """The painted ids of a slice, shape (H, W), uint8 where they fit, else uint16; a new array."""
        rows, columns = slice_index.displayed
        out = np.zeros((self._shape[rows], self._shape[columns]), dtype=np.uint16)
        for coordinates, values in self._inside(slice_index):
            row = np.broadcast_to(coordinates[rows], values.shape)
            out[row, np.broadcast_to(coordinates[columns], values.shape)] = values
        return out if out.max(initial=0) > 255 else out.astype(np.uint8)

    def set(self, slice_index: SliceIndex, painted: NDArray[Any]) -> None:
        """Make ``painted``, shape (H, W), the ids of a slice; 0 removes."""
        before = self.get(slice_index)
        row, column = np.nonzero(before != painted)
        if row.size == 0:
            return
        coordinates: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(self._shape)
        for axis, index in zip(slice_index.others, slice_index.position, strict=True):
            coordinates[axis] = np.full(row.size, index, dtype=np.int64)
        coordinates[slice_index.displayed[0]], coordinates[slice_index.displayed[1]] = row, column
        values = painted[row, column].astype(np.uint16)
        lead = self._shape[:-2]
        leaf_of = np.ravel_multi_index(coordinates[:-2], lead) if lead else np.zeros(row.size, dtype=np.int64)
        flat = coordinates[-2] * self._shape[-1] + coordinates[-1]
        for leaf in np.unique(leaf_of):
            mine = leaf_of == leaf
            key = tuple(int(i) for i in np.unravel_index(int(leaf), lead)) if lead else ()
            self._merge(key, flat[mine], values[mine])

    def _merge(self, key: tuple[int, ...], flat: NDArray[np.int64], values: NDArray[np.uint16]) -> None:
        old_flat, old_values = self._leaves.get(key, (np.empty(0, np.int64), np.empty(0, np.uint16)))
        stays = ~np.isin(old_flat, flat)
        paint = values != 0
        flat = np.concatenate([old_flat[stays], flat[paint]]).astype(self._index)
        values = np.concatenate([old_values[stays], values[paint]])
        if flat.size == 0:
            self._leaves.pop(key, None)
            return
        order = np.argsort(flat)
        self._leaves[key] = flat[order], values[order]

    def _inside(
        self, slice_index: SliceIndex
    ) -> Iterator[tuple[tuple[NDArray[np.int64] | int, ...], NDArray[np.uint16]]]:
        """Coordinates along every axis, and ids, of the painted voxels in a slice, leaf by leaf."""
        lead = len(self._shape) - 2
        where = dict(zip(slice_index.others, slice_index.position, strict=True))
        if all(axis in where for axis in range(lead)):
            keys = [tuple(where[axis] for axis in range(lead))]
        else:
            keys = [k for k in self._leaves if all(where.get(axis, i) == i for axis, i in enumerate(k))]
        width = self._shape[-1]
        for key in keys:
            if key not in self._leaves:
                continue
            flat, values = self._leaves[key]
            if lead in where:
                low, high = np.searchsorted(flat, [where[lead] * width, (where[lead] + 1) * width])
                flat, values = flat[low:high], values[low:high]
            if lead + 1 in where:
                mine = flat % width == where[lead + 1]
                flat, values = flat[mine], values[mine]
            yield (*key, flat // width, flat % width), values

    def slices(self, displayed: tuple[int, int] | None = None) -> list[SliceIndex]:
        """The slices with paint that lie along two axes (the last two by default), ascending."""
        lead = len(self._shape) - 2
        displayed = (lead, lead + 1) if displayed is None else displayed
        others = [axis for axis in range(lead + 2) if axis not in displayed]
        found: set[tuple[int, ...]] = set()
        for key, (flat, _) in self._leaves.items():
            columns: list[Any] = [*key, flat // self._shape[-1], flat % self._shape[-1]]
            if not others:
                found.add(())
                continue
            stacked = np.stack([np.broadcast_to(columns[axis], flat.shape) for axis in others], axis=-1)
            found.update(tuple(int(i) for i in row) for row in np.unique(stacked, axis=0))
        return [SliceIndex(displayed, position) for position in sorted(found)]

    def voxels(self) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        """Flat indices into the volume and ids of every painted voxel, ascending: what a file stores."""
        size = self._shape[-2] * self._shape[-1]
        flats, values = [np.empty(0, np.int64)], [np.empty(0, np.uint16)]
        for key in sorted(self._leaves):
            leaf = int(np.ravel_multi_index(key, self._shape[:-2])) if key else 0
            flats.append(self._leaves[key][0].astype(np.int64) + leaf * size)
            values.append(self._leaves[key][1])
        return np.concatenate(flats), np.concatenate(values)

    @classmethod
    def from_voxels(cls, shape: tuple[int, ...], flat: NDArray[np.int64], values: NDArray[np.uint16]) -> StrokeStore:
        """The inverse of :meth:`voxels`."""
        store = cls(shape)
        size = shape[-2] * shape[-1]
        leaves = np.unique(flat // size)
        starts, stops = np.searchsorted(flat, leaves * size), np.searchsorted(flat, (leaves + 1) * size)
        for leaf, start, stop in zip(leaves.tolist(), starts, stops, strict=True):
            key = tuple(int(i) for i in np.unravel_index(leaf, shape[:-2])) if len(shape) > 2 else ()
            mine = (flat[start:stop] - leaf * size).astype(store._index)
            store._leaves[key] = mine, values[start:stop].astype(np.uint16)
        return store

    def copy(self) -> StrokeStore:
        """The strokes as they are now; takes no time, as leaves are replaced and never written into."""
        twin = StrokeStore(self._shape)
        twin._leaves = dict(self._leaves)
        return twin
