"""Keeps a file up to date in a thread of its own, whatever else the program does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from napari_scribseg.core.errors import InputError
from napari_scribseg.io.lock import FileLock

__all__ = ["Autosave"]

EVERY = 1.0  # seconds between the starts of two saves, at least
SHARE = 0.5  # of the time may go into saving

T = TypeVar("T")


class Autosave(Generic[T]):
    """Writes the newest snapshot soon after a change.

    A change after a pause is written at once, one of many in a row within :data:`EVERY` seconds. The thread lives only
    while something is to be written; a program that ends waits for it. All methods belong to the owner's thread.

    Parameters
    ----------
    lock : FileLock
        Of the file; released by :meth:`close`.
    take : callable
        Makes a snapshot, which must not change later; called in the owner's thread. May raise InputError.
    write : callable
        ``write(snapshot, path)``, called in the thread of the autosave; may raise anything.
    notify : callable
        Gets one sentence when a save fails, and none again until one has succeeded; called in the owner's thread.
    deliver : callable, optional
        ``deliver(fn)`` calls ``fn`` in the owner's thread; without it, the next call of a method notifies of failures.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(
        self,
        lock: FileLock,
        take: Callable[[], T],
        write: Callable[[T, Path], object],
        notify: Callable[[str], object],
        deliver: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.path = lock.path
        self._lock, self._take, self._write = lock, take, write
        self._notify, self._deliver = notify, deliver
        self._turn = threading.Condition()
        self._waiting: list[T] = []  # at most one
        self._writing = self._hurry = False
        self._running = False
        self._due = 0.0
        self._unsaved = False  # the last save failed
        self._error = ""
        self._silent = False

    def touch(self) -> None:
        """Something changed: save it soon."""
        self._report()
        try:
            snapshot = self._take()
        except InputError as error:
            self._failed(str(error))
            self._report()
            return
        with self._turn:
            self._waiting = [snapshot]
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="scribseg-autosave").start()

    def flush(self) -> None:
        """Save unsaved changes now; returns when they are on the disk."""
        if self._unsaved:
            self.touch()
        with self._turn:
            self._hurry = bool(self._waiting)
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._waiting and not self._writing)
        self._report()

    def close(self) -> None:
        """Save for the last time, and release the file."""
        self.flush()
        self._lock.release()

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._hurry, timeout=max(self._due - time.monotonic(), 0))
                snapshot = self._waiting.pop()
                self._hurry, self._writing = False, True
            begin = time.monotonic()
            error = self._try_to_write(snapshot)
            seconds = time.monotonic() - begin
            if error:
                self._failed(error)
            with self._turn:
                self._writing = False
                self._unsaved = bool(error)
                self._silent = self._silent and self._unsaved
                self._due = begin + max(EVERY, seconds / SHARE)
                going = self._running = bool(self._waiting)
                self._turn.notify_all()
            if error and self._deliver is not None:
                self._deliver(self._report)
            if not going:
                return

    def _try_to_write(self, snapshot: T) -> str:
        """Write a snapshot; returns the error as a sentence, empty where there is none."""
        try:
            self._write(snapshot, self.path)
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  it would be lost in the thread, and end it
            return f"autosave failed: {error!r}"
        return ""

    def _failed(self, error: str) -> None:
        with self._turn:
            self._unsaved = True
            if not self._silent:
                self._silent, self._error = True, error

    def _report(self) -> None:
        """Notify of an error; in the owner's thread."""
        with self._turn:
            error, self._error = self._error, ""
        if error:
            self._notify(error)
