"""Jobs of an owner: one in flight, the newest wins, results delivered to the owner, hanging ones abandoned."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from waiting import wait_for

from napari_scribseg.core import Cancelled, InputError
from napari_scribseg.kernel import AbandonedError, Call, Inbox, InlineExecutor, Job, Jobs, ShutDownError, Worker, jobs


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture(params=["worker", "pool"])
def executor(request):
    """Ours, and one of the user's."""
    made = Worker() if request.param == "worker" else ThreadPoolExecutor(1)
    yield made
    made.shutdown(wait=False)


class Waiting:
    """Work that waits until it is let go; tells when it has begun."""

    def __init__(self, result=None):
        self.begun, self.go, self.result = threading.Event(), threading.Event(), result

    def __call__(self, report):
        self.begun.set()
        while not self.go.wait(0.005):
            report(0.5)
        return self.result


class Deaf(Waiting):
    """Work that never reports."""

    def __call__(self, report):
        self.begun.set()
        self.go.wait()
        return self.result


def test_the_newest_wins_and_the_one_that_waits_is_replaced(executor, inbox):
    done, busy = [], []
    owner = Jobs(executor, inbox.deliver)
    owner.busy.connect(busy.append)
    first, work = Call(gate := Waiting(1), done.append), [Call(lambda report, n=n: n, done.append) for n in (2, 3)]
    owner.submit(first)
    assert gate.begun.wait(60)
    owner.submit(work[0])
    owner.submit(work[1])
    assert work[0].future.cancelled()
    assert first.stop.is_set()
    assert inbox.wait(work[1].future, 60) == 3
    wait_for(lambda: owner.running is None, meanwhile=inbox.run)
    assert done == [3]
    assert isinstance(first.future.exception(), Cancelled)
    assert busy == [True, False]


def test_results_are_used_in_the_owners_thread(executor, inbox):
    seen = []

    class Where(Job):
        def run(self):
            seen.append(("run", threading.current_thread()))

    def start(job):
        seen.append(("start", threading.current_thread()))

    def finish(job, result, error):
        seen.append(("finish", threading.current_thread()))
        job.future.set_result(None)

    owner = Jobs(executor, inbox.deliver)
    job = Where(finish=finish, start=start)
    owner.submit(job)
    inbox.wait(job.future, 60)
    mine = threading.current_thread()
    assert [name for name, _ in seen] == ["start", "run", "finish"]
    assert [thread is mine for _, thread in seen] == [True, False, True]


def test_a_queued_job_is_replaced_by_none(executor, inbox):
    done = []
    owner = Jobs(executor, inbox.deliver)
    for n in range(3):
        owner.queue(Call(lambda report, n=n: n, done.append))
    last = Call(lambda report: 3, done.append)
    owner.submit(last)
    inbox.wait(last.future, 60)
    assert done == [0, 1, 2, 3]


def test_cancel_stops_the_running_job_and_drops_the_one_that_waits(executor, inbox):
    failed = []
    owner = Jobs(executor, inbox.deliver)
    running, waiting = Call(gate := Waiting(), failed=failed.append), Call(lambda report: 1)
    owner.submit(running)
    assert gate.begun.wait(60)
    owner.submit(waiting)
    owner.cancel()
    wait_for(lambda: owner.running is None, meanwhile=inbox.run)
    assert waiting.future.cancelled()
    assert [type(error) for error in failed] == [Cancelled]


def test_who_cancels_the_future_stops_the_job(executor, inbox):
    owner = Jobs(executor, inbox.deliver)
    job = Call(gate := Waiting())
    owner.submit(job)
    assert gate.begun.wait(60)
    job.future.cancel()
    assert job.stop.unwanted
    wait_for(lambda: owner.running is None, meanwhile=inbox.run)


def test_idle_may_submit_until_nothing_is_left():
    left, done, busy = list(range(500)), [], []
    owner = Jobs(idle=lambda: owner.submit(Call(lambda report: left.pop(), done.append)) if left else None)
    owner.busy.connect(busy.append)
    owner.submit()
    assert done == list(range(500))[::-1]  # without a recursion
    assert busy == [True, False]


def test_a_job_that_hangs_is_abandoned(executor, inbox, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.02)
    failed, abandoned = [], []
    owner = Jobs(executor, inbox.deliver)
    hung, behind = Call(deaf := Deaf(), failed=failed.append), Call(lambda report: 2)
    owner.submit(hung)
    assert deaf.begun.wait(60)
    owner.queue(behind)
    owner.cancel()
    owner.abandon_late(lambda: abandoned.append(1))
    wait_for(lambda: failed, meanwhile=inbox.run)
    assert [type(error) for error in failed] == [AbandonedError]
    following = Call(lambda report: 3)
    owner.submit(following)
    assert inbox.wait(following.future, 60) == 3
    assert len(abandoned) == 1
    deaf.go.set()  # what it returns now never arrives
    with pytest.raises(CancelledError):
        hung.future.result()
    assert [type(error) for error in failed] == [AbandonedError]


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), MemoryError("none left")])
def test_whatever_a_job_raises_is_an_error_of_it(executor, inbox, error):
    def work(report):
        raise error

    owner = Jobs(executor, inbox.deliver)
    job = Call(work, name="the search")
    owner.submit(job)
    words = "none left" if isinstance(error, MemoryError) else f"the search raised {type(error).__name__}"
    with pytest.raises(Exception, match=words):
        inbox.wait(job.future, 60)
    assert owner.running is None


def test_the_user_may_interrupt_a_job_in_his_own_thread():
    def work(report):
        raise KeyboardInterrupt

    owner, busy = Jobs(), []
    owner.busy.connect(busy.append)
    with pytest.raises(KeyboardInterrupt):
        owner.submit(Call(work))
    assert busy == [True, False]
    job = Call(lambda report: 1)
    owner.submit(job)
    assert job.future.result() == 1


def test_an_error_of_what_follows_a_job_reaches_the_caller():
    owner, done = Jobs(), []
    with pytest.raises(ZeroDivisionError):
        owner.submit(Call(lambda report: 0, lambda result: 1 / result))
    owner.submit(Call(lambda report: 1, done.append))
    assert done == [1]


def test_an_executor_that_was_shut_down(executor, inbox):
    executor.shutdown()
    owner = Jobs(executor, inbox.deliver)
    job = Call(lambda report: 1)
    owner.submit(job)
    with pytest.raises(ShutDownError):
        job.future.result(0)
    assert owner.running is None
    with pytest.raises(ShutDownError):
        owner.queue(Call(lambda report: 1))


def test_threads_need_a_way_back(executor):
    with pytest.raises(InputError, match="without deliver"):
        Jobs(executor)
    assert Jobs(InlineExecutor()).is_inline


def test_progress_is_passed_on():
    fractions = []
    owner = Jobs()
    owner.submit(Call(lambda report: [report(n / 4) for n in range(5)], progress=fractions.append))
    assert fractions == [0, 0.25, 0.5, 0.75, 1]


def test_wait_ends_in_time(inbox):
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        inbox.wait(Call(lambda report: 1).future, 0.01)
