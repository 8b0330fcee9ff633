"""Runs of cohorts, and how they go on."""

from dataclasses import replace

import numpy as np
import pytest

from napari_scribseg.annotate import Session
from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.bench.cohort.run import CohortPlan, run_cohorts
from napari_scribseg.bench.cohort.setups import cohort_setups
from napari_scribseg.bench.cohort.work import source_of
from napari_scribseg.core import InputError


@pytest.fixture
def plan(cohort, rules, learn):
    def make(learning=("learning",), count=3, orders=("sequential",)):
        return CohortPlan((cohort(count),), tuple(cohort_setups(["svcd"], learning, orders)), rules, learn)

    return make


def test_without_learning_no_case_helps_the_next(plan, learn, tmp_path):
    rows = run_cohorts(plan(("none",)), tmp_path)
    assert [row.number for row in rows] == [1, 2, 3]
    assert [row.case for row in rows] == ["c0", "c1", "c2"]
    assert learn.calls == []
    assert all(row.is_played and row.strokes > 0 and np.isnan(row.draft_dice) and row.examples == 0 for row in rows)
    assert all(row.slices == 6 and row.accepted_slices <= 6 for row in rows)


def test_learning_goes_on_from_all_accepted_slices(plan, learn, tmp_path):
    rows = run_cohorts(plan(), tmp_path)
    first, second, third = rows
    accepted = [row.accepted_slices for row in rows]
    assert learn.calls[0] == (2, None)  # within the first case
    assert learn.calls[1][0] >= accepted[0]
    assert learn.calls[2][0] >= accepted[0] + accepted[1]
    assert [call[1] for call in learn.calls[1:]] == [call[0] for call in learn.calls[:-1]]
    assert np.isnan(first.draft_dice)
    assert 0 <= second.draft_dice <= 1
    assert (second.examples, third.examples) == (learn.calls[1][0], learn.calls[2][0])
    assert [row.learn_seconds for row in rows] == [1.0, 1.0, 1.0]


def test_an_interrupted_run_goes_on_with_the_next_case(plan, learn, tmp_path):
    whole = run_cohorts(plan(), tmp_path / "whole")
    calls, learn.calls[:] = list(learn.calls), []

    def stop(done, _total, _what):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cohorts(plan(), tmp_path / "parts", progress=stop)
    assert learn.calls == calls[:2]
    parts = run_cohorts(plan(), tmp_path / "parts")
    assert learn.calls == calls
    assert [(row.case, row.strokes, row.dice) for row in parts] == [(row.case, row.strokes, row.dice) for row in whole]
    learn.calls.clear()
    assert [row.seconds for row in run_cohorts(plan(), tmp_path / "parts")] == [row.seconds for row in parts]
    assert learn.calls == []


def test_sessions_and_networks_are_kept(plan, tmp_path, cohort):
    rows = run_cohorts(plan(count=2), tmp_path)
    folder = tmp_path / "work" / "made" / "svcd-learning-sequential"
    assert sorted(path.name for path in folder.iterdir()) == [
        "case-001.npz", "case-002.npz", "network-001.safetensors", "network-002.safetensors",
    ]  # fmt: skip
    session = Session.load(folder / "case-002.npz", source_of(cohort(2).task("c1")))
    assert len(session.accepted) == rows[1].accepted_slices
    session.close()


def test_a_plain_unet_drafts_after_the_same_accepted_slices(plan, tmp_path):
    pytest.importorskip("monai")
    rows = run_cohorts(plan(("learning", "plain-unet")), tmp_path)
    played, drafted = rows[:3], rows[3:]
    assert [(row.number, row.method) for row in drafted] == [
        (k, "svcd / plain-unet / drafts sequential") for k in (2, 3)
    ]
    assert drafted[0].examples == played[0].accepted_slices
    assert drafted[1].examples == played[0].accepted_slices + played[1].accepted_slices
    assert all(0 <= row.draft_dice <= 1 and not row.is_played and row.strokes == 0 for row in drafted)


def test_a_failure_is_a_result(plan, learn, tmp_path):
    def fail(examples, classes, last):
        raise ValueError("no room")

    rows = run_cohorts(replace(plan(count=1), learn=fail), tmp_path)
    assert rows[0].failure == "ValueError: no room"
    assert rows[0].accepted_slices == 2
    assert np.isnan(rows[0].dice)


def test_a_folder_holds_one_set_of_rules(plan, rules, tmp_path):
    run_cohorts(plan(("none",), count=1), tmp_path)
    with pytest.raises(InputError, match="rules.corrections = 15, now it is 3"):
        run_cohorts(replace(plan(("none",)), rules=replace(rules, corrections=3)), tmp_path)


def test_an_image_is_a_case(images, rules, learn, tmp_path):
    plan = CohortPlan((open_cohort(images()),), tuple(cohort_setups(["svcd"], ["learning"], ["queue"])), rules, learn)
    rows = run_cohorts(plan, tmp_path)
    assert [row.accepted_slices for row in rows] == [1, 1, 1]
    assert [call[0] for call in learn.calls] == [1, 2]
