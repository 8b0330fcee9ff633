"""One job in flight, the latest wins: with a real thread, and an inbox that the test empties."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from waiting import wait_for

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel import Inbox


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


class CountingInbox(Inbox):
    """An inbox that counts what was ever posted."""

    posted = 0

    def deliver(self, call):
        super().deliver(call)
        self.posted += 1


@pytest.fixture
def inbox():
    return CountingInbox()


@pytest.fixture
def session(volume, gate, executor, inbox):
    session = Session(volume, gate[1], executor=executor, deliver=inbox.deliver)
    yield session
    session.cancel()


def stroke(painted, row):
    more = painted.copy()
    more[row, 1] = 1
    return more


def arrive(gate, inbox):
    """Empty the inbox until the engine stands at the gate."""
    wait_for(lambda: gate[0].arrived.acquire(blocking=False), "the engine at the gate", meanwhile=inbox.run)


def settle(session, inbox):
    def idle():
        inbox.run()
        return not session.is_busy

    wait_for(idle, "the end of all jobs")


def test_threads_need_a_way_back(volume, gate, executor):
    with pytest.raises(InputError, match="deliver"):
        Session(volume, gate[1], executor=executor)


def test_a_result_arrives_in_the_owner_thread(session, painted, gate, inbox):
    threads, busy = [], []
    session.events.updated.connect(lambda update: threads.append(threading.current_thread()))
    session.events.busy.connect(busy.append)
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    assert session.is_busy
    assert not session.labels.any()
    gate[0].go.release()
    assert inbox.wait(future, 120).final
    assert set(threads) == {threading.current_thread()}
    assert busy == [True, False]


def test_the_latest_wins_and_nothing_queues(session, painted, gate, inbox):
    finals = []
    session.events.updated.connect(lambda update: finals.append(update.generation) if update.final else None)
    first = session.draw(painted, 0)
    arrive(gate, inbox)
    second = session.draw(stroke(painted, 0), 0)
    third = session.draw(stroke(painted, 1), 0)
    assert second.cancelled()  # pushed out before it began
    arrive(gate, inbox)  # only the third runs after the first
    gate[0].go.release()
    inbox.wait(third, 120)
    assert first.cancelled()
    with pytest.raises(CancelledError):
        first.result()
    assert len(finals) == 1
    assert len([c for c in gate[0].calls if c.startswith("segment")]) == 2
    assert gate[0].calls.count("prepare") == 1  # kept, though the job that made it was cancelled


def test_a_late_result_is_dropped(session, painted, gate, inbox):
    first = session.draw(painted, 0)
    arrive(gate, inbox)
    inbox.run()
    before = inbox.posted
    gate[0].go.release()
    wait_for(lambda: inbox.posted >= before + 2, "a preview and the result")
    session.cancel()  # the answer is there, but not yet delivered
    settle(session, inbox)
    assert first.cancelled()
    assert not session.labels.any()
    assert session.painted(0).any()


def test_a_cancelled_job_leaves_the_former_state(session, painted, gate, inbox):
    def segment(strokes):
        future = session.draw(strokes, 0)
        arrive(gate, inbox)
        return future

    future = segment(painted)
    gate[0].go.release()
    inbox.wait(future, 120)
    segment(stroke(painted, 0))
    session.cancel()
    settle(session, inbox)
    future = segment(stroke(painted, 1))
    gate[0].go.release()
    inbox.wait(future, 120)
    assert gate[0].calls == ["prepare", "segment after 0", "segment after 1", "segment after 1"]


def test_undo_while_a_job_runs_cancels_it_and_redo_requests_again(session, painted, gate, inbox):
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    assert session.undo()
    settle(session, inbox)
    assert future.cancelled()
    assert not session.painted(0).any()
    assert not session.labels.any()
    assert session.redo()
    assert (session.painted(0) == painted).all()
    arrive(gate, inbox)
    gate[0].go.release()
    settle(session, inbox)
    assert session.labels[0].any()
    session.undo()
    assert not session.labels.any()
    assert not session.can_undo


def test_a_slice_left_in_a_hurry_gets_its_result_later(session, painted, gate, inbox):
    session.draw(painted, 0)
    arrive(gate, inbox)
    future = session.draw(painted, 1)
    arrive(gate, inbox)
    gate[0].go.release()
    inbox.wait(future, 120)
    assert session.is_busy
    arrive(gate, inbox)
    gate[0].go.release()
    settle(session, inbox)
    assert session.labels[0].any()
    assert session.labels[1].any()
    assert session.undo()
    assert session.labels[0].any()
    assert not session.labels[1].any()
    assert session.undo()
    assert not session.labels.any()
    assert not session.can_undo


def test_undo_to_strokes_that_never_got_a_result(session, painted, gate, inbox):
    session.draw(painted, 0)
    arrive(gate, inbox)
    future = session.draw(stroke(painted, 0), 0)
    arrive(gate, inbox)
    gate[0].go.release()
    inbox.wait(future, 120)
    session.undo()
    assert (session.painted(0) == painted).all()
    arrive(gate, inbox)
    gate[0].go.release()
    settle(session, inbox)
    assert session.labels[0].any()
    session.undo()
    assert not session.labels.any()


def test_the_same_strokes_twice_are_one_step(session, painted, gate, inbox):
    session.draw(painted, 0)
    arrive(gate, inbox)
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    gate[0].go.release()
    inbox.wait(future, 120)
    session.undo()
    assert not session.labels.any()
    assert not session.painted(0).any()
    assert not session.can_undo


def test_accepting_waits_for_the_result(session, painted, gate, inbox):
    hints = []
    session.events.hint.connect(hints.append)
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    assert not session.accept(0)
    assert "computed" in hints[0]
    gate[0].go.release()
    inbox.wait(future, 120)
    assert session.accept(0)


def test_a_future_cancelled_by_its_holder_stops_the_job(session, painted, gate, inbox):
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    assert future.cancel()
    settle(session, inbox)
    assert not session.labels.any()


def test_progress_is_emitted(session, painted, gate, inbox):
    seen = []
    session.events.progress.connect(seen.append)
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    gate[0].go.release()
    inbox.wait(future, 120)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_an_executor_that_was_shut_down(session, painted, executor):
    executor.shutdown()
    failures = []
    session.events.failed.connect(lambda slice_index, error: failures.append(error))
    with pytest.raises(RuntimeError):
        session.draw(painted, 0).result()
    assert len(failures) == 1
    assert not session.is_busy


def test_closing_while_a_job_runs(session, painted, gate, inbox):
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    session.close()
    settle(session, inbox)
    assert future.cancelled()
    assert not session.labels.any()


def test_waiting_has_an_end(session, painted, gate, inbox):
    with pytest.raises(TimeoutError):
        inbox.wait(session.draw(painted, 0), 0.05)


def test_random_requests_end_in_a_consistent_state(session, painted, gate, inbox):
    rng = np.random.default_rng(1)
    for _ in range(60):
        action = rng.integers(5)
        z = int(rng.integers(3))
        if action <= 2:
            session.draw(stroke(painted, int(rng.integers(12))), z, live=bool(rng.integers(2)))
        elif action == 3:
            session.undo()
        else:
            session.redo()
        if rng.integers(2):
            gate[0].go.release()
        threading.Event().wait(0.002)
        inbox.run()
    for _ in range(50):
        gate[0].go.release()
    settle(session, inbox)
    for z in range(3):
        drawn = np.unique(session.painted(z))
        assert session.labels[z].any() == (drawn.size > 2)
    labels = session.labels.copy()
    n = 0
    while session.undo():
        settle(session, inbox)
        n += 1
    assert not session.labels.any()
    for _ in range(n):
        session.redo()
        settle(session, inbox)
    assert (session.labels != 0).sum() == (labels != 0).sum()


def test_a_result_that_comes_after_an_undo_leaves_the_undone_stroke_to_redo(session, painted, gate, inbox):
    first, second = stroke(painted, 2), stroke(stroke(painted, 2), 5)
    session.draw(first, 0)
    arrive(gate, inbox)
    session.draw(second, 0)  # pushes the first out before its result
    for _ in range(50):
        gate[0].go.release()
    settle(session, inbox)
    with_both = session.labels.copy()
    assert session.undo()
    settle(session, inbox)  # the first stroke is answered now
    np.testing.assert_array_equal(session.painted(0), first)
    assert session.labels[0].any()
    assert session.redo()
    settle(session, inbox)
    np.testing.assert_array_equal(session.painted(0), second)
    np.testing.assert_array_equal(session.labels, with_both)
    assert not session.can_redo


def test_an_overtaken_live_job_ends_with_its_next_preview(session, painted, gate, inbox):
    seen = []
    session.events.updated.connect(seen.append)
    live = session.draw(painted, 0, live=True)
    arrive(gate, inbox)
    session.overtake()
    gate[0].go.release()
    update = inbox.wait(live, 120)
    assert seen == [update]  # the preview, which tells no side from the other, and not the answer after it
    assert np.unique(update.probabilities).size <= 3
    assert not update.final
    settle(session, inbox)
    final = session.draw(painted, 0)
    arrive(gate, inbox)
    session.overtake()  # says nothing to a job that is not live
    gate[0].go.release()
    assert inbox.wait(final, 120).final


def test_a_live_job_that_is_not_overtaken_goes_on_after_its_preview(session, painted, gate, inbox):
    seen = []
    session.events.updated.connect(seen.append)
    live = session.draw(painted, 0, live=True)
    arrive(gate, inbox)
    gate[0].go.release()
    assert inbox.wait(live, 120) is seen[-1]
    assert len(seen) == 2
    assert not np.array_equal(seen[0].probabilities, seen[1].probabilities)


def test_an_engine_prepares_before_the_first_stroke(session, painted, gate, inbox, executor):
    for _ in range(2):
        session.prepare(0)
        executor.submit(int).result(120)
        inbox.run()
    future = session.draw(painted, 0)
    arrive(gate, inbox)
    gate[0].go.release()
    assert inbox.wait(future, 120).final
    assert gate[0].calls == ["prepare", "segment after 0"]


def test_a_failure_to_prepare_waits_for_the_stroke(volume, painted, executor, inbox, engines):
    class Broken(engines["nearest"]):
        def prepare(self, image, device="auto"):
            raise RuntimeError("no such thing")

    session, failures = Session(volume, Broken(), executor=executor, deliver=inbox.deliver), []
    session.events.failed.connect(lambda slice_index, error: failures.append(str(error)))
    session.prepare(0)
    future = session.draw(painted, 0)
    settle(session, inbox)
    assert failures == ["no such thing"]
    assert isinstance(future.exception(), RuntimeError)


def test_every_slice_of_a_stroke_is_segmented_though_others_push_in(session, painted, gate, inbox):
    others = {SliceIndex((1, 2), (z,)): painted for z in (0, 2, 3)}
    session.draw(painted, 1, beside=others)
    arrive(gate, inbox)
    session.draw(painted, 5)  # a stroke elsewhere pushes in before the first answer is there
    for _ in range(20):
        gate[0].go.release()
    settle(session, inbox)
    assert [z for z in range(6) if session.labels[z].any()] == [0, 1, 2, 3, 5]
    session.undo()
    assert [z for z in range(6) if session.labels[z].any()] == [0, 1, 2, 3]
    session.undo()
    assert not session.labels.any()
    assert not session.painted_slices()
    assert not session.can_undo


def test_undo_before_every_slice_was_segmented_and_redo_requests_all(session, painted, gate, inbox):
    session.draw(painted, 1, beside={SliceIndex((1, 2), (z,)): painted for z in (0, 2)})
    arrive(gate, inbox)
    gate[0].go.release()
    arrive(gate, inbox)
    assert session.labels[1].any()
    session.undo()
    for _ in range(20):
        gate[0].go.release()
    settle(session, inbox)
    assert not session.labels.any()
    session.redo()
    for _ in range(20):
        gate[0].go.release()
    settle(session, inbox)
    assert [z for z in range(6) if session.labels[z].any()] == [0, 1, 2]


def test_cancel_gives_up_all_slices_of_a_stroke(session, painted, gate, inbox):
    session.draw(painted, 1, beside={SliceIndex((1, 2), (z,)): painted for z in (0, 2)})
    arrive(gate, inbox)
    session.cancel()
    settle(session, inbox)
    assert not session.labels.any()
    assert len(session.painted_slices()) == 3
