"""Tables and curves of cohorts."""

import math
from dataclasses import replace

import pytest

from napari_scribseg.bench.cohort.report import summarize_cohorts, write_cohort_report
from napari_scribseg.bench.cohort.rows import CohortRow, cohort_columns_table


def row(number, method="svcd / learning / queue", **values):
    made = CohortRow(
        data="made", case=f"c{number}", protocol="cohort", method=method, group=f"g{number}", number=number, slices=10,
        strokes=100, strokes_to_target=50.0, painted_slices=6, accepted_slices=10, draft_dice=math.nan,
        draft_slices=math.nan, dice=0.95, examples=0, learn_seconds=20.0, agreement=math.nan, seconds=3.0,
    )  # fmt: skip
    return replace(made, **values)


@pytest.fixture
def rows():
    learning = [row(1), *(row(k, strokes=60 - 5 * k, draft_dice=0.5 + 0.05 * k, painted_slices=2) for k in range(2, 7))]
    none = [row(k, "svcd / none / queue", strokes_to_target=math.nan) for k in range(1, 7)]
    peer = "svcd / plain-unet / drafts queue"
    return [*learning, *none, row(5, peer, draft_dice=0.4, strokes=0, dice=math.nan, strokes_to_target=math.nan)]


def test_the_later_cases_stand_against_the_first(rows):
    lines = summarize_cohorts(rows).set_index("method")
    learning, none, peer = (
        lines.loc[f"svcd / {what}"] for what in ("learning / queue", "none / queue", "plain-unet / drafts queue")
    )
    assert (learning["first"], learning["second"], learning["later"]) == (100, 50, 32.5)
    assert learning["before"] == 45
    assert learning["ratio"] == pytest.approx(0.325)
    assert learning["strokes"] == 100 + 50 + 45 + 40 + 35 + 30
    assert (learning["draft5"], learning["draft_later"]) == pytest.approx((0.75, 0.775))
    assert math.isnan(learning["draft10"])
    assert (learning["untouched"], none["untouched"]) == pytest.approx((0.8, 0.4))
    assert (none["ratio"], none["reached"]) == (1.0, 0.0)
    assert math.isnan(none["to_target"])
    assert peer["draft5"] == 0.4
    assert math.isnan(peer["later"])


def test_slices_that_were_given_up_are_neither_untouched_nor_accepted():
    line = summarize_cohorts([row(5, accepted_slices=3)]).iloc[0]
    assert line["given_up"] == pytest.approx(0.7)
    assert line["untouched"] == pytest.approx(0.3)


def test_the_report_has_tables_and_curves(rows, rules, tmp_path):
    pytest.importorskip("matplotlib")
    rules = replace(rules, encoder="some/weights.safetensors")
    failed = row(6, "svcd / none / random", failure="ValueError: no room")
    written = write_cohort_report([*rows, failed], rules, tmp_path, "scribseg bench --protocol cohort")
    assert [path.name for path in written] == [
        "report.md", "summary.csv", "strokes-made-cohort.png", "draft-made-cohort.png", "accepted-made-cohort.png",
    ]  # fmt: skip
    text = (tmp_path / "report.md").read_text()
    assert "scribseg bench --protocol cohort" in text
    assert "starts from `some/weights.safetensors`," in text
    assert "| 5 | 35 (0.750) | 100 | (0.400) |  |" in text
    assert "c6, svcd / none / random: ValueError: no room" in text
    assert "which may have seen" not in text


def test_the_documentation_has_the_columns():
    from pathlib import Path

    page = Path(__file__).parents[3] / "docs" / "benchmark.md"
    assert cohort_columns_table() in page.read_text()
