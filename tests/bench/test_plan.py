import dataclasses
import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image as Picture

from napari_scribseg.bench import plan as running
from napari_scribseg.bench.peers.flooding import Watershed
from napari_scribseg.bench.plan import Plan, run
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.results import BenchJob
from napari_scribseg.bench.tasks import evenly
from napari_scribseg.core import InputError
from napari_scribseg.datasets import open_folder
from napari_scribseg.io.lock import locked

RULES = Rules(corrections=1, clicks=3)
METHODS = ("watershed", "geodesic")


@pytest.fixture
def played(monkeypatch):
    """The jobs that are really played, in their order."""
    jobs, play = [], running.play

    def note(method, task, job, protocol, rules):
        jobs.append(job)
        return play(method, task, job, protocol, rules)

    monkeypatch.setattr(running, "play", note)
    return jobs


@pytest.mark.parametrize(
    ("most", "expected"), [(None, "abcde"), (9, "abcde"), (5, "abcde"), (1, "a"), (2, "ae"), (3, "ace")]
)
def test_evenly(most, expected):
    assert evenly("abcde", most) == list(expected)


def test_jobs_of_a_case_lie_together(data_set):
    plan = Plan(METHODS, (data_set(2), data_set(1, "drawn", human=True)))
    assert plan.jobs() == [
        *(BenchJob("made", case, p, m) for case in ("p0", "p1") for p in ("strokes", "clicks") for m in METHODS),
        *(BenchJob("drawn", "p0", "human", m) for m in METHODS),
    ]


def test_people_are_left_out_where_nobody_drew(data_set):
    plan = Plan(("watershed",), (data_set(1), data_set(1, "drawn", human=True)), ("human", "strokes", "human"))
    assert [(j.data, j.protocol) for j in plan.jobs()] == [
        ("made", "strokes"),
        ("drawn", "human"),
        ("drawn", "strokes"),
    ]


def test_a_run_has_a_row_for_every_interaction(data_set, tmp_path):
    reported = []
    plan = Plan(METHODS, (data_set(2),), rules=RULES)
    rows = run(plan, tmp_path / "a" / "b", progress=lambda *step: reported.append(step))
    assert {row.job for row in rows} == set(plan.jobs())
    assert not any(row.failure for row in rows)
    assert all(0 <= row.dice <= 1 and row.seed_accuracy in (0, 1) for row in rows)
    assert {row.unit for row in rows} == {"mm"}
    assert {row.interaction for row in rows if row.protocol == "strokes"} <= {1, 2}
    assert [step[:2] for step in reported] == [(i, 8) for i in range(1, 9)]
    assert reported[0][2] == "made p0, watershed"
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["finished.csv", "lock", "rows.csv", "run.json"]


def test_a_finished_run_does_nothing_again(data_set, tmp_path, played, without_times):
    plan = Plan(METHODS, (data_set(2),), rules=RULES)
    rows = run(plan, tmp_path)
    assert len(played) == 8
    before = (tmp_path / "rows.csv").read_bytes()
    assert without_times(run(plan, tmp_path)) == without_times(rows)
    assert len(played) == 8
    assert (tmp_path / "rows.csv").read_bytes() == before


def test_a_run_goes_on_where_it_stopped(data_set, tmp_path, played, without_times):
    plan = Plan(METHODS, (data_set(2),), rules=RULES)
    whole = run(plan, tmp_path / "whole")
    played.clear()

    def stop(done, *_):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "out", progress=stop)
    assert len(played) == 3
    reported = []
    rows = run(plan, tmp_path / "out", progress=lambda done, *_: reported.append(done))
    assert played == plan.jobs()
    assert reported == [4, 5, 6, 7, 8]
    assert without_times(rows) == without_times(whole)


