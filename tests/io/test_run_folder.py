"""The folder of a command that resumes; tables of real rows are in tests/bench/test_columns.py."""

import json
from dataclasses import dataclass, field

import pytest

from napari_scribseg.core import InputError
from napari_scribseg.io.run_folder import ResultTable, RunFolder, read_rows


@dataclass(frozen=True)
class Key:
    name: str


@dataclass(frozen=True)
class Row:
    name: str
    score: float = field(metadata={"formerly": "points"})
    kind: str = field(default="", metadata={"parse": str.lower})


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "out", "run.json")


def test_the_first_run_writes_the_settings_and_a_later_one_compares_them(folder):
    with folder.open(settings={"seed": 1, "rules": {"clicks": 3}}):
        assert folder.settings() == {"seed": 1, "rules": {"clicks": 3}}
    with folder.open(settings={"rules": {"clicks": 3}, "seed": 1}):
        pass
    expected = (
        r"out holds a run with rules\.clicks = 3, now it is 4; give another folder, or the same settings to resume"
    )
    with pytest.raises(InputError, match=expected), folder.open(settings={"seed": 1, "rules": {"clicks": 4}}):
        pass
    with (
        pytest.raises(InputError, match="with seed = 1, now it is None"),
        folder.open(settings={"rules": {"clicks": 3}}),
    ):
        pass


@pytest.mark.parametrize("content", ["{", "[1]", "\x00", "[" * 100_000])
def test_damaged_settings_are_reported(folder, content):
    folder.path.mkdir()
    (folder.path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json is damaged .*; give another folder"), folder.open(settings={}):
        pass
    assert (folder.path / "run.json").read_text() == content


@pytest.mark.parametrize("hidden", [False, True])
def test_only_one_run_at_a_time(tmp_path, hidden):
    folder = RunFolder(tmp_path, "mark", hidden)
    with folder.open():
        assert (tmp_path / "mark" / "lock" if hidden else tmp_path / "lock").exists()
        with pytest.raises(InputError, match="another run is at work with"), folder.open():
            pass
    with folder.open():
        pass


@pytest.mark.parametrize("hidden", [False, True])
def test_a_folder_with_files_of_other_origin_is_refused(tmp_path, hidden):
    (tmp_path / "report.md").write_text("of the user")
    folder = RunFolder(tmp_path, "mark", hidden)
    with pytest.raises(InputError, match="holds no earlier run of this command; give a new folder"):
        folder.open(("report.*",)).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    with folder.open(("other.md",), None if hidden else {}):
        pass
    with folder.open(("report.*",)):  # ours now
        pass


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file cannot be made \(.*\); a writable folder is expected"):
        RunFolder(tmp_path / "file", "run.json").open().__enter__()


def test_records_are_whole_or_empty(tmp_path):
    folder = RunFolder(tmp_path, ".hidden", hidden=True)
    assert folder.record("records/a/b.json") == {}
    folder.write_record("records/a/b.json", {"status": "done"})
    assert folder.record("records/a/b.json") == {"status": "done"}
    path = tmp_path / ".hidden" / "records" / "a" / "b.json"
    for damaged in ("", "[1]", '{"status": "do'):
        path.write_text(damaged)
        assert folder.record("records/a/b.json") == {}
    folder.write_record("records/a/b.json", {"status": "failed"})
    assert json.loads(path.read_text()) == {"status": "failed"}
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_former_names_and_missing_columns_are_read_and_the_file_is_written_anew(tmp_path):
    (tmp_path / "rows.csv").write_text("points,name\n0.5,a\n0.75,b\n")
    (tmp_path / "finished.csv").write_text("name\na\nb\n")
    table = ResultTable(tmp_path, Row, Key)
    assert table.rows() == [Row("a", 0.5), Row("b", 0.75)]
    table.add(Key("c"), [Row("c", 1.0, "Big")])
    assert (tmp_path / "rows.csv").read_text() == "name,score,kind\na,0.5,\nb,0.75,\nc,1,Big\n"
    assert ResultTable(tmp_path, Row, Key).rows()[-1].kind == "big"
    assert table.finished == {Key("a"), Key("b"), Key("c")}


@pytest.mark.parametrize("head", ["name", "name,score,other", "name,score,points", "name,name,score", ""])
def test_other_columns_are_refused(tmp_path, head):
    (tmp_path / "rows.csv").write_text(f"{head}\n")
    with pytest.raises(InputError, match="has other columns than this command writes; give another folder"):
        read_rows(tmp_path / "rows.csv", Row)


@pytest.mark.parametrize("line", ["a,0.5", "a,0.5,big,b,0.75,big"])
def test_a_line_that_is_cut_off_or_runs_into_the_next_is_reported(tmp_path, line):
    (tmp_path / "rows.csv").write_text(f"name,score,kind\n{line}\n")
    with pytest.raises(InputError, match=r"rows\.csv is damaged: a line has \d values, 3 are expected"):
        read_rows(tmp_path / "rows.csv", Row)


def test_a_last_line_without_its_end_is_left_out(tmp_path):
    (tmp_path / "rows.csv").write_text("name,score,kind\na,0.5,big\nb,0.7")
    assert read_rows(tmp_path / "rows.csv", Row) == [Row("a", 0.5, "big")]
