"""Cohorts: cases with the same classes, one after the other."""

import numpy as np
import pytest

from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.core import InputError


def test_the_classes_are_those_of_all_cases(volumes):
    cohort = open_cohort(volumes(2))
    assert (cohort.ids, cohort.names) == ((0, 3, 7), ("bright", "grey"))
    assert [(c.id, c.name, c.background) for c in cohort.classes] == [
        (1, "bright", False), (2, "grey", False), (3, "background", True),
    ]  # fmt: skip
    truth = cohort.task("c1").truth
    case = cohort.data.load("c1").truth
    np.testing.assert_array_equal(truth, np.asarray([0, 0, 0, 1, 0, 0, 0, 2])[case])


def test_instances_are_one_class(images):
    cohort = open_cohort(images(2))
    assert cohort.ids == (0, 1)
    assert set(np.unique(cohort.task("c0").truth)) == {0, 1}


def test_regions_are_cases_that_together_are_the_volume(volumes):
    whole, cut = open_cohort(volumes(1)), open_cohort(volumes(1), regions=4)
    assert cut.cases == ("c0 slices 0-1", "c0 slices 2-2", "c0 slices 3-3", "c0 slices 4-5")
    assert cut.ids == whole.ids
    truth = np.concatenate([cut.task(name).truth for name in cut.cases])
    np.testing.assert_array_equal(truth, whole.task("c0").truth)
    assert {cut.task(name).n_classes for name in cut.cases} == {3}


def test_labels_that_are_not_chosen_are_background(volumes):
    cohort = open_cohort(volumes(2), labels=("grey",))
    assert cohort.ids == (0, 7)
    assert set(np.unique(cohort.task("c1").truth)) == {0, 1}


def test_fewer_cases_are_evenly_chosen(volumes):
    assert open_cohort(volumes(5), most=3).cases == ("c0", "c2", "c4")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ("grye",)}, "no label 'grye'"),
        ({"regions": 7}, "c0 has 6 slices; at least 7 are expected"),
    ],
)
def test_what_cannot_be_a_cohort_is_refused(volumes, given, message):
    with pytest.raises(InputError, match=message):
        open_cohort(volumes(2), **given)
    with pytest.raises(InputError, match="has no cases"):
        open_cohort(volumes(0))
