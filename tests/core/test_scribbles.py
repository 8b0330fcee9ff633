import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_scribseg import InputError, Scribbles, Stroke


def test_zero_is_unpainted_and_ids_are_kept():
    painted = np.array([[0, 7, 7], [65535, 0, 2]], np.uint16)
    scribbles = Scribbles.from_labels(painted)
    assert scribbles.ids == (2, 7, 65535)
    np.testing.assert_array_equal(scribbles.seeds, [[-1, 1, 1], [2, -1, 0]])
    np.testing.assert_array_equal(scribbles.counts, [1, 2, 1])
    back = scribbles.to_ids(np.array([0, 1, 2]))
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, [2, 7, 65535])


def test_background_comes_first_and_is_written_as_zero():
    scribbles = Scribbles.from_labels(np.array([[1, 0, 255, 3]]), background=255)
    assert scribbles.ids == (0, 1, 3)
    np.testing.assert_array_equal(scribbles.seeds, [[1, -1, 0, 2]])


def test_background_without_strokes_adds_no_class():
    assert Scribbles.from_labels(np.array([[1, 0, 3]]), background=255).ids == (1, 3)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine is no failure
@given(arrays(np.uint16, (4, 5), elements=st.integers(0, 6)))
def test_from_labels_loses_nothing(painted):
    scribbles = Scribbles.from_labels(painted)
    seeded = scribbles.seeds >= 0
    np.testing.assert_array_equal(seeded, painted != 0)
    if seeded.any():
        np.testing.assert_array_equal(scribbles.to_ids(scribbles.seeds[seeded]), painted[seeded])


def test_seeds_are_a_read_only_copy():
    seeds = np.array([[0, -1, 1]], np.int32)
    scribbles = Scribbles(seeds, 2)
    seeds[0, 1] = 1
    assert scribbles.seeds[0, 1] == -1
    with pytest.raises(ValueError, match="read-only"):
        scribbles.seeds[0, 0] = 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 2)), "integers are expected"),
        (np.array([[-3, 1]]), "ids from 1 are expected"),
    ],
)
def test_bad_labels_are_named(labels, words):
    with pytest.raises(InputError, match=words):
        Scribbles.from_labels(labels)


def test_require_names_what_is_missing():
    empty = Scribbles.from_labels(np.zeros((3, 3), int))
    with pytest.raises(InputError, match="no strokes"):
        empty.require((3, 3))
    with pytest.raises(InputError, match=r"shape \(3, 3\); the image has shape \(4, 4\)"):
        empty.require((4, 4))
    one = Scribbles.from_labels(np.eye(3, dtype=int) * 9)
    with pytest.raises(InputError, match="one class only .id 9"):
        one.require((3, 3))
    three = Scribbles.from_labels(np.arange(9).reshape(3, 3))
    with pytest.raises(InputError, match="at most 4"):
        three.require((3, 3), max_classes=4)


def test_strokes_of_one_of_two_classes_are_enough_for_some_engines():
    seeds = np.full((3, 3), -1, dtype=np.int32)
    seeds[1, 1] = 0
    Scribbles(seeds, 2).require((3, 3), min_classes=1)
    for scribbles, shape in ((Scribbles(seeds, 3), (3, 3)), (Scribbles(seeds, 2), (4, 4))):
        with pytest.raises(InputError, match="one class only|the image has shape"):
            scribbles.require(shape, min_classes=1)
    with pytest.raises(InputError, match="no strokes"):
        Scribbles(np.full_like(seeds, -1), 2).require((3, 3), min_classes=1)


def test_add_paints_a_disc_along_the_line_and_leaves_the_old_one():
    before = Scribbles(np.full((9, 20), -1, np.int32), 2, (1, 2))
    stroke = Stroke(np.array([[4.0, 3.0], [4.0, 15.0]]), 1.0, 1)
    after = before.add(stroke)
    assert (before.seeds == -1).all()
    expected = np.full((9, 20), -1)
    expected[4, 2:17] = 1
    expected[3, 3:16] = expected[5, 3:16] = 1
    np.testing.assert_array_equal(after.seeds, expected)
    assert after.ids == (1, 2)
    erased = after.add(Stroke(np.array([[4.0, 3.0]]), 30.0, -1))
    assert (erased.seeds == -1).all()


