"""Compressed arrays and differences of arrays: what a history keeps and a file stores."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayDiff", "PackedBox", "PackedRegion", "Region", "changed_region", "pack", "region_of", "unpack"]

Region = tuple[slice, slice]


def pack(array: NDArray[Any]) -> bytes:
    """The elements of an integer array, row by row, little endian, zlib-compressed."""
    return zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes(), level=1)


def unpack(packed: bytes, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """The inverse of :func:`pack`.

    Raises
    ------
    ValueError
        If the bytes are damaged, or do not hold exactly the elements of ``shape``.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"compressed values are damaged: {error}") from error
    if len(raw) != size or not inflater.eof:
        raise ValueError(f"compressed values do not hold {size} bytes")
    return np.frombuffer(raw, dtype=np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)


def changed_region(before: NDArray[Any], after: NDArray[Any]) -> Region:
    """Bounding box of the elements in which two arrays of shape (H, W) differ; empty slices where they are equal."""
    differs = before != after
    rows = np.flatnonzero(differs.any(axis=1))
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    columns = np.flatnonzero(differs[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@dataclass(frozen=True, slots=True, eq=False)
class PackedRegion:
    """The elements of a rectangle of an integer array, packed.

    Attributes
    ----------
    region : tuple of 2 slices
        The rectangle, with start and stop.
    values : bytes
        Its elements.
    dtype : str
        Of the elements.
    """

    region: Region
    values: bytes
    dtype: str

    @classmethod
    def whole(cls, array: NDArray[Any]) -> PackedRegion:
        """All of an array of shape (H, W)."""
        return cls(region_of(array.shape), pack(array), array.dtype.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the rectangle."""
        return self.region[0].stop - self.region[0].start, self.region[1].stop - self.region[1].start

    def unpack(self) -> NDArray[Any]:
        """The elements of the rectangle."""
        return unpack(self.values, self.shape, self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class PackedBox:
    """What several integer arrays of one shape (H, W) hold in a rectangle, packed; one value everywhere else.

    Attributes
    ----------
    region : tuple of 2 slices
        The rectangle, with start and stop.
    values : bytes
        The elements in it, array after array, int32.
    count : int
        Number of arrays.
    """

    region: Region
    values: bytes
    count: int

    @classmethod
    def of(cls, arrays: NDArray[np.signedinteger[Any]], rest: int) -> PackedBox:
        """Arrays (N, H, W), which are ``rest`` outside of the rectangle; its smallest one is found."""
        flat = np.zeros(arrays.shape[1:], bool)
        for array in arrays:
            flat |= array != rest
        region = changed_region(flat, np.zeros_like(flat))
        packer = zlib.compressobj(level=1)
        inside = (array[region].astype("<i4").tobytes() for array in arrays)
        return cls(region, b"".join([*map(packer.compress, inside), packer.flush()]), len(arrays))

    def unpack(self, shape: tuple[int, int], rest: int) -> NDArray[np.int32]:
        """The arrays, (N, H, W)."""
        rows, columns = self.region
        arrays = np.full((self.count, *shape), rest, np.int32)
        size = self.count, rows.stop - rows.start, columns.stop - columns.start
        arrays[:, rows, columns] = unpack(self.values, size, "int32")
        return arrays


def region_of(shape: tuple[int, ...]) -> Region:
    """The rectangle of a whole array of shape (H, W)."""
    return slice(0, shape[0]), slice(0, shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class ArrayDiff:
    """A rectangle of an integer array before and after a step."""

    before: PackedRegion
    after: PackedRegion

    @classmethod
    def between(cls, before: NDArray[Any], after: NDArray[Any]) -> ArrayDiff | None:
        """The difference of two arrays of ids of shape (H, W), in the smallest type; None where they are equal."""
        region = changed_region(before, after)
        if region[0].stop == 0:
            return None
        largest = max(int(before[region].max()), int(after[region].max()))
        dtype = next(name for name in ("uint8", "uint16", "uint32", "uint64") if largest <= np.iinfo(name).max)
        return cls(*(PackedRegion(region, pack(array[region].astype(dtype)), dtype) for array in (before, after)))

    @property
    def region(self) -> Region:
        """The rectangle."""
        return self.before.region

    def values(self, *, after: bool) -> NDArray[Any]:
        """The elements of the rectangle after the step, or before it."""
        return (self.after if after else self.before).unpack()

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return len(self.before.values) + len(self.after.values) + 400
