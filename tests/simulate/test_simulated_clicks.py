import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_shapes import disc, labels
from scipy.ndimage import distance_transform_edt

from napari_scribseg.core import InputError
from napari_scribseg.simulate import Click, robot_click, training_clicks
from napari_scribseg.simulate.simulated_clicks import background_band, k_medoids

SHAPE = (64, 64)
TRUTH = disc(SHAPE, (32, 32), 16)


@settings(max_examples=100, deadline=None)
@given(labels(), st.integers(0, 1000))
def test_training_clicks_lie_where_they_are_listed(label, seed):
    positive, negative = training_clicks(label, seed, most_candidates=200)
    assert label[tuple(positive.T)].all()
    assert (1 if label.any() else 0) <= len(positive) <= 10
    assert len(negative) <= 10
    if len(negative):
        away = distance_transform_edt(~label)[tuple(negative.T)]
        assert ((away >= 5) & (away <= 40)).all()
    again = training_clicks(label, seed, most_candidates=200)
    for clicks, other in zip((positive, negative), again, strict=True):
        np.testing.assert_array_equal(clicks, other)
        assert len(np.unique(clicks, axis=0)) == len(clicks)


def test_numbers_of_clicks_are_drawn_from_the_whole_ranges():
    counts = {tuple(map(len, training_clicks(TRUTH, seed, most_candidates=60))) for seed in range(200)}
    assert {p for p, _ in counts} == set(range(1, 11))
    assert {n for _, n in counts} == set(range(11))


def test_the_band_is_five_to_forty_pixels_wide():
    pixel = disc((1, 100), (0, 0), 0)
    np.testing.assert_array_equal(np.flatnonzero(background_band(pixel, (5, 40))), np.arange(5, 41))
    assert not background_band(np.ones((9, 9), bool), (5, 40)).any()
    assert not background_band(np.zeros((9, 9), bool), (5, 40)).any()


@pytest.mark.parametrize("seed", range(5))
def test_medoids_of_two_heaps_are_their_middles(seed):
    points = np.asarray([[0, 0], [0, 1], [0, 2], [50, 0], [50, 1], [50, 2]])
    np.testing.assert_array_equal(k_medoids(points, 2, np.random.default_rng(seed)), [1, 4])
    assert k_medoids(points, 1, np.random.default_rng(seed)).tolist() in ([1], [4])
    np.testing.assert_array_equal(k_medoids(points, 9, np.random.default_rng(seed)), np.arange(6))
    assert k_medoids(points, 0, np.random.default_rng(seed)).size == 0


def test_the_robot_clicks_the_middle_of_the_first_object():
    assert robot_click(np.zeros(SHAPE), TRUTH) == Click(32, 32, True)


def test_the_robot_clicks_the_larger_error():
    predicted = TRUTH | disc(SHAPE, (32, 60), 2)
    assert robot_click(predicted, TRUTH) == Click(32, 60, False)
    # a long thin surplus has more pixels, a compact gap the higher peak
    predicted = TRUTH.copy()
    predicted[1, 1:60] = True
    predicted[30:35, 30:35] = False
    assert robot_click(predicted, TRUTH) == Click(32, 32, True)
    assert robot_click(predicted, TRUTH, larger="pixels") == Click(1, 1, False)


def test_no_pixel_is_clicked_twice_and_nothing_when_all_is_right():
    assert robot_click(TRUTH, TRUTH) is None
    predicted = TRUTH.copy()
    predicted[32, 32] = False
    first = robot_click(predicted, TRUTH)
    assert first == Click(32, 32, True)
    assert robot_click(predicted, TRUTH, [first]) is None


def test_an_error_at_the_border_is_clicked_inside_the_image():
    click = robot_click(np.zeros((9, 9)), np.ones((9, 9), bool))
    assert click == Click(4, 4, True)


@settings(max_examples=60, deadline=None)
@given(labels(), st.integers(0, 1000), st.sampled_from(["peak", "pixels"]))
def test_the_robot_clicks_what_is_wrong(truth, seed, larger):
    predicted = np.random.default_rng(seed).random(truth.shape)
    click = robot_click(predicted, truth, larger=larger)
    wrong = (predicted > 0.5) != truth
    assert (click is None) == (not wrong.any())
    if click:
        assert wrong[click.row, click.column]
        assert click.positive == truth[click.row, click.column]


def test_what_cannot_be_is_reported():
    with pytest.raises(InputError, match="positive is"):
        training_clicks(TRUTH, 0, positive=(3, 1))
    with pytest.raises(InputError, match="most_candidates"):
        training_clicks(TRUTH, 0, most_candidates=0)
    with pytest.raises(InputError, match="'peak' or 'pixels'"):
        robot_click(TRUTH, TRUTH, larger="area")
    with pytest.raises(InputError, match="shape"):
        robot_click(TRUTH[1:], TRUTH)
