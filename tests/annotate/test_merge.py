"""Two copies of a session are brought together, and nothing of either is lost."""

import numpy as np
import pytest

from napari_scribseg.annotate.merge import merge_sessions, versions_of
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.sidecar import SessionWriter, read
from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.source import SliceIndex, Source


def at(index):
    return SliceIndex((1, 2), (index,))


def mask(low, high=None, identity=1):
    labels = np.zeros((12, 16), np.uint8)
    labels[low : high or low + 4, 3:9] = identity
    return labels


@pytest.fixture
def make_engine(engines):
    return lambda name, **parameters: engines[name](**parameters)


@pytest.fixture
def copies(volume, engines, make_engine, painted, tmp_path):
    """Two copies of a session with one slice of strokes and one accepted, each with a function that works on it."""
    first = Session(volume, engines["nearest"](), classes=ClassTable.from_ids([1, 2], background=2))
    first.annotator = "anna"
    first.draw(painted, 0)
    first.edit(mask(2), 1)
    first.accept(1)
    first.save(tmp_path / "anna")
    first.save(tmp_path / "ben")

    def work(name, function):
        session = Session.load(tmp_path / name, volume, make_engine=make_engine)
        session.annotator = name
        function(session)
        session.save(tmp_path / name)
        return read(tmp_path / name)

    return work


@pytest.fixture
def opened(volume, make_engine, tmp_path):
    """Opens a merged session from its file."""

    def opening(snapshot):
        SessionWriter().write(snapshot, tmp_path / "merged")
        return Session.load(tmp_path / "merged", volume, make_engine=make_engine)

    return opening


def accept(session, index, labels):
    session.reopen(index)
    session.edit(labels, index)
    session.accept(index)


def test_a_copy_that_went_on_is_taken_whole(copies, painted):
    ours = copies("anna", lambda session: None)
    theirs = copies("ben", lambda session: (session.draw(painted, 3), accept(session, 4, mask(5))))
    merged = merge_sessions(ours, theirs)
    assert [entry.kind for entry in merged.snapshot.entries] == [entry.kind for entry in theirs.entries]
    assert merged.taken == (at(3), at(4))
    assert merged.conflicts == merged.kept == ()
    back = merge_sessions(theirs, ours)
    assert back.snapshot is theirs
    assert back.taken == ()


def test_what_only_one_copy_changed_comes_from_there(copies, opened, painted):
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: (session.draw(painted, 2), accept(session, 4, mask(5))))
    merged = merge_sessions(ours, theirs)
    assert merged.taken == (at(2), at(4))
    assert merged.conflicts == merged.kept == ()
    session = opened(merged.snapshot)
    assert session.accepted == {at(1), at(3), at(4)}
    np.testing.assert_array_equal(session.slice_labels(4), mask(5))
    np.testing.assert_array_equal(session.slice_labels(3), mask(6))
    np.testing.assert_array_equal(session.painted(2), painted)
    np.testing.assert_array_equal(session.painted(0), painted)
    who = {slice_index: version.by for slice_index, version in versions_of(merged.snapshot).items()}
    assert who == {at(0): "anna", at(1): "anna", at(2): "ben", at(3): "anna", at(4): "ben"}
    again = merge_sessions(merged.snapshot, theirs)
    assert again.snapshot is merged.snapshot


def test_a_reopened_slice_that_only_one_copy_changed_is_no_conflict(copies, opened):
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: accept(session, 1, mask(7)))
    merged = merge_sessions(ours, theirs)
    assert merged.conflicts == ()
    np.testing.assert_array_equal(opened(merged.snapshot).slice_labels(1), mask(7))


@pytest.mark.parametrize(("prefer", "shown", "stored"), [("ours", 6, 5), ("theirs", 5, 6), ("newest", 5, 6)])
def test_of_two_accepted_versions_one_is_chosen_and_the_other_stays(copies, opened, prefer, shown, stored):
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: accept(session, 3, mask(5)))
    merged = merge_sessions(ours, theirs, prefer=prefer)
    (conflict,) = merged.conflicts
    np.testing.assert_array_equal(opened(merged.snapshot).slice_labels(3), mask(shown))
    np.testing.assert_array_equal(conflict.chosen.labels, mask(shown))
    (kept,) = merged.kept
    np.testing.assert_array_equal(kept.labels, mask(stored))
    assert kept is conflict.other
    assert {conflict.chosen.by, conflict.other.by} == {"anna", "ben"}
    assert conflict.differing == 12


