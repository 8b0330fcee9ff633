"""The slices between anchors are filled, follow corrections, and are undone and replayed as they were made."""

import itertools
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from waiting import wait_for

from napari_scribseg.annotate import solve_span
from napari_scribseg.annotate.next_slice import INHERITED, expected_gain
from napari_scribseg.annotate.segment import SegmentJob
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel import Inbox

BACKGROUND = ClassTable.from_ids([1, 2], background=1)


def ball(n=20):
    """The mask of a ball whose slices change slowly; shape (n, 64, 64)."""
    z, y, x = np.ogrid[:n, :64, :64]
    return ((z - n // 2) * 36 / n) ** 2 + (y - 32) ** 2 + (x - 30) ** 2 < 20**2


def image_of(mask):
    noise = np.random.default_rng(0).normal(0, 2, mask.shape)
    return Source.from_array((np.where(mask, 100, 20) + noise).astype(np.float32), spacing=(2.0, 1.0, 1.0))


def strokes_for(mask):
    strokes = np.zeros(mask.shape, np.uint8)
    strokes[:3] = 1
    rows, columns = np.nonzero(mask)
    strokes[int(rows.mean()), int(columns.mean()) - 1 : int(columns.mean()) + 2] = 2
    return strokes


def at(index):
    return SliceIndex((1, 2), (index,))


@pytest.fixture(scope="module")
def mask():
    return ball()


@pytest.fixture
def session(mask, engines):
    """Strokes on slices 4, 10 and 15."""
    session = Session(image_of(mask), engines["nearest"](), classes=BACKGROUND)
    for index in (4, 10, 15):
        session.draw(strokes_for(mask[index]), index)
    return session


def positions(slices):
    return [each.position[0] for each in slices]


def changed(before, session):
    return np.flatnonzero((session.labels != before).any(axis=(1, 2))).tolist()


def wrong(session, mask, index):
    return float(((session.labels[index] == 2) != mask[index]).mean())


# what is filled


def test_slices_between_anchors_are_filled_in_one_step(session, mask):
    before, shown = session.labels.copy(), []
    session.events.restored.connect(lambda restored: shown.append(restored.slice_index.position[0]))
    done = positions(session.fill(4, 15).result())
    assert done == [5, 6, 7, 8, 9, 11, 12, 13, 14]
    assert max(wrong(session, mask, index) for index in done) < 0.02
    assert set(shown) == set(done)
    assert shown.index(9) < shown.index(7)  # the nearest to an anchor first
    assert sorted(positions(session.filled)) == done
    assert all(0 < certainty <= 1 for certainty in session.filled.values())
    assert not any(session.painted(index).any() for index in done)
    filled = session.labels.copy()
    assert session.undo()
    assert (session.labels == before).all()
    assert not session.filled
    assert session.redo()
    assert (session.labels == filled).all()
    assert sorted(positions(session.filled)) == done


def test_a_preview_leaves_no_trace_in_the_log_once_its_slice_is_final(session, tmp_path, engines):
    before, previews = session.labels.copy(), []
    entries = session._document.history.entries
    session.events.restored.connect(
        lambda _: previews.append(sum(e.fill is not None and not e.fill.final for e in entries()))
    )
    done = session.fill(4, 15).result()
    assert max(previews) >= 4
    fills = [entry for entry in entries() if entry.fill is not None]
    assert sorted(entry.slice_index for entry in fills) == sorted(done)
    assert all(entry.fill.final for entry in fills)
    step = session._document.history.top
    changes = [change.slice_index for change in step.changes if change.kind == "labels"]
    assert len(set(changes)) == len(changes)
    filled = session.labels.copy()
    session.save(tmp_path / "a")
    again = Session.load(tmp_path / "a", session.volume, make_engine=lambda name, **p: engines[name](**p))
    assert (again.labels == filled).all()
    session.undo()
    assert (session.labels == before).all()
    session.redo()
    assert (session.labels == filled).all()


def ends_after(monkeypatch, count):
    """Let open spans end after some slices."""
    solved = solve_span.fill_span

    def ending(first, last, *arguments, **options):
        found = solved(first, last, *arguments, **options)
        return itertools.islice(found, count) if first is None or last is None else found

    monkeypatch.setattr(solve_span, "SPAN_METHOD", "sides")
    monkeypatch.setattr(solve_span, "fill_span", ending)


def test_where_filling_beyond_the_outermost_anchors_ends_is_a_hint(session, monkeypatch):
    ends_after(monkeypatch, 2)
    hints = []
    session.events.hint.connect(hints.append)
    assert positions(session.fill().result()) == [2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17]
    assert hints == ["filling stopped before z 18 and z 1, where the image no longer supports it"]


def test_what_was_filled_farther_than_the_image_supports_now_is_taken_back(session, monkeypatch, mask):
    ends_after(monkeypatch, 3)
    before = session.labels.copy()
    session.fill(4, 19).result()
    assert session.labels[18].any()
    ends_after(monkeypatch, 1)
    session.draw(np.roll(strokes_for(mask[15]), 1, axis=1), 15)
    assert session.labels[16].any()
    assert not session.labels[17:].any()
    assert max(positions(session.filled)) == 16
    session.undo()
    assert session.labels[18].any()
    session.undo()
    assert (session.labels == before).all()


def test_only_slices_of_the_range_are_written(session):
    before = session.labels.copy()
    assert positions(session.fill(7, 12).result()) == [7, 8, 9, 11, 12]
    assert changed(before, session) == [7, 8, 9, 11, 12]


def test_along_another_axis(session, mask):
    session.clear(4), session.clear(10), session.clear(15)
    for column in (22, 36):
        strokes = np.zeros((20, 64), np.uint8)
        strokes[:, :2], strokes[10, 32] = 1, 2
        session.draw(strokes, SliceIndex((0, 1), (column,)))
    done = session.fill(SliceIndex((0, 1), (22,)), SliceIndex((0, 1), (36,))).result()
    assert positions(done) == list(range(23, 36))
    assert ((session.labels[:, :, 29] == 2) != mask[:, :, 29]).mean() < 0.02
    assert positions(session.anchors()) == [22, 36]
    assert positions(session.anchors(0)) == []


def test_time_is_an_axis_too(mask, engines):
    movie = np.stack([np.roll(mask[8:12], shift, axis=2) for shift in (0, 2, 4, 6)])
    session = Session(image_of(mask[:2]), engines["nearest"](), classes=BACKGROUND)
    volume = Source.from_array(np.where(movie, 100, 20).astype(np.float32))
    session = Session(volume, engines["nearest"](), classes=BACKGROUND)
    for time in (0, 3):
        session.draw(strokes_for(movie[time, 1]), SliceIndex((2, 3), (time, 1)))
    done = session.fill(SliceIndex((2, 3), (0, 1)), SliceIndex((2, 3), (3, 1))).result()
    assert [each.position for each in done] == [(1, 1), (2, 1)]
    for time in (1, 2):
        assert ((session.labels[time, 1] == 2) != movie[time, 1]).mean() < 0.02


def test_other_times_are_filled_from_a_volume_and_follow_its_corrections(mask, engines):
    movie = np.stack([np.roll(mask[4:16], shift, axis=2) for shift in (0, 2, 4)])
    volume = Source.from_array(np.where(movie, 100, 20).astype(np.float32))
    session = Session(volume, engines["nearest"](), classes=BACKGROUND)
    for index in (2, 8):
        session.draw(strokes_for(movie[1, index]), SliceIndex((2, 3), (1, index)))
    start, stop = SliceIndex((2, 3), (1, 2)), SliceIndex((2, 3), (1, 8))
    before, shown = session.labels.copy(), []
    session.events.progress.connect(shown.append)
    done = session.fill(start, stop, series=True).result()
    assert [each.position for each in done] == [
        (t, z) for t in range(3) for z in range(2, 9) if (t, z) not in ((1, 2), (1, 8))
    ]
    assert max(((session.labels[t, z] == 2) != movie[t, z]).mean() for t in range(3) for z in range(2, 9)) < 0.03
    assert shown[-1] == 1
    filled, beside = session.labels.copy(), SliceIndex((2, 3), (1, 4))
    certainty = session.filled[beside]
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, SliceIndex((2, 3), (1, 5)))
    found = {tuple(p) for p in np.argwhere((session.labels != filled).any(axis=(2, 3)))}
    assert found >= {(1, 5), (0, 5), (2, 5)}
    assert session.filled[beside] != certainty
    session.undo()
    assert (session.labels == filled).all()
    session.undo()
    assert (session.labels == before).all()


def test_what_cannot_be_filled(mask, engines):
    session = Session(image_of(mask), engines["nearest"](), classes=BACKGROUND)
    with pytest.raises(InputError, match="no slice along z has finished labels"):
        session.fill()
    session.draw(strokes_for(mask[10]), 10)
    with pytest.raises(InputError, match="two slices along one axis"):
        session.fill(SliceIndex((1, 2), (10,)), SliceIndex((0, 2), (10,)))
    with pytest.raises(InputError, match="index 99 along axis 0"):
        session.fill(10, 99)
    flat = Session(Source.from_array(np.zeros((5, 5), np.float32)), engines["nearest"]())
    with pytest.raises(InputError, match="one slice only"):
        flat.fill()


# what counts


def test_which_slices_are_anchors(session, mask):
    assert positions(session.anchors()) == [4, 10, 15]
    session.propagate(10, 11).result()
    assert positions(session.anchors()) == [4, 10, 15]
    session.fill(4, 15).result()
    assert positions(session.anchors()) == [4, 10, 15]
    session.accept(7)
    session.edit(np.where(mask[13], 2, 0), 12)
    assert positions(session.anchors()) == [4, 7, 10, 12, 15]
    assert at(7) not in session.filled
    session.reopen(7)
    session.clear(4)
    assert positions(session.anchors()) == [10, 12, 15]


def test_labels_from_before_are_anchors(mask, engines):
    labels = np.zeros(mask.shape, np.uint8)
    labels[[5, 9]] = np.where(mask[[5, 9]], 2, 0)
    session = Session(image_of(mask), engines["nearest"](), classes=BACKGROUND, labels=labels)
    assert positions(session.anchors()) == [5, 9]
    assert positions(session.fill(5, 9).result()) == [6, 7, 8]
    assert max(wrong(session, mask, index) for index in (6, 7, 8)) < 0.02


def test_what_is_accepted_locked_fixed_or_painted_stays(session, mask):
    session.edit(np.where(mask[6], 3, 0), 6)
    session.accept(6)
    accepted = session.labels[6].copy()
    own = np.zeros((64, 64), np.uint8)
    own[30:33, 28:32] = 1
    session.draw(own, 8)  # of one class: no anchor
    coronal = SliceIndex((0, 2), (60,))
    by_hand = np.zeros((20, 64), bool)
    by_hand[5:12, 60:] = True
    session.edit(np.where(by_hand, 2, 0), coronal, fix=by_hand)
    assert positions(session.anchors()) == [4, 6, 10, 15]
    session.fill().result()
    assert (session.labels[6] == accepted).all()
    assert (session.labels[8][own == 1] == 0).all()
    assert (session.painted(8) == own).all()
    assert (session.labels[7:12, 60, 60:] == 2).all()
    found = np.isin(session.labels[8], (2, 3))  # half way between slices that have the one and the other
    assert (found != mask[8]).mean() < 0.05


def test_slices_that_cross_the_span_and_have_strokes_stay(session, mask):
    coronal = SliceIndex((0, 2), (32,))
    strokes = np.zeros((20, 64), np.uint8)
    strokes[:, :2], strokes[10, 30] = 1, 2
    session.draw(strokes, coronal)
    made = session.labels[:, 32].copy()
    made[7, 50:60] = 2
    session.edit(made, coronal)
    session.fill(SliceIndex((1, 2), (4,)), SliceIndex((1, 2), (15,))).result()
    assert (session.labels[:, 32] == made).all()
    assert wrong(session, mask, 7) < 0.02


def test_locked_classes_stay_when_a_slice_is_filled(mask, engines):
    labels = np.zeros(mask.shape, np.uint8)
    labels[:, 40:44, 20:24] = 7
    sagittal = ClassTable.from_ids([1, 2, 7], background=1)
    session = Session(image_of(mask), engines["nearest"](), classes=sagittal, labels=labels)
    session.classes = session.classes.with_class(replace(session.classes[7], locked=True))
    for index in (8, 12):
        session.draw(strokes_for(mask[index]), index)
    session.edit(session.slice_labels(10), 10)
    session.fill(8, 12).result()
    assert (session.labels[:, 40:44, 20:24] == 7).all()


# corrections


def test_a_correction_changes_only_what_lies_beside_it_and_is_one_step(session, mask):
    session.fill(4, 15).result()
    filled, certainty = session.labels.copy(), session.filled
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, 12)
    assert (session.labels[12][stroke == 2] == 2).all()
    assert wrong(session, mask, 12) < 0.05  # the rest of the filled labels stays
    assert set(changed(filled, session)) <= {11, 12, 13, 14}
    assert all(session.filled[at(index)] != certainty[at(index)] for index in (11, 13, 14))
    assert positions(session.anchors()) == [4, 10, 12, 15]
    corrected = session.labels.copy()
    assert session.undo()
    assert (session.labels == filled).all()
    assert not session.painted(12).any()
    assert session.redo()
    assert (session.labels == corrected).all()


