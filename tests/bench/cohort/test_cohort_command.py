"""``scribseg bench --protocol cohort``."""

import json

import pytest
import typer
from typer.testing import CliRunner

from napari_scribseg.bench.cohort.rows import CohortRow
from napari_scribseg.bench.command import bench
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.core import InputError
from napari_scribseg.io.run_folder import ResultTable


@pytest.fixture
def command():
    """Run the command in this process; returns the lines on standard output."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(bench)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None:
            raise result.exception
        return result.stdout.splitlines()

    return run


def test_a_cohort_of_a_folder(command, folder, tmp_path):
    out = tmp_path / "out"
    given = ("--protocol", "cohort", "--data", folder(2), "--engine", "svcd", "--order", "sequential")
    lines = command("--out", out, *given, "--learning", "none", "--encoder", tmp_path / "net.safetensors")
    assert lines[:2] == [str(out / "report.md"), str(out / "summary.csv")]
    rows = ResultTable(out, CohortRow, BenchJob).rows()
    assert [(row.case, row.method) for row in rows] == [(f"p{i}", "svcd / none / sequential") for i in range(2)]
    settings = json.loads((out / "cohort.json").read_text())
    assert settings["rules"]["encoder"] == str(tmp_path / "net.safetensors")
    assert settings["rules"]["user"]["error"] is not None  # first strokes have people's errors by default
    assert "## pairs" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--protocol", "clicks"), "expected alone"),
        (("--workers", 2), "expected alone"),
        (("--order", "middle"), "no order 'middle' of cohorts"),
        (("--encoder", "none.safetensors"), "none.safetensors is missing"),
        (("--learning", "plain-unet"), "which was not requested"),
        (("--regions", 3), "has 1 slices; at least 3 are expected"),
    ],
)
def test_what_does_not_go_with_a_cohort(command, folder, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        command("--out", tmp_path / "out", "--protocol", "cohort", "--data", folder(2), "--engine", "svcd", *given)
    assert not (tmp_path / "out").exists()
