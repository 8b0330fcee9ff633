import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_shapes import disc, labels

from napari_scribseg.core import InputError
from napari_scribseg.simulate import simulate_correction
from napari_scribseg.simulate.corrections import errors, object_radius, temporary_label

SHAPE = (64, 64)
TRUTH = disc(SHAPE, (32, 32), 16)
NOTHING = np.zeros(SHAPE, dtype=np.int8)


def test_what_is_missing_is_painted_positive_inside_the_object():
    predicted = TRUTH.copy()
    predicted[:, 32:] = False
    found = simulate_correction(predicted, TRUTH, NOTHING, 0)
    assert found.sign == 1
    assert set(np.unique(found.stroke_map)) == {0, 1}
    assert (found.stroke_map[~TRUTH] == 0).all()


def test_what_is_too_much_is_painted_negative_outside_the_object():
    found = simulate_correction(disc(SHAPE, (32, 36), 26), TRUTH, NOTHING, 0)
    assert found.sign == -1
    assert set(np.unique(found.stroke_map)) == {-1, 0}
    assert (found.stroke_map[TRUTH] == 0).all()


def test_the_larger_error_decides_and_the_object_where_they_are_alike():
    predicted = TRUTH.copy()
    predicted[30:33, 30:33] = False
    predicted[0, :9] = True
    assert simulate_correction(predicted, TRUTH, NOTHING, 0).sign == 1
    predicted[0, 9] = True
    assert simulate_correction(predicted, TRUTH, NOTHING, 0).sign == -1


def test_less_than_one_percent_is_left_alone():
    truth = np.zeros((50, 50), dtype=bool)
    truth[10:30, 10:30] = True  # 400 pixels: four are 1 %
    for n, sign in ((0, 0), (3, 0), (4, 1)):
        predicted = truth.copy()
        predicted[10, 10 : 10 + n] = False
        old = np.zeros((50, 50), dtype=np.int8)
        old[20, 20] = 1
        found = simulate_correction(predicted, truth, old, 0)
        assert found.sign == sign
        if sign == 0:
            np.testing.assert_array_equal(found.stroke_map, old)
            assert found.scribble is None
            assert not found.temporary.any()


def test_the_error_is_dilated_by_the_radius_of_the_object():
    wrong = np.zeros(SHAPE, dtype=bool)
    wrong[32, 32] = True
    square = np.zeros(SHAPE, dtype=bool)
    square[:10, :10] = True
    assert object_radius(square) == pytest.approx(np.sqrt(100 / np.pi))
    assert object_radius(np.zeros_like(square)) == 0
    np.testing.assert_array_equal(temporary_label(wrong, object_radius(square)), disc(SHAPE, (32, 32), 5.64))
    np.testing.assert_array_equal(temporary_label(wrong, 0), wrong)
    predicted = TRUTH.copy()
    predicted[:, 40:] = False
    near, far = (simulate_correction(predicted, TRUTH, NOTHING, 0, reach=r).temporary for r in (2, None))
    np.testing.assert_array_equal(near[32], TRUTH[32] & (np.arange(64) >= 38))
    np.testing.assert_array_equal(
        far, simulate_correction(predicted, TRUTH, NOTHING, 0, reach=object_radius(TRUTH)).temporary
    )


def test_an_error_is_a_difference_above_one_half():
    missing, surplus = errors(
        np.asarray([[0.4, 0.5, 0.6, 0.4, 0.5, 0.6]]), np.asarray([[1, 1, 1, 0, 0, 0]], dtype=bool)
    )
    np.testing.assert_array_equal(missing, [[1, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(surplus, [[0, 0, 0, 0, 0, 1]])


def test_old_and_new_strokes_are_together():
    old = NOTHING.copy()
    old[32, 20:45], old[2, 2:9] = 1, -1
    predicted = disc(SHAPE, (32, 32), 8)
    found = simulate_correction(predicted, TRUTH, old, 0)
    new = found.stroke_map != old
    assert new.any()
    assert (found.stroke_map[new] == 1).all()
    assert (found.stroke_map[old == -1] == -1).all()
    assert (old == np.where(np.isin(old, [-1, 1]), old, 0)).all()


@settings(max_examples=100, deadline=None)
@given(labels(), st.integers(0, 1000), st.booleans(), st.sampled_from([0.0, 0.3, 1.0]))
def test_any_prediction_to_any_label(truth, seed, stay, amount):
    rng = np.random.default_rng(seed)
    predicted = np.clip(truth + amount * rng.normal(size=truth.shape), 0, 1)
    old = rng.integers(-1, 2, truth.shape)
    found = simulate_correction(predicted, truth, old, seed, stay=stay)
    again = simulate_correction(predicted, truth, old, seed, stay=stay)
    np.testing.assert_array_equal(found.stroke_map, again.stroke_map)
    changed = found.stroke_map != old
    assert (found.stroke_map[changed] == found.sign).all()
    if stay:
        assert (truth[changed] == (found.sign > 0)).all()
    if found.sign:
        assert found.scribble.mask.any()


@pytest.mark.parametrize(
    ("prediction", "truth", "stroke_map", "words"),
    [
        (np.zeros((4, 5)), TRUTH, NOTHING, "the prediction has shape"),
        (TRUTH, TRUTH, NOTHING[1:], "the stroke map has shape"),
        (TRUTH * 2.0, TRUTH, NOTHING, "outside 0 to 1"),
        (TRUTH * np.nan, TRUTH, NOTHING, "NaN"),
        (TRUTH, TRUTH, NOTHING + 2, "-1, 0 and 1"),
        (np.zeros(3), TRUTH, NOTHING, "of shape"),
    ],
)
def test_what_does_not_fit_is_reported(prediction, truth, stroke_map, words):
    with pytest.raises(InputError, match=words):
        simulate_correction(prediction, truth, stroke_map, 0)


@pytest.mark.parametrize("given", [{"reach": -1}, {"tolerance": np.nan}])
def test_a_distance_or_share_that_cannot_be_is_reported(given):
    with pytest.raises(InputError, match=f"the {next(iter(given))} is"):
        simulate_correction(TRUTH, TRUTH, NOTHING, 0, **given)
