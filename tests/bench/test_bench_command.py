import dataclasses
import io
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import typer
from typer.testing import CliRunner
from web_server import web_server

from napari_scribseg import cli
from napari_scribseg.bench.columns import Row
from napari_scribseg.bench.command import bench
from napari_scribseg.bench.peers import PEERS, Peer
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.core import InputError
from napari_scribseg.datasets.published import PUBLISHED
from napari_scribseg.io.run_folder import ResultTable

SHORT = ("--corrections", 1, "--clicks", 2, "--peers", "none")


@pytest.fixture
def command():
    """Run the command in this process; returns its exit status and the lines on standard output."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(bench)

    def run(*arguments):
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout.splitlines()

    return run


def test_a_folder_of_pairs(command, folder, tmp_path):
    out = tmp_path / "out"
    methods = ("--engine", "watershed", "--engine", "geodesic:edge_cost=50")
    code, lines = command("--out", out, "--data", folder(2), *methods, *SHORT)
    assert code == 0
    assert lines[:2] == [str(out / "report.md"), str(out / "summary.csv")]
    assert all((tmp_path / line).is_file() for line in lines)
    rows = ResultTable(out, Row, BenchJob).rows()
    assert {row.method for row in rows} == {"watershed", "geodesic:edge_cost=50"}
    assert {row.protocol for row in rows} == {"strokes", "clicks"}
    assert {row.case for row in rows} == {"p0", "p1"}
    assert {row.unit for row in rows} == {"px"}
    assert max(row.interaction for row in rows) == 2
    text = (out / "report.md").read_text()
    assert "## pairs: strokes of a simulated user" in text
    assert "## pairs: clicks of a simulated user" in text


def test_peoples_strokes_where_there_are_some(command, folder, tmp_path):
    data, out = folder(2, drawn=(0, 1)), tmp_path / "out"
    assert command("--out", out, "--data", data, "--engine", "watershed", "--protocol", "human", *SHORT)[0] == 0
    rows = ResultTable(out, Row, BenchJob).rows()
    assert [(row.protocol, row.interaction, row.n_classes, row.seed_accuracy) for row in rows] == [
        ("human", 1, 3, 1.0)
    ] * 2
    assert min(row.dice for row in rows) > 0.9
    assert "## pairs: a person's strokes, one answer" in (out / "report.md").read_text()


def test_people_come_by_default_where_they_drew(command, folder, tmp_path):
    out = tmp_path / "out"
    command("--out", out, "--data", folder(1, drawn=(0,)), "--engine", "watershed", *SHORT)
    assert {row.protocol for row in ResultTable(out, Row, BenchJob).rows()} == {"human"}


def test_a_quick_look_at_the_made_ct(command, tmp_path, monkeypatch):
    monkeypatch.delenv("SCRIBSEG_DATA", raising=False)
    out = tmp_path / "out"
    code, lines = command(
        "--out", out, "--quick", "--cases", 1, "--slices", 1, "--clicks", 2, "--corrections", 0,
        "--engine", "watershed", "--peers", "none",
    )  # fmt: skip
    assert code == 0
    rows = ResultTable(out, Row, BenchJob).rows()
    assert {row.data for row in rows} == {"made_ct"}
    assert [row.protocol for row in rows] == ["strokes", "clicks", "clicks"]
    assert {row.unit for row in rows} == {"mm"}
    assert rows[0].dice > 0.5
    assert len(lines) >= 2


def test_a_quick_look_has_fewer_cases_and_interactions(command, folder, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr("napari_scribseg.bench.plan.run", lambda plan, *_, **__: plans.append(plan) or [])
    monkeypatch.setattr("napari_scribseg.bench.report.write_report", lambda *_: [])
    data = folder(5)
    command("--out", tmp_path / "out", "--data", data, "--quick")
    command("--out", tmp_path / "out", "--data", data, "--quick", "--cases", 3, "--corrections", 1)
    command("--out", tmp_path / "out", "--data", data)
    found = [(p.most_cases, p.most_slices, p.rules.corrections, p.rules.clicks) for p in plans]
    assert found == [(2, 2, 2, 6), (3, 2, 1, 6), (None, None, 5, 20)]


def test_all_engines_and_peers_by_default(command, folder, tmp_path, monkeypatch, caplog):
    plans = []
    monkeypatch.setattr("napari_scribseg.bench.plan.run", lambda plan, *_, **__: plans.append(plan) or [])
    monkeypatch.setattr("napari_scribseg.bench.report.write_report", lambda *_: [])
    monkeypatch.setitem(PEERS, "grabcut", Peer("cuts:GrabCut", "no_such_module"))
    data = folder(1)
    with caplog.at_level("INFO", logger="scribseg"):
        command("--out", tmp_path / "out", "--data", data)
    assert "svcd" in plans[0].methods
    assert {"random-walker", "random-walker:beta=5000", "watershed", "geodesic"} <= set(plans[0].methods)
    assert "grabcut" not in plans[0].methods
    assert re.search(r"left out: .*grabcut.*; install them with: pip install 'napari-scribseg\[bench\]'", caplog.text)
    command("--out", tmp_path / "out", "--data", data, "--peers", "none", "--engine", "svcd", "--engine", "svcd")
    assert plans[1].methods == ("svcd",)


def test_the_same_command_goes_on_and_other_rules_do_not(command, folder, tmp_path):
    data, out = folder(1), tmp_path / "out"
    arguments = ("--out", out, "--data", data, "--engine", "watershed", *SHORT)
    command(*arguments)
    before = (out / "rows.csv").read_bytes()
    command(*arguments)
    assert (out / "rows.csv").read_bytes() == before
    command(*arguments, "--engine", "geodesic")
    assert (out / "rows.csv").read_bytes().startswith(before)
    with pytest.raises(InputError, match=r"holds a run with rules\.seed = 0, now it is 7; give another folder"):
        command(*arguments, "--seed", 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "svdc"), "there is no engine or peer 'svdc'"),
        (("--engine", "svcd:smooth=3"), "has no parameter 'smooth'"),
        (("--engine", "random-walker:beta=high"), "the parameter beta is 'high'"),
        (("--engine", "grabcut:iterations=99"), "iterations is 99; expected 1 to 20"),
        (("--data", "no_such_set"), "'no_such_set' is neither a built-in data set nor a folder"),
        (("--protocol", "human"), "there is nothing to measure"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(command, folder, tmp_path, arguments, message):
    data = () if "--data" in arguments else ("--data", folder(1))
    with pytest.raises(InputError, match=message) as raised:
        command("--out", tmp_path / "out", *data, *arguments, *SHORT)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_cases_are_chosen_by_name(command, folder, tmp_path):
    out = tmp_path / "out"
    chosen = ("--case", "p2", "--case", "p0")
    assert command("--out", out, "--data", folder(3), *chosen, "--engine", "watershed", *SHORT)[0] == 0
    assert {row.case for row in ResultTable(out, Row, BenchJob).rows()} == {"p0", "p2"}


def test_a_case_that_no_data_set_has_is_reported(command, folder, tmp_path):
    with pytest.raises(InputError, match=r"no data set has a case 'p7'; they have p0, p1"):
        command("--out", tmp_path / "out", "--data", folder(2), "--case", "p1", "--case", "p7", *SHORT)
    assert not (tmp_path / "out").exists()


def test_two_data_sets_of_one_name_are_reported(command, folder, tmp_path):
    data = folder(1)
    with pytest.raises(InputError, match="two data sets are called 'pairs'"):
        command("--out", tmp_path / "out", "--data", data, "--data", data)


@pytest.mark.parametrize("arguments", [("--clicks", 1), ("--cases", 0), ("--workers", 0), ("--protocol", "mice")])
def test_options_out_of_range(command, tmp_path, arguments):
    assert command("--out", tmp_path / "out", *arguments)[0] == 2


def test_bad_input_ends_the_program_with_status_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["scribseg", "bench", "--out", str(tmp_path / "out"), "--engine", "svdc"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("scribseg: there is no engine or peer 'svdc'")


def test_an_interrupted_run_states_how_to_resume(monkeypatch, capsys, folder, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_scribseg.bench.plan.run", interrupted)
    arguments = ["--out", str(tmp_path / "out"), "--data", str(folder(1))]
    monkeypatch.setattr(sys, "argv", ["scribseg", "bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert "interrupted; finished results are kept. Run the command again to resume" in capsys.readouterr().err


def test_who_draws_strokes_is_a_rule(command, folder, tmp_path):
    data = folder(1)
    for user in ("plain", "photographs"):
        out = tmp_path / user
        command("--out", out, "--data", data, "--engine", "watershed", "--user", user, "--protocol", "strokes", *SHORT)
        assert json.loads((out / "run.json").read_text())["rules"]["strokes_user"]["hand"] == "strokes"


@pytest.fixture
def published(monkeypatch):
    """A server with the archive of ``medscribble_dev``: one image with the strokes of three people."""
    image = "MedScribble/WBC/CV/025_axis0_midslice"
    truth = np.zeros((16, 16))
    truth[4:10, 4:10] = 1
    strokes = np.zeros((2, 16, 16))
    strokes[0, 6, 5:9], strokes[1, 13, 2:14] = 1, 1
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for key, array in {"img": truth, "seg": truth, **{f"scribble_{i}": strokes for i in range(3)}}.items():
            with file.open(f"{image}/{key}.npy", "w") as member:
                np.save(member, array)
    with web_server() as web:
        one = PUBLISHED["medscribble_dev"]
        files = (dataclasses.replace(one.files[0], url=web.put("all.zip", stream.getvalue())),)
        monkeypatch.setitem(PUBLISHED, "medscribble_dev", dataclasses.replace(one, files=files))
        yield web


def test_a_data_set_is_fetched_on_request_only(command, tmp_path, published, caplog):
    root = tmp_path / "data"
    arguments = (
        "--out",
        tmp_path / "out",
        "--data",
        "medscribble_dev",
        "--root",
        root,
        "--engine",
        "watershed",
        *SHORT,
    )
    with pytest.raises(InputError, match="scribseg bench --data medscribble_dev --download shows the licence"):
        command(*arguments)
    assert not published.requested
    assert not root.exists()
    with pytest.raises(InputError, match="there is no engine or peer 'svdc'"):
        command(*arguments, "--download", "--engine", "svdc")
    assert not published.requested
    with caplog.at_level("INFO", logger="scribseg"):
        command(*arguments, "--download")
    assert published.requested == ["/all.zip"]
    lines = [record.getMessage() for record in caplog.records]
    licence = next(i for i, line in enumerate(lines) if "licence: strokes Apache-2.0" in line)
    assert licence < next(i for i, line in enumerate(lines) if f"fetching {published.address}/all.zip" in line)
    rows = ResultTable(tmp_path / "out", Row, BenchJob).rows()
    assert {(row.data, row.protocol) for row in rows} == {("medscribble_dev", "human")}
    assert len(rows) == 3
    command(*arguments, "--download")
    assert published.requested == ["/all.zip"]


def test_what_is_to_be_fetched_is_named(command, folder, tmp_path):
    for data in ((), ("--data", folder(1)), ("--data", "made_ct")):
        with pytest.raises(InputError, match="--download fetches the built-in data sets that --data names; none is"):
            command("--out", tmp_path / "out", "--download", *data)
    with pytest.raises(InputError, match="no address is known at which the authors of graz_scribbles"):
        command("--out", tmp_path / "out", "--download", "--data", "graz_scribbles", "--root", tmp_path)
    assert not (tmp_path / "out").exists()


def test_loading_the_command_loads_nothing_heavy():
    code = "import sys, napari_scribseg.bench.command; print(*(m for m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "torch",
        "numba",
        "pandas",
        "scipy",
        "skimage",
        "matplotlib",
        "SimpleITK",
        "nibabel",
        "napari_scribseg.headless",
    }
    assert not heavy & set(loaded)


@pytest.mark.parametrize("name", ["report.md", "rows.csv", "summary.csv"])
def test_files_of_other_origin_are_not_written_over(command, folder, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("of the user")
    with pytest.raises(InputError, match="holds no earlier run of this command; give a new folder"):
        command("--out", tmp_path / "out", "--data", folder(1), "--engine", "watershed", *SHORT)
    assert [p.read_text() for p in (tmp_path / "out").iterdir()] == ["of the user"]
