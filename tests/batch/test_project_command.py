"""The commands ``scribseg project``, from the first image to the exported data set."""

import json
import shutil

import pytest
from learn_cases import label, write_volume
from typer.testing import CliRunner

from napari_scribseg.cli import app
from napari_scribseg.core import InputError
from napari_scribseg.learn import Project


def run(*words, status=0):
    result = CliRunner().invoke(app, ["project", *map(str, words)])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.fixture
def made(tmp_path):
    """A project of two volumes."""
    images = [write_volume(tmp_path / "images" / f"p{i}.nii.gz", i) for i in range(2)]
    folder = tmp_path / "project"
    assert run("create", folder, "--class", "ball", "--class", "rim", "--engine", "svcd").strip() == str(folder)
    assert run("add", folder, *images).split() == ["p0", "p1"]
    return folder


def annotate(folder, who, case, shift=0, finish=True):
    project = Project.open(folder, annotator=who)
    session = project.annotate(case)
    label(session, 2, shift=shift)
    if finish:
        project.finish(session)
    session.close()


def test_the_status_shows_cases_and_what_comes_next(made):
    annotate(made, "anna", "p0")
    shown = run("status", made).splitlines()
    assert shown[0].split() == ["case", "state", "accepted", "strokes", "by"]
    assert shown[1].split() == ["p0", "finished", "5", "of", "5", "0", "anna", "5"]
    assert shown[2].split() == ["p1", "new", "0", "of", "5", "0"]
    assert shown[3] == "1 of 2 cases finished, 5 of 10 slices accepted, about 0 strokes left"
    assert shown[4] == "next: p1, z 2"


def test_copies_are_merged_and_conflicts_end(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "copy")
    annotate(made, "anna", "p0", finish=False)
    annotate(copy, "ben", "p0", shift=2, finish=False)
    annotate(copy, "ben", "p1", finish=False)
    assert run("merge", made, copy).strip() == "0 cases, 1 slices and 0 networks added; 1 slices in conflict"
    shown = run("status", made, "--agreement")
    assert "p0, z 2: anna and ben differ on" in shown
    assert "that of anna is shown (scribseg project resolve)" in shown
    assert shown.splitlines()[-1].split()[:4] == ["ball", "anna,", "ben", "1"]
    with pytest.raises(InputError, match="p0 has no such conflict"):
        run("resolve", made, "p0", "--keep", "other", "--slice", "z 4")
    assert run("resolve", made, "p0", "--keep", "other").strip() == "p0, z 2"
    assert "differ" not in run("status", made)
    assert Project.open(made).case("p0").counts().by == {"ben": 1}
    session = Project.open(made).annotate("p0")
    assert run("merge", made, copy, "--prefer", "newest", status=1)
    session.close()


def test_moved_images_are_found(made, tmp_path):
    shutil.move(tmp_path / "images", tmp_path / "far" / "away")
    assert "image missing" in run("status", made)
    assert run("find", made, tmp_path / "far").split() == ["p0", "p1"]
    assert "image missing" not in run("status", made)
    shutil.rmtree(tmp_path / "far")
    run("find", made, tmp_path, status=1)


def test_a_data_set_is_exported_and_added_elsewhere(made, tmp_path):
    annotate(made, "anna", "p0")
    out = tmp_path / "Dataset001_Ball"
    assert run("export", made, "nnunet", out).strip() == str(out / "dataset.json")
    assert json.loads((out / "dataset.json").read_text())["numTraining"] == 1
    run("create", tmp_path / "new", "--class", "ball")
    assert run("add", tmp_path / "new", out, "--annotator", "carla").split() == ["p0"]
    assert Project.open(tmp_path / "new").case("p0").counts().by == {"carla": 5}
    with pytest.raises(InputError, match="holds files already"):
        run("export", made, "monai", out)


def test_images_that_cannot_be_added_are_skipped(made, tmp_path):
    (tmp_path / "images" / "broken.nii.gz").write_bytes(b"no image")
    write_volume(tmp_path / "images" / "p2.nii.gz", 2)
    result = CliRunner().invoke(app, ["project", "add", str(made), str(tmp_path / "images")])
    assert result.exit_code == 0
    assert result.stdout.split() == ["p2"]
    assert result.stderr.count("skipped: ") == 3
    with pytest.raises(InputError, match="there is no file"):
        run("add", made, tmp_path / "nothing.nii")


def test_cases_are_drafted_by_what_was_learned(made, tmp_path, monkeypatch):
    from napari_scribseg.learn import LearnSettings, from_cases

    learn = from_cases.learn_in_subprocess
    short = LearnSettings(steps=4, again=2, batch=2, side=32)
    monkeypatch.setattr(from_cases, "learn_in_subprocess", lambda *a, **o: learn(*a, **{**o, "settings": short}))
    with pytest.raises(InputError, match="no network was learned"):
        run("draft", made)
    annotate(made, "anna", "p0")
    write_volume(tmp_path / "images" / "p2.nii.gz", 2)
    run("add", made, tmp_path / "images" / "p2.nii.gz")
    assert run("learn", made).startswith("learned from 5 slices of 1 cases")
    network = tmp_path / "ball.safetensors"
    assert run("export", made, "network", network).strip() == str(network)
    run("create", tmp_path / "second", "--class", "ball")
    assert run("add", tmp_path / "second", network).strip() == str(network)
    assert run("draft", made).splitlines() == ["p1: 5 slices", "p2: 5 slices"]
    assert "drafted" in run("status", made)
    (tmp_path / "images" / "p2.nii.gz").unlink()
    assert run("draft", made, "p1", "p2", status=1).splitlines() == ["p1: 5 slices"]


def test_workers_of_dask_draft(made, tmp_path):
    pytest.importorskip("distributed")
    from two_discs import CLASSES, examples_from

    from napari_scribseg.batch.project_drafts import draft_cases
    from napari_scribseg.learn import LearnSettings, learn

    project = Project.open(made)
    project.networks_folder.mkdir()
    short = LearnSettings(steps=2, again=2, batch=2, side=32)
    learn(examples_from(0, 3), CLASSES, settings=short).save(project.networks_folder / "0001.safetensors")
    seen = []
    outcomes = draft_cases(project, workers=2, progress=lambda outcome, done, total: seen.append((done, total)))
    assert {(outcome.case, outcome.slices, outcome.error) for outcome in outcomes} == {("p0", 5, ""), ("p1", 5, "")}
    assert seen == [(1, 2), (2, 2)]
    assert project.status().states["drafted"] == 2
