import dask.array as da
import numpy as np
import pytest

from napari_scribseg.core import Geometry, InputError, SliceIndex, Source
from napari_scribseg.io import read_volume, write_labels


def test_the_index_of_a_slice():
    slice_index = SliceIndex((1, 3), (4, 0))
    assert slice_index.slicer == (4, slice(None), 0, slice(None))
    assert slice_index.others == (0, 2)
    assert slice_index.at(2, 7) == SliceIndex((1, 3), (4, 7))
    assert hash(slice_index) == hash(SliceIndex((1, 3), (4, 0)))
    assert str(SliceIndex((1, 2), (3,))) == "z 3"
    assert str(SliceIndex((1, 3), (4, 0))) == "t 4, y 0"
    assert str(SliceIndex((3, 4), (1, 2, 0))) == "axis 0 1, t 2, z 0"
    assert str(SliceIndex((0, 1))) == "the image"
    for displayed, position in [((1, 0), (0,)), ((0, 0), (0,)), ((0, 3), (0,)), ((0, 1), (-1,))]:
        with pytest.raises(InputError):
            SliceIndex(displayed, position)
    with pytest.raises(InputError, match="lies in the slice"):
        slice_index.at(1, 0)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (SliceIndex((1, 2), (3,)), SliceIndex((1, 2), (4,)), None),
        (SliceIndex((1, 2), (3,)), SliceIndex((0, 2), (4,)), (4, slice(None))),
        (SliceIndex((0, 2), (4,)), SliceIndex((1, 2), (3,)), (3, slice(None))),
        (SliceIndex((2, 3), (1, 2)), SliceIndex((0, 1), (5, 6)), (5, 6)),
        (SliceIndex((2, 3), (1, 2)), SliceIndex((1, 3), (0, 5)), None),
    ],
)
def test_where_slices_cross(one, two, expected):
    assert one.crossing(two) == expected
    shape = (7, 8, 9, 10)[: one.ndim]
    a, b = np.zeros(shape, bool), np.zeros(shape, bool)
    a[one.slicer], b[two.slicer] = True, True
    common = np.zeros_like(a[one.slicer])
    if expected is not None:
        common[expected] = True
    assert ((a & b)[one.slicer] == common).all()


class Counting:
    """An array that counts what is read of it."""

    def __init__(self, array):
        self.array, self.read = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        found = self.array[index]
        self.read += found.size
        return found


def test_only_the_slice_is_read():
    array = Counting(np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7))
    volume = Source.from_array(array, spacing=(5, 1, 2))
    assert array.read == 0
    image = volume.image(SliceIndex((0, 2), (4,)))
    assert array.read == 35
    assert image.spacing == (5, 2)
    assert image.data.dtype == np.float32
    assert (image.data[0] == array.array[:, 4]).all()


def test_channels_dask_and_zarr():
    array = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    volume = Source.from_array(da.from_array(array, chunks=2), channels=True)
    assert volume.shape == (4, 5, 6)
    assert (volume.image(SliceIndex((0, 1), (2,))).data == np.moveaxis(array[:, :, 2], -1, 0)).all()
    zarr = pytest.importorskip("zarr")
    stored = zarr.array(array[..., 0])
    assert (Source.from_array(stored).image(SliceIndex((1, 2), (3,))).data[0] == array[3, ..., 0]).all()


@pytest.mark.parametrize(
    ("array", "more", "words"),
    [
        (np.zeros(5), {}, "two spatial axes"),
        (np.zeros((5, 3)), {"channels": True}, "two spatial axes"),
        (np.zeros((5, 0, 3)), {}, "at least one element"),
        (np.zeros((5, 5), complex), {}, "complex"),
        (np.zeros((5, 5), object), {}, "object"),
        (np.zeros((5, 5)), {"geometry": Geometry((5, 6), (1, 1))}, "geometry"),
        (np.zeros((5, 5)), {"spacing": (1, 1, 1)}, "spacings"),
        (np.zeros((5, 5)), {"spacing": (1, 0)}, "spacing"),
    ],
)
def test_what_is_no_source(array, more, words):
    with pytest.raises(InputError, match=words):
        Source.from_array(array, **more)


def test_bool_images_and_lists_of_slices():
    volume = Source.from_array(np.eye(4, dtype=bool))
    assert volume.image(volume.slice_index()).data.sum() == 4
    assert list(volume.slices()) == [SliceIndex((0, 1))]
    volume = Source.from_array(np.zeros((2, 3, 4, 5)))
    assert [p.position for p in volume.slices(1)] == [(0, 0), (0, 1), (0, 2)]
    assert [p.position for p in volume.slices(0, SliceIndex((1, 3), (0, 2)))] == [(0, 2), (1, 2)]


# strokes


def test_slices_by_the_names_of_their_axes():
    volume = Source.from_array(np.zeros((3, 4, 5, 6)))
    assert volume.where(SliceIndex((2, 3), (2, 1))) == "t 2, z 1"
    assert volume.where(SliceIndex((1, 3), (0, 4))) == "t 0, y 4"
    assert Source.from_array(np.zeros((4, 4))).where(SliceIndex((0, 1))) == "the image"
    slices = [SliceIndex((2, 3), (2, z)) for z in (3, 1, 2)]
    assert volume.span(slices) == "t 2, z 1 to t 2, z 3"
    assert volume.span(slices[:1]) == "t 2, z 3"
    assert volume.span(slices[:2]) == "2 slices"
    assert volume.span([SliceIndex((2, 3), (0, 3)), SliceIndex((2, 3), (1, 0))]) == "2 slices"


def test_a_source_of_a_file_is_annotated_as_it_is(tmp_path):
    grid = Geometry(
        (2, 3, 4), (2.0, 0.5, 0.5), np.diag([2.0, 0.5, 0.5, 1.0])[[2, 1, 0, 3]][:, [0, 1, 2, 3]], "millimeter"
    )
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_labels(tmp_path / "l.nrrd", labels, grid, bids_tsv=False)
    source = read_volume(tmp_path / "l.nrrd")
    assert (source.path, source.name, source.shape, source.ndim) == (str(tmp_path / "l.nrrd"), "l", (2, 3, 4), 3)
    assert [str(index) for index in source.slices()] == ["z 0", "z 1"]
    image = source.image(source.slice_index(1))
    np.testing.assert_array_equal(image.data[0], labels[1])
    assert image.spacing == (0.5, 0.5)
