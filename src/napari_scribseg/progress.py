"""The progress of a long command: a moving bar on a terminal, elsewhere a line every ten seconds and at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["ShowProgress", "show_progress"]

log = logging.getLogger("scribseg")

_SECONDS = 10


class ShowProgress(Protocol):
    """What :func:`show_progress` yields."""

    def __call__(self, done: int, total: int | None, what: str = "") -> None:
        """Show how many are done, of how many (None where that is not known), and what was done last."""

    def note(self, text: str) -> None:
        """Show a line above the bar; nowhere else than on a terminal."""


@contextmanager
def show_progress(doing: str, unit: str) -> Iterator[ShowProgress]:
    """Show progress on the standard error.

    Parameters
    ----------
    doing : str
        For people, such as ``"segmenting"``.
    unit : str
        What is counted, such as ``"slices"``.
    """
    if not sys.stderr.isatty():
        yield _Lines(doing, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        class Bar:
            def __call__(self, done: int, total: int | None, what: str = "") -> None:
                text = f"{doing}: {what[:60]}" if what else doing
                bar.update(task, completed=done, total=total, description=text)

            def note(self, text: str) -> None:
                bar.console.print(text, markup=False, highlight=False)

        yield Bar()


class _Lines:
    def __init__(self, doing: str, unit: str) -> None:
        self._doing, self._unit = doing, unit
        self._start = self._last = time.perf_counter()

    def __call__(self, done: int, total: int | None, what: str = "") -> None:
        now = time.perf_counter()
        if done == total or now - self._last >= _SECONDS:
            self._last = now
            text = f": {what}" if what else ""
            of = "" if total is None else f" of {total}"
            log.info("%s: %d%s %s, %.1f s%s", self._doing, done, of, self._unit, now - self._start, text)

    def note(self, text: str) -> None:
        pass
