"""Engines that hang, or raise what is more than an exception: strokes reach the disk, and the session goes on."""

import subprocess
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from waiting import wait_for

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import EngineInfo, InputError, silent
from napari_scribseg.kernel import Inbox, InlineExecutor, ShutDownError, Worker, jobs

_LOOSE: dict[str, threading.Event] = {}
_HUNG = threading.Semaphore(0)
_RAISED: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
}


@pytest.fixture
def hanging(engines):
    """An engine that hangs in what its parameter names until the test is over."""

    def hang():
        _HUNG.release()
        _LOOSE["now"].wait()

    @dataclass(frozen=True)
    class Hanging(engines["nearest"]):
        info: ClassVar[EngineInfo] = EngineInfo("hanging", "Hanging", "")
        where: str = "segment"

        def prepare(self, image, device="auto"):
            if self.where == "prepare":
                hang()
            return super().prepare(image, device)

        def segment(self, image, scribbles, state, report=silent):
            if self.where == "segment":
                hang()
            return super().segment(image, scribbles, state, report)

        def unprompted(self, state):
            hang()
            return np.zeros((2, *state["image"].shape[1:]), np.float32)

    _LOOSE["now"] = threading.Event()
    while _HUNG.acquire(blocking=False):
        pass
    yield Hanging
    _LOOSE["now"].set()


@pytest.fixture
def raising(engines):
    """An engine that raises what its parameter names."""

    @dataclass(frozen=True)
    class Raising(engines["nearest"]):
        info: ClassVar[EngineInfo] = EngineInfo("raising", "Raising", "")
        what: str = "exit"

        def segment(self, image, scribbles, state, report=silent):
            raise _RAISED[self.what]

        def unprompted(self, state):
            raise _RAISED[self.what]

    return Raising


@pytest.fixture(params=["worker", "pool"])
def executor(request):
    """Ours, and one of the user's."""
    made = Worker() if request.param == "worker" else ThreadPoolExecutor(1)
    yield made
    if "now" in _LOOSE:
        _LOOSE["now"].set()
    made.shutdown(wait=False)


@pytest.fixture
def inbox():
    return Inbox()


def until(condition, inbox):
    """Empty the inbox until a condition holds."""
    wait_for(condition, meanwhile=inbox.run)


def test_strokes_reach_the_disk_while_an_engine_hangs(
    volume, hanging, engines, painted, tmp_path, executor, inbox, recwarn
):
    path = tmp_path / "side"
    session = Session(volume, hanging(), executor=executor, deliver=inbox.deliver, sidecar=path)
    session.draw(painted, 0)
    until(path.exists, inbox)  # without a pause, a flush or another stroke
    session.draw(np.fliplr(painted), 1)
    session.flush()
    saved = Session.load(path, volume, make_engine=lambda name, **parameters: engines["nearest"]())
    for z in (0, 1):
        assert saved.painted(z).any()
        assert (saved.painted(z) == session.painted(z)).all()


def test_strokes_reach_the_disk_without_a_flush(volume, hanging, painted, engines, tmp_path, executor, inbox):
    path = tmp_path / "side"
    session = Session(volume, hanging(), executor=executor, deliver=inbox.deliver, sidecar=path)
    for z in range(4):
        session.draw(painted, z)

    def saved():
        return Session.load(path, volume, make_engine=lambda name, **parameters: engines["nearest"]())

    until(lambda: path.exists() and len(saved().painted_slices()) == 4, inbox)
    for z in range(4):
        assert (saved().painted(z) == session.painted(z)).all()


def test_strokes_are_on_the_disk_before_an_engine_in_the_same_thread_ends(volume, engines, painted, tmp_path):
    path, seen = tmp_path / "side", []

    class Slow(engines["nearest"]):
        def segment(self, image, scribbles, state, report=silent):
            seen.append(wait_for(path.exists, "the strokes on the disk"))
            return super().segment(image, scribbles, state, report)

    Session(volume, Slow(), sidecar=path).draw(painted, 0)
    assert seen == [True]


@pytest.mark.parametrize("what", _RAISED)
def test_whatever_an_engine_raises_is_a_failure(volume, raising, engines, painted, executor, inbox, what):
    session = Session(volume, raising(what=what), executor=executor, deliver=inbox.deliver)
    failures, busy = [], []
    session.events.failed.connect(lambda slice_index, error: failures.append(error))
    session.events.busy.connect(busy.append)
    future = session.draw(painted, 0)
    with pytest.raises(RuntimeError, match=f"the engine 'raising' raised {type(_RAISED[what]).__name__}"):
        inbox.wait(future, 120)
    until(lambda: not session.is_busy, inbox)
    assert busy == [True, False]
    assert len(failures) == 1
    with pytest.raises(RuntimeError, match="raised"):
        inbox.wait(session.predict(0), 120)
    session.use(engines["nearest"]())
    assert inbox.wait(session.draw(painted, 1), 120).final


