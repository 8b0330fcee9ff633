"""Strokes on labels that are there already: what they contradict changes, everything else stays."""

import json
import zipfile

import numpy as np
import pytest

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io.sample_data import ct_phantom

BACKGROUND, OBJECT, OTHER = 9, 2, 7
CLASSES = ClassTable.from_ids([OBJECT, OTHER, BACKGROUND], background=BACKGROUND)


@pytest.fixture
def scene():
    """A volume of three alike slices with two bright squares, their labels, and the same a band of 4 columns short."""
    image = np.zeros((3, 40, 60), np.float32)
    image[:, 10:30, 10:30] = 100
    image[:, 12:20, 42:54] = 200
    truth = np.select((image == 100, image == 200), (OBJECT, OTHER), 0).astype(np.uint8)
    short = truth.copy()
    short[:, :, 26:30] = 0
    return Source.from_array(image), truth, short


@pytest.fixture
def stroke():
    """A stroke of the object down the middle of the missing band."""
    painted = np.zeros((40, 60), np.uint8)
    painted[14:26, 28] = OBJECT
    return painted


def begin(scene, engine, labels, **more):
    return Session(scene[0], engine, classes=CLASSES, labels=labels.copy(), **more)


@pytest.mark.parametrize("engine", ["nearest", "svcd"])
def test_one_stroke_corrects_loaded_labels_and_leaves_the_rest(scene, stroke, engines, engine):
    _, truth, short = scene
    session = begin(scene, engines[engine]() if engine in engines else engine, short)
    session.draw(stroke, 1, demand=True).result()
    changed = session.labels != short
    assert (session.labels[1][stroke == OBJECT] == OBJECT).all()
    assert not changed[[0, 2]].any()
    assert (session.labels[1][changed[1]] == OBJECT).all()
    assert (session.labels[1] != truth[1]).sum() <= 8  # of 80 that were missing: the corners of the band may stay
    assert (session.labels[1] == OTHER).sum() == (truth[1] == OTHER).sum()


def test_a_stroke_of_the_background_takes_away_what_is_too_much(scene, engines):
    _, truth, _ = scene
    large = truth.copy()
    large[:, 10:30, 30:34] = OBJECT
    session = begin(scene, engines["nearest"](), large)
    painted = np.zeros((40, 60), np.uint8)
    painted[12:28, 32] = BACKGROUND
    session.draw(painted, 1)
    assert (session.labels[1] != truth[1]).sum() <= 8
    assert not session.labels[1][10:30, 32:34][2:-2].any()


def test_a_stroke_that_agrees_changes_nothing_and_needs_no_engine(scene, engines):
    _, _, short = scene
    session = begin(scene, engines["lying"](how="raise"), short)
    painted = np.zeros((40, 60), np.uint8)
    painted[15:20, 12:15] = OBJECT
    update = session.draw(painted, 1, demand=True).result()
    assert (session.labels == short).all()
    assert "only the labels near the new strokes change" in " ".join(update.notes)


def test_more_strokes_correct_the_same_labels(scene, stroke, engines):
    _, _, short = scene
    short[:, 12:20, 50:54] = 0
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    first = session.labels[1].copy()
    stroke[13:19, 52] = OTHER
    session.draw(stroke, 1)
    assert (session.labels[1][:, :40] == first[:, :40]).all()
    assert (session.labels[1][13:19, 51:53] == OTHER).all()
    stroke[14:26, 28] = 0  # the first stroke is erased: what it did is taken back
    session.draw(stroke, 1)
    assert (session.labels[1][:, :40] == short[1][:, :40]).all()


@pytest.mark.parametrize("way", ["edit", "propagate", "reopen", "found"])
def test_labels_of_any_origin_are_corrected(scene, stroke, engines, way):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short if way == "found" else np.zeros_like(short))
    if way == "edit":
        session.edit(short[1], 1)
    elif way == "propagate":
        session.edit(short[0], 0)
        session.propagate(0, 1).result()
    elif way == "reopen":
        seeds = np.zeros((40, 60), np.uint8)
        seeds[2, :], seeds[15:20, 15], seeds[15, 44:50] = BACKGROUND, OBJECT, OTHER
        session.draw(seeds, 1)
        session.edit(short[1], 1)
        session.accept(1)
        session.reopen(1)
        stroke = np.where(stroke, stroke, seeds)
    stored = session.labels[1].copy()
    session.draw(stroke, 1)
    assert (session.labels[1][stroke == OBJECT] == OBJECT).all()
    far = np.ones((40, 60), bool)
    far[:, 20:36] = False
    assert (session.labels[1][far] == stored[far]).all()
    assert (session.labels[1] == OTHER).any()


