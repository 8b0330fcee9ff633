import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.simulate import simulate_scribble
from napari_scribseg.simulate.measures import compare, measure_strokes, pool, turning
from napari_scribseg.simulate.simulated_scribbles import paint

SHAPE = (100, 100)
LABEL = np.zeros(SHAPE, dtype=bool)
LABEL[10:90, 10:90] = True


def test_a_straight_line_has_its_length_width_and_place():
    line = np.zeros(SHAPE, dtype=bool)
    line[30, 20:61] = True
    found = measure_strokes(line, LABEL)
    assert found.length == pytest.approx([40])
    assert found.relative_length == pytest.approx([0.5])
    assert found.width == pytest.approx([1])
    assert found.curvature == pytest.approx([0])
    assert found.depth == pytest.approx([21 / 40])
    assert found.covered == pytest.approx([41 / 6400])
    assert found.number == pytest.approx([1])
    assert found.outside == pytest.approx([0])


def test_a_thick_line_is_as_wide_as_its_pen():
    way = np.stack([np.full(121, 50.0), np.linspace(20, 80, 121)], axis=1)
    for radius in (1, 2, 4):
        found = measure_strokes(paint(way, radius, SHAPE), LABEL)
        assert found.width == pytest.approx([2 * radius + 1], abs=0.6)
        assert found.length == pytest.approx([60], abs=5)


@pytest.mark.parametrize("radius", [10, 20, 35])
def test_a_circle_turns_by_its_radius_all_around(radius):
    turns = np.linspace(0, 2 * np.pi, 2000)
    circle = paint(50 + radius * np.stack([np.sin(turns), np.cos(turns)], axis=1), 0, SHAPE)
    found = measure_strokes(circle, LABEL)
    assert found.length == pytest.approx([2 * np.pi * radius], rel=0.1)
    assert found.curvature == pytest.approx([1 / radius], rel=0.35)


def test_gaps_are_bridged_on_request():
    dotted = np.zeros(SHAPE, dtype=bool)
    dotted[50, 20:81:4] = True
    assert len(measure_strokes(dotted, LABEL).length) == 16
    found = measure_strokes(dotted, LABEL, gap=5)
    assert found.length == pytest.approx([60])
    assert np.isnan(measure_strokes(dotted, LABEL).curvature).all()


def test_strokes_are_counted_for_each_part_and_what_lies_outside():
    parts = LABEL.copy()
    parts[:, 48:52] = False
    painted = np.zeros(SHAPE, dtype=bool)
    painted[20, 20:40] = painted[40, 20:40] = painted[60, 0:20] = True
    found = measure_strokes(painted, parts)
    assert found.number == pytest.approx([1.5])
    assert found.outside == pytest.approx([10 / 60])
    assert found.covered == pytest.approx([50 / parts.sum()])


def test_measures_of_many_labels_are_put_together():
    one = measure_strokes(simulate_scribble(LABEL, 0).mask, LABEL)
    none = measure_strokes(np.zeros(SHAPE, dtype=bool), LABEL)
    assert none.length.shape == none.covered.shape == (0,)
    both = pool([one, none, one])
    assert len(both.length) == 2 * len(one.length)
    assert len(both.covered) == 2
    assert pool([]).width.shape == (0,)


def test_a_path_shorter_than_the_smoothing_has_no_curvature():
    assert np.isnan(turning(np.asarray([[0.0, 0.0], [0.0, 5.0]])))
    assert turning(np.asarray([[0.0, 0.0], [0.0, 20.0]])) == 0
    assert turning(np.asarray([[0.0, 0.0], [0.0, 20.0], [20.0, 20.0]])) == pytest.approx(np.pi / 2 / 36, rel=0.1)


def test_samples_are_compared():
    a = np.arange(100.0)
    same = compare(a, np.append(a, np.nan))
    assert same.ks == same.wasserstein == 0
    assert same.p_value == pytest.approx(1)
    moved = compare(a, a + 49.5)
    assert moved.wasserstein == pytest.approx(1)
    assert moved.ks == pytest.approx(0.5)
    assert moved.p_value < 1e-6
    assert compare(np.ones(9), np.full(9, 3.0)).wasserstein == pytest.approx(4)
    assert compare(np.zeros(9), np.full(9, 3.0)).wasserstein == pytest.approx(3)


def test_what_cannot_be_measured_is_reported():
    with pytest.raises(InputError, match="the painted has shape"):
        measure_strokes(LABEL[1:], LABEL)
    with pytest.raises(InputError, match="gap is 0"):
        measure_strokes(LABEL, LABEL, gap=0)
    with pytest.raises(InputError, match="hold 0 and 1 values"):
        compare([np.nan], [1.0])
