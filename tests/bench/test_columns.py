import dataclasses
import math

import pytest

from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.core import InputError
from napari_scribseg.io.run_folder import ResultTable


def open_table(folder):
    return ResultTable(folder, Row, BenchJob)


def jobs_and_rows(make_row, count=3):
    for number in range(count):
        rows = [make_row(case=f"p{number}", image=f"p{number}", interaction=i + 1) for i in range(2)]
        yield rows[0].job, rows


@pytest.fixture
def filled(tmp_path, make_row):
    """A folder with three finished jobs of two rows."""
    file = open_table(tmp_path)
    for job, rows in jobs_and_rows(make_row):
        file.add(job, rows)
    return tmp_path


def test_an_empty_folder_has_no_rows(tmp_path):
    file = open_table(tmp_path)
    assert file.rows() == []
    assert file.finished == set()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["finished.csv", "rows.csv"]


def test_without_rows_nothing_is_finished(filled):
    (filled / "rows.csv").unlink()
    assert open_table(filled).finished == set()


def test_a_forged_name_is_no_formula_and_no_row_and_its_job_stays_finished(tmp_path, make_row):
    row = make_row(case="=cmd|x\np1,all well", image="=cmd|x\np1,all well", failure="-1+cmd|' /C calc'!A0")
    open_table(tmp_path).add(row.job, [row])
    for name in ("rows.csv", "finished.csv"):
        lines = (tmp_path / name).read_text().splitlines()
        assert len(lines) == 2
        assert not any(cell.startswith(("=", "-1+")) for cell in lines[1].split(","))
    again = open_table(tmp_path)
    assert row.job in again.finished
    assert [(r.image, r.failure) for r in again.rows()] == [(row.image, row.failure)]


def test_every_field_comes_back(tmp_path, make_row):
    rows = [
        make_row(image='a, "b"; ü', failure="ValueError: no, really", seconds=math.nan, dice=0.123456, peak_mib=0.0),
        make_row(group="", interaction=20, hausdorff=1.5e-5, surface=123456.0, unit="px"),
    ]
    open_table(tmp_path).add(rows[0].job, rows)
    found = open_table(tmp_path).rows()
    for row, back in zip(rows, found, strict=True):
        for field in dataclasses.fields(Row):
            value, read = getattr(row, field.name), getattr(back, field.name)
            assert type(read) is type(value), field.name
            assert read == value or (math.isnan(value) and math.isnan(read)), field.name


def test_six_digits_are_kept(tmp_path, make_row):
    row = make_row(dice=1 / 3, seconds=1234.56789)
    open_table(tmp_path).add(row.job, [row])
    (found,) = open_table(tmp_path).rows()
    assert (found.dice, found.seconds) == (0.333333, 1234.57)


def test_opening_again_changes_nothing(filled):
    before = {p.name: p.read_bytes() for p in filled.iterdir()}
    file = open_table(filled)
    assert len(file.finished) == 3
    assert {p.name: p.read_bytes() for p in filled.iterdir()} == before


def test_a_job_without_rows_is_finished_too(tmp_path):
    job = BenchJob("made", "p9", "clicks", "toy")
    open_table(tmp_path).add(job, [])
    assert open_table(tmp_path).finished == {job}


def test_rows_of_a_job_that_is_not_finished_are_dropped(filled, make_row):
    before = (filled / "rows.csv").read_bytes()
    finished = (filled / "finished.csv").read_text().splitlines(keepends=True)
    (filled / "finished.csv").write_text("".join(finished[:-1]))
    file = open_table(filled)
    assert {row.case for row in file.rows()} == {"p0", "p1"}
    job, rows = list(jobs_and_rows(make_row))[-1]
    assert job not in file.finished
    file.add(job, rows)
    assert (filled / "rows.csv").read_bytes() == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_rows_cut_off_in_the_middle_of_a_line(filled, make_row, cut):
    whole = (filled / "rows.csv").read_bytes()
    half = next(iter(jobs_and_rows(lambda **v: make_row(**v | {"method": "other"}), 1)))[1]
    open_table(filled).add(half[0].job, half)
    (filled / "finished.csv").write_bytes((filled / "finished.csv").read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    (filled / "rows.csv").write_bytes((filled / "rows.csv").read_bytes()[:-cut])
    file = open_table(filled)
    assert (filled / "rows.csv").read_bytes() == whole
    assert len(file.finished) == 3


@pytest.mark.parametrize("name", ["rows.csv", "finished.csv"])
def test_any_cut_leaves_whole_jobs(tmp_path, make_row, name):
    file = open_table(tmp_path)
    for job, rows in jobs_and_rows(lambda **v: make_row(**v | {"group": "Größe"})):
        file.add(job, rows)
    whole = (tmp_path / "finished.csv").read_bytes(), (tmp_path / "rows.csv").read_bytes()
    content = (tmp_path / name).read_bytes()
    finished = (tmp_path / "finished.csv").read_text().splitlines()
    for cut in range(0, len(content), 5 if name == "finished.csv" else 29):
        (tmp_path / "finished.csv").write_bytes(whole[0])
        (tmp_path / "rows.csv").write_bytes(whole[1])
        (tmp_path / name).write_bytes(content[:cut])
        if name == "rows.csv":  # the last line of it that is whole belongs to a job that was not called finished
            complete = content[:cut].count(b"\n") // 2
            (tmp_path / "finished.csv").write_text("".join(f"{line}\n" for line in finished[: max(complete, 1)]))
        file = open_table(tmp_path)
        assert {row.job for row in file.rows()} == file.finished
        assert len(file.rows()) == 2 * len(file.finished)


def test_a_letter_cut_in_two(tmp_path, make_row):
    row = make_row(failure="Größe ü")
    open_table(tmp_path).add(row.job, [row])
    (tmp_path / "rows.csv").write_bytes((tmp_path / "rows.csv").read_bytes()[:-2])  # half of the last letter stays
    (tmp_path / "finished.csv").write_bytes(b"data,case,protocol,method\n")
    assert open_table(tmp_path).rows() == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"image,scribbles\na.png,b.png\n", "has other columns than this command writes"),
        ("finished.csv", b"\x89PNG\r\n\x1a\n\xff\xfe\n", "is no table of results"),
        ("rows.csv", b"\xff\xfe\x00\x01\n", "is no table of results"),
        ("finished.csv", b"data,case,protocol,method\nmade,p0\nmade,p1,clicks,toy\n", "a line has 2 values, 4 are"),
    ],
)
def test_foreign_files_are_reported_and_left_alone(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        open_table(tmp_path)
    assert len(str(raised.value).splitlines()) == 1
    assert "give another folder" in str(raised.value)
    assert (tmp_path / name).read_bytes() == content


def test_a_damaged_value_is_reported(filled):
    text = (filled / "rows.csv").read_text()
    (filled / "rows.csv").write_text(text.replace("0.9", "good", 1))
    with pytest.raises(InputError, match=r"rows\.csv holds a line that is no result \(.*'good'"):
        open_table(filled)
