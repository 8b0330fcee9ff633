"""scribseg study, and its experiment with sloppy outlines."""

import csv
import dataclasses
import zlib

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.papers import parts, sloppiness
from napari_scribseg.bench.papers.command import study
from napari_scribseg.bench.papers.sloppiness import Sloppiness, SloppyPlan, agreement, measure
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.core import InputError
from napari_scribseg.datasets import open_data_set
from napari_scribseg.io.run_folder import ResultTable
from napari_scribseg.io.sheets import csv_text

QUICK = "coarse-to-fine:samples=8,epochs=1,width=8,repeats=1"


@pytest.fixture
def command(monkeypatch):
    """Run the command with a small study in this process; returns its exit status and what it wrote."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(study)
    small = parts.Part(
        "width",
        "Widths",
        {("c", "2"): "pwn:steps=5,width=2", ("c", "4"): "pwn:steps=5,width=4", ("d", "2"): "nobody"},
        {("c", "4"): 0.5},
        (parts.Claim("wider is better", "pwn:steps=5,width=4", "pwn:steps=5,width=2"),),
        axis="width",
    )
    monkeypatch.setattr(parts, "PARTS", (small,))
    monkeypatch.setattr(parts, "SLOPPY_METHODS", {"quick": QUICK})

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout.splitlines()

    return run


def test_a_folder_with_strokes(command, folder, tmp_path):
    out = tmp_path / "out"
    code, written = command("--out", out, "--data", folder(), "--outlines", 2)
    assert code == 0
    names = {line.rsplit("/", 1)[-1] for line in written}
    assert {"study.md", "width.csv", "width-differences.csv", "width-pairs.png", "sloppiness.csv"} <= names
    page = (out / "study.md").read_text()
    assert "paper 0.500" in page
    assert "`nobody`: there is no engine" in page
    assert "| quick | 0.03 |" in page
    table = list(csv.DictReader((out / "width.csv").open()))
    assert [line["images"] for line in table] == ["2", "2", "0"]
    assert all(0 <= float(line["iou"]) <= 1 for line in table[:2])
    assert {row.protocol for row in ResultTable(out / "strokes", Row, BenchJob).rows()} == {"human"}


def test_it_resumes(command, folder, tmp_path):
    out, data = tmp_path / "out", folder()
    command("--out", out, "--data", data, "--cases", 1, "--outlines", 2)
    outlined = (out / "outlines" / "rows.csv").read_bytes()
    rows = ResultTable(out / "strokes", Row, BenchJob).rows()
    command("--out", out, "--data", data, "--outlines", 2)
    after = (out / "outlines" / "rows.csv").read_bytes()
    assert after.startswith(outlined)
    assert len((out / "outlines" / "finished.csv").read_text().splitlines()) == 1 + 2
    kept = [repr(r) for r in ResultTable(out / "strokes", Row, BenchJob).rows() if r.case == rows[0].case]
    assert kept == [repr(r) for r in rows]
    with pytest.raises(InputError, match="outlines"):
        command("--out", out, "--data", data, "--outlines", 3)


def test_outlines_written_before_are_not_measured_again(folder, tmp_path, monkeypatch):
    """Before, each image and method had a file of its own."""
    plan = SloppyPlan((QUICK,), (open_data_set(folder(2)),), errors=(0.1,), outlines=2)
    whole = measure(plan, tmp_path / "whole", lambda *_: None)
    (tmp_path / "o").mkdir()
    names = [f.name for f in dataclasses.fields(Sloppiness) if f.name != "case"]
    for row in whole:
        text = csv_text([names, [getattr(row, name) for name in names]])
        checksum = zlib.crc32(f"pairs-{row.case}-{QUICK}".encode())
        name = f"pairs-{row.case}-{QUICK}".replace(":", "_").replace(",", "_")
        (tmp_path / "o" / f"{name}-{checksum:08x}.csv").write_text(text)
    monkeypatch.setattr(sloppiness, "_outlined", None)  # which would fail
    assert measure(plan, tmp_path / "o", lambda *_: None) == measure(plan, tmp_path / "whole", lambda *_: None)


def test_a_simulated_user_where_nobody_drew(command, folder, tmp_path):
    out = tmp_path / "out"
    assert command("--out", out, "--data", folder(1, drawn=False), "--part", "width")[0] == 0
    rows = ResultTable(out / "strokes", Row, BenchJob).rows()
    assert {(row.protocol, row.interaction) for row in rows} == {("strokes", 1)}
    assert not (out / "outlines").exists()


def test_agreement():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[:3] = True, True
    assert agreement([a, a]) == 1
    assert agreement([a, b]) == pytest.approx(2 / 3)
    assert agreement([a, a, b]) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_more_sloppy_outlines_agree_less(folder, tmp_path):
    plan = SloppyPlan((QUICK,), (open_data_set(folder(1)),), errors=(0.02, 0.2), outlines=3)
    reported = []
    rows = measure(plan, tmp_path / "o", lambda done, total, what: reported.append((done, total)))
    assert reported == [(1, 1)]
    assert [row.error for row in rows] == [0.02, 0.2]
    assert rows[0].drawn_agreement > rows[1].drawn_agreement
    assert rows[0].drawn_iou > rows[1].drawn_iou
    assert rows == measure(plan, tmp_path / "o", lambda *_: None)


def test_a_foreign_file_is_reported(folder, tmp_path):
    plan = SloppyPlan((QUICK,), (open_data_set(folder(1)),), errors=(0.1,), outlines=2)
    measure(plan, tmp_path / "o", lambda *_: None)
    (tmp_path / "o" / "rows.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="another folder"):
        measure(plan, tmp_path / "o", lambda *_: None)


@pytest.mark.parametrize("name", ["study.md", "width.csv", "sloppiness.csv"])
def test_files_of_other_origin_are_not_written_over(command, folder, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("of the user")
    with pytest.raises(InputError, match="holds no earlier run of this command; give a new folder"):
        command("--out", tmp_path / "out", "--data", folder(), "--outlines", 2)
    assert [p.read_text() for p in (tmp_path / "out").iterdir()] == ["of the user"]
