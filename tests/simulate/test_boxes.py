import numpy as np
import pytest
from hypothesis import given, settings
from label_shapes import labels

from napari_scribseg.core import InputError
from napari_scribseg.simulate import bounding_box, box_stroke, extreme_points, point_strokes

LABEL = np.zeros((12, 14), dtype=int)
LABEL[3:9, 5:11] = 1
LABEL[2, 7], LABEL[6, 12] = 1, 1


def test_the_box_holds_the_label_exactly():
    assert bounding_box(LABEL) == (2, 5, 8, 12)
    assert bounding_box(np.zeros((3, 3), int)) is None


def test_extreme_points_are_the_middle_of_the_outermost_pixels():
    np.testing.assert_array_equal(extreme_points(LABEL), [[2, 7], [6, 5], [8, 8], [6, 12]])


@settings(max_examples=60, deadline=None)
@given(labels())
def test_extreme_points_touch_the_sides_of_the_box(label):
    box, points = bounding_box(label), extreme_points(label)
    if box is None:
        assert points.shape == (0, 2)
    else:
        assert label[tuple(points.T)].all()
        assert (points[0, 0], points[1, 1], points[2, 0], points[3, 1]) == box


def test_extreme_points_may_be_drawn_from_those_near_the_outermost():
    near = {tuple(extreme_points(LABEL, 1, seed)[2]) for seed in range(60)}
    assert near == {(row, column) for row in (7, 8) for column in range(5, 11)}
    ties = {tuple(extreme_points(LABEL, seed=seed)[2]) for seed in range(60)}
    assert ties == {(8, column) for column in range(5, 11)}
    np.testing.assert_array_equal(extreme_points(LABEL, 1, 3), extreme_points(LABEL, 1, np.random.default_rng(3)))


def test_they_are_drawn_with_the_pen():
    outline = box_stroke((2, 3, 8, 9), 1, radius=0).rasterize((12, 12))
    expected = np.zeros((12, 12), dtype=bool)
    expected[2:9, 3:10] = True
    expected[3:8, 4:9] = False
    np.testing.assert_array_equal(outline, expected)
    dots = point_strokes(extreme_points(LABEL), 2)
    assert len(dots) == 4
    assert dots[1].rasterize((12, 14)).sum() == 13


def test_what_is_no_box_or_point_is_reported():
    with pytest.raises(InputError, match="box is"):
        box_stroke((5, 5, 2, 9), 0)
    with pytest.raises(InputError, match="shape"):
        point_strokes(np.zeros(3), 0)
    with pytest.raises(InputError, match="the slack is -1; a number of pixels of at least 0 is expected"):
        extreme_points(LABEL, -1)