def test_an_engine_in_the_same_thread_may_be_interrupted_by_the_user(volume, raising, engines, painted):
    session = Session(volume, raising(what="interrupt"))
    with pytest.raises(KeyboardInterrupt):
        session.draw(painted, 0)
    assert not session.is_busy
    assert session.painted(0).any()
    session.use(raising(what="exit"))
    with pytest.raises(RuntimeError, match="raised SystemExit: 3"):
        session.draw(painted, 0).result()
    session.use(engines["nearest"]())
    assert session.draw(painted, 0).result().final


@pytest.mark.parametrize("where", ["segment", "prepare"])
def test_a_job_that_hangs_is_left_behind(
    volume, hanging, engines, painted, executor, inbox, where, monkeypatch, tmp_path
):
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    session = Session(volume, hanging(where=where), executor=executor, deliver=inbox.deliver)
    hints, finals = [], []
    session.events.hint.connect(hints.append)
    session.events.updated.connect(lambda update: finals.append(update.slice_index) if update.final else None)
    hung = session.draw(painted, 0)
    assert _HUNG.acquire(timeout=60)
    hung_thread = getattr(executor, "_thread", None)
    session.cancel()
    until(lambda: not session.is_busy, inbox)
    assert hung.cancelled()
    assert "was abandoned" in hints[0]
    session.use(engines["nearest"]())
    assert inbox.wait(session.draw(painted, 1), 120).final
    _LOOSE["now"].set()  # now it answers after all
    if isinstance(executor, ThreadPoolExecutor):
        executor.shutdown()
    else:
        until(lambda: not hung_thread.is_alive(), inbox)
    inbox.run()
    assert [slice_index.position for slice_index in finals] == [(1,)]
    assert not session.labels[0].any()
    assert session.painted(0).any()


def test_strokes_of_the_meantime_are_segmented_by_the_new_worker(
    volume, hanging, engines, painted, executor, inbox, monkeypatch
):
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    session = Session(volume, hanging(), executor=executor, deliver=inbox.deliver)
    session.draw(painted, 0)
    assert _HUNG.acquire(timeout=60)
    session.cancel()
    session.use(engines["nearest"]())
    assert inbox.wait(session.draw(painted, 2), 120).final


def test_a_request_that_hangs_is_left_behind(volume, hanging, engines, painted, executor, inbox, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    session = Session(volume, hanging(where="nowhere"), executor=executor, deliver=inbox.deliver)
    requested = session.predict(0)
    assert _HUNG.acquire(timeout=60)
    session.cancel()
    with pytest.raises(CancelledError):
        inbox.wait(requested, 120)
    assert inbox.wait(session.draw(painted, 1), 120).final
    _LOOSE["now"].set()
    assert inbox.wait(session.draw(painted, 2), 120).final
    assert not session.labels[0].any()


def test_a_job_that_ends_in_time_is_not_left_behind(volume, hanging, painted, inbox):
    worker = Worker("of this test")
    session = Session(volume, hanging(), executor=worker, deliver=inbox.deliver)
    session.draw(painted, 0)
    assert _HUNG.acquire(timeout=60)
    session.cancel()

    def threads():
        return [t for t in threading.enumerate() if t.name == "of this test"]

    before = threads()
    assert len(before) == 1
    _LOOSE["now"].set()
    until(lambda: not session.is_busy, inbox)
    assert inbox.wait(session.draw(painted, 1), 120).final
    assert threads() == before
    timers = [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
    until(lambda: not any(t.is_alive() for t in timers), inbox)


def test_one_session_of_a_worker_leaves_its_own_job_only(volume, hanging, engines, painted, inbox, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    worker = Worker()
    first = Session(volume, hanging(), executor=worker, deliver=inbox.deliver)
    second = Session(volume, engines["nearest"](), executor=worker, deliver=inbox.deliver)
    first.draw(painted, 0)
    assert _HUNG.acquire(timeout=60)
    waits = second.draw(painted, 0)
    second.cancel()
    until(lambda: not second.is_busy, inbox)
    assert waits.cancelled()
    assert first.is_busy
    later = second.draw(painted, 1)
    first.cancel()
    assert inbox.wait(later, 120).final  # the queue of the worker went on


def test_a_worker_that_was_shut_down(volume, engines, painted, inbox):
    worker = Worker()
    session = Session(volume, engines["nearest"](), executor=worker, deliver=inbox.deliver)
    inbox.wait(session.draw(painted, 0), 120)
    worker.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        session.draw(painted, 1).result()
    with pytest.raises(ShutDownError):
        session.prepare(1)
    assert not session.is_busy


def test_an_executor_returns_finished_futures():
    executor = InlineExecutor()
    assert executor.submit(lambda a, b: a + b, 1, b=2).result() == 3
    with pytest.raises(InputError):
        executor.submit(lambda: (_ for _ in ()).throw(InputError("x"))).result()


def test_a_program_ends_although_an_engine_hangs(tmp_path):
    code = """
import threading
from napari_scribseg.kernel import executor
executor.AT_EXIT = 0.1
executor.Worker().submit(threading.Event().wait)
print("the end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "the end\n"
