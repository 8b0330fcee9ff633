import threading

import pytest
from hands import ended, settle, until
from qtpy.QtCore import QThread
from qtpy.QtWidgets import QApplication

from napari_scribseg.widgets.common.dispatch import Dispatcher


@pytest.fixture
def dispatcher(qapp):
    dispatcher = Dispatcher()
    yield dispatcher
    dispatcher.close()


def test_post_returns_to_the_main_thread_from_the_worker(dispatcher):
    threads = []

    def job():
        threads.append(threading.current_thread())
        dispatcher.post(lambda: threads.append(threading.current_thread()))

    dispatcher.executor.submit(job)
    until(lambda: len(threads) == 2)
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()
    assert QThread.currentThread() is QApplication.instance().thread()


def test_posts_keep_their_order(dispatcher):
    seen = []
    for number in range(50):
        dispatcher.post(lambda number=number: seen.append(number))
    assert seen == []
    until(lambda: len(seen) == 50)
    assert seen == list(range(50))


def test_wait_runs_what_is_posted_until_the_condition_holds(dispatcher):
    seen = []
    for number in range(5):
        dispatcher.executor.submit(lambda number=number: dispatcher.post(lambda: seen.append(number)))
    assert dispatcher.wait(lambda: len(seen) == 3, 10)
    assert seen == [0, 1, 2]
    until(lambda: len(seen) == 5)  # the others come by the window's own loop
    settle()
    assert seen == [0, 1, 2, 3, 4]


def test_wait_gives_up(dispatcher):
    seen = []
    assert not dispatcher.wait(lambda: bool(seen), 0.01)
    dispatcher.post(lambda: seen.append("later"))
    until(lambda: bool(seen))


def test_aside_delivers_results_and_errors(dispatcher):
    seen = []
    dispatcher.aside(lambda: 1 + 1, seen.append, seen.append)
    dispatcher.aside(lambda: 1 / 0, seen.append, seen.append)
    until(lambda: len(seen) == 2)
    assert seen[0] == 2
    assert isinstance(seen[1], ZeroDivisionError)


def test_nothing_arrives_after_close(dispatcher):
    seen, go = [], threading.Event()
    dispatcher.aside(go.wait, seen.append, seen.append)
    dispatcher.post(lambda: seen.append("posted"))
    dispatcher.close()
    go.set()
    ended(dispatcher)
    assert seen == []
    dispatcher.post(lambda: seen.append("late"))
    dispatcher.aside(lambda: 1, seen.append, seen.append)
    dispatcher.close()
    assert seen == []


def test_a_file_is_written_even_if_the_window_closes_before(dispatcher):
    go, written = threading.Event(), []
    dispatcher.aside(go.wait, print, print, file=True)
    dispatcher.aside(lambda: written.append("whole"), print, print, file=True)
    dispatcher.close()
    go.set()
    dispatcher.join()
    assert written == ["whole"]