def test_a_hand_edit_between_strokes_is_not_wiped_by_the_next_stroke(scene, stroke, engines):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    edited = session.labels[1].copy()
    edited[34:38, 4:9] = OTHER
    session.edit(edited, 1)
    stroke[13:19, 52:56] = OTHER
    session.draw(stroke, 1)
    assert (session.labels[1][34:38, 4:9] == OTHER).all()


def test_undo_redo_and_clear(scene, stroke, engines):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    first = session.labels.copy()
    assert session.undo()
    assert (session.labels == short).all()
    assert session.redo()
    assert (session.labels == first).all()
    session.clear(1)
    assert (session.labels == short).all()
    session.draw(stroke, 1)
    assert (session.labels == first).all()


def test_a_propagation_after_a_stroke_is_what_the_next_stroke_corrects(scene, stroke, engines):
    _, truth, short = scene
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    session.edit(truth[0], 0)
    session.propagate(0, 1).result()
    propagated = session.labels[1].copy()
    again = np.where(stroke, stroke, 0).astype(np.uint8)
    again[36:38, 50:58] = OTHER
    session.draw(again, 1)
    assert (session.labels[1][:30] == propagated[:30]).all()
    session.undo()
    assert (session.labels[1] == propagated).all()


def test_strokes_on_an_empty_slice_are_segmented_as_before(scene, engines):
    session = begin(scene, engines["nearest"](), np.zeros_like(scene[1]))
    seeds = np.zeros((40, 60), np.uint8)
    seeds[2, :], seeds[15:20, 15] = BACKGROUND, OBJECT
    for _ in range(2):
        session.draw(seeds, 1)
        assert ((session.labels[1] == OBJECT) == (np.asarray(scene[0].array)[1] >= 100)).all()
        seeds[30, 30:40] = BACKGROUND


def test_voxels_written_through_another_axis_leave_the_others_unknown(scene, engines):
    session = begin(scene, engines["nearest"](), np.zeros_like(scene[1]))
    across = np.zeros((3, 60), np.uint8)
    across[:, 0], across[:, 20] = BACKGROUND, OBJECT
    session.draw(across, SliceIndex((0, 2), (15,)))
    row = session.labels[1, 15].copy()
    assert row.any()
    seeds = np.zeros((40, 60), np.uint8)
    seeds[2, :], seeds[25:28, 15] = BACKGROUND, OBJECT
    session.draw(seeds, SliceIndex((1, 2), (1,)))
    assert ((session.labels[1] == OBJECT)[20:] == (np.asarray(scene[0].array)[1] == 100)[20:]).all()
    assert (session.labels[1, 15] == row).all()


@pytest.mark.parametrize("saved_after", [1, 2])
def test_the_prior_is_in_the_session_file(scene, stroke, engines, tmp_path, saved_after):
    make = lambda name, **p: engines[name](**p)  # noqa: E731
    session = begin(scene, engines["nearest"](), scene[2])
    further = stroke.copy()
    further[13:19, 52:56] = OTHER
    session.draw(stroke, 1)
    if saved_after == 2:
        session.draw(further, 1)
    session.save(tmp_path / "a")
    loaded = Session.load(tmp_path / "a", scene[0], make_engine=make)
    replayed = Session.replay(tmp_path / "a", scene[0], make_engine=make)
    assert (loaded.labels == session.labels).all()
    assert (replayed.labels == session.labels).all()
    for each in (session, loaded, replayed):
        each.draw(further, 1)
    assert (loaded.labels == session.labels).all()
    assert (replayed.labels == session.labels).all()