def test_an_erased_correction_leaves_a_filled_slice(session):
    session.fill(4, 15).result()
    filled, certainty = session.labels.copy(), session.filled
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, 12)
    session.draw(np.zeros((64, 64), np.uint8), 12)
    assert positions(session.anchors()) == [4, 10, 15]
    assert session.filled == certainty
    assert (session.labels == filled).all()


def test_a_correction_on_a_slice_of_another_orientation_is_followed(session, monkeypatch):
    session.fill(4, 15).result()
    filled, cut, solved = session.labels.copy(), [], []
    in_3d = solve_span.cut_span

    def noted(first, last, images, spacing, *, strokes, **options):
        cut.append(strokes)
        return in_3d(first, last, images, spacing, strokes=strokes, **options)

    monkeypatch.setattr(solve_span, "cut_span", noted)
    session.events.restored.connect(lambda restored: solved.append(restored.slice_index.position[0]))
    strokes = np.zeros((20, 64), np.uint8)
    strokes[7:9, 50:58] = 2
    update = session.draw(strokes, SliceIndex((0, 2), (46,))).result()
    assert (update.labels[7:9, 50:58] == 2).all()
    assert [each.shape for each in cut] == [(7, 64, 64), (6, 64, 64)]  # the two spans that it crosses
    assert {int(each[3, 46, 55]) for each in cut} == {0, 2}
    assert set(solved) == {5, 6, 7, 8, 9, 11, 12, 13, 14}
    assert (session.labels[5:15, 46] == update.labels[5:15]).all()
    assert positions(session.anchors(0)) == [4, 10, 15]
    assert session.undo()
    assert (session.labels == filled).all()


