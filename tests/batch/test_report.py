from pathlib import Path

from napari_scribseg.batch.batch_jobs import BatchJob, BatchOutcome, BatchTask
from napari_scribseg.batch.records import log_line
from napari_scribseg.batch.report import BatchReport, write_report
from napari_scribseg.io.sheets import csv_rows

FORGED = "=cmd|' /C calc'!A0\nb.nii,done"


def test_forged_names_add_no_row_and_no_formula(tmp_path):
    outcomes = (
        BatchOutcome(FORGED, Path("a.nii"), "failed", error="@SUM(A1) | no\nsuch <b>file</b>"),
        BatchOutcome("b.nii", Path("b.nii"), "done", seconds=1.5, notes=("a note\nof two lines",)),
    )
    table, page = write_report(BatchReport(outcomes, tmp_path))
    lines = table.read_text().splitlines()
    assert len(lines) == 3
    assert not any(cell[:1] in ("=", "@") for line in lines for cell in line.replace('"', ",").split(","))
    assert [row[0] for row in csv_rows(table.read_text())] == ["id", FORGED, "b.nii"]
    (row,) = [line for line in page.read_text().splitlines() if "cmd" in line]
    assert row.replace("\\|", "").count("|") == 3
    assert "<b>" not in row
    assert "- a note\\nof two lines (1 images)" in page.read_text().splitlines()


def test_the_log_has_a_line_for_each_event(tmp_path):
    job = BatchJob(Path("a.nii"), Path("s.nii"), "a\n0.0 done b.nii.gz")
    log_line(BatchTask(job, tmp_path, "svcd", run="r"), "started")
    (log,) = (tmp_path / ".scribseg" / "log").iterdir()
    assert len(log.read_text().splitlines()) == 1
