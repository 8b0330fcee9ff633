import dataclasses

import numpy as np
import pytest

from napari_scribseg.bench.tasks import random_generator, tasks
from napari_scribseg.datasets import Case


@pytest.fixture
def flat(picture, strokes):
    """A case of two axes with ids 0, 4 and 9."""

    def make(**values):
        image, truth = picture()
        ids = np.asarray([0, 4, 9], np.int32)
        drawn = np.where(strokes() >= 0, ids[strokes()], -1).astype(np.int32)
        case = Case("c", image, ids[truth], (2.0, 3.0), group="g", strokes=drawn, unit="mm")
        return dataclasses.replace(case, **values)

    return make


@pytest.fixture
def volume(flat):
    """Eight slices; the first and the last hold no object, two have strokes."""
    case = flat()
    image, truth = np.stack([case.image] * 8), np.stack([case.truth] * 8)
    truth[[0, 7]] = 0
    strokes = np.full(truth.shape, -1, np.int32)
    strokes[2], strokes[5] = case.strokes, case.strokes
    strokes[5][strokes[5] == 9] = -1
    strokes[3][4, 4] = 4  # of one class alone
    return Case("v", image, truth, (5.0, 2.0, 3.0), group="g", strokes=strokes, unit="mm")


def test_human_strokes_of_a_picture(flat):
    (task,) = tasks(flat(), "human")
    assert (task.name, task.group, task.n_classes, task.counted, task.unit) == ("c", "g", 3, (1, 2), "mm")
    assert task.image.spacing == (2.0, 3.0)
    assert task.truth.dtype == np.int64
    np.testing.assert_array_equal(np.asarray([0, 4, 9])[task.truth], flat().truth)
    valid = task.strokes >= 0
    np.testing.assert_array_equal(valid, flat().strokes >= 0)
    np.testing.assert_array_equal(np.asarray([0, 4, 9])[task.strokes[valid]], flat().strokes[valid])


def test_what_nobody_drew_is_background(flat):
    drawn = flat().strokes
    drawn[drawn == 9] = -1
    (task,) = tasks(flat(strokes=drawn), "human")
    assert (task.n_classes, task.counted) == (2, (1,))
    np.testing.assert_array_equal(task.truth, flat().truth == 4)


def test_unknown_pixels_stay_unknown(flat):
    truth = flat().truth
    truth[:4] = -1
    for protocol in ("human", "strokes", "clicks"):
        (task,) = tasks(flat(truth=truth), protocol)
        assert (task.truth[:4] == -1).all()
        assert (task.truth[4:] >= 0).all()


def test_without_a_background_every_class_counts(flat):
    (task,) = tasks(flat(background=None), "strokes")
    assert (task.n_classes, task.counted) == (3, (0, 1, 2))


def test_human_slices_can_be_limited(volume):
    names = [t.name for t in tasks(volume, "human")]
    assert len(names) > 1
    assert [t.name for t in tasks(volume, "human", most_slices=1)] == names[:1]


def test_human_slices_are_those_with_strokes_of_two_classes(volume):
    found = list(tasks(volume, "human"))
    assert [t.name for t in found] == ["v slice 2", "v slice 5"]
    assert [t.n_classes for t in found] == [3, 2]
    assert {t.image.spacing for t in found} == {(2.0, 3.0)}


def test_a_case_without_strokes_has_nothing_for_people(flat):
    assert list(tasks(flat(strokes=None), "human")) == []


def test_a_robot_meets_no_strokes_and_all_labels(flat):
    (task,) = tasks(flat(), "strokes")
    assert task.strokes is None
    assert (task.n_classes, task.counted) == (3, (1, 2))
    np.testing.assert_array_equal(np.asarray([0, 4, 9])[task.truth], flat().truth)


def test_instances_are_one_class(flat):
    (task,) = tasks(flat(instances=True), "strokes")
    assert (task.n_classes, task.counted) == (2, (1,))
    np.testing.assert_array_equal(task.truth, flat().truth > 0)


def test_small_classes_are_left_out(flat):
    truth = flat().truth
    truth[truth == 9] = 0
    truth[0, :19] = 9
    (task,) = tasks(flat(truth=truth), "strokes")
    assert task.n_classes == 2
    assert (task.truth[0, :19] == -1).all()
    truth[0, :20] = 9
    assert next(tasks(flat(truth=truth), "strokes")).n_classes == 3


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (2, [1, 6]), (3, [1, 4, 6]), (9, [1, 2, 3, 4, 5, 6])])
def test_slices_with_objects_evenly_chosen(volume, most, expected):
    found = [t.name for t in tasks(volume, "strokes", most_slices=most)]
    assert len(found) == len(expected)
    assert found[0] == "v slice 1"
    assert set(found) <= {f"v slice {i}" for i in range(1, 7)}
    if most != 3:  # of six slices none is the middle one
        assert found == [f"v slice {i}" for i in expected]


def test_clicks_are_on_one_object_of_each_slice(volume):
    found = list(tasks(volume, "clicks", most_slices=6))
    assert {t.name.rsplit(" ", 1)[1] for t in found} == {"4", "9"}
    for task in found:
        identity = int(task.name.rsplit(" ", 1)[1])
        assert (task.n_classes, task.counted) == (2, (1,))
        np.testing.assert_array_equal(task.truth, volume.truth[1] == identity)


def test_the_same_seed_chooses_the_same_objects(volume):
    names = [[t.name for t in tasks(volume, "clicks", most_slices=6, seed=seed)] for seed in (0, 0, 1, 2, 3)]
    assert names[0] == names[1]
    assert len({tuple(n) for n in names}) > 1


def test_clicks_prefer_objects_that_are_worth_it(flat):
    truth = flat().truth
    truth[truth == 9] = 0
    truth[30:33, 30:40] = 9  # 30 pixels
    assert {next(tasks(flat(truth=truth), "clicks", seed=s)).name for s in range(8)} == {"c object 4"}
    truth[truth == 4] = 0
    assert next(tasks(flat(truth=truth), "clicks")).name == "c object 9"  # there is no larger one


@pytest.mark.parametrize("protocol", ["strokes", "clicks"])
def test_an_image_of_background_gives_no_task(flat, volume, protocol):
    assert list(tasks(flat(truth=np.zeros((40, 44), np.int32)), protocol)) == []
    nothing = dataclasses.replace(volume, truth=np.zeros_like(volume.truth))
    assert list(tasks(nothing, protocol)) == []


def test_colour_images_keep_their_channels(flat):
    image = np.stack([flat().image] * 3, axis=-1)
    assert next(tasks(flat(image=image), "human")).image.data.shape == (3, 40, 44)


def test_generators_differ_by_seed_and_names():
    draws = [
        random_generator(seed, *names).integers(2**60) for seed in (0, 1) for names in (("a",), ("b",), ("a", "b"))
    ]
    assert len(set(draws)) == 6
    assert random_generator(0, "a").integers(2**60) == draws[0]


@pytest.mark.parametrize("instances", [True, False])
def test_all_objects_are_one_class_in_an_initial_mask(flat, instances):
    (task,) = tasks(flat(instances=instances), "initial-mask")
    assert (task.n_classes, task.counted, task.strokes) == (2, (1,), None)
    truth = flat().truth
    np.testing.assert_array_equal(task.truth, truth > 0)
    first, second = (np.unique(task.nearest[truth == k]) for k in (4, 9))
    assert len(first) == len(second) == 1
    assert first != second
    if instances:
        assert (first[0], second[0]) == (4, 9)
    assert task.nearest[0, 0] == first[0]
    assert task.nearest[-1, -1] == second[0]
