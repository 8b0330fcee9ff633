import dataclasses

import numpy as np
import pytest

from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.summary import curves, rows_frame, summarize

RULES = Rules(corrections=2, clicks=4)


def summaries(rows, rules):
    """A line of the summary for each data set, protocol and method."""
    return list(summarize(rows_frame(rows), rules).itertuples(index=False))


@pytest.fixture
def play(make_row):
    """The rows of an image with these scores (Dice is IoU + 0.05); None where the method waits."""

    def make(image, ious, *, failure="", **values):
        rows = []
        for number, iou in enumerate(ious, start=1):
            row = make_row(case=image, image=image, group=image, interaction=number, prepare_seconds=0.0, **values)
            if iou is None:
                row = dataclasses.replace(row, iou=0.0, dice=0.0, seed_accuracy=0.0, seconds=np.nan)
            else:
                first = number == 1 or ious[number - 2] is None
                row = dataclasses.replace(
                    row, iou=iou, dice=iou + 0.05, seconds=number / 10, prepare_seconds=1.0 if first else 0.0
                )
            rows.append(row)
        if failure:
            rows[-1] = dataclasses.replace(rows[-1], iou=0.0, dice=0.0, seconds=np.nan, failure=failure)
        return rows

    return make


def test_curves_stay_where_a_user_had_nothing_to_correct(play):
    rows = [*play("a", [0.5, 0.9]), *play("b", [0.1, 0.2, 0.3, 0.4])]
    table, groups = curves(rows_frame(rows), "iou", 4)
    np.testing.assert_allclose(table, [[0.5, 0.9, 0.9, 0.9], [0.1, 0.2, 0.3, 0.4]])
    assert groups.tolist() == ["a", "b"]
    np.testing.assert_allclose(curves(rows_frame(rows[::-1]), "iou", 2)[0], [[0.1, 0.2], [0.5, 0.9]])


def test_a_summary_by_hand(play):
    rows = [*play("a", [0.5, 0.86]), *play("b", [0.1, 0.5, 0.7, 0.92])]
    (found,) = summaries(rows, RULES)
    assert (found.data, found.protocol, found.method, found.unit) == ("made", "clicks", "toy", "mm")
    assert (found.images, found.failures, found.interactions) == (2, 0, 4)
    assert found.iou == pytest.approx((0.86 + 0.92) / 2)
    assert (found.iou_low, found.iou_high) == pytest.approx((0.86, 0.92))
    assert found.dice == pytest.approx(0.94)
    assert (found.first_iou, found.first_dice) == pytest.approx((0.3, 0.35))
    assert (found.noc85, found.noc90) == pytest.approx(((2 + 4) / 2, (4 + 4) / 2))
    assert (found.reached85, found.reached90) == pytest.approx((1.0, 0.5))
    areas = [(0.25 + 0.86 / 2 + 0.86 * 2) / 3, (0.05 + 0.5 + 0.7 + 0.46) / 3]
    assert (found.area, found.area_low, found.area_high) == pytest.approx((np.mean(areas), min(areas), max(areas)))
    seconds = [0.1, 0.2, 0.1, 0.2, 0.3, 0.4]
    assert (found.seconds, found.seconds95) == pytest.approx((np.median(seconds), np.percentile(seconds, 95)))
    assert found.first_seconds == pytest.approx(1.1)
    assert found.first_seconds95 >= found.first_seconds
    assert (found.peak_mib, found.hausdorff95, found.surface, found.seed_accuracy) == (12.0, 3.0, 1.0, 1.0)


def test_the_first_result_of_a_method_that_waited(play):
    rows = [*play("a", [None, 0.5, 0.6, 0.7]), *play("b", [None, 0.7])]
    (found,) = summaries(rows, RULES)
    assert found.first_iou == pytest.approx(0.6)
    assert found.first_seconds == pytest.approx(1.2)
    assert found.iou == pytest.approx(0.7)
    assert found.area == pytest.approx(((0.25 + 0.55 + 0.65) / 3 + (0.35 + 0.7 + 0.7) / 3) / 2)


def test_a_failure_counts_the_most_interactions_and_0(play):
    (found,) = summaries([*play("a", [0.95], failure="RuntimeError: no"), *play("b", [0.95])], RULES)
    assert (found.images, found.failures) == (2, 1)
    assert (found.noc85, found.noc90) == ((4 + 1) / 2, (4 + 1) / 2)  # not of the longest play, which is one interaction
    assert (found.reached85, found.reached90) == (0.5, 0.5)
    assert found.iou == pytest.approx(0.95 / 2)
    assert found.area == pytest.approx(0.95 / 2)
    assert found.first_seconds == pytest.approx(1.1)
    assert found.seconds == pytest.approx(0.1)


def test_a_failure_after_results_keeps_the_seconds_of_those(play):
    (found,) = summaries(play("a", [0.5, 0.9, 0.9], failure="RuntimeError: no"), RULES)
    assert found.failures == 1
    assert found.iou == 0
    assert (found.noc85, found.noc90) == (2, 2)
    assert found.seconds == pytest.approx(0.15)


def test_without_any_result_there_are_no_seconds(play):
    (found,) = summaries(play("a", [None], failure="RuntimeError: no"), RULES)
    assert np.isnan([found.first_seconds, found.seconds, found.seconds95]).all()
    assert (found.iou, found.first_iou, (found.noc85, found.noc90)) == (0, 0, (4, 4))


def test_one_summary_for_each_method_protocol_and_data_set(play):
    rows = [
        row
        for data, protocol, method in [("x", "human", "b"), ("x", "human", "a"), ("y", "strokes", "b")]
        for row in play("p", [0.5], data=data, protocol=protocol, method=method)
    ]
    found = summaries(rows, RULES)
    assert [(s.data, s.protocol, s.method, s.interactions) for s in found] == [
        ("x", "human", "b", 1), ("x", "human", "a", 1), ("y", "strokes", "b", 3)
    ]  # fmt: skip


def test_what_others_need_does_not_change_a_method(play):
    rows = play("a", [0.5, 0.6], method="quick")
    (alone,) = summaries(rows, RULES)
    assert repr(summaries([*rows, *play("a", [0.1, 0.2, 0.3, 0.4], method="slow")], RULES)[0]) == repr(alone)


def test_images_of_a_group_are_drawn_together(play):
    rows = [row for i in range(10) for row in play(f"p{i}", [i % 2])]
    (separate,) = summaries(rows, RULES)
    (together,) = summaries([dataclasses.replace(row, group=str(int(row.image[1:]) // 5)) for row in rows], RULES)
    assert separate.iou == together.iou == 0.5
    assert (together.iou_low, together.iou_high) == pytest.approx((0.4, 0.6))
    assert separate.iou_low < 0.4


def test_no_rows_give_no_summary():
    assert summaries([], RULES) == []
