import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import Case, drawn, semantic, single_object, slices


@pytest.fixture
def volume():
    truth = np.zeros((4, 5, 6), np.int32)
    truth[1, 1:3, 1:4] = 1
    truth[2, 1:3, 1:4] = 2
    truth[2, 4, 5] = 1
    truth[3, 0, 0] = -1
    strokes = np.full(truth.shape, -1, np.int32)
    strokes[1, 1, 1], strokes[1, 4, 4] = 1, 0
    strokes[2, 1, 1] = 2
    return Case("v", np.arange(120.0).reshape(4, 5, 6), truth, (3.0, 0.9, 0.8), "p1", "scanner", {1: "liver"}, strokes,
                unit="mm")  # fmt: skip


def test_slices_hold_what_the_volume_holds(volume):
    found = list(slices(volume))
    assert [c.name for c in found] == ["v slice 1", "v slice 2"]
    for index, c in zip((1, 2), found, strict=True):
        np.testing.assert_array_equal(c.image, volume.image[index])
        np.testing.assert_array_equal(c.truth, volume.truth[index])
        np.testing.assert_array_equal(c.strokes, volume.strokes[index])
        assert (c.spacing, c.group, c.source, c.unit, c.names) == ((0.9, 0.8), "p1", "scanner", "mm", {1: "liver"})


@pytest.mark.parametrize(("axis", "spacing", "shape"), [(1, (3.0, 0.8), (4, 6)), (2, (3.0, 0.9), (4, 5))])
def test_slices_across_other_axes(volume, axis, spacing, shape):
    found = list(slices(volume, axis))
    assert found[0].name == "v slice 1"
    assert all(c.spacing == spacing and c.truth.shape == shape for c in found)
    np.testing.assert_array_equal(found[0].truth, np.take(volume.truth, 1, axis))


def test_slices_by_strokes_and_by_size(volume):
    assert [c.name for c in slices(volume, strokes_only=True)] == ["v slice 1"]  # the other lacks the background
    assert [c.name for c in slices(volume, smallest=7)] == ["v slice 2"]
    assert len(list(slices(volume, smallest=0))) == 4
    assert not list(slices(volume, smallest=8))


def test_slices_of_colours(volume):
    colours = Case("c", np.zeros((4, 5, 6, 3)), volume.truth, volume.spacing)
    first = next(slices(colours))
    assert first.image.shape == (5, 6, 3)
    assert first.channels


def test_slices_need_three_axes(volume):
    flat = next(slices(volume))
    with pytest.raises(InputError, match="0 to 2 of 3 expected"):
        slices(flat)
    with pytest.raises(InputError, match="across axis 3"):
        slices(volume, 3)


def test_semantic(volume):
    case = semantic(volume)
    assert case.ids == (0, 1)
    np.testing.assert_array_equal(case.truth == 1, volume.truth > 0)
    np.testing.assert_array_equal(case.truth == -1, volume.truth == -1)
    assert set(np.unique(case.strokes)) == {-1, 0, 1}
    assert not case.instances
    with pytest.raises(InputError, match="a case with a background is expected"):
        semantic(Case("x", volume.image, volume.truth, volume.spacing, background=None))


def test_single_object(volume):
    case = single_object(volume, 2)
    assert case.name == "v object 2"
    np.testing.assert_array_equal(case.truth == 1, volume.truth == 2)
    np.testing.assert_array_equal(case.truth == -1, volume.truth == -1)
    np.testing.assert_array_equal(case.strokes == 0, (volume.strokes == 0) | (volume.strokes == 1))
    assert (single_object(volume, 1).names[1], case.names[1]) == ("liver", "object 2")
    for absent in (7, -1):
        with pytest.raises(InputError, match=f"has no label {absent}; it has 0, 1, 2"):
            single_object(volume, absent)


def test_drawn_leaves_out_what_nobody_drew(volume):
    first, second = slices(volume)
    assert drawn(first).ids == (0, 1)
    assert drawn(second).ids == (0, 2)
    np.testing.assert_array_equal(drawn(second).truth == 2, second.truth == 2)
    unknown = drawn(volume)
    assert (unknown.truth == -1).sum() == 1
    bare = Case("b", volume.image, volume.truth, volume.spacing)
    assert drawn(bare) is bare
