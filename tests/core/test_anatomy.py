import itertools

import numpy as np
import pytest

from napari_scribseg.core import Geometry, InputError, Source
from napari_scribseg.core.anatomy import axis_letters, nearest_axes, parse_axis, slice_axis, slice_names

NAMES = ("sagittal", "coronal", "axial")


def geometry(directions, shape=(4, 5, 6)):
    affine = np.eye(4)
    affine[:3, :3] = directions
    return Geometry(shape, (1.0,) * len(shape), affine, "millimeter")


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_every_orientation_of_the_axes(order, signs):
    directions = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        directions[world, axis] = sign
    grid = geometry(rotation(0.3) @ directions * (0.5, 3, 1))
    assert slice_names(grid) == tuple(NAMES[world] for world in order)
    for world, name in enumerate(NAMES):
        assert slice_axis(grid, name) == order.index(world)
    ends = ("LR", "PA", "IS")
    assert axis_letters(grid) == tuple(tuple(ends[world][::sign]) for world, sign in zip(order, signs, strict=True))


def test_the_nearest_axes_are_a_signed_permutation():
    rng = np.random.default_rng(0)
    for _ in range(50):
        columns = rng.normal(size=(3, 3))
        columns /= np.linalg.norm(columns, axis=0)
        nearest = nearest_axes(columns)
        assert (np.abs(nearest).sum(0) == 1).all()
        assert (np.abs(nearest).sum(1) == 1).all()
        best = max(np.abs(columns[list(p), range(3)]).sum() for p in list(itertools.permutations(range(3))))
        assert (nearest * columns).sum() == pytest.approx(best)


def test_a_series_has_its_time_before_the_axes_of_space():
    grid = Geometry((2, 4, 5, 6), (1.0, 3.0, 1.0, 1.0), np.eye(4)[[2, 1, 0, 3]], "millimeter")
    assert slice_names(grid) == ("", "axial", "coronal", "sagittal")
    assert slice_axis(grid, "sagittal") == 3
    assert axis_letters(grid)[0] == ("", "")


def test_numbers_stay_and_nothing_stays_nothing():
    grid = geometry(np.eye(3))
    assert [slice_axis(grid, axis) for axis in (0, 1, 2, None)] == [0, 1, 2, None]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (Geometry((4, 5, 6), (1.0, 1.0, 1.0)), "the image does not say how it lies in the patient"),
        (Geometry((4, 5), (1.0, 1.0), np.eye(4), "millimeter"), "axial was requested of a 2D image"),
    ],
)
def test_images_that_have_no_such_axis(grid, words):
    assert slice_names(grid) is None
    assert axis_letters(Geometry((4, 5, 6), (1.0, 1.0, 1.0))) is None
    with pytest.raises(InputError, match=words):
        slice_axis(grid, "axial")


def test_what_a_user_types():
    assert [parse_axis(text) for text in ("0", "2", "axial", " Coronal", "SAGITTAL", None)] == [
        0, 2, "axial", "coronal", "sagittal", None,
    ]  # fmt: skip
    with pytest.raises(InputError, match="'z'; axial, coronal, sagittal or the number of an axis is expected"):
        parse_axis("z")
    with pytest.raises(InputError, match="'-1'"):
        parse_axis("-1")


def test_slices_of_a_source_by_a_name():
    source = Source.from_array(np.zeros((4, 5, 6)), geometry(np.eye(3)[[2, 1, 0]]))
    assert source.slice_index(3, "coronal") == source.slice_index(3, 1)
    assert [s.position for s in source.slices("sagittal")] == [(i,) for i in range(6)]


def test_letters_of_a_2d_image():
    grid = geometry(np.eye(3)[[2, 1, 0]], (5, 6))
    assert axis_letters(grid) == (("P", "A"), ("L", "R"))
