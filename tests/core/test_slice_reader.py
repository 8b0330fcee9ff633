"""Slices of arrays in chunks are read block by block."""

from collections import Counter

import numpy as np
import pytest

from napari_scribseg.core import Source
from napari_scribseg.core.slice_reader import SliceReader
from napari_scribseg.core.source import SliceIndex


class Chunked:
    """An array that counts how often each of its chunks is read, and the slices that are read together."""

    def __init__(self, values, chunks):
        self.values, self.chunks, self.reads, self.thickest = values, chunks, Counter(), 0
        self.shape, self.dtype = values.shape, values.dtype
        sizes = (
            each if isinstance(each, tuple) else (each,) * (n // each + 1)
            for each, n in zip(chunks, self.shape, strict=True)
        )
        self.edges = [np.cumsum([0, *each]) for each in sizes]

    def __getitem__(self, index):
        numbers = []
        for at, n, edges in zip(index, self.shape, self.edges, strict=True):
            first, stop = at.indices(n)[:2] if isinstance(at, slice) else (at, at + 1)
            low, high = np.searchsorted(edges, [first, stop - 1], side="right") - 1
            numbers.append(range(low, high + 1))
        self.reads.update(np.ndindex(*(len(each) for each in numbers)) if not numbers else _product(numbers))
        found = self.values[index]
        self.thickest = max(self.thickest, found.nbytes)
        return found


def _product(numbers):
    return [tuple(int(each[i]) for each, i in zip(numbers, at, strict=True)) for at in np.ndindex(*map(len, numbers))]


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(0).integers(-99, 99, (50, 24, 20), dtype=np.int16)


LIKE = SliceIndex((1, 2), (0,))


@pytest.mark.parametrize("chunks", [(16, 8, 8), ((20, 5, 25), (24,), (10, 10))])
@pytest.mark.parametrize("order", [range(3, 41), range(40, 2, -1), [k for i in range(3, 22) for k in (i, 43 - i)]])
def test_each_chunk_of_a_span_is_read_once(values, chunks, order):
    array = Chunked(values, chunks)
    reader = SliceReader(array, LIKE.slicer, 0, 3, 40)
    for _ in range(3):
        for index in order:
            np.testing.assert_array_equal(reader[index], values[index])
    assert set(array.reads.values()) == {1}


def test_what_is_kept_is_bounded(values):
    array, of_slice = Chunked(values, (16, 8, 8)), values[0].nbytes
    reader = SliceReader(array, LIKE.slicer, 0, 0, 49, most=8 * of_slice)
    for index in range(50):
        np.testing.assert_array_equal(reader[index], values[index])
        assert sum(block.nbytes for block in reader._blocks.values()) <= 8 * of_slice
    assert array.thickest <= 4 * of_slice
    assert max(array.reads.values()) == 4  # a chunk of 16 slices, 4 of them at a time
    one = SliceReader(array, LIKE.slicer, 0, 0, 49, most=1)
    np.testing.assert_array_equal(one[7], values[7])
    assert len(one._blocks) == 1


def test_a_span_larger_than_the_bound_is_read_once_from_either_end(values):
    array, of_slice = Chunked(values, (4, 8, 8)), values[0].nbytes
    reader = SliceReader(array, LIKE.slicer, 0, 0, 49, most=16 * of_slice)
    for index in range(25):
        np.testing.assert_array_equal(reader[index], values[index])
        np.testing.assert_array_equal(reader[49 - index], values[49 - index])
    assert max(array.reads.values()) == 1


@pytest.mark.parametrize(("displayed", "axis"), [((0, 1), 2), ((0, 2), 1)])
def test_along_other_axes(values, displayed, axis):
    array, like = Chunked(values, (16, 8, 8)), SliceIndex(displayed, (0,))
    reader = SliceReader(array, like.slicer, axis, 2, 17)
    for index in range(2, 18):
        np.testing.assert_array_equal(reader[index], np.take(values, index, axis))
    assert set(array.reads.values()) == {1}


def test_series_and_channels():
    values = np.random.default_rng(0).random((3, 6, 5, 4, 2)).astype(np.float32)
    array, like = Chunked(values, (1, 3, 5, 4, 2)), SliceIndex((2, 3), (2, 0))
    reader = SliceReader(array, like.slicer, 1, 0, 5)
    for index in range(6):
        np.testing.assert_array_equal(reader[index], values[2, index])
    assert array.reads == {(2, 0, 0, 0, 0): 1, (2, 1, 0, 0, 0): 1}
    along_time = SliceReader(array, like.slicer, 0, 0, 2)
    np.testing.assert_array_equal(along_time[1], values[1, 0])


def test_slices_in_memory_are_views(values):
    reader = Source.from_array(values).reader(LIKE, 0, 0, 49)
    assert np.shares_memory(reader[7], values)
