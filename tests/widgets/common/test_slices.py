import pytest

from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.slices import displayed_axes, slice_at


@pytest.mark.parametrize(
    ("order", "ndim", "expected"),
    [
        ((0, 1), 2, (0, 1)),
        ((0, 1, 2), 3, (1, 2)),
        ((2, 0, 1), 3, (0, 1)),
        ((1, 2, 0), 3, (2, 0)),
        ((0, 1, 2, 3), 3, (1, 2)),  # the world has a time axis that this layer lacks
        ((3, 0, 1, 2), 2, (1, 0)),
        ((0, 3, 2, 1), 2, (1, 0)),
    ],
)
def test_displayed_axes(order, ndim, expected):
    assert displayed_axes(order, ndim) == expected


def test_slice_of_any_pair_of_axes():
    shape = (4, 5, 6)
    assert slice_at(shape, (1, 2), (2.4, 0, 0)) == SliceIndex((1, 2), (2,))
    assert slice_at(shape, (0, 1), (0, 0, 5.4)) == SliceIndex((0, 1), (5,))
    assert slice_at(shape, (2, 0), (0, 3.0, 0)) == SliceIndex((0, 2), (3,))
    assert slice_at((7, 4, 5, 6), (2, 3), (6, 1, 0, 0)) == SliceIndex((2, 3), (6, 1))


def test_no_slice_outside_or_in_3d():
    assert slice_at((4, 5, 6), (1, 2), (4.6, 0, 0)) is None
    assert slice_at((4, 5, 6), (1, 2), (-0.6, 0, 0)) is None
    assert slice_at((4, 5, 6), (0, 1, 2), (0, 0, 0)) is None


def test_channel_axis_is_left_out():
    assert slice_at((1, 5, 6), (1, 2), (0.3, 0, 0), channel_axis=0) == SliceIndex((0, 1))
    assert slice_at((4, 1, 5, 6), (2, 3), (3, 0, 0, 0), channel_axis=1) == SliceIndex((1, 2), (3,))
    assert slice_at((4, 1, 5, 6), (0, 3), (3, 0, 2, 0), channel_axis=1) == SliceIndex((0, 2), (2,))
    assert slice_at((1, 5, 6), (0, 2), (0, 2, 0), channel_axis=0) is None