def test_a_cleared_anchor_is_filled(session, mask):
    session.fill(4, 15).result()
    session.clear(10)
    assert positions(session.anchors()) == [4, 15]
    assert at(10) in session.filled
    assert wrong(session, mask, 10) < 0.02
    assert session.undo()
    assert positions(session.anchors()) == [4, 10, 15]


def test_a_cleared_filled_slice_stays_empty(session):
    session.fill(4, 15).result()
    session.clear(12)
    assert not session.labels[12].any()
    assert at(12) not in session.filled


def test_without_following_a_correction_changes_its_slice_only(session):
    session.fill(4, 15).result()
    session.follows = False
    filled, certainty = session.labels.copy(), session.filled
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, 12)
    assert changed(filled, session) == [12]
    assert session.filled[at(11)] == certainty[at(11)]
    session.fill(4, 15).result()
    assert all(session.filled[at(index)] != certainty[at(index)] for index in (11, 13))


def test_accepting_changes_nothing(session):
    session.fill(4, 15).result()
    filled = session.labels.copy()
    session.accept(12)
    assert (session.labels == filled).all()
    assert positions(session.fill(4, 15).result()) == []
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, 11)
    assert changed(filled, session) == [11]


def test_an_undone_fill_does_not_come_back_with_the_next_stroke(session, mask):
    session.fill(4, 15).result()
    session.undo()
    assert not session.follows
    before = session.labels.copy()
    session.draw(strokes_for(mask[12]), 12)
    assert changed(before, session) == [12]