def test_more_methods_and_data_are_added(data_set, tmp_path, played):
    run(Plan(("watershed",), (data_set(1),), rules=RULES), tmp_path)
    before = len(played)
    rows = run(Plan(METHODS, (data_set(1), data_set(1, "other")), ("clicks",), RULES), tmp_path)
    assert {(j.data, j.method) for j in played[before:]} == {
        ("made", "geodesic"), ("other", "watershed"), ("other", "geodesic")
    }  # fmt: skip
    assert {row.protocol for row in rows} == {"clicks"}  # of this plan alone
    assert {(row.data, row.method) for row in rows} == {(d, m) for d in ("made", "other") for m in METHODS}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"rules": Rules(corrections=2, clicks=3)}, "rules.corrections"),
        ({"rules": dataclasses.replace(RULES, seed=1)}, "rules.seed"),
        ({"most_slices": 2}, "slices"),
    ],
)
def test_other_rules_do_not_come_into_the_same_folder(data_set, tmp_path, changed, name):
    plan = Plan(("watershed",), (data_set(1),), ("clicks",), RULES)
    run(plan, tmp_path)
    before = (tmp_path / "rows.csv").read_bytes()
    with pytest.raises(InputError, match=f"holds a run with {name} = .*, now it is .*; give another folder") as raised:
        run(dataclasses.replace(plan, **changed), tmp_path)
    assert len(str(raised.value).splitlines()) == 1
    assert (tmp_path / "rows.csv").read_bytes() == before


