import numpy as np
import pytest

from napari_scribseg.bench.statistics import Interval, area_under_curve, bootstrap_mean, interactions_needed
from napari_scribseg.core import InputError


def test_the_mean_is_that_over_values_and_lies_in_its_interval():
    values = np.random.default_rng(0).random(30)
    found = bootstrap_mean(values, [str(i) for i in range(30)])
    assert found.mean == pytest.approx(values.mean())
    assert found.low < found.mean < found.high
    spread = 1.96 * values.std() / np.sqrt(30)
    assert (found.low, found.high) == pytest.approx((values.mean() - spread, values.mean() + spread), abs=0.02)


def test_as_a_loop_over_resamples_has_it():
    values, groups = [0.1, 0.5, 0.7, 0.9, 0.3], ["a", "a", "b", "c", "c"]
    members = [[v for v, g in zip(values, groups, strict=True) if g == name] for name in "abc"]
    drawn = np.random.default_rng(3).integers(0, 3, (500, 3))
    means = [np.mean([v for group in line for v in members[group]]) for line in drawn]
    found = bootstrap_mean(values, groups, resamples=500, seed=3)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert found.mean == pytest.approx(0.5)


def test_groups_are_drawn_not_values():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    alone = bootstrap_mean(values, [str(i) for i in range(100)])
    together = bootstrap_mean(values, [str(i // 25) for i in range(100)])
    assert alone.mean == together.mean == 0.5
    assert (together.low, together.high) == (0, 1)  # four groups: all of a kind in one draw of 16
    assert alone.high - alone.low < 0.25


def test_the_same_seed_gives_the_same_interval():
    values, groups = np.random.default_rng(0).random(20), [str(i) for i in range(20)]
    assert bootstrap_mean(values, groups) == bootstrap_mean(values, groups)
    assert bootstrap_mean(values, groups) != bootstrap_mean(values, groups, seed=1)


def test_a_wider_level_has_the_wider_interval():
    values, groups = np.random.default_rng(0).random(20), [str(i) for i in range(20)]
    narrow, wide = (bootstrap_mean(values, groups, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_nan_is_left_out():
    assert bootstrap_mean([np.nan, 1.0, 3.0], ["a", "b", "c"]) == bootstrap_mean([1.0, 3.0], ["b", "c"])
    for values in ([], [np.nan, np.nan]):
        assert np.isnan([*vars_of(bootstrap_mean(values, ["a"] * len(values)))]).all()


def vars_of(interval):
    return interval.mean, interval.low, interval.high


def test_one_group_has_no_spread():
    assert bootstrap_mean([0.0, 0.5, 1.0], ["p"] * 3) == Interval(0.5, 0.5, 0.5)


def test_each_value_needs_a_group():
    with pytest.raises(InputError, match="1 groups were given for 2 values"):
        bootstrap_mean([1.0, 2.0], ["a"])


@pytest.mark.parametrize(
    ("curve", "target", "most", "expected"),
    [
        ([0.9], 0.85, 20, 1),
        ([0.5, 0.85, 0.9], 0.85, 20, 2),
        ([0.5, 0.84, 0.6], 0.85, 20, 20),
        ([0.5, 0.9, 0.2, 0.95], 0.9, 20, 2),
        ([0.1, 0.2, 0.95], 0.9, 2, 2),
    ],
)
def test_interactions_needed_by_hand(curve, target, most, expected):
    assert interactions_needed(curve, target, most) == expected


@pytest.mark.parametrize(
    ("curve", "expected"),
    [([0.7], 0.7), ([1.0] * 20, 1.0), ([0.0, 1.0], 0.5), ([0.0, 0.5, 1.0], 0.5), ([0.0, 1.0, 1.0], 0.75)],
)
def test_area_by_hand(curve, expected):
    assert area_under_curve(curve) == pytest.approx(expected)
