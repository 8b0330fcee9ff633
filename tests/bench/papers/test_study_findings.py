"""Tables of the study from rows whose answer is known."""

import math

import pytest

from napari_scribseg import get_engine
from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.methods import parse_method
from napari_scribseg.bench.papers.findings import cells_of, differences_of, levels_of, verdict
from napari_scribseg.bench.papers.parts import PARTS, SLOPPY_METHODS, Claim, Part, all_methods, with_published_fit
from napari_scribseg.bench.papers.sloppiness import Sloppiness
from napari_scribseg.bench.summary import rows_frame
from napari_scribseg.testing import two_discs

PART = Part(
    "t", "T", {("A", "c"): "a", ("B", "c"): "b"}, {("A", "c"): 0.5, ("P", "c"): 0.4}, (Claim("a wins", "a", "b"),)
)


def row(method, case, iou, group=None, data="d"):
    return Row(
        data=data, case=case, protocol="human", method=method, image=case, group=group or case, interaction=1,
        n_classes=2, stroke_pixels=9, dice=0.9, iou=iou, hausdorff=0.0, hausdorff95=0.0, surface=0.0, unit="px",
        seed_accuracy=1.0, prepare_seconds=0.0, seconds=0.0, peak_mib=0.0, failure="",
    )  # fmt: skip


def outlined(image, error, numbers):
    names = ("drawn_agreement", "result_agreement", "drawn_iou", "result_iou", "first_seconds", "seconds")
    values = dict(zip(names, numbers, strict=True))
    return Sloppiness(data="d", case=image, image=image, group=image, method="m", error=error, **values)


def test_every_method_of_the_study_can_be_had():
    for method in (*all_methods(PARTS), *SLOPPY_METHODS.values()):
        assert parse_method(method).name == method


def test_the_papers_table_is_in_table1():
    table = next(part for part in PARTS if part.name == "table1")
    assert table.published["SVCD", "c & sp & se"] == 0.845
    assert table.published["U-Net", "c & sp"] == 0.642
    assert sum(place in table.cells for place in table.published) == len(table.published)


def test_cells_have_means_and_the_papers_numbers():
    rows = rows_frame([row("a", "x", 0.6), row("a", "y", 0.8), row("b", "x", 0.1, data="other")])
    cells = list(cells_of(PART, rows, "d").itertuples(index=False))
    assert [(c.row, c.method, c.images, c.published) for c in cells] == [
        ("A", "a", 2, 0.5),
        ("B", "b", 0, None),
        ("P", "", 0, 0.4),
    ]
    assert cells[0].iou == pytest.approx(0.7)
    assert cells[0].iou_low < 0.7 < cells[0].iou_high
    assert math.isnan(cells[1].iou)


def test_differences_are_paired():
    rows = [row("a", "x", 0.6), row("b", "x", 0.5), row("a", "y", 0.9), row("b", "y", 0.7), row("a", "z", 0.1)]
    (found,) = differences_of(PART, rows_frame(rows), "d").itertuples()
    assert found.images == 2
    assert found.iou == pytest.approx(0.15)
    assert verdict(found.iou_low, found.iou_high) == "holds"
    worse = rows_frame([row("a", "x", 0.2), row("b", "x", 0.5)])
    (other,) = differences_of(PART, worse, "d").itertuples()
    assert verdict(other.iou_low, other.iou_high) == "does not hold"
    assert verdict(-0.1, 0.1) == "open"
    assert differences_of(PART, rows_frame([]), "d").empty


def test_levels_are_means_over_objects():
    rows = [
        outlined("x", 0.1, (0.6, 0.8, 0.7, 0.75, 4.0, 0.5)),
        outlined("y", 0.1, (0.8, 0.8, 0.9, 0.85, 6.0, 0.7)),
        outlined("x", 0.2, (0.5, 0.7, 0.6, 0.65, 4.0, 0.5)),
    ]
    first, second = levels_of(rows).itertuples()
    assert (first.objects, first.error, second.objects) == (2, 0.1, 1)
    assert first.gain == pytest.approx(0.1)
    assert first.result_iou == pytest.approx(0.8)
    assert first.first_seconds == 5.0


def test_the_published_fit_takes_all_steps_on_all_strokes():
    table = with_published_fit(next(part for part in PARTS if part.name == "table1"))
    fitted = parse_method(table.cells["CNN", "c"]).engine
    assert (fitted.steps, fitted.rate, fitted.held_back, fitted.inputs) == (3000, 5e-4, 0, "colour")
    assert table.cells["SVCD, model auto", "c & sp"] == "svcd"
    methods = set(table.cells.values())
    assert {method for claim in table.claims for method in (claim.better, claim.worse)} <= methods
    small = get_engine("pwn", steps=12, rate=5e-4, held_back=0.0)
    image, scribbles, _ = two_discs()
    curve = small.segment(image, scribbles, small.prepare(image, "cpu")).curve
    assert (curve.best, curve.ended_early) == (12, False)
