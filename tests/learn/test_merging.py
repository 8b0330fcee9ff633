"""Copies of a project are worked on by several people, and merged."""

import shutil

import numpy as np
import pytest
from learn_cases import label, write_volume

from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn import Project, merging
from napari_scribseg.learn.merging import versions_by_person


def at(index):
    return SliceIndex((1, 2), (index,))


def work(project, case, function):
    session = project.annotate(case)
    function(session)
    session.close()


@pytest.fixture
def copy(project, tmp_path):
    """Ben's copy of the project, beside the same images."""
    shutil.copytree(project.folder, tmp_path / "ben")
    return Project.open(tmp_path / "ben", annotator="ben")


def test_cases_strokes_and_accepted_slices_come_together(project, copy, tmp_path):
    work(project, "patient0", lambda session: label(session, 2))
    work(copy, "patient0", lambda session: label(session, 3))
    work(copy, "patient1", lambda session: label(session, 1))
    new = copy.add_image(write_volume(tmp_path / "more" / "patient0.nii.gz", 5))
    assert new.name == "patient0-2"
    work(copy, new, lambda session: label(session, 0))
    report = project.merge(copy.folder)
    assert report.added == ("patient0-2",)
    assert report.slices == {"patient0": 1, "patient1": 1, "patient0-2": 1}
    assert report.conflicts == {}
    assert project.case("patient0").counts().by == {"anna": 1, "ben": 1}
    session = project.annotate("patient0-2")
    assert session.accepted == {at(0)}
    session.close()
    again = project.merge(copy.folder)
    assert (again.added, again.slices, again.conflicts) == ((), {}, {})


def test_both_versions_of_a_slice_are_kept_and_one_is_chosen(project, copy):
    work(project, "patient0", lambda session: label(session, 2))
    work(copy, "patient0", lambda session: label(session, 2, shift=2))
    report = project.merge(copy)
    assert report.conflicts == {"patient0": 1}
    ((case, conflict),) = project.conflicts
    assert (case.name, conflict.slice_index, conflict.chosen, conflict.other) == ("patient0", at(2), "anna", "ben")
    versions = versions_by_person(case)[at(2)]
    np.testing.assert_array_equal(np.roll(versions["anna"].labels, 2, axis=1), versions["ben"].labels)
    assert project.merge(copy).conflicts == {}
    project.resolve(case, conflict, "other")
    assert project.conflicts == ()
    session = project.annotate("patient0")
    np.testing.assert_array_equal(session.slice_labels(2), versions["ben"].labels)
    session.close()
    now = versions_by_person(project.case("patient0"))[at(2)]
    np.testing.assert_array_equal(now["anna"].labels, versions["anna"].labels)
    assert project.merge(copy).conflicts == {}
    with pytest.raises(InputError, match="no such conflict"):
        project.resolve(case, conflict, "chosen")


def test_a_decision_goes_on_to_the_other_copy(project, copy):
    work(project, "patient0", lambda session: label(session, 2))
    work(copy, "patient0", lambda session: label(session, 2, shift=2))
    project.merge(copy)
    ((case, conflict),) = project.conflicts
    project.resolve(case, conflict, "chosen")
    report = copy.merge(project)
    assert report.conflicts == {}
    assert report.slices == {"patient0": 1}
    assert {v.by for v in versions_by_person(copy.case("patient0"))[at(2)].values()} == {"anna", "ben"}


def test_merging_three_copies_keeps_all_people(project, copy, tmp_path):
    shutil.copytree(project.folder, tmp_path / "carla")
    carla = Project.open(tmp_path / "carla", annotator="carla")
    for shift, each in enumerate((project, copy, carla)):
        work(each, "patient0", lambda session, shift=shift: label(session, 2, shift=shift))
    copy.merge(carla)
    project.merge(copy)
    assert set(versions_by_person(project.case("patient0"))[at(2)]) == {"anna", "ben", "carla"}


def test_classes_of_the_same_name_are_one_class(project, copy):
    project.classes = project.classes.with_names(["core"])
    copy.classes = copy.classes.with_names(["shell", "core"])
    assert [c.name for c in copy.classes if not c.background] == ["ball", "rim", "shell", "core"]
    work(copy, "patient0", lambda session: (label(session, 1, identity=3), label(session, 2, identity=4)))
    project.merge(copy)
    assert {c.id: c.name for c in project.classes if not c.background} == {1: "ball", 2: "rim", 3: "core", 4: "shell"}
    session = project.annotate("patient0")
    assert set(np.unique(session.slice_labels(1))) == {0, 4}
    assert set(np.unique(session.slice_labels(2))) == {0, 3}
    session.close()


def test_an_open_case_is_left_and_reported(project, copy):
    work(copy, "patient0", lambda session: label(session, 2))
    session = project.annotate("patient0")
    assert project.merge(copy).in_use == ("patient0",)
    session.close()
    report = project.merge(copy)
    assert (report.in_use, report.slices) == ((), {"patient0": 1})


def test_bad_input_is_refused(project, copy, tmp_path):
    with pytest.raises(InputError, match="is the project itself"):
        project.merge(project.folder)
    with pytest.raises(InputError, match="holds no project.json"):
        project.merge(tmp_path)
    with pytest.raises(InputError, match="the rule is 'mine'; expected one of ours, theirs, newest"):
        project.merge(copy, "mine")


@pytest.mark.parametrize("broken", ["store_versions", "write_case", "SessionWriter"])
def test_a_merge_that_ends_early_is_finished_by_the_next(project, copy, monkeypatch, broken):
    work(project, "patient0", lambda session: (label(session, 2), label(session, 1)))
    work(copy, "patient0", lambda session: (label(session, 2, shift=2), label(session, 3)))

    def fail(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(merging, broken, fail)
        with pytest.raises(KeyboardInterrupt):
            project.merge(copy)
    project.merge(copy)
    ((case, conflict),) = project.conflicts
    assert set(versions_by_person(case)[at(2)]) == {"anna", "ben"}
    assert case.counts().by == {"anna": 2, "ben": 1}
    project.resolve(case, conflict, "other")
