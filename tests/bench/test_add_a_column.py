"""The page on the benchmark tells of every column, and how to add one: what it says is done here."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import napari_scribseg
from napari_scribseg.bench.columns import columns_table

PACKAGE = Path(napari_scribseg.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "benchmark.md"


def test_the_page_has_the_table_of_all_columns():
    assert f"\n\n{columns_table()}\n\n" in PAGE.read_text(encoding="utf-8")


def bench(package, out):
    code = "import sys; from napari_scribseg.cli import main; sys.argv[0] = 'scribseg'; main()"
    command = [sys.executable, "-c", code, "bench", "--out", out, "--engine", "watershed", "--peers", "none"]
    short = ["--cases", "1", "--slices", "1", "--protocol", "strokes", "--corrections", "0"]
    done = subprocess.run(
        [*command, *short], env={**os.environ, "PYTHONPATH": str(package.parent)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_column_added_as_on_the_page_is_in_every_table(tmp_path):
    (entry,) = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    package, out = tmp_path / "src" / PACKAGE.name, tmp_path / "out"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    bench(package, out)
    before = table(out / "rows.csv")
    file = package / "bench" / "columns.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("    @classmethod\n    def of(", f"{entry}\n    @classmethod\n    def of("))
    bench(package, out)  # resumes: nothing is measured again
    assert table(out / "rows.csv") == [{**row, "area_error": "nan"} for row in before]
    bench(package, tmp_path / "anew")
    (row,) = table(tmp_path / "anew" / "rows.csv")
    assert -1 < float(row["area_error"]) < 1
    (line,) = table(tmp_path / "anew" / "summary.csv")
    assert line["area_error"] == row["area_error"]
    assert {"area_error_low", "area_error_high"} <= set(line)
    report = (tmp_path / "anew" / "report.md").read_text(encoding="utf-8")
    assert "| area error |" in report
    assert f"{float(row['area_error']):.3f}" in report
