import dataclasses

import numpy as np
import pytest

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.play import Rules, play
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.core import InputError, Segmentation
from napari_scribseg.simulate import RobotUser


def segments(method):
    """The seeds of each request."""
    return [call[1] for call in method.engine.calls if call[0] == "segment"]


def nearest(image, scribbles):
    """Always class 0, but for the strokes."""
    return np.where(scribbles.seeds >= 0, scribbles.seeds, 0)


def test_a_person_gets_one_result(toy, task, job, strokes):
    given = task(human=True, spacing=(2.0, 0.5))
    method = toy(lambda *_: given.truth)
    (row,) = play(method, given, job, "human", Rules(device="cpu"))
    assert row.job == job
    assert (row.image, row.group, row.interaction, row.n_classes, row.unit) == ("p0", "g", 1, 3, "px")
    assert (row.dice, row.iou, row.hausdorff, row.hausdorff95, row.surface, row.seed_accuracy) == (1, 1, 0, 0, 0, 1)
    assert row.stroke_pixels == np.count_nonzero(strokes() >= 0)
    assert row.failure == ""
    assert row.prepare_seconds > 0
    assert row.seconds > 0
    assert row.peak_mib >= 0
    np.testing.assert_array_equal(segments(method)[0], strokes())
    assert method.engine.calls[0] == ("prepare", "cpu")


def test_a_user_with_nothing_to_correct_ends_early(toy, task, job):
    given = task()
    method = toy(lambda *_: given.truth)
    assert len(play(method, given, job, "strokes", Rules(corrections=9))) == 1
    late = toy(lambda _, scribbles: given.truth if len(segments(late)) == 3 else scribbles.seeds.clip(0))
    assert len(play(late, given, job, "strokes", Rules(corrections=9))) == 3


def test_corrections_go_where_the_result_is_wrong(toy, task, job):
    given = task()
    method = toy(nearest)
    rows = play(method, given, job, "strokes", Rules(corrections=4))
    assert [row.interaction for row in rows] == [1, 2, 3, 4, 5]
    painted = [row.stroke_pixels for row in rows]
    assert painted == sorted(painted)
    assert painted[-1] > painted[0]
    for before, after in zip(segments(method)[:-1], segments(method)[1:], strict=True):
        new = after != before
        assert new.any()
        assert (after[new] == given.truth[new]).all()
        wrong = np.where(before >= 0, before, 0) != given.truth
        assert (new & wrong).any()
    assert rows[-1].dice > rows[0].dice


def test_an_image_is_prepared_once_and_states_are_handed_on(toy, task, job):
    method = toy(nearest)
    rows = play(method, task(), job, "strokes", Rules(corrections=3))
    assert [call[0] for call in method.engine.calls] == ["prepare", *["segment"] * 4]
    assert [call[2] for call in method.engine.calls[1:]] == [1, 2, 3, 4]
    assert rows[0].prepare_seconds > 0
    assert {row.prepare_seconds for row in rows[1:]} == {0}


@pytest.mark.parametrize("when", [1, 3])
def test_a_method_that_fails_ends_the_play(toy, task, job, when):
    def think(image, scribbles):
        if len(segments(method)) == when:
            raise RuntimeError("out of\n  luck | again")
        return nearest(image, scribbles)

    method, given = toy(think), task(spacing=(3.0, 4.0))
    rows = play(method, given, job, "strokes", Rules(corrections=5))
    assert [row.interaction for row in rows] == list(range(1, when + 1))
    last = rows[-1]
    assert last.failure == "RuntimeError: out of luck | again"
    assert (last.dice, last.iou, last.seed_accuracy) == (0, 0, 0)
    diagonal = np.hypot(40 * 3, 44 * 4)
    assert (last.hausdorff, last.hausdorff95, last.surface) == pytest.approx((diagonal,) * 3)
    assert np.isnan(last.seconds)
    assert not any(row.failure for row in rows[:-1])


def test_a_method_that_cannot_prepare_fails(toy, task, job, monkeypatch):
    method = toy(nearest)

    def refuse(*_):
        raise InputError("no such device")

    monkeypatch.setattr(type(method.engine), "prepare", refuse)
    (row,) = play(method, task(), job, "strokes", Rules())
    assert row.failure == "InputError: no such device"
    assert row.prepare_seconds == 0


@pytest.mark.parametrize(
    ("probabilities", "words"),
    [
        (np.full((2, 40, 44), 0.5, np.float32), "the result has shape (2, 40, 44); (3, 40, 44) is expected"),
        (np.full((3, 4, 4), 0.5, np.float32), "the result has shape (3, 4, 4)"),
        (np.full((3, 40, 44), np.nan, np.float32), "the result holds NaN"),
    ],
)
def test_a_result_of_another_shape_is_a_failure(toy, task, job, probabilities, words):
    (row,) = play(toy(lambda *_: Segmentation(probabilities, None)), task(), job, "strokes", Rules())
    assert words in row.failure
    assert row.dice == 0
    assert np.isnan(row.seconds)


def test_a_long_reason_is_cut(toy, task, job):
    def think(*_):
        raise ValueError("x" * 1000)

    (row,) = play(toy(think), task(), job, "strokes", Rules())
    assert len(row.failure) == 300


def test_the_first_click_is_on_the_object_alone(toy, task, job):
    method, given = toy(nearest, eager=True), task(2)
    rows = play(method, given, job, "clicks", Rules(clicks=4))
    first, second = segments(method)[:2]
    assert set(np.unique(first)) == {-1, 1}
    row, column = np.argwhere(first == 1).mean(axis=0)
    assert (7 < row < 24, 5 < column < 20) == (True, True)
    assert (second != first).any()
    assert [r.interaction for r in rows] == [1, 2, 3, 4]
    assert rows[0].stroke_pixels == np.count_nonzero(first >= 0)


