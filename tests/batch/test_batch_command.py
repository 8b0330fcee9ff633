import json
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from napari_scribseg.batch.command import batch
from napari_scribseg.core import InputError


@pytest.fixture
def command():
    """Run the command in this process; returns its exit status, standard output and standard error."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(batch)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in (*arguments, "--workers", 0)])
        if isinstance(result.exception, InputError):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def test_a_table(command, cohort, tmp_path, readable):
    code, out, _ = command(cohort(2), "--out", tmp_path / "out", "--param", "smoothness=50")
    assert (code, out.strip()) == (0, str(tmp_path / "out" / "report.md"))
    readable(tmp_path / "out" / "in" / "i001_labels.nii.gz")
    assert "smoothness 50.0" in (tmp_path / "out" / "report.md").read_text()


def test_one_line_reports_that_some_failed(command, cohort, tmp_path):
    table = cohort(3)
    (tmp_path / "in" / "i001.nii.gz").unlink()
    code, _, err = command(table, "--out", tmp_path / "out")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("scribseg: 2 done, 1 failed of 3 images, see ")
    assert re.search(r"the first is in/i001_labels\.nii\.gz: there is no file", line)


def test_a_bids_folder_becomes_a_derivative(command, tmp_path, pair):
    image, strokes = pair(tmp_path / "study" / "sub-1" / "anat", "sub-1_T1w")
    strokes.rename(image.with_name("sub-1_desc-scribbles_dseg.nii.gz"))
    out = tmp_path / "out"
    code, _, err = command(tmp_path / "study", "--out", out, "--background", 255)
    assert code == 0, err
    assert (out / "sub-1" / "anat" / "sub-1_desc-svcd_dseg.nii.gz").is_file()
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Parameters"]["model"] == "auto"


def test_strokes_without_their_image_are_reported(command, tmp_path, pair, caplog):
    image, strokes = pair(tmp_path / "study" / "sub-1" / "anat", "sub-1_T1w")
    strokes.rename(image.with_name("sub-1_desc-scribbles_dseg.nii.gz"))
    _, lonely = pair(tmp_path / "study" / "sub-2" / "anat", "sub-2_T1w")
    lonely.with_name("sub-2_T1w.nii.gz").unlink()
    lonely.rename(lonely.with_name("sub-2_desc-scribbles_dseg.nii.gz"))
    assert command(tmp_path / "study", "--out", tmp_path / "out", "--background", 255)[0] == 0
    assert "strokes are left out: sub-2_desc-scribbles_dseg.nii.gz" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--suffix", "T1w"), "was given with a table"), (("--param", "smoothness"), "has no '='")],
)
def test_bad_options(command, cohort, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        command(cohort(1), "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_loading_the_command_loads_nothing_heavy():
    code = "import sys, napari_scribseg.batch.command; print(*(m for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "dask", "distributed", "numba", "nibabel", "napari_scribseg.headless"} & set(loaded)


def test_a_table_that_the_report_would_replace_is_refused(command, cohort, tmp_path):
    table = cohort(1, "report.csv")
    before = table.read_bytes()
    with pytest.raises(InputError, match="would be written over the input"):
        command(table, "--out", tmp_path, "--overwrite")
    assert table.read_bytes() == before
