import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_shapes import disc

from napari_scribseg.core import InputError
from napari_scribseg.simulate import HumanError, RobotUser, ScribbleStyle, robot_click, simulate_scribble
from napari_scribseg.simulate.robot import worth_correcting

SHAPE = (80, 96)
TRUTH = np.zeros(SHAPE, dtype=np.int32)
TRUTH[disc(SHAPE, (40, 40), 24)] = 1
TRUTH[disc(SHAPE, (40, 70), 16)] = 2
TRUTH[:6] = -1
NOTHING = np.full(SHAPE, -1, dtype=np.int32)
CLUMSY = HumanError(jitter=2, spill=6, spill_rate=0.5, wrong_label=0.3)


@st.composite
def truths(draw):
    """Patches of up to four classes, some of them unknown, down to an image of one pixel."""
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    seed, grain = draw(st.integers(0, 1000)), draw(st.sampled_from([1, 4, 40]))
    small = np.random.default_rng(seed).integers(-1, 4, [-(-s // grain) for s in shape])
    return np.kron(small, np.ones((grain, grain), dtype=int))[: shape[0], : shape[1]]


@settings(max_examples=80, deadline=None)
@given(truths(), st.integers(0, 1000), st.sampled_from(["strokes", "clicks"]), st.booleans())
def test_every_class_is_begun_and_nothing_unknown_is_painted(truth, seed, hand, clumsy):
    user = RobotUser(hand, error=CLUMSY if clumsy else None)
    seeds = user.begin(truth, 5, seed)
    assert seeds.dtype == np.int32
    assert (seeds[truth == -1] == -1).all()
    for c in set(np.unique(truth)) - {-1}:
        assert ((seeds == c) & (truth == c)).any()
    if not clumsy:
        assert (seeds[seeds >= 0] == truth[seeds >= 0]).all()
    np.testing.assert_array_equal(seeds, user.begin(truth, 5, np.random.default_rng(seed)))


@settings(max_examples=80, deadline=None)
@given(truths(), st.integers(0, 1000), st.sampled_from(["strokes", "clicks"]), st.booleans())
def test_a_correction_paints_more_of_what_is_wrong(truth, seed, hand, clumsy):
    rng = np.random.default_rng(seed)
    predicted, seeds = rng.integers(0, 4, truth.shape), np.where(rng.random(truth.shape) < 0.9, -1, truth)
    user = RobotUser(hand, error=CLUMSY if clumsy else None, tolerance=0)
    new = user.correct(predicted, truth, seeds, seed)
    wrong = (predicted != truth) & (truth >= 0) & (seeds < 0)
    if not wrong.any():
        assert new is None
        return
    changed = new != seeds
    assert changed.any()
    assert (truth[changed] >= 0).all()
    if not clumsy:
        assert (changed & wrong).any()
        assert (new[changed] == truth[changed]).all()
    np.testing.assert_array_equal(new, user.correct(predicted, truth, seeds, np.random.default_rng(seed)))


@pytest.mark.parametrize("hand", ["strokes", "clicks"])
def test_a_robot_ends_when_only_small_errors_are_left(hand):
    user, seeds = RobotUser(hand), RobotUser(hand).begin(TRUTH, 3, 0)
    predicted = np.where(TRUTH == 2, 1, np.maximum(TRUTH, 0))
    for n in range(300):
        more = user.correct(predicted, TRUTH, seeds, n)
        if more is None:
            break
        seeds = more
        predicted[seeds >= 0] = seeds[seeds >= 0]
    assert 1 < n < 300
    for c in (1, 2):
        mine = c == TRUTH
        wrong = ((predicted == c) != mine) & (TRUTH >= 0)
        assert wrong.sum() < 0.01 * mine.sum()


def test_the_largest_region_is_corrected_with_one_line():
    predicted = np.maximum(TRUTH, 0)
    predicted[60:70, 2:12] = 1  # 100 pixels of background
    predicted[30:50, 76:84] = 0  # more, of the second object
    new = RobotUser().correct(predicted, TRUTH, NOTHING, 3)
    assert set(np.unique(new)) == {-1, 2}
    assert ((new == 2) & (predicted == 0)).any()


def test_a_click_is_that_of_the_robot_for_one_object():
    truth = (TRUTH == 1).astype(int)
    predicted = disc(SHAPE, (44, 46), 22).astype(int)
    expected = robot_click(predicted, truth)
    new = RobotUser("clicks", radius=0).correct(predicted, truth, NOTHING, 0)
    assert np.argwhere(new >= 0).tolist() == [[expected.row, expected.column]]
    assert new[expected.row, expected.column] == expected.positive
    spot = RobotUser("clicks", radius=3).correct(predicted, truth, NOTHING, 0)
    np.testing.assert_array_equal(
        spot >= 0, disc(SHAPE, (expected.row, expected.column), 3) & (truth == expected.positive)
    )


def test_first_strokes_keep_near_the_border_in_a_band():
    truth = disc((120, 120), (60, 60), 10).astype(int)
    far, near = (RobotUser(band=b).begin(truth, 2, 0) == 0 for b in (None, 12))
    reach = disc((120, 120), (60, 60), 22 + 1)
    assert (far & ~reach).any()
    assert near.any()
    assert not (near & ~reach).any()
    assert (RobotUser(band=5).begin(np.zeros((30, 30), int), 1, 0) == 0).any()


def test_wrong_labels_come_at_their_rate_but_not_on_the_longest_line():
    truth, style = np.where(TRUTH == 0, 1, -1), ScribbleStyle(torn_share=1)
    n_lines = [len(simulate_scribble(truth == 1, seed, style).lines) for seed in range(40)]
    assert min(n_lines) > 1
    for rate, least, most in ((0.0, 0, 0), (0.3, 0.1, 0.9), (1.0, 1, 1)):
        user = RobotUser(style=style, error=HumanError(wrong_label=rate))
        painted = [set(np.unique(user.begin(truth, 3, seed))) - {-1} for seed in range(len(n_lines))]
        assert all(1 in classes for classes in painted)
        assert least <= np.mean([classes != {1} for classes in painted]) <= most


def test_small_errors_of_a_class_are_not_worth_mending():
    truth = np.zeros((40, 40), dtype=np.int64)
    truth[10:30, 10:30] = 1  # 400 pixels: four are 1 %
    for n, expected in ((3, 0), (4, 4)):
        predicted = truth.copy()
        predicted[10, 10 : 10 + n] = 0
        assert worth_correcting(predicted, truth, 0.01).sum() == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hand": "feet"}, "hand is"),
        ({"radius": -1}, "radius is"),
        ({"tolerance": np.nan}, "tolerance is"),
        ({"band": 0}, "band is"),
    ],
)
def test_a_robot_that_cannot_be_is_reported(fields, words):
    with pytest.raises(InputError, match=words):
        RobotUser(**fields)


def test_what_holds_no_classes_is_reported():
    with pytest.raises(InputError, match="classes below 2"):
        RobotUser().begin(TRUTH, 2, 0)
    with pytest.raises(InputError, match="the truth is float64"):
        RobotUser().begin(TRUTH * 1.0, 3, 0)
    with pytest.raises(InputError, match="the truth holds -2"):
        RobotUser().begin(TRUTH - 1, 3, 0)
    with pytest.raises(InputError, match="the prediction has shape"):
        RobotUser().correct(TRUTH[1:], TRUTH, NOTHING, 0)
    with pytest.raises(InputError, match="the seeds has shape"):
        RobotUser().correct(TRUTH, TRUTH, NOTHING[1:], 0)


def test_the_larger_error_is_the_deeper_one_or_the_one_of_more_pixels():
    truth = np.zeros((40, 80), dtype=np.int64)
    truth[5:17, 5:17] = 1  # missed: 144 pixels, 6 deep
    found = np.zeros_like(truth)
    found[30:34, 10:70] = 1  # surplus: 240 pixels, 2 deep
    seeds = np.full(truth.shape, -1, dtype=np.int32)
    deeper = RobotUser("clicks", tolerance=0.0).correct(found, truth, seeds, 0)
    more = RobotUser("clicks", tolerance=0.0, larger="pixels").correct(found, truth, seeds, 0)
    assert set(deeper[deeper >= 0]) == {1}
    assert set(more[more >= 0]) == {0}
    assert (more[30:34] >= 0).any()
    with pytest.raises(InputError, match="larger is 'area'; 'peak' or 'pixels' is expected"):
        RobotUser("clicks", larger="area")
