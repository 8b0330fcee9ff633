"""Names that forge lines of a log, rows of a table or formulas of a spreadsheet."""

import logging
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scribseg.cli import OneLine
from napari_scribseg.core import InputError
from napari_scribseg.core.errors import one_line
from napari_scribseg.io.sheets import csv_rows, csv_text, markdown_row
from napari_scribseg.train.run_log import RunLog

FORGED = [
    "=cmd|' /C calc'!A0",
    "+1+cmd",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "a\nb,done",
    "a;=cmd",
    "a\x1b[2J",
    "a\u202eb",
]


@pytest.mark.parametrize("name", FORGED)
def test_no_name_is_a_formula_or_a_line_of_its_own(name):
    written = csv_text([["id", name, "done"]])
    assert written.count("\n") == 1
    assert written.isprintable() or written[:-1].isprintable()
    cells = re.split(r"[,;\t\"]", written[:-1])
    assert not any(cell.strip()[:1] in ("=", "+", "-", "@") for cell in cells if cell)
    assert csv_rows(written) == [["id", name, "done"]]


def test_numbers_and_plain_names_stay_as_they_are():
    row = [1, -0.123456789, "-0.5", "+1e-3", "-inf", None, True, "liver S8", "a,b", 'say "x"', "C:\\data\\x.nii", ""]
    assert csv_text([row]) == '1,-0.123457,-0.5,+1e-3,-inf,,True,liver S8,"a,b","say ""x""",C:\\data\\x.nii,\n'


@given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=1, max_size=4))
def test_every_row_is_one_line_and_comes_back(row):
    written = csv_text([row])
    assert len(written.splitlines()) == 1
    written.encode()
    assert csv_rows(written) == [row]


@given(st.text(st.characters(exclude_categories=[])))
def test_every_message_is_one_line(text):
    message = str(InputError(text))
    assert len(message.splitlines()) <= 1
    message.encode()
    assert len(message) < 20000
    assert one_line("ä µ 数 \U0001f600") == "ä µ 数 \U0001f600"


def test_a_long_value_is_not_echoed_whole():
    message = str(InputError(f"the name is {'x' * 200_000}; another one is expected"))
    assert len(message) < 2000
    assert message.startswith("the name is xxx")
    assert message.endswith("x; another one is expected")


def test_a_markdown_table_keeps_its_columns():
    assert markdown_row(["a|b", "c\nd", "<img src=x>"]) == "| a\\|b | c\\nd | &lt;img src=x> |"


def test_a_log_message_is_one_line_and_a_traceback_is_not():
    record = logging.LogRecord("scribseg", logging.INFO, "", 1, "done: %s", ("a\nforged: all well\x1b[2J",), None)
    assert OneLine("%(message)s").format(record) == "done: a\\nforged: all well\\x1b[2J"
    try:
        raise ValueError("wrong")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "\nTraceback" in OneLine("%(message)s").format(record)


def test_the_command_reports_a_file_with_a_line_in_its_name_in_one_line(tmp_path):
    path = tmp_path / "a\nscribseg: all done.nii"
    done = subprocess.run(["scribseg", "info", str(path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "a\\nscribseg: all done.nii" in done.stderr


def test_the_log_of_training_survives_a_forged_source(tmp_path):
    log = RunLog(tmp_path, 0)
    log.validation(5, 100, {"=cmd|x\n6,1,forged": (0.5, 0.6)})
    log.close()
    text = (tmp_path / "validation.csv").read_text()
    assert len(text.splitlines()) == 2
    RunLog(tmp_path, 7).close()
    assert (tmp_path / "validation.csv").read_text().splitlines() == text.splitlines()
    assert csv_rows(text)[1][2] == "=cmd|x\n6,1,forged"
