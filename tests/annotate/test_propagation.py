"""Labels propagated from slice to slice."""

from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from waiting import wait_for

from napari_scribseg.annotate.propagate import NothingToPropagateError, propagate_seeds
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Image, InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel import Inbox

BACKGROUND = ClassTable.from_ids([1, 2], background=1)


@pytest.fixture
def ball():
    """A bright ball in a dark, slightly uneven volume of shape (20, 64, 64), and the mask of it."""
    z, y, x = np.ogrid[:20, :64, :64]
    mask = ((z - 10) * 2) ** 2 + (y - 32) ** 2 + (x - 30) ** 2 < 18**2
    noise = np.random.default_rng(0).normal(0, 2, mask.shape)
    return np.where(mask, 100, 20) + noise, mask


def strokes_for(mask):
    strokes = np.zeros(mask.shape, np.uint8)
    strokes[:3] = 1
    rows, columns = np.nonzero(mask)
    strokes[int(rows.mean()), int(columns.mean()) - 1 : int(columns.mean()) + 2] = 2
    return strokes


@pytest.fixture
def session(ball, engines):
    volume = Source.from_array(ball[0].astype(np.float32), spacing=(2.0, 1.0, 1.0))
    session = Session(volume, engines["nearest"](), classes=BACKGROUND)
    session.draw(strokes_for(ball[1][10]), 10)
    return session


def test_an_object_is_followed_to_its_end(session, ball):
    hints = []
    session.events.hint.connect(hints.append)
    before = session.labels.copy()
    done = session.propagate(10, 19).result()
    last = int(np.flatnonzero(ball[1].any(axis=(1, 2)))[-1])
    assert [p.position[0] for p in done] == list(range(11, last + 1))
    assert ((session.labels[10 : last + 1] == 2) == ball[1][10 : last + 1]).mean() > 0.995
    assert "stopped before" in hints[0]
    assert not session.painted(12).any()
    assert session.undo()  # the whole run is one step
    assert (session.labels == before).all()
    assert session.redo()
    assert session.labels[12].any()


def test_backwards_and_with_progress(session, ball):
    seen = []
    session.events.progress.connect(seen.append)
    done = session.propagate(10, 6).result()
    assert [p.position[0] for p in done] == [9, 8, 7, 6]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert ((session.labels[6] == 2) == ball[1][6]).mean() > 0.995


def test_own_strokes_win_and_are_kept(session, ball):
    own = np.zeros((64, 64), np.uint8)
    own[30:34, 28:32] = 1
    session.draw(own, 11)
    session.propagate(10, 11).result()
    assert (session.labels[11, 30:34, 28:32] == 0).all()
    assert (session.painted(11) == own).all()


def test_it_stops_before_an_accepted_slice(session, ball):
    session.draw(strokes_for(ball[1][13]), 13)
    session.accept(13)
    before = session.labels[13].copy()
    hints = []
    session.events.hint.connect(hints.append)
    done = session.propagate(10, 15).result()
    assert [p.position[0] for p in done] == [11, 12]
    assert "accepted" in hints[0]
    assert (session.labels[13] == before).all()
    assert not session.labels[14].any()


@pytest.mark.parametrize("overlap", ["keep", "overwrite"])
def test_a_stroke_corrects_what_was_propagated_there(session, ball, overlap):
    session.propagate(10, 12)
    session.overlap = overlap
    propagated = session.labels[12].copy()
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:7, 50:60] = 3
    session.draw(stroke, 12)
    changed = session.labels[12] != propagated
    assert (session.labels[12][stroke == 3] == 3).all()
    assert (session.labels[12][changed] == 3).all()
    assert ((session.labels[12] == 2) == ball[1][12]).mean() > 0.99


def test_what_cannot_be_propagated(session, engines):
    with pytest.raises(InputError, match="no labels"):
        session.propagate(3, 5)
    with pytest.raises(InputError, match="cannot be propagated"):
        session.propagate(10, 10)
    with pytest.raises(InputError, match="cannot be propagated"):
        session.propagate(SliceIndex((1, 2), (10,)), SliceIndex((0, 2), (10,)))
    session.classes = ClassTable.from_ids([1, 2])
    with pytest.raises(InputError, match="background"):
        session.propagate(10, 12)