def test_an_accepted_version_is_taken_instead_of_one_that_is_not(copies, opened):
    ours = copies("anna", lambda session: session.edit(mask(6), 3))
    theirs = copies("ben", lambda session: accept(session, 3, mask(5)))
    merged = merge_sessions(ours, theirs)
    session = opened(merged.snapshot)
    assert session.is_accepted(at(3))
    np.testing.assert_array_equal(session.slice_labels(at(3)), mask(5))
    assert merged.conflicts == ()
    np.testing.assert_array_equal(merged.kept[0].labels, mask(6))
    back = merge_sessions(theirs, ours)
    assert back.taken == back.conflicts == ()
    np.testing.assert_array_equal(back.kept[0].labels, mask(6))


def test_a_second_person_who_accepted_the_same_is_noted(copies):
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: accept(session, 3, mask(6)))
    merged = merge_sessions(ours, theirs)
    assert merged.taken == merged.conflicts == ()
    assert [(version.by, version.slice_index) for version in merged.kept] == [("ben", at(3))]


def test_a_conflict_is_found_once(copies):
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: accept(session, 3, mask(5)))
    merged = merge_sessions(ours, theirs, prefer="theirs")
    assert merge_sessions(merged.snapshot, theirs, prefer="ours").conflicts == ()
    stays = merge_sessions(ours, theirs, prefer="ours")
    assert len(merge_sessions(stays.snapshot, theirs).conflicts) == 1
    assert merge_sessions(stays.snapshot, theirs, stored=[theirs]).conflicts == ()


def test_an_accepted_slice_that_crosses_keeps_its_voxels(copies, opened):
    across = SliceIndex((0, 2), (6,))
    tall = np.zeros((6, 16), np.uint8)
    tall[2:, 10:14] = 1  # slice 1 is accepted
    ours = copies("anna", lambda session: (session.edit(tall, across), session.accept(across)))
    theirs = copies("ben", lambda session: accept(session, 4, mask(5)))
    session = opened(merge_sessions(ours, theirs).snapshot)
    np.testing.assert_array_equal(session.slice_labels(across), tall)
    expected = mask(5)
    expected[6] = tall[4]
    np.testing.assert_array_equal(session.slice_labels(at(4)), expected)
    assert {at(4), across} <= session.accepted


def test_ids_of_another_table_are_mapped(copies, opened, painted):
    ours = copies("anna", lambda session: None)
    theirs = copies("ben", lambda session: (session.draw(painted, 3), accept(session, 4, mask(5))))
    session = opened(merge_sessions(ours, theirs, ids={1: 7, 2: 1}).snapshot)
    np.testing.assert_array_equal(session.slice_labels(at(4)), 7 * mask(5))
    np.testing.assert_array_equal(session.painted(at(3)), np.array([0, 7, 1])[painted])
    assert 7 in session.classes


def test_strokes_that_nothing_was_computed_from_are_taken(copies, opened):
    one = np.zeros((12, 16), np.uint8)
    one[3, 3:6] = 1
    ours = copies("anna", lambda session: accept(session, 3, mask(6)))
    theirs = copies("ben", lambda session: session.draw(one, 5))
    assert not [entry for entry in theirs.entries if entry.slice_index == at(5)]
    np.testing.assert_array_equal(opened(merge_sessions(ours, theirs).snapshot).painted(at(5)), one)


def test_sessions_of_other_shapes_are_refused(copies, engines, tmp_path):
    ours = copies("anna", lambda session: None)
    Session(Source.from_array(np.zeros((3, 4, 5))), engines["nearest"]()).save(tmp_path / "small")
    with pytest.raises(InputError, match=r"shape \(6, 12, 16\) and \(3, 4, 5\)"):
        merge_sessions(ours, read(tmp_path / "small"))
