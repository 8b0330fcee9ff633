"""Tools and brushes on the result, as steps of a session."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_scribseg.annotate import Inbox, Worker
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.numerics.editing import (
    CopySlices,
    FillHoles,
    Grow,
    KeepLargest,
    Split,
    Threshold,
    edit_labels,
)


def across(index):
    return SliceIndex((1, 2), (index,))


@pytest.fixture
def volume():
    rng = np.random.default_rng(0)
    return Source.from_array(rng.integers(0, 100, (6, 12, 16)).astype(np.int16), spacing=(3.0, 1.0, 1.0))


@pytest.fixture
def labels():
    """A block of class 2 with a hole and an island, and a block of class 3 beside it."""
    made = np.zeros((6, 12, 16), np.uint8)
    made[1:5, 2:10, 2:9] = 2
    made[2:4, 5, 5] = 0
    made[0, 0, 15] = 2
    made[1:5, 2:10, 9:12] = 3
    return made


@pytest.fixture
def session(volume, labels, engines):
    classes = ClassTable.from_ids([2, 3], background=1)
    return Session(volume, engines["nearest"](), classes=classes, labels=labels.copy())


def saved_and_loaded(session, volume, engines, tmp_path, replay=False):
    path = tmp_path / "a.scribseg"
    session.save(path)
    method = Session.replay if replay else Session.load
    return method(path, volume, make_engine=lambda _name, **parameters: engines["nearest"](**parameters))


def test_a_tool_on_the_volume_is_one_step_and_its_undo_is_exact(session, labels):
    expected = edit_labels(labels, Grow(3.0), 2, spacing=(3.0, 1.0, 1.0), over="all")
    found = session.apply(Grow(3.0), 2, 0, 5, over="all").result()
    np.testing.assert_array_equal(session.labels, expected)
    assert set(found) == {across(z) for z in range(6) if (labels[z] != expected[z]).any()}
    assert session.undo()
    np.testing.assert_array_equal(session.labels, labels)
    assert not session.can_undo
    assert session.redo()
    np.testing.assert_array_equal(session.labels, expected)


def test_a_tool_changes_only_its_slices(session, labels):
    session.apply(FillHoles(), 2, 2).result()
    expected = labels.copy()
    expected[2, 5, 5] = 2
    np.testing.assert_array_equal(session.labels, expected)
    session.apply(Grow(1.0), 2, 3, 4, each_slice=True).result()
    for z in (3, 4):
        expected[z] = edit_labels(labels[z], Grow(1.0), 2)
    np.testing.assert_array_equal(session.labels, expected)


def test_slices_along_another_axis(session, labels):
    sagittal = SliceIndex((0, 1), (5,))
    session.apply(Grow(3.0), 2, sagittal).result()
    expected = labels.copy()
    expected[:, :, 5] = edit_labels(labels[:, :, 5], Grow(3.0), 2, spacing=(3.0, 1.0))
    np.testing.assert_array_equal(session.labels, expected)


def test_a_preview_changes_nothing(session, labels):
    version = session.version
    found = session.apply(KeepLargest(), 2, 0, 5, preview=True).result()
    assert list(found) == [across(0)]
    assert not found[across(0)].any()
    np.testing.assert_array_equal(session.labels, labels)
    assert session.version == version
    assert not session.can_undo


def test_accepted_slices_and_locked_classes_stay(session, labels):
    session.accept(2)
    session.accept(SliceIndex((0, 2), (4,)))
    session.classes = session.classes.with_class(LabelClass(3, "spleen", (1, 0, 0, 1), locked=True))
    session.apply(Grow(3.0), 2, 0, 5, over="all").result()
    np.testing.assert_array_equal(session.labels[2], labels[2])
    np.testing.assert_array_equal(session.labels[:, 4], labels[:, 4])
    np.testing.assert_array_equal(session.labels == 3, labels == 3)
    assert (session.labels[1] != labels[1]).any()
    with pytest.raises(InputError, match="spleen is locked; unlock it"):
        session.apply(Grow(), 3, 0, 5)
    with pytest.raises(InputError, match="z 2 is accepted and therefore locked"):
        session.apply(Grow(), 2, 2)
    with pytest.raises(InputError, match="background is the background; choose the class"):
        session.apply(Grow(), 1, 2)


def test_what_fails_is_reported_and_changes_nothing(session, labels):
    failures = []
    session.events.failed.connect(lambda where, error: failures.append((where, str(error))))
    future = session.apply(Grow(), 9, 0, 5)
    with pytest.raises(InputError, match="no voxels of the class 9"):
        future.result()
    assert failures == [(across(0), "there are no voxels of the class 9 in what is to be edited")]
    np.testing.assert_array_equal(session.labels, labels)
    assert session.doing is None


def test_the_image_is_thresholded_where_the_class_is(session, labels, volume):
    session.apply(Threshold(20, 60), 2, 1, 4).result()
    outside = (labels == 2) & ((volume.array < 20) | (volume.array > 60))
    outside[[0, 5]] = False
    np.testing.assert_array_equal(session.labels, np.where(outside, 0, labels))


def test_labels_are_copied_to_another_slice(session, labels):
    session.apply(CopySlices(to=5), 3, 1).result()
    np.testing.assert_array_equal(session.labels[5] == 3, labels[1] == 3)
    session.undo()
    session.apply(CopySlices(to=0, move=True), 3, 3, 4).result()
    np.testing.assert_array_equal(session.labels[0] == 3, labels[3] == 3)
    assert (session.labels[[3, 4]] != 3).all()


def test_split_parts_get_names(session):
    session.classes = session.classes.with_class(LabelClass(2, "liver", (1, 0, 0, 1)))
    session.apply(Split(neck=1.0), 2, 0, 5).result()
    assert [c.name for c in session.classes] == ["background", "liver", "class 3", "liver 2"]
    assert session.labels[0, 0, 15] == 2 or (session.labels == 4).any()


def test_undo_removes_the_classes_that_a_tool_made_and_redo_brings_them_back(session):
    session.classes = session.classes.with_class(LabelClass(2, "liver", (1, 0, 0, 1)))
    before = session.classes
    session.apply(Split(neck=1.0), 2, 0, 5).result()
    made = session.classes
    assert len(made) > len(before)
    session.undo()
    assert session.classes == before
    session.redo()
    assert session.classes == made
    named = made.with_class(replace(made[4], name="spleen"))
    session.classes = named
    session.undo()
    assert session.classes == named  # what the user named stays


def test_a_series_is_edited_at_one_time(engines):
    labels = np.zeros((2, 3, 8, 8), np.uint8)
    labels[:, 1, 3:5, 3:5] = 2
    source = Source.from_array(np.zeros(labels.shape, np.float32))
    session = Session(source, engines["nearest"](), labels=labels.copy())
    session.apply(Grow(1.0), 2, SliceIndex((2, 3), (1, 0)), SliceIndex((2, 3), (1, 2))).result()
    np.testing.assert_array_equal(session.labels[0], labels[0])
    np.testing.assert_array_equal(session.labels[1], edit_labels(labels[1], Grow(1.0), 2))


def test_an_image_of_one_slice(engines):
    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6], labels[4, 4] = 2, 0
    session = Session(Source.from_array(np.zeros((8, 8), np.float32)), engines["nearest"](), labels=labels)
    session.apply(FillHoles(), 2).result()
    assert (session.labels == 2).sum() == 16


# brush and eraser on the result


def strokes(columns, ids):
    painted = np.zeros((12, 16), np.uint8)
    painted[3, list(columns)] = ids
    return painted


def test_painted_pixels_of_the_result_survive_the_next_strokes(session):
    session.draw(strokes([3, 12], [2, 1]), 1)
    brush = np.zeros((12, 16), bool)
    brush[8:11, 12:15] = True
    edited = np.where(brush, 3, session.labels[1])
    assert session.edit(edited, 1, fix=brush)
    np.testing.assert_array_equal(session.labels[1], edited)
    painted = session.painted(1)
    for column in (4, 7, 11, 14):
        painted[6, column] = 1 if column % 2 else 2
        session.draw(painted, 1).result()
        assert (session.labels[1][brush] == 3).all()
        assert np.isin(session.labels, (0, 2, 3)).all()
    assert session.undo()
    assert session.undo()
    assert session.undo()
    assert session.undo()
    np.testing.assert_array_equal(session.labels[1], edited)


def test_erased_pixels_stay_erased_and_take_the_strokes_that_contradict_them(session):
    before = session.labels[1].copy()
    session.draw(strokes([3, 4, 5, 12], [2, 2, 2, 1]), 1)
    drawn, segmented = session.painted(1), session.labels[1].copy()
    brush = np.zeros((12, 16), bool)
    brush[2:5, 4:7] = True
    session.edit(np.where(brush, 0, segmented), 1, fix=brush)
    assert (session.painted(1)[brush] == 0).all()
    assert session.painted(1)[3, 3] == 2
    session.draw(np.where(session.painted(1) != 0, session.painted(1), strokes([8], [2])), 1).result()
    assert (session.labels[1][brush] == 0).all()
    session.undo()
    session.undo()
    np.testing.assert_array_equal(session.painted(1), drawn)
    np.testing.assert_array_equal(session.labels[1], segmented)
    session.undo()
    np.testing.assert_array_equal(session.labels[1], before)


def test_a_newer_stroke_wins_over_painted_pixels(session):
    brush = np.zeros((12, 16), bool)
    brush[2:5, 4:7] = True
    session.edit(np.where(brush, 0, session.labels[1]), 1, fix=brush)
    session.draw(strokes([5], [3]), 1, live=True)
    assert session.labels[1][3, 5] == 3
    session.draw(strokes([5, 13], [3, 1]), 1).result()
    assert session.labels[1][3, 5] == 3
    brush[3, 5] = False
    assert (session.labels[1][brush] == 0).all()
    session.undo()
    brush[3, 5] = True
    session.draw(strokes([13, 14], [1, 2]), 1).result()
    assert (session.labels[1][brush] == 0).all()


def test_painting_respects_locked_classes_and_accepted_slices(session, labels):
    session.classes = session.classes.with_class(LabelClass(3, "spleen", (1, 0, 0, 1), locked=True))
    session.accept(SliceIndex((0, 2), (4,)))
    everywhere = np.ones((12, 16), bool)
    session.edit(np.full((12, 16), 2), 1, fix=everywhere)
    expected = np.where(labels[1] == 3, 3, 2)
    expected[4] = labels[1, 4]
    np.testing.assert_array_equal(session.labels[1], expected)


def test_erasing_makes_a_background_where_the_table_has_none(volume, labels, engines):
    session = Session(volume, engines["nearest"](), classes=ClassTable.from_ids([2, 3]), labels=labels.copy())
    brush = labels[1] == 2
    session.edit(np.where(brush, 0, labels[1]), 1, fix=brush)
    assert session.classes.background == 1
    session.draw(strokes([10, 14], [3, 1]), 1).result()
    assert (session.labels[1][brush] == 0).all()


def test_finished_labels_that_are_kept_are_those_after_the_edit(session):
    session.overlap = "keep"
    session.draw(strokes([3, 12], [2, 1]), 1).result()
    brush = np.zeros((12, 16), bool)
    brush[6:8, 4:6] = True
    session.edit(np.where(brush, 0, session.labels[1]), 1, fix=brush)
    session.draw(strokes([3, 4, 12], [2, 2, 1]), 1).result()
    assert (session.labels[1][brush] == 0).all()


def test_a_tool_goes_on_after_the_next_stroke_and_takes_strokes_that_contradict_it(session):
    session.draw(strokes([3, 12, 15], [2, 1, 2]), 1).result()
    session.apply(KeepLargest(), 2, 1).result()
    parts = ndimage.label(session.labels[1] == 2)[1]
    assert parts == 1
    assert session.painted(1)[3, 15] == 0 or session.labels[1][3, 15] == 2
    assert session.painted(1)[3, 12] == 1


@pytest.mark.parametrize("replay", [False, True])
def test_edits_are_saved_and_hold_when_resumed(session, volume, engines, tmp_path, replay):
    session.draw(strokes([3, 12], [2, 1]), 1).result()
    brush = np.zeros((12, 16), bool)
    brush[8:11, 12:15] = True
    session.edit(np.where(brush, 3, session.labels[1]), 1, fix=brush)
    session.draw(strokes([3, 12, 14], [2, 1, 2]), 1).result()
    session.apply(Grow(1.0), 2, 0, 5, over="all").result()
    other = saved_and_loaded(session, volume, engines, tmp_path, replay)
    np.testing.assert_array_equal(other.labels, session.labels)
    for each in (session, other):
        each.draw(strokes([3, 12, 13], [2, 1, 1]), 1).result()
    np.testing.assert_array_equal(other.labels, session.labels)


def test_a_file_of_version_2_has_no_fixed_labels(session, volume, engines, tmp_path):
    session.draw(strokes([3, 12], [2, 1]), 1).result()
    path = tmp_path / "a.scribseg"
    session.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(arrays["header"].tobytes())
    assert header.pop("fixed")["count"] == 0
    header["version"] = 2
    header["entries"] = [entry[:7] for entry in header["entries"]]
    with path.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), pieces=arrays["pieces"])
    other = Session.load(path, volume, make_engine=lambda _name, **parameters: engines["nearest"](**parameters))
    np.testing.assert_array_equal(other.labels, session.labels)


# in the worker


@pytest.fixture
def threaded(volume, labels, engines):
    inbox, worker = Inbox(), Worker()
    classes = ClassTable.from_ids([2, 3], background=1)
    made = Session(
        volume, engines["nearest"](), classes=classes, labels=labels.copy(), executor=worker, deliver=inbox.deliver
    )
    yield made, inbox
    made.close()
    worker.shutdown()


class Slow(Grow):
    """A tool that waits for an event."""

    go = threading.Event()
    began = threading.Event()

    def apply(self, part, report):
        self.began.set()
        while not self.go.wait(0.002):
            report(0.5)
        return super().apply(part, report)


@pytest.fixture
def slow():
    Slow.go.clear()
    Slow.began.clear()
    yield Slow(1.0)
    Slow.go.set()


def test_the_owner_is_free_while_a_tool_runs_and_sees_its_progress(threaded, slow, labels):
    session, inbox = threaded
    seen, busy = [], []
    session.events.progress.connect(seen.append)
    session.events.busy.connect(busy.append)
    future = session.apply(slow, 2, 0, 5)
    assert slow.began.wait(60)
    assert session.doing.what == "tool"
    assert session.doing.name == "Grow"
    assert not future.done()
    slow.go.set()
    inbox.wait(future, 60)
    np.testing.assert_array_equal(session.labels, edit_labels(labels, Grow(1.0), 2, spacing=(3.0, 1.0, 1.0)))
    assert busy == [True, False]
    assert seen
    assert session.doing is None


@pytest.mark.parametrize("how", ["cancel", "draw", "undo", "apply", "future"])
def test_a_tool_is_cancelled(threaded, slow, labels, how):
    session, inbox = threaded
    future = session.apply(slow, 2, 0, 5)
    assert slow.began.wait(60)
    if how == "cancel":
        session.cancel()
    elif how == "undo":
        session.undo()
    elif how == "future":
        future.cancel()
    elif how == "draw":
        inbox.wait(session.draw(strokes([3, 12], [2, 1]), 0), 60)
    else:
        inbox.wait(session.apply(FillHoles(), 2, 2), 60)
        assert session.labels[2, 5, 5] == 2
    assert future.cancelled()
    assert session.doing is None
    np.testing.assert_array_equal(session.labels[1], labels[1])


def test_a_tool_begins_again_when_labels_change_meanwhile(threaded, slow, labels):
    session, inbox = threaded
    future = session.apply(slow, 2, 0, 5)
    assert slow.began.wait(60)
    changed = labels[1].copy()
    changed[11, 15] = 2
    assert session.edit(changed, 1)
    slow.go.set()
    inbox.wait(future, 60)
    labels[1] = changed
    np.testing.assert_array_equal(session.labels, edit_labels(labels, Grow(1.0), 2, spacing=(3.0, 1.0, 1.0)))
