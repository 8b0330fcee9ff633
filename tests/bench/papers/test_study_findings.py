"""Tables of the study from rows whose answer is known."""

import math

import pytest

from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.papers.findings import cells_of, differences_of, levels_of
from napari_scribseg.bench.papers.parts import PARTS, SLOPPY_METHODS, Claim, Part, all_methods
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.rows import Row

PART = Part(
    "t", "T", {("A", "c"): "a", ("B", "c"): "b"}, {("A", "c"): 0.5, ("P", "c"): 0.4}, (Claim("a wins", "a", "b"),)
)


def row(method, case, iou, group=None, data="d"):
    group = group or case
    return Row(data, case, "human", method, case, group, 1, 2, 9, 0.9, iou, 0, 0, 0, "px", 1, 0, 0, 0, "")


def test_every_method_of_the_study_can_be_had():
    for method in (*all_methods(PARTS), *SLOPPY_METHODS.values()):
        assert parse_method(method).name == method


def test_the_papers_table_is_in_table1():
    table = next(part for part in PARTS if part.name == "table1")
    assert table.published["SVCD", "c & sp & se"] == 0.845
    assert table.published["U-Net", "c & sp"] == 0.642
    assert sum(place in table.cells for place in table.published) == len(table.published)


def test_cells_have_means_and_the_papers_numbers():
    cells = cells_of(PART, [row("a", "x", 0.6), row("a", "y", 0.8), row("b", "x", 0.1, data="other")], "d")
    assert [(c.row, c.method, c.images, c.published) for c in cells] == [
        ("A", "a", 2, 0.5),
        ("B", "b", 0, None),
        ("P", "", 0, 0.4),
    ]
    assert cells[0].iou.mean == pytest.approx(0.7)
    assert cells[0].iou.low < 0.7 < cells[0].iou.high
    assert math.isnan(cells[1].iou.mean)


def test_differences_are_paired():
    rows = [row("a", "x", 0.6), row("b", "x", 0.5), row("a", "y", 0.9), row("b", "y", 0.7), row("a", "z", 0.1)]
    (found,) = differences_of(PART, rows, "d")
    assert found.images == 2
    assert found.iou.mean == pytest.approx(0.15)
    assert found.verdict == "holds"
    (other,) = differences_of(PART, [row("a", "x", 0.2), row("b", "x", 0.5)], "d")
    assert other.verdict == "does not hold"
    assert differences_of(PART, [], "d") == []


def test_levels_are_means_over_objects():
    rows = [
        Sloppiness("d", "x", "x", "m", 0.1, 0.6, 0.8, 0.7, 0.75, 4.0, 0.5),
        Sloppiness("d", "y", "y", "m", 0.1, 0.8, 0.8, 0.9, 0.85, 6.0, 0.7),
        Sloppiness("d", "x", "x", "m", 0.2, 0.5, 0.7, 0.6, 0.65, 4.0, 0.5),
    ]
    first, second = levels_of(rows)
    assert (first.objects, first.error, second.objects) == (2, 0.1, 1)
    assert first.gain.mean == pytest.approx(0.1)
    assert first.answer_iou.mean == pytest.approx(0.8)
    assert first.first_seconds == 5.0