# files


def test_fills_are_replayed_and_loaded(session, mask, engines, tmp_path):
    session.fill().result()
    stroke = np.zeros((64, 64), np.uint8)
    stroke[4:8, 50:58] = 2
    session.draw(stroke, 12)
    session.draw(np.zeros((64, 64), np.uint8), 12)
    session.draw(stroke, 7)
    session.accept(7)
    session.clear(10)
    session.fill().result()
    session.save(tmp_path / "a")
    make = {"make_engine": lambda name, **p: engines[name](**p)}
    for again in (
        Session.replay(tmp_path / "a", session.volume, **make),
        Session.load(tmp_path / "a", session.volume, **make),
    ):
        assert (again.labels == session.labels).all()
        assert again.filled == session.filled
        assert again.anchors() == session.anchors()
    assert again.follows
    assert again.fill(4, 15).result() == ()  # nothing is out of date


def test_a_method_that_uses_the_strokes_of_a_span_is_replayed(session, engines, monkeypatch, tmp_path):
    def with_strokes(first, last, images, spacing, kept, report):
        whole = kept()
        ids = [] if whole is None else np.unique(whole[whole > 0])
        for found in solve_span.fill_span(first, last, images, spacing, report=report):
            labels = found.labels.astype(np.uint8)
            labels[40:50, :20] = 3 * (3 in ids)
            yield replace(found, labels=labels)

    monkeypatch.setitem(solve_span.SPAN_METHODS, "with strokes", with_strokes)
    monkeypatch.setattr(solve_span, "SPAN_METHOD", "with strokes")
    strokes = np.zeros((64, 64), np.uint8)
    strokes[30:33, 28:32] = 3
    session.draw(strokes, 8)
    session.fill(4, 15).result()
    assert (session.labels[7, 40:50, :20] == 3).all()  # what is on slice 8 matters on slice 7
    assert not session.labels[12, 40:50, :20].any()
    session.clear(8)
    session.fill(6, 8).result()
    session.save(tmp_path / "a")
    again = Session.replay(tmp_path / "a", session.volume, make_engine=lambda name, **p: engines[name](**p))
    assert (again.labels == session.labels).all()