@pytest.mark.parametrize("content", ["{", "[1]", "\x00"])
def test_damaged_settings_are_reported(data_set, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json is damaged .*; give another folder"):
        run(Plan(("watershed",), (data_set(1),)), tmp_path)


def test_settings_that_are_written(data_set, tmp_path):
    run(Plan(("watershed",), (data_set(1),), ("clicks",), RULES), tmp_path)
    settings = json.loads((tmp_path / "run.json").read_text())
    assert settings["rules"]["clicks"] == 3
    assert settings["rules"]["clicks_user"]["hand"] == "clicks"
    assert set(settings) == {"version", "rules", "slices", "workers", "machine", "python"}


def test_bad_plans_are_reported_before_anything_is_made(data_set, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no engine or peer 'nothing'"):
        run(Plan(("watershed", "nothing"), (data_set(1),)), out)
    for plan in (Plan(("watershed",), ()), Plan(("watershed",), (data_set(1),), ("human",))):
        with pytest.raises(InputError, match="there is nothing to measure"):
            run(plan, out)
    assert not out.exists()
    out.write_text("a file")
    with pytest.raises(InputError, match="out cannot be made"):
        run(Plan(("watershed",), (data_set(1),)), out)


def test_images_without_objects_are_reported(data_set, tmp_path):
    case = data_set(1).load("p0")
    empty = dataclasses.replace(data_set(1), read=lambda _: dataclasses.replace(case, truth=0 * case.truth))
    with pytest.raises(InputError, match="there is nothing to measure: no image has"):
        run(Plan(("watershed",), (empty,), ("strokes",), RULES), tmp_path)


def test_a_folder_where_people_drew_into_some_images(folder, tmp_path):
    data = open_folder(folder(3, drawn=(1,)))
    assert data.human_strokes
    rows = run(Plan(("watershed",), (data,), rules=RULES), tmp_path / "out")
    assert [(row.case, row.protocol, row.n_classes) for row in rows] == [("p1", "human", 3)]


def test_a_method_that_fails_does_not_end_the_run(data_set, tmp_path, monkeypatch):
    def fail(*_):
        raise MemoryError("too large")

    monkeypatch.setattr(Watershed, "segment", fail)
    monkeypatch.setattr(running, "_warmed", {})
    rows = run(Plan(METHODS, (data_set(2),), ("strokes",), RULES), tmp_path)
    assert {row.failure for row in rows if row.method == "watershed"} == {"MemoryError: too large"}
    assert not any(row.failure for row in rows if row.method == "geodesic")
    assert len({row.job for row in rows}) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_case_that_lacks_a_label_is_left_out_and_named(folder, tmp_path, caplog, workers):
    data = open_folder(folder(3))
    first = tmp_path / "pairs" / "labels" / "p0.png"
    with Picture.open(first) as picture:
        Picture.fromarray(np.minimum(picture, 1).astype(np.uint8)).save(first)
    plan = Plan(("watershed",), (data,), ("clicks",), RULES, labels=("2",))
    steps = []
    rows = run(plan, tmp_path / "out", workers=workers, progress=lambda done, total, _: steps.append((done, total)))
    assert {row.case for row in rows} == {"p1", "p2"}
    assert steps[-1] == (3, 3)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["left out: p0: its truth has no label '2'; it has class 1"]
    with pytest.raises(InputError, match="p0: its truth has no label '9'"):
        run(dataclasses.replace(plan, labels=("9",)), tmp_path / "none", workers=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_cases_after_one_that_cannot_be_read_are_measured(folder, tmp_path, workers):
    data = open_folder(folder(3))
    (tmp_path / "pairs" / "labels" / "p0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"p0\.png"):
        run(Plan(("watershed",), (data,), ("clicks",), RULES), tmp_path / "out", workers=workers)
    assert len((tmp_path / "out" / "finished.csv").read_text().splitlines()) == 3


def test_a_case_that_cannot_be_read_keeps_what_was_measured(folder, tmp_path):
    data = open_folder(folder(2))
    path = tmp_path / "pairs" / "labels" / "p1.png"
    content = path.read_bytes()
    path.write_bytes(b"no picture")
    plan = Plan(("watershed",), (data,), ("clicks",), RULES)
    with pytest.raises(InputError, match=r"p1\.png"):
        run(plan, tmp_path / "out")
    assert len((tmp_path / "out" / "finished.csv").read_text().splitlines()) == 2
    path.write_bytes(content)
    assert {row.case for row in run(plan, tmp_path / "out")} == {"p0", "p1"}


def test_two_processes_give_the_same_rows(folder, tmp_path, without_times):
    plan = Plan(METHODS, (open_folder(folder(3)),), ("clicks",), RULES)
    alone, together = run(plan, tmp_path / "one"), run(plan, tmp_path / "two", workers=2)
    assert {row.job for row in together} == set(plan.jobs())
    assert without_times(together) == without_times(alone)
    with pytest.raises(InputError, match="holds a run with workers = 1, now it is 2"):
        run(plan, tmp_path / "one", workers=2)


def test_no_library_of_threads_is_loaded_before_a_process_takes_its_cores():
    code = "import sys, napari_scribseg.bench.plan; print(*{'torch', 'numba', 'SimpleITK', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


KILLED = """
    import os, signal, sys
    from dataclasses import astuple
    from pathlib import Path
    from napari_scribseg.bench.play import Rules
    from napari_scribseg.bench.plan import Plan, run
    from napari_scribseg.datasets import open_folder
    from napari_scribseg.io.run_folder import ResultTable
    from napari_scribseg.io.sheets import csv_text

    data, out, where = sys.argv[1:]
    add = ResultTable.add

    def killed(self, job, those):
        if len(self.finished) == 3:
            text = csv_text([astuple(row) for row in those])
            with (Path(out) / "rows.csv").open("a") as file:
                file.write(text[: len(text) // 2 + 5] if where == "in a line" else text)
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, job, those)

    ResultTable.add = killed
    rules = Rules(corrections=1, clicks=3)
    run(Plan(("watershed", "geodesic"), (open_folder(Path(data)),), ("clicks",), rules), Path(out))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill so")
@pytest.mark.parametrize("where", ["in a line", "before finished"])
def test_a_killed_run_goes_on_where_it_stopped(folder, tmp_path, played, without_times, where):
    root = folder(3)
    plan = Plan(METHODS, (open_folder(root),), ("clicks",), RULES)
    whole = run(plan, tmp_path / "whole")
    played.clear()
    (tmp_path / "killed.py").write_text(textwrap.dedent(KILLED))
    process = subprocess.run([sys.executable, tmp_path / "killed.py", root, tmp_path / "out", where])
    assert process.returncode == -signal.SIGKILL
    assert len((tmp_path / "out" / "finished.csv").read_text().splitlines()) == 4
    assert len((tmp_path / "out" / "rows.csv").read_bytes()) > 0
    rows = run(plan, tmp_path / "out")
    assert played == plan.jobs()[3:]
    assert without_times(rows) == without_times(whole)
    assert len({(row.job, row.image, row.interaction) for row in rows}) == len(rows) == len(whole)
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.endswith(".tmp")]


def test_two_runs_do_not_share_a_folder(data_set, tmp_path):
    plan = Plan(METHODS, (data_set(1),), ("strokes",), RULES)
    with locked(tmp_path / "lock"), pytest.raises(InputError, match="another run is at work with"):
        run(plan, tmp_path)
    assert not (tmp_path / "rows.csv").exists()