def test_an_engine_that_fails_midway(session, engines):
    session.use(engines["lying"](how="raise"))
    failures = []
    session.events.failed.connect(lambda slice_index, error: failures.append(slice_index))
    with pytest.raises(RuntimeError, match="broke"):
        session.propagate(10, 14).result()
    assert failures == [SliceIndex((1, 2), (11,))]
    assert not session.labels[11].any()


def test_hundreds_of_slices_without_a_deep_stack(engines):
    array = np.zeros((700, 16, 16), np.float32)
    array[:, :, 8:] = 1
    session = Session(Source.from_array(array), engines["nearest"](), classes=BACKGROUND)
    strokes = np.zeros((16, 16), np.uint8)
    strokes[:, 1], strokes[:, 14] = 1, 2
    session.draw(strokes, 0)
    assert len(session.propagate(0, 699).result()) == 699
    assert (session.labels == np.where(array > 0, 2, 0)).all()
    session.undo()
    assert not session.labels[1:].any()


def test_a_stroke_ends_a_run_and_what_is_done_stays(ball, gate, engines):
    inbox = Inbox()
    with ThreadPoolExecutor(1) as executor:
        volume = Source.from_array(ball[0].astype(np.float32), spacing=(2.0, 1.0, 1.0))
        session = Session(volume, gate[1], classes=BACKGROUND, executor=executor, deliver=inbox.deliver)

        def arrive():
            wait_for(lambda: gate[0].arrived.acquire(blocking=False), "the engine at the gate", meanwhile=inbox.run)

        def idle():
            inbox.run()
            return not session.is_busy

        session.draw(strokes_for(ball[1][10]), 10)
        arrive()
        gate[0].go.release()
        wait_for(idle, "the end of all jobs")
        run = session.propagate(10, 15)
        for _ in range(2):
            arrive()
            gate[0].go.release()
        arrive()
        future = session.draw(strokes_for(ball[1][5]), 5)
        arrive()
        gate[0].go.release()
        inbox.wait(future, 120)
        wait_for(idle, "the end of all jobs")
        assert run.cancelled()
        with pytest.raises(CancelledError):
            run.result()
        assert session.labels[12].any()
        assert not session.labels[13].any()
        session.undo()
        assert not session.labels[5].any()
        session.undo()
        assert not session.labels[11].any()
        run = session.propagate(10, 15)
        arrive()
        run.cancel()
        wait_for(idle, "the end of all jobs")
        assert not session.labels[11].any()
        session.close()


def test_a_run_is_replayed(session, engines, tmp_path):
    session.propagate(10, 14)
    session.save(tmp_path / "a")
    again = Session.replay(tmp_path / "a", session.volume, make_engine=lambda name, **p: engines[name](**p))
    assert (again.labels == session.labels).all()


def test_seeds_lie_inside_and_thin_parts_survive():
    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 10:30] = 3
    labels[2, 2:8] = 4
    flat = Image.from_array(np.zeros((40, 40)), (1.0, 1.0))
    seeds = propagate_seeds(labels, flat, flat, labels * 0, background=9, distance=3.0)
    assert set(np.unique(seeds)) == {0, 3, 4, 9}
    assert (labels[seeds == 3] == 3).all()
    assert (labels[seeds == 9] == 0).all()
    rows, columns = np.nonzero(seeds == 3)
    assert rows.min() >= 5 + 3
    assert columns.min() >= 10 + 3
    assert np.count_nonzero(seeds) < 600
    assert set(np.unique(propagate_seeds(labels, flat, flat, labels * 0, background=None, distance=3.0))) == {0, 3, 4}


def test_seeds_whose_image_changed_are_left_behind():
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = 3
    before = Image.from_array(np.where(labels > 0, 100.0, 0.0), (1.0, 1.0))
    after = Image.from_array(np.where((labels > 0) & (np.arange(40) < 20), 100.0, 0.0), (1.0, 1.0))
    seeds = propagate_seeds(labels, before, after, labels * 0, background=1, distance=1.0)
    assert (seeds[:, :20] == 3).any()
    assert not (seeds[:, 20:] == 3).any()
    empty = Image.from_array(np.zeros((40, 40)), (1.0, 1.0))
    with pytest.raises(NothingToPropagateError):
        propagate_seeds(labels, before, empty, labels * 0, background=1, distance=1.0)