def test_strokes_outside_and_in_3d():
    grid = Scribbles(np.full((4, 5, 6), -1, np.int32), 1)
    far = grid.add(Stroke(np.array([[99.0, 99.0, 99.0]]), 2.0, 0))
    assert (far.seeds == -1).all()
    ball = grid.add(Stroke(np.array([[2.0, 2.0, 2.0]]), 1.0, 0))
    assert int(ball.counts[0]) == 7


@pytest.mark.parametrize(
    ("points", "radius", "index", "words"),
    [
        (np.zeros((0, 2)), 1.0, 0, "expected .N, ndim."),
        (np.array([[np.nan, 0]]), 1.0, 0, "NaN"),
        (np.zeros((1, 2)), -1.0, 0, "brush radius is -1.0"),
        (np.zeros((1, 3)), 1.0, 0, "3 coordinates; the grid has 2"),
        (np.zeros((1, 2)), 1.0, 5, "class 5; expected -1 to 1"),
    ],
)
def test_bad_strokes_are_named(points, radius, index, words):
    with pytest.raises(InputError, match=words):
        Scribbles(np.full((4, 4), -1, np.int32), 2).add(Stroke(points, radius, index))


def test_the_rest_of_a_lonely_class():
    lonely = Scribbles.from_labels(np.array([[0, 7, 0, 7]])).with_rest()
    assert lonely.ids == (0, 7)
    np.testing.assert_array_equal(lonely.seeds, [[-1, 1, -1, 1]])
    for painted in ([[1, 0, 7]], [[9, 0, 0]], [[0, 0]]):
        whole = Scribbles.from_labels(np.array(painted), background=9)
        assert whole.with_rest() is whole


def test_the_rest_of_several_classes():
    painted = np.array([[0, 7, 3]])
    shared = Scribbles.from_labels(painted)
    assert shared.with_rest() is shared
    found = shared.with_rest(several=True)
    assert (found.ids, found.n_classes) == ((0, 3, 7), 3)
    np.testing.assert_array_equal(found.seeds, [[-1, 2, 1]])
    np.testing.assert_array_equal(found.counts, [0, 1, 1])
    for whole in (Scribbles.from_labels(painted, background=3), Scribbles.from_labels(painted, prior=painted)):
        assert whole.with_rest(several=True) is whole


SEEDS = np.array([[0, -1, 1]], np.int32)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seeds": SEEDS.astype(float)}, "seeds hold float64 values"),
        ({"seeds": SEEDS + 1}, r"seeds reach from 0 to 2; expected -1 .unknown. to 1"),
        ({"ids": (4, 4)}, "expected 2 different label ids"),
        ({"prior": SEEDS[:, :2]}, r"the prior has shape \(1, 2\); the seeds have \(1, 3\)"),
        ({"weight": np.ones((1, 3))}, "a weight was given without a prior"),
        ({"prior": SEEDS, "weight": np.ones((1, 2))}, "the weight of the prior has shape"),
        ({"prior": SEEDS, "weight": np.zeros((1, 3))}, r"goes from 0.0 to 0.0; \(0, 1\] is expected"),
    ],
)
def test_bad_arrays_are_named(fields, words):
    with pytest.raises(InputError, match=words):
        Scribbles(**{"seeds": SEEDS, "n_classes": 2} | fields)


@pytest.mark.parametrize(("prior", "words"), [(np.ones((1, 3)), "float64 values"), (np.full((1, 3), -2), "id -2")])
def test_a_bad_prior_is_named(prior, words):
    with pytest.raises(InputError, match=f"the prior holds .*{words}"):
        Scribbles.from_labels(np.array([[1, 0, 2]]), prior=prior)
