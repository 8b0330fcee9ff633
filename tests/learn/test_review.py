"""What comes next, how much is left, and how far people agree."""

import shutil

import numpy as np
import pytest
from learn_cases import ball, label

from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.learn import Project
from napari_scribseg.learn.annotators import mean_agreement


def strokes(session, index, left=6):
    painted = np.zeros((12, 16), np.uint8)
    painted[5:7, left : left + 3], painted[0, 2:14] = 1, 255
    session.draw(painted, index).result()


@pytest.fixture
def begun(project):
    """Three cases: the first with two accepted slices and three filled, one with a fill between, one new."""
    session = project.annotate("patient0")
    strokes(session, 1)
    strokes(session, 1, left=7)
    session.accept(1)
    strokes(session, 3)
    session.accept(3)
    session.close()
    session = project.annotate("patient2")
    strokes(session, 0)
    strokes(session, 4)
    session.fill(0, 4).result()
    session.close()
    return project


def test_the_status_counts_and_estimates(begun):
    status = begun.status()
    assert status.states == {"new": 1, "drafted": 0, "started": 2, "finished": 0}
    assert (status.accepted, status.slices, status.strokes) == (2, 15, 5)
    assert status.strokes_left == pytest.approx(13 * 3 / 2)
    assert str(status) == "0 of 3 cases finished, 2 of 15 slices accepted, about 20 strokes left"
    session = begun.annotate("patient0")
    begun.finish(session)
    session.close()
    assert begun.status().strokes_left == pytest.approx(10 * 3 / 5)


def test_a_project_without_accepted_slices_estimates_nothing(project):
    assert project.status().strokes_left is None
    assert str(project.status()) == "0 of 3 cases finished, 0 of 15 slices accepted"


def test_the_queue_has_what_is_left_in_the_order_of_its_doubt(begun):
    queue = begun.queue()
    assert [place.case for place in queue] == ["patient2", "patient0", "patient1"]
    assert queue[0].doubt > 0
    assert queue[1].doubt is None
    assert queue[0].slice_index in {SliceIndex((1, 2), (z,)) for z in (1, 2, 3)}
    assert queue[2].slice_index == SliceIndex((1, 2), (2,))
    assert [place.case for place in begun.queue("listed")] == ["patient0", "patient1", "patient2"]
    assert [place.case for place in begun.queue("listed", first="patient1")] == ["patient1", "patient0", "patient2"]
    orders = {tuple(place.case for place in begun.queue("random", seed=seed)) for seed in range(20)}
    assert len(orders) > 1
    assert begun.queue("random", seed=3) == begun.queue("random", seed=3)
    with pytest.raises(InputError, match="the order is 'gain'; expected one of doubt"):
        begun.queue("gain")


def test_the_next_place_leaves_out_what_is_finished_and_where_one_is(begun):
    assert begun.next(after="patient2").case == "patient0"
    session = begun.annotate("patient2")
    begun.finish(session)
    session.close()
    assert begun.next().case == "patient0"
    for name in ("patient0", "patient1"):
        session = begun.annotate(name)
        begun.finish(session)
        session.close()
    assert begun.next() is None
    assert begun.queue() == []


def test_what_is_open_is_read_as_it_was_saved(begun):
    session = begun.annotate("patient1")
    label(session, 2)
    session.flush()
    assert begun.status().accepted == 3
    assert [place.case for place in begun.queue("listed")] == ["patient0", "patient1", "patient2"]
    session.close()


def test_agreement_of_people(project, tmp_path):
    shutil.copytree(project.folder, tmp_path / "ben")
    copy = Project.open(tmp_path / "ben", annotator="ben")
    for each, shift in ((project, 0), (copy, 1)):
        session = each.annotate("patient0")
        label(session, 2, shift=shift)
        label(session, 1)
        label(session, 0, identity=1 + shift)
        session.close()
    assert project.agreement() == ()
    project.merge(copy)
    rows = project.agreement()
    assert {(row.case, row.who, row.whom) for row in rows} == {("patient0", "anna", "ben")}
    by_place = {(row.slice_index.position[0], row.name): row for row in rows}
    assert by_place[1, "ball"].dice == 1
    assert by_place[1, "ball"].surface == 0
    mask = ball(0)[2]
    moved = np.roll(mask, 1, axis=1)
    assert by_place[2, "ball"].dice == pytest.approx(2 * (mask & moved).sum() / (2 * mask.sum()))
    assert 0 < by_place[2, "ball"].surface < 0.8
    means = {(m.name, m.slices): m.dice for m in mean_agreement(rows)}
    assert set(means) == {("ball", 2)}


def test_a_case_that_cannot_be_read_stops_no_other(begun, tmp_path):
    content = begun.case("patient0").session_file.read_bytes()
    begun.case("patient0").session_file.write_bytes(content[: len(content) // 2])
    assert begun.case("patient0").state == "unreadable"
    assert begun.status().states == {"new": 1, "drafted": 0, "started": 1, "finished": 0, "unreadable": 1}
    assert [place.case for place in begun.queue("listed")] == ["patient1", "patient2"]
    with pytest.raises(InputError, match="the case patient0 cannot be read"):
        begun.export("nnunet", tmp_path / "out", only="all")
    begun.case("patient0").session_file.write_bytes(content)
    assert begun.case("patient0").state == "started"
