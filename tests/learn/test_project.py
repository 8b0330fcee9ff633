"""A project: made, opened, moved, worked on, killed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from learn_cases import ball, label, write_volume

from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.lock import InUseError
from napari_scribseg.learn import Project


def test_a_project_is_opened_as_it_was_made(project, volumes):
    again = Project.open(project.folder)
    assert [(c.id, c.name, c.background) for c in again.classes] == [
        (255, "background", True), (1, "ball", False), (2, "rim", False),
    ]  # fmt: skip
    assert again.engine == "svcd"
    assert [case.name for case in again.cases] == ["patient0", "patient1", "patient2"]
    assert {case.state for case in again.cases} == {"new"}
    assert again.case("patient1").image.path == "../images/patient1.nii.gz"
    assert again.case("patient1").counts().slices == 5
    assert Project.open(project.folder / "project.json").name == "project"


def test_bad_input_is_refused(project, tmp_path, volumes):
    def refused(words, call, *arguments, **options):
        with pytest.raises(InputError, match=words) as caught:
            call(*arguments, **options)
        assert "\n" not in str(caught.value)

    refused("is a project already", Project.create, project.folder, ["a"])
    refused("no class was named", Project.create, tmp_path / "new", [])
    refused("different names", Project.create, tmp_path / "new", ["a", "A"])
    refused("no engine", Project.create, tmp_path / "new", ["a"], engine="nonsense")
    refused("holds no project.json", Project.open, tmp_path)
    refused("is the case patient0 already", project.add_image, volumes[0])
    refused("there is no file", project.add_image, tmp_path / "missing.nii")
    refused("there is no case 'x'", project.case, "x")
    refused("there is no case '../x'", project.case, "../x")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "an object"),
        ('{"format": "x"}', "is no project"),
        ('{"format": "napari-scribseg project", "version": 9}', "newer version"),
        ('{"format": "napari-scribseg project", "version": "1"}', "damaged"),
        ('{"format": "napari-scribseg project", "version": 1}', "damaged"),
        ('{"format": "napari-scribseg project", "version": 1, "settings": {"engine": "a"}, "classes": [0]}', "damaged"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(project, text, words):
    (project.folder / "project.json").write_text(text)
    with pytest.raises(InputError, match=words):
        Project.open(project.folder)
    content = json.loads((project.folder / "cases" / "patient0" / "case.json").read_text())
    for image in (None, {}, {**content["image"], "shape": [0, 1]}, {**content["image"], "path": 3}):
        (project.folder / "cases" / "patient0" / "case.json").write_text(json.dumps({**content, "image": image}))
        with pytest.raises(InputError, match="damaged"):
            project.case("patient0")


def test_a_case_goes_on_where_it_was_left(project):
    session = project.annotate("patient1")
    painted = np.zeros((12, 16), np.uint8)
    painted[6, 8:10], painted[0, 2:14] = 1, 255
    session.draw(painted, 2)
    labels = label(session, 3)
    session.close()
    assert project.case("patient1").state == "started"
    counts = project.case("patient1").counts()
    assert (counts.accepted, counts.worked, counts.strokes, counts.by) == (1, 2, 1, {"anna": 1})
    again = Project.open(project.folder, annotator="anna")
    assert again.last.name == "patient1"
    assert again.last_slice(again.last) == SliceIndex((1, 2), (2,))
    session = again.annotate(again.last)
    np.testing.assert_array_equal(session.slice_labels(3), labels)
    assert session.accepted == {SliceIndex((1, 2), (3,))}
    with pytest.raises(InUseError, match="the case patient1 is open elsewhere"):
        again.annotate("patient1")
    assert Project.open(project.folder, annotator="ben").last is None
    assert again.finish(session) == 4
    session.close()
    assert again.case("patient1").state == "finished"


def test_classes_that_are_made_in_a_session_are_those_of_the_project(project):
    session = project.annotate("patient0")
    session.classes = session.classes.with_names(["core"])
    session.close()
    assert [c.name for c in project.classes if not c.background] == ["ball", "rim", "core"]
    other = project.annotate("patient1")
    assert [c.name for c in other.classes if not c.background] == ["ball", "rim", "core"]
    other.close()


def test_images_are_found_when_the_folders_move(project, tmp_path):
    both = tmp_path / "both"
    both.mkdir()
    shutil.move(tmp_path / "images", both / "images")
    shutil.move(project.folder, both / "project")
    moved = Project.open(both / "project")
    assert moved.read_image("patient0").shape == (5, 12, 16)
    shutil.move(both / "images", tmp_path / "elsewhere" / "pictures")
    with pytest.raises(InputError, match="the image patient1.nii.gz is not there any more"):
        moved.read_image("patient1")
    assert [case.name for case in moved.missing()] == ["patient0", "patient1", "patient2"]
    write_volume(tmp_path / "elsewhere" / "a" / "patient1.nii.gz", 7)  # of the same name, but another image
    assert [case.name for case in moved.find(tmp_path / "elsewhere")] == ["patient0", "patient1", "patient2"]
    np.testing.assert_array_equal(moved.read_image("patient1").array > 150, ball(1))
    assert moved.missing() == ()


def test_another_image_in_its_place_is_refused(project, tmp_path):
    write_volume(tmp_path / "images" / "patient1.nii.gz", 7)
    with pytest.raises(InputError, match="is another image than the one that was added"):
        project.annotate("patient1")


def test_nothing_is_lost_when_the_program_is_killed(project):
    script = f"""
import sys
import numpy as np
from napari_scribseg.learn import Project
project = Project.open({str(project.folder)!r}, annotator="anna")
session = project.annotate("patient0")
for index in range(5):
    labels = np.zeros((12, 16), np.uint8)
    labels[index : index + 3, 3:9] = 1
    session.edit(labels, index)
    session.accept(index)
    session.flush()
    print(index, flush=True)
    session.classes = session.classes.with_names([f"more {{index}}"])
sys.stdin.read()
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    done = [child.stdout.readline().strip() for _ in range(3)]
    child.kill()
    child.wait()
    child.stdout.close()
    child.stdin.close()
    assert done == ["0", "1", "2"]
    again = Project.open(project.folder, annotator="ben")
    session = again.annotate("patient0")  # the lock of the killed program is gone
    assert len(session.accepted) >= 3
    for index in range(3):
        assert session.slice_labels(index)[index : index + 3, 3:9].all()
    assert "more 1" in [c.name for c in again.classes]
    session.close()
    assert not [path.name for path in project.folder.rglob("*.tmp")]