def test_sessions_of_an_earlier_method_are_replayed_by_it(session, engines, monkeypatch, tmp_path):
    assert solve_span.SPAN_METHOD == "volume by motion"
    used = []
    for name in ("volume", "volume by motion"):
        solved = solve_span.SPAN_METHODS[name]

        def noted(*arguments, name=name, solved=solved):
            used.append(name)
            return solved(*arguments)

        monkeypatch.setitem(solve_span.SPAN_METHODS, name, noted)
    with monkeypatch.context() as earlier:
        earlier.setattr(solve_span, "SPAN_METHOD", "volume")
        session.fill(4, 9).result()
    session.fill(10, 15).result()
    assert used == ["volume", "volume by motion"]
    session.save(tmp_path / "a")
    used.clear()
    again = Session.replay(tmp_path / "a", session.volume, make_engine=lambda name, **p: engines[name](**p))
    assert set(used) == {"volume", "volume by motion"}
    assert (again.labels == session.labels).all()


def test_a_replay_refuses_another_image(session, engines, tmp_path):
    session.fill(4, 15).result()
    session.save(tmp_path / "a")
    array = np.array(session.volume.array)
    array[7, 0, 0] += 1
    with pytest.raises(InputError, match="differs at z 7"):
        Session.replay(
            tmp_path / "a",
            Source.from_array(array, spacing=(2.0, 1.0, 1.0)),
            make_engine=lambda name, **p: engines[name](**p),
        )


