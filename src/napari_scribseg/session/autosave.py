"""Keeps the sidecar up to date without a timer and without making the user wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari_scribseg.core.errors import InputError
from napari_scribseg.session.sidecar import write
from napari_scribseg.session.snapshot import Snapshot

__all__ = ["Autosave"]

EVERY = 2.0  # seconds between the starts of two saves, at least
SHARE = 0.05  # of the time may go into saving

Background = Callable[[Callable[[], Any], Callable[[Any], None]], None]


class Autosave:
    """Writes a snapshot after a change, in the background, at most every :data:`EVERY` seconds.

    Parameters
    ----------
    path : Path
        The sidecar.
    take : callable
        Makes a snapshot; called in the owner's thread.
    background : callable
        ``background(work, done)``; see ``Runner.in_background``.
    tell : callable
        Gets one sentence when a save fails, and none again until one has succeeded.
    """

    def __init__(
        self, path: Path, take: Callable[[], Snapshot], background: Background, tell: Callable[[str], None]
    ) -> None:
        self._path, self._take, self._background, self._tell = path, take, background, tell
        self._unsaved = False
        self._writing = False
        self._silent = False
        self._earliest = 0.0
        self._serial = 0
        self._on_disk = 0
        self._lock = threading.Lock()

    def touch(self) -> None:
        """Something changed."""
        self._unsaved = True
        if time.monotonic() >= self._earliest:
            self.flush()

    def flush(self) -> None:
        """Save now if something is unsaved and no save is under way."""
        if not self._unsaved or self._writing:
            return
        self._unsaved, self._writing = False, True
        try:
            self._background(self._writer(), self._written)
        except InputError as error:
            self._written((str(error), 0.0))
        except RuntimeError as error:  # the executor was shut down
            self._written((f"the session was not saved: {error}", 0.0))

    def _writer(self) -> Callable[[], tuple[str | None, float]]:
        """Freeze what is to be saved; returns the function that writes it, for any thread."""
        self._serial += 1
        return partial(self._write, self._take(), self._serial)

    def _write(self, snapshot: Snapshot, serial: int) -> tuple[str | None, float]:
        """Write, unless something newer is on the disk; returns what went wrong, and how long it took in seconds."""
        begin = time.monotonic()
        with self._lock:
            try:
                if serial > self._on_disk:
                    write(snapshot, self._path)
                    self._on_disk = serial
            except InputError as error:
                return str(error), time.monotonic() - begin
            except Exception as error:  # noqa: BLE001  in a thread nobody would hear of it, and no save would follow
                return f"the session was not saved: {error!r}", time.monotonic() - begin
        return None, time.monotonic() - begin

    def _written(self, outcome: tuple[str | None, float]) -> None:
        error, seconds = outcome
        self._writing = False
        self._earliest = time.monotonic() + max(EVERY - seconds, seconds / SHARE)
        self._report(error)

    def close(self) -> None:
        """Save for the last time, in the calling thread."""
        if self._unsaved or self._writing:
            self._unsaved = False
            try:
                self._report(self._writer()()[0])
            except InputError as error:
                self._report(str(error))

    def _report(self, error: str | None) -> None:
        if error is None:
            self._silent = False
            return
        self._unsaved = True
        if not self._silent:
            self._silent = True
            self._tell(error)
