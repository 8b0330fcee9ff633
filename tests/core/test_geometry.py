"""Grids: what a geometry may be, and when two of them are the same."""

import numpy as np
import pytest

from napari_scribseg import InputError
from napari_scribseg.core import Geometry
from napari_scribseg.core.geometry import is_singular, same_grid


def moved(by, shape=(4, 5, 6)):
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    affine[0, 3] = by
    return Geometry(shape, (2.0, 1.0, 1.0), affine)


def test_the_last_axes_have_the_usual_names_and_time_is_the_first_to_go():
    series = Geometry((3, 4, 5, 6), (1.0, 2.0, 1.0, 0.5))
    assert series.axis_names == ("t", "z", "y", "x")
    volume = series.without_time()
    assert (volume.shape, volume.spacing, volume.axis_names) == ((4, 5, 6), (2.0, 1.0, 0.5), ("z", "y", "x"))


@pytest.mark.parametrize(
    ("spacing", "affine", "words"),
    [
        ((1.0, 1.0), None, "2 spacings were given for 3 axes"),
        ((1.0, 0.0, 1.0), None, "positive finite sizes"),
        ((1.0, np.inf, 1.0), None, "positive finite sizes"),
        ((1.0, 1.0, 1.0), np.eye(3), r"shape \(3, 3\); expected \(4, 4\)"),
    ],
)
def test_a_bad_grid_is_named(spacing, affine, words):
    with pytest.raises(InputError, match=words):
        Geometry((4, 5, 6), spacing, affine)


def test_grids_are_the_same_within_a_twentieth_of_a_voxel():
    assert same_grid(moved(0), moved(0.049))
    assert not same_grid(moved(0), moved(0.051))
    assert not same_grid(moved(0), moved(0, (4, 5, 7)))
    assert same_grid(moved(0), Geometry((4, 5, 6), (1.0, 1.0, 1.0)))  # without a position it fits anywhere


def test_coplanar_columns_are_singular():
    assert not is_singular(np.diag([1e-3, 1.0, 1e3]))
    assert is_singular(np.diag([1.0, 0.0, 1.0]))
    assert is_singular(np.array([[1.0, 1, 0], [0, 0, 1], [0, 0, 0]]))
    assert is_singular(np.full((3, 3), np.nan))
