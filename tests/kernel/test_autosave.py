"""A file that is kept up to date in a thread of its own."""

import threading

import pytest

from napari_scribseg.core import InputError
from napari_scribseg.io.lock import FileLock, InUseError
from napari_scribseg.kernel import Autosave, autosave


class Document:
    """A text, and its autosave."""

    def __init__(self, path, write=None):
        self.text, self.errors = "", []
        write = write or (lambda text, path: path.write_text(text))
        self.autosave = Autosave(FileLock(path), lambda: self.text, write, self.errors.append)

    def change(self, text):
        self.text = text
        self.autosave.touch()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a"


def test_the_newest_snapshot_reaches_the_disk(path):
    document = Document(path)
    assert not path.exists()
    for n in range(50):
        document.change(str(n))
    document.autosave.flush()
    assert path.read_text() == "49"


def test_many_changes_are_few_saves(path, monkeypatch):
    monkeypatch.setattr(autosave, "EVERY", 1e9)
    written = []
    document = Document(path, lambda text, path: written.append(text))
    document.change("first")
    document.autosave.flush()
    for n in range(50):
        document.change(str(n))
    assert written == ["first"]
    document.autosave.close()
    assert written == ["first", "49"]


def test_nothing_waits_for_a_save(path):
    go, begun = threading.Event(), threading.Event()

    def slow(text, path):
        begun.set()
        go.wait()
        path.write_text(text)

    document = Document(path, slow)
    document.change("a")
    assert begun.wait(60)
    document.change("b")  # returns
    assert not path.exists()
    go.set()
    document.autosave.flush()
    assert path.read_text() == "b"


def test_a_failure_is_notified_once_and_tried_again(path):
    broken = True

    def write(text, path):
        if broken:
            raise MemoryError("none left")
        path.write_text(text)

    document = Document(path, write)
    for n in range(3):
        document.change(str(n))
        document.autosave.flush()
    assert len(document.errors) == 1
    assert "MemoryError" in document.errors[0]
    broken = False
    document.autosave.close()
    assert path.read_text() == "2"


def test_a_snapshot_that_cannot_be_taken_is_notified(path):
    def take():
        raise InputError("no place for a dict")

    errors = []
    saving = Autosave(FileLock(path), take, lambda snapshot, path: None, errors.append)
    saving.touch()
    assert errors == ["no place for a dict"]
    saving.close()


def test_the_file_is_locked_until_it_is_closed(path):
    document = Document(path)
    with pytest.raises(InUseError):
        FileLock(path)
    document.autosave.close()
    FileLock(path).release()