# in the background


class Threads:
    """A session whose filling waits before each slice."""

    def __init__(self, mask, engine, executor, monkeypatch):
        self.inbox = Inbox()
        self.session = Session(
            image_of(mask), engine, classes=BACKGROUND, executor=executor, deliver=self.inbox.deliver
        )
        self.go, self.waiting = threading.Semaphore(0), threading.Semaphore(0)
        solved = solve_span.fill_span

        def slowly(*arguments, report, **options):
            for found in solved(*arguments, report=report, **options):
                self.waiting.release()
                while not self.go.acquire(timeout=0.005):
                    report(0.0)
                yield found

        monkeypatch.setattr(solve_span, "SPAN_METHOD", "sides")
        monkeypatch.setattr(solve_span, "fill_span", slowly)

    def idle(self):
        self.inbox.run()
        return self.session.doing is None

    def wait(self, condition, what):
        return wait_for(condition, what, meanwhile=self.inbox.run)

    def draw(self, strokes, index):
        self.inbox.wait(self.session.draw(strokes, index), 120)


@pytest.fixture
def threads(mask, engines, monkeypatch):
    with ThreadPoolExecutor(1) as executor:
        made = Threads(mask, engines["nearest"](), executor, monkeypatch)
        for index in (4, 10, 15):
            made.draw(strokes_for(mask[index]), index)
        yield made
        made.session.close()
        for _ in range(200):
            made.go.release()


def test_a_stroke_overtakes_a_fill_which_goes_on_with_the_new_anchor(threads, mask):
    session, filling_events = threads.session, []
    session.events.filling.connect(filling_events.append)
    future = session.fill(4, 15)
    assert session.follows
    assert not session.is_busy
    assert session.doing.what == "fill"
    threads.wait(lambda: threads.waiting.acquire(blocking=False), "the first slice")
    threads.draw(strokes_for(mask[12]), 12)  # while the span waits
    assert wrong(session, mask, 12) < 0.02
    assert not future.done()
    for _ in range(200):
        threads.go.release()
    done = positions(threads.inbox.wait(future, 120))
    assert done == [5, 6, 7, 8, 9, 11, 13, 14]
    assert max(wrong(session, mask, index) for index in done) < 0.02
    assert filling_events[0] is True
    assert filling_events[-1] is False
    session.undo()  # the stroke, and its spans
    threads.wait(threads.idle, "the end of filling")
    assert positions(session.anchors()) == [4, 10, 15]
    session.undo()
    assert not session.labels[[5, 6, 7, 8, 9]].any()


def test_filling_waits_while_the_pen_is_down(threads, mask):
    session = threads.session
    future = session.fill(4, 15)
    threads.wait(lambda: threads.waiting.acquire(blocking=False), "the first slice")
    threads.inbox.wait(session.draw(strokes_for(mask[12]), 12, live=True), 120)
    for _ in range(5):
        threads.inbox.run()
    assert session.doing is None
    for _ in range(200):
        threads.go.release()
    threads.draw(strokes_for(mask[12]), 12)
    assert len(threads.inbox.wait(future, 120)) == 8


