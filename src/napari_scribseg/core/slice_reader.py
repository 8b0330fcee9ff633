"""The slices of a stack one after the other, of arrays in chunks read block by block."""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["READ_AHEAD", "SliceReader"]

READ_AHEAD = 64 << 20  # bytes


class SliceReader:
    """Reads the parallel slices of an image that stand along an axis, in the type that they are stored in.

    Those of an array in memory are views. Of any other array the slices that share a chunk are read together and kept,
    so that a chunk is read once and not once a slice, for as long as all fits ``most``; what was used longest ago is
    dropped. Any thread may read.

    Parameters
    ----------
    array : array of shape (\\*S) or (\\*S, C)
        With ``shape``, ``dtype`` and slicing; ``chunks`` as zarr or dask have them, where there are any.
    like : tuple of int and slice
        Index of a slice of the stack into the spatial axes, as :attr:`SliceIndex.slicer` has it.
    axis : int
        Along which they stand.
    first, last : int
        The only indices along the axis that will be read.
    most : int
        Bound in bytes of what is kept; one slice is kept in any case.
    """

    def __init__(
        self, array: Any, like: tuple[int | slice, ...], axis: int, first: int, last: int, most: int = READ_AHEAD
    ) -> None:
        self._array, self._like, self._axis, self._most = array, like, axis, most
        displayed = [other for other, at in enumerate(like) if isinstance(at, slice)]
        self._place = sum(other < axis for other in displayed)  # of the axis among those that are read
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, NDArray[Any]] = OrderedDict()  # by the index of their first slice
        bytes_of_slice = np.dtype(array.dtype).itemsize * int(np.prod([array.shape[a] for a in displayed]))
        bytes_of_slice *= int(np.prod(array.shape[len(like) :]))
        thickest = max(most // 2 // bytes_of_slice, 1)  # a span is read from both of its ends
        edges = [first]
        for low, high in pairwise(np.clip([*_chunk_edges(array, axis), last + 1], first, last + 1).tolist()):
            parts = -(-(high - low) // thickest)
            edges += [low + (high - low) * part // parts for part in range(1, parts + 1)]
        self._edges = np.unique(edges)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """The slice at an index along the axis, shape (H, W) or (H, W, C); not to be written into."""
        if isinstance(self._array, np.ndarray):
            view: NDArray[Any] = self._read(index, index + 1)[0]
            return view
        number = int(np.searchsorted(self._edges, index, side="right")) - 1
        low, high = int(self._edges[number]), int(self._edges[number + 1])
        with self._lock:
            block = self._blocks.pop(low, None)
            if block is None:
                self._make_room()
                block = self._read(low, high)
            self._blocks[low] = block
        found: NDArray[Any] = block[index - low]
        return found

    def _make_room(self) -> None:
        """Drop what was used longest ago, until a block of the size of the largest one fits."""
        sizes = [block.nbytes for block in self._blocks.values()]
        while sizes and sum(sizes) + max(sizes) > self._most:
            self._blocks.popitem(last=False)
            sizes.pop(0)

    def _read(self, low: int, high: int) -> NDArray[Any]:
        """The slices from ``low`` on, up to but without ``high``, as the first axis."""
        index = list(self._like)
        index[self._axis] = slice(low, high)
        values = np.asarray(self._array[(*index, *[slice(None)] * (len(self._array.shape) - len(index)))])
        return np.moveaxis(values, self._place, 0)


def _chunk_edges(array: Any, axis: int) -> list[int]:
    """Where chunks begin along an axis; each slice alone where the array has none."""
    chunks, n = getattr(array, "chunks", None), int(array.shape[axis])
    if not chunks:
        return list(range(n))
    along = chunks[axis]
    if isinstance(along, int | np.integer):
        return list(range(0, n, int(along)))
    return [0, *np.cumsum([int(size) for size in along]).tolist()[:-1]]