def test_a_file_of_version_1_still_opens_and_what_was_propagated_is_corrected(scene, engines, tmp_path):
    make = lambda name, **p: engines[name](**p)  # noqa: E731
    session = begin(scene, engines["nearest"](), np.zeros_like(scene[1]))
    seeds = np.zeros((40, 60), np.uint8)
    seeds[2, :], seeds[15:20, 15], seeds[15, 44:50] = BACKGROUND, OBJECT, OTHER
    session.draw(seeds, 0)
    session.propagate(0, 1).result()
    session.save(tmp_path / "a")
    with zipfile.ZipFile(tmp_path / "a") as file:
        header, pieces = (np.lib.format.read_array(file.open(f"{name}.npy")) for name in ("header", "pieces"))
    content = json.loads(header.tobytes())
    content["version"] = 1
    content["entries"] = [[*five, recipe and recipe[:7]] for *five, recipe, _ in content["entries"]]
    with (tmp_path / "a").open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(content).encode(), np.uint8), pieces=pieces)
    loaded = Session.load(tmp_path / "a", scene[0], make_engine=make)
    assert (loaded.labels == session.labels).all()
    seeds[:] = 0
    seeds[34:36, 4:12] = OTHER
    loaded.draw(seeds, 1)
    assert (loaded.labels[1][:30] == session.labels[1][:30]).all()
    assert (loaded.labels[1][34:36, 4:12] == OTHER).all()


def test_what_is_corrected_along_another_axis_stays(scene, stroke, engines):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    across = np.zeros((3, 60), np.uint8)
    across[1, 34:39] = OTHER
    session.draw(across, SliceIndex((0, 2), (12,)))
    row = session.labels[1, 12].copy()
    assert (row[34:39] == OTHER).all()
    stroke[13:19, 52:56] = OTHER
    session.draw(stroke, 1)
    assert (session.labels[1, 12] == row).all()
    session.undo()
    session.undo()
    assert (session.labels[:, 12] == short[:, 12]).all()
    session.draw(stroke, 1)
    assert (session.labels[1, 12] == short[1, 12]).all()


def test_a_label_that_was_removed_by_hand_does_not_come_back(scene, stroke, engines):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short)
    session.draw(stroke, 1)
    edited = session.labels[1].copy()
    edited[edited == OTHER] = 0
    session.edit(edited, 1)
    stroke[24:28, 27] = OBJECT
    session.draw(stroke, 1)
    assert not (session.labels[1] == OTHER).any()


def test_erasing_the_last_stroke_brings_the_labels_back(scene, stroke, engines, tmp_path):
    _, _, short = scene
    session = begin(scene, engines["nearest"](), short)
    shown = []
    session.events.restored.connect(shown.append)
    session.draw(stroke, 1)
    first = session.labels.copy()
    session.draw(np.zeros_like(stroke), 1)
    assert (session.labels == short).all()
    assert (shown[-1].labels == short[1]).all()
    session.save(tmp_path / "a")
    loaded = Session.load(tmp_path / "a", scene[0], make_engine=lambda name, **p: engines[name](**p))
    assert (loaded.labels == short).all()
    session.undo()
    assert (session.labels == first).all()
    assert (session.painted(1) == stroke).all()
    session.redo()
    assert (session.labels == short).all()


def test_a_first_stroke_on_the_phantom_leaves_the_other_organs():
    sample = ct_phantom()
    session = Session(Source.from_array(sample.array, sample.geometry), "svcd", classes=sample.classes)
    session.draw(sample.painted[16], 16, demand=True).result()
    session.propagate(16, 18).result()
    propagated = session.labels[18].copy()
    liver = np.argwhere(propagated == 1)
    row, column = liver[len(liver) // 2]
    painted = np.zeros_like(propagated)
    painted[row - 3 : row + 4, column] = 1
    painted[liver[:, 0].min() - 2 : liver[:, 0].min() + 3, liver[0, 1]] = 1
    session.draw(painted, 18, demand=True).result()
    changed = session.labels[18] != propagated
    assert [int((propagated == k).sum()) > 500 for k in (1, 2, 3, 4)] == [True] * 4
    assert (session.labels[18][changed] == 1).all()
    assert 0 < changed.sum() < 40
    for k in (2, 3, 4):
        assert (session.labels[18] == k).sum() == (propagated == k).sum()