def test_a_method_for_two_classes_waits_for_a_click_on_the_background(toy, task, job):
    method, given = toy(nearest), task(2)
    rows = play(method, given, job, "clicks", Rules(clicks=4))
    waited, segmented = rows[:2]
    assert (waited.dice, waited.iou, waited.seed_accuracy, waited.failure) == (0, 0, 0, "")
    assert np.isnan(waited.seconds)
    assert waited.prepare_seconds == 0
    assert segmented.prepare_seconds > 0
    assert len(segments(method)) == 3
    seeds = segments(method)[0]
    assert set(np.unique(seeds)) == {-1, 0, 1}
    for k in (0, 1):
        assert (given.truth[seeds == k] == k).all()
    assert [r.interaction for r in rows] == [1, 2, 3, 4]


def test_clicks_end_when_the_object_is_found(toy, task, job):
    given = task(2)
    assert len(play(toy(lambda *_: given.truth, eager=True), given, job, "clicks", Rules())) == 1
    assert len(play(toy(lambda *_: given.truth), given, job, "clicks", Rules())) == 2
    assert len(play(toy(nearest, eager=True), given, job, "clicks", Rules(clicks=7))) == 7


@pytest.mark.parametrize("protocol", ["human", "strokes", "clicks"])
@pytest.mark.parametrize("name", ["watershed", "geodesic"])
def test_the_same_seed_gives_the_same_rows(task, without_times, protocol, name):
    method, given = parse_method(name), task(2, human=True)
    job = BenchJob("made", "p0", protocol, name)
    rules = Rules(corrections=3, clicks=5)
    first, second = (without_times(play(method, given, job, protocol, rules)) for _ in range(2))
    assert first == second


def test_another_seed_draws_other_strokes(toy, task, job):
    drawn = []
    for seed in (0, 1):
        method = toy(nearest)
        play(method, task(), job, "strokes", Rules(corrections=0, seed=seed))
        drawn.append(segments(method)[0])
    assert (drawn[0] != drawn[1]).any()


def test_all_methods_get_the_same_first_strokes(toy, task, job):
    methods = toy(nearest), toy(lambda _, scribbles: scribbles.seeds.clip(0), name="other")
    for method in methods:
        play(method, task(), dataclasses.replace(job, method=method.name), "strokes", Rules(corrections=0))
    np.testing.assert_array_equal(segments(methods[0])[0], segments(methods[1])[0])


def test_who_draws_strokes_can_be_chosen(toy, task, job):
    method = toy(nearest)
    play(method, task(2), job, "strokes", Rules(RobotUser("clicks", radius=1.0), corrections=0))
    assert np.count_nonzero(segments(method)[0] >= 0) == 2 * 5  # two dots of radius 1


def test_unknown_pixels_are_never_painted(toy, task, job):
    given = task()
    truth = given.truth.copy()
    truth[:, 30:] = -1
    method = toy(nearest)
    play(method, dataclasses.replace(given, truth=truth), job, "strokes", Rules(corrections=3))
    assert all((seeds[truth == -1] == -1).all() for seeds in segments(method))


def test_most_interactions_of_a_protocol():
    rules = Rules(corrections=2, clicks=6)
    assert [rules.most(p) for p in ("human", "strokes", "clicks", "initial-mask")] == [1, 3, 6, 3]
    assert Rules().most("clicks") == 20


def network(task, method):
    """The method with an answer without strokes: one square is missing, the other has a corner too many."""

    def unprompted(self, state):
        found = (task.truth == 1).astype(np.float32)
        found[20:, 26:] = 0
        found[24:26, 18:22] = 1
        return np.stack((1 - found, found))

    cls = type(method.engine)
    engine = type("Network", (cls,), {"unprompted": unprompted})(method.engine.think)
    return dataclasses.replace(method, engine=engine)


@pytest.fixture
def squares(task):
    """Both squares are objects of one class, as in the protocol initial-mask."""
    given = task(2)
    truth = (task(3).truth > 0).astype(np.int64)
    nearest_object = np.where(np.arange(44)[None] + np.arange(40)[:, None] > 42, 2, 1).astype(np.int32)
    return dataclasses.replace(given, truth=truth, n_classes=2, counted=(1,), nearest=nearest_object)


def test_an_initial_mask_is_corrected(toy, job, squares):
    def think(image, scribbles):
        found = np.where(squares.nearest == 1, squares.truth, 0)
        found = found if len(segments(method)) == 1 else squares.truth
        p = np.stack((found == 0, found == 1)).astype(np.float32)
        return Segmentation(p, None, raw_seed_accuracy=0.75)

    method = network(squares, toy(think, eager=True))
    rows = play(method, squares, job, "initial-mask", Rules(corrections=5))
    assert [row.interaction for row in rows] == [1, 2, 3]  # nothing is left to click on
    first, second = segments(method)
    assert set(np.unique(first)) == {-1, 1}  # in the middle of what is missing
    assert squares.nearest[first == 1].mean() == 2
    assert rows[0].iou < rows[2].iou == 1
    assert np.isnan([rows[0].gain, rows[0].raw_seed_accuracy]).all()
    assert rows[1].gain == 0  # the object that was clicked on is still missing
    assert rows[2].gain > 0
    assert [row.raw_seed_accuracy for row in rows[1:]] == [0.75, 0.75]
    assert (second != first).any()


def test_an_initial_mask_needs_a_network_that_segments_without_strokes(toy, job, squares):
    (row,) = play(toy(nearest, eager=True), squares, job, "initial-mask", Rules())
    assert row.failure == "InputError: it segments with strokes only; a network that needs none is expected"
    assert row.dice == 0
