"""Keeps a file up to date on a thread of its own, whatever else the program does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from napari_scribseg.core import InputError

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
    take : callable
        Makes a snapshot, which must not change later; called in the owner's thread. May raise InputError.
    write : callable
        ``write(snapshot)``, called in the thread of the autosave; may raise anything.
    tell : callable
        Gets one sentence when a save fails, and none again until one has succeeded; called in the owner's thread.
    deliver : callable, optional
        ``deliver(fn)`` calls ``fn`` in the owner's thread; without it, failures are told by the next call of a method.
    """

    def __init__(
        self,
        take: Callable[[], T],
        write: Callable[[T], object],
        tell: Callable[[str], object],
        deliver: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._take, self._write, self._tell, self._deliver = take, write, tell, deliver
        self._turn = threading.Condition()
        self._waiting: list[T] = []  # at most one
        self._writing = self._hurry = False
        self._running = False
        self._due = 0.0
        self._unsaved = False  # the last save failed
        self._error = ""
        self._silent = False

    def touch(self) -> None:
        """Something changed."""
        self._report()
        try:
            snapshot = self._take()
        except InputError as error:
            self._failed(str(error))
            self._report()
            return
        with self._turn:
            self._waiting = [snapshot]
            self._go()

    def flush(self) -> None:
        """Save now what is unsaved; returns when it is on the disk."""
        if self._unsaved:
            self.touch()
        with self._turn:
            self._hurry = bool(self._waiting)
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._waiting and not self._writing)
        self._report()

    def _go(self) -> None:
        """Have the thread run; the caller holds the lock."""
        if not self._running:
            self._running = True
            threading.Thread(target=self._run, name="scribseg-autosave").start()

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._hurry, timeout=max(self._due - time.monotonic(), 0))
                snapshot = self._waiting.pop()
                self._hurry, self._writing = False, True
            begin = time.monotonic()
            error = self._written(snapshot)
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

    def _written(self, snapshot: T) -> str:
        """What went wrong; nothing if it is on the disk."""
        try:
            self._write(snapshot)
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  in a thread nobody would hear of it, and no save would follow
            return f"autosave failed: {error!r}"
        return ""

    def _failed(self, error: str) -> None:
        with self._turn:
            self._unsaved = True
            if not self._silent:
                self._silent, self._error = True, error

    def _report(self) -> None:
        """Tell what went wrong; in the owner's thread."""
        with self._turn:
            error, self._error = self._error, ""
        if error:
            self._tell(error)