def test_cancelling_leaves_what_is_written_as_one_step(threads):
    session, before = threads.session, threads.session.labels.copy()
    future = session.fill(4, 15)
    for _ in range(3):
        threads.go.release()
    threads.wait(lambda: len(changed(before, session)) == 3, "three slices")
    session.cancel()
    threads.wait(threads.idle, "the end of filling")
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
    assert len(changed(before, session)) == 3
    session.undo()
    assert (session.labels == before).all()


def test_undoing_a_fill_that_wrote_nothing_only_cancels_it(threads):
    session, painted = threads.session, threads.session.painted(15)
    future = session.fill(4, 15)
    threads.wait(lambda: threads.waiting.acquire(blocking=False), "the first slice")
    assert session.undo()
    assert future.cancelled()
    assert (session.painted(15) == painted).all()
    assert session.labels[15].any()


def test_a_fill_that_fails_is_reported(session, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("no memory")

    failures = []
    session.events.failed.connect(lambda slice_index, error: failures.append(str(error)))
    monkeypatch.setattr(solve_span, "SPAN_METHOD", "sides")
    monkeypatch.setattr(solve_span, "fill_span", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        session.fill(4, 15).result()
    assert failures == ["filling z 11 to z 14 failed: RuntimeError: no memory"]
    assert session.doing is None
    assert session.is_segmented(10)


def test_an_image_that_cannot_be_filled_is_reported_as_such(mask, engines):
    source = image_of(mask)
    session = Session(source, engines["nearest"](), classes=BACKGROUND)
    session.draw(strokes_for(mask[4]), 4)
    session.draw(strokes_for(mask[10]), 10)
    source.array[7, 3, 3] = np.nan
    failures = []
    session.events.failed.connect(lambda slice_index, error: failures.append(str(error)))
    with pytest.raises(InputError, match="^filling z 5 to z 9 failed: 1 of the image's 4096 values are NaN"):
        session.fill(4, 10).result()
    assert len(failures) == 1


# where to look next


def test_the_next_slice_before_a_fill_is_the_farthest_from_all_anchors(mask, engines):
    session = Session(image_of(mask), engines["nearest"](), classes=BACKGROUND)
    assert session.next_slice() == at(10)
    session.draw(strokes_for(mask[4]), 4)
    session.draw(strokes_for(mask[15]), 15)
    assert 8 <= session.next_slice().position[0] <= 11


def test_the_next_slice_after_a_fill_lies_where_it_is_least_sure(session):
    session.fill(4, 15).result()
    session._filling.doubts.clear()
    chosen = session.next_slice()
    assert chosen in session.filled
    for index in range(20):
        session.accept(index)
    assert session.next_slice() is None


def test_a_slice_with_strokes_is_offered_again_where_it_is_in_more_doubt(session):
    session.fill(4, 15).result()
    sequence = session._document.history.newest_entry(at(10)).sequence
    assert session._filling.doubts[sequence] > 0
    session._filling.doubts.update(dict.fromkeys(session._filling.doubts, 0.0))
    assert session.next_slice() in session.filled
    session._filling.doubts[sequence] = 1e6
    assert session.next_slice() == at(10)
    session.accept(10)
    assert session.next_slice() in session.filled


def test_gain_of_a_slice_that_is_filled_badly():
    anchors, drift = np.array([0, 10]), np.array([0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0], dtype=float)
    gain = expected_gain(drift, anchors, np.zeros(2), range(1, 10))
    assert gain.argmax() == 5
    assert gain[5] == 5 + 2 * (4 * 3 / 4 + 3 * 1 / 3)  # itself, and of those beside it what their distance loses
    assert not gain[anchors].any()
    drift[8] = 40
    assert expected_gain(drift, anchors, np.zeros(2), range(1, 10)).argmax() == 8


def interpolated(anchors, wrong, filled):
    return np.interp(filled, anchors, wrong).sum()


@pytest.mark.parametrize("chosen", [1, 3, 5, 7, 12, 14])
def test_gain_of_what_is_no_longer_inherited(chosen):
    anchors, wrong = np.array([3, 7, 12]), np.array([10.0, 40.0, 6.0])
    filled = [1, 2, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15]
    gain = expected_gain(np.zeros(17), anchors, wrong, filled)[chosen]
    own = wrong[anchors == chosen].sum()
    labelled = {**dict(zip(anchors.tolist(), wrong, strict=True)), chosen: 0.0}
    after = interpolated(sorted(labelled), [labelled[i] for i in sorted(labelled)], filled)
    assert gain == pytest.approx(own + INHERITED * (interpolated(anchors, wrong, filled) - after))


def test_a_bad_slice_with_strokes_comes_before_its_neighbours_the_worse_it_is():
    anchors, drift = np.array([0, 5, 10]), np.array([0, 9, 9, 9, 9, 0, 9, 9, 9, 9, 0], dtype=float)
    assert expected_gain(drift, anchors, np.array([0, 2.0, 0]), range(11)).argmax() != 5
    assert expected_gain(drift, anchors, np.array([0, 60.0, 0]), range(11)).argmax() == 5


# strokes on what was filled


class Notes:
    """Notes the prior that an engine's strokes lie on."""

    def __init__(self, monkeypatch):
        self.drift = []
        run = SegmentJob.run

        def noted(job):
            self.drift.append(job.drift if job.prior is not None else None)
            return run(job)

        monkeypatch.setattr(SegmentJob, "run", noted)


def correct(session, mask, index):
    """A stroke of the background where the filled labels end."""
    strokes = session.painted(index)
    column = int(np.flatnonzero(session.labels[index][32] == 2)[-1])
    strokes[30:34, column] = 1
    session.draw(strokes, index)


def test_filled_labels_are_a_guess_the_less_certain_the_farther_from_an_anchor(session, mask, monkeypatch):
    session.fill(4, 15).result()
    session.follows = False
    notes = Notes(monkeypatch)
    correct(session, mask, 5)
    correct(session, mask, 7)
    correct(session, mask, 7)  # the second stroke corrects the same guess
    assert notes.drift == [pytest.approx(0.85), pytest.approx(1.55), pytest.approx(1.55)]
    session.edit(session.labels[12].copy() * (np.arange(64) < 31), 12)
    correct(session, mask, 12)
    session.accept(13)
    session.reopen(13)
    correct(session, mask, 13)
    assert notes.drift[3:] == [0, 0]  # the user's own


def test_corrected_guesses_are_replayed_and_kept_in_the_session_file(session, mask, tmp_path):
    session.fill(4, 15).result()
    correct(session, mask, 7)
    session.save(tmp_path / "guess.sess")
    replayed = Session.replay(tmp_path / "guess.sess", session.volume, make_engine=lambda *_a, **_k: session.engine)
    assert (replayed.labels == session.labels).all()
    loaded = Session.load(tmp_path / "guess.sess", session.volume, engine=session.engine)
    correct(session, mask, 7)
    correct(loaded, mask, 7)
    assert (loaded.labels[7] == session.labels[7]).all()


def test_a_session_that_was_loaded_follows_corrections(session, mask, tmp_path):
    session.fill(4, 15).result()
    session.save(tmp_path / "filled.sess")
    loaded = Session.load(tmp_path / "filled.sess", session.volume, engine=session.engine)
    assert loaded.follows
    assert (loaded.labels == session.labels).all()
    filled = dict(loaded.filled)
    correct(loaded, mask, 7)
    assert at(7) not in loaded.filled
    assert {at(5), at(6), at(8), at(9)} <= loaded.filled.keys()
    assert loaded.filled[at(6)] > filled[at(6)]  # an anchor is nearer now
    assert loaded.filled[at(12)] == filled[at(12)]
    assert loaded.undo()
    assert loaded.filled == filled
    assert (loaded.labels == session.labels).all()


def test_a_session_without_fills_follows_nothing(session, tmp_path):
    session.save(tmp_path / "painted.sess")
    assert not Session.load(tmp_path / "painted.sess", session.volume, engine=session.engine).follows
