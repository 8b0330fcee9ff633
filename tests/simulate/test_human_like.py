import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import drawn, open_data_set, slices
from napari_scribseg.simulate import RobotUser, human_like
from napari_scribseg.simulate.measures import compare, measure_strokes, pool


@pytest.mark.parametrize("kind", ["photographs", "cardiac"])
def test_a_preset_draws_every_class_and_repeats_itself(kind):
    truth = np.zeros((80, 100), dtype=np.int32)
    truth[20:60, 20:50], truth[30:70, 60:90] = 1, 2
    seeds = human_like(kind).begin(truth, 3, seed=4)
    assert set(np.unique(seeds)) == {-1, 0, 1, 2}
    np.testing.assert_array_equal(seeds, human_like(kind).begin(truth, 3, seed=4))


def test_an_unknown_preset_is_named():
    with pytest.raises(InputError, match=r"'microscopy'.*photographs, cardiac"):
        human_like("microscopy")


def test_the_preset_draws_more_like_the_experts_than_the_values_by_eye(shared_data):
    """On patients that it was not fitted to."""
    cases = [c for case in open_data_set("acdc_scribbles", shared_data) for c in slices(case, strokes_only=True)]
    patients = sorted({c.group for c in cases})[1::2]
    cases = [drawn(c) for c in cases if c.group in patients][::4]
    people, by_eye, fitted = [], [], []
    for number, case in enumerate(cases):
        ids = [k for k in case.ids if (case.strokes == k).any()]
        sets = [case.strokes]
        sets += [u.begin(case.truth, int(case.truth.max()) + 1, number) for u in (RobotUser(), human_like("cardiac"))]
        for found, seeds in zip((people, by_eye, fitted), sets, strict=True):
            found += [measure_strokes(seeds == k, case.truth == k) for k in ids]
    names = ("length", "width", "curvature", "depth", "covered")
    distances = [
        np.mean([compare(getattr(pool(people), n), getattr(pool(robot), n)).ks for n in names])
        for robot in (by_eye, fitted)
    ]
    assert distances[1] < 0.8 * distances[0]
