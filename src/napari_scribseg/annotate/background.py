"""What a session does while nothing else is wanted: filling, and drafts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Background"]


class Part(Protocol):
    """One of them."""

    def give_way(self, *, hold: bool = False) -> None:
        """Interrupt it for something that is wanted sooner."""

    def proceed(self) -> None:
        """Go on, if nothing else is wanted."""

    def withdraw(self) -> bool:
        """Cancel what has written nothing yet. Whether there was something."""
        ...


class Background:
    """All of them together.

    Parameters
    ----------
    parts : sequence of Part
        The one that goes on first is the first.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def give_way(self, *, hold: bool = False) -> None:
        """Interrupt all for something that is wanted sooner; ``hold`` lets them wait until the next call without it."""
        for part in self._parts:
            part.give_way(hold=hold)

    def proceed(self) -> None:
        """Let them go on, if nothing else is wanted."""
        for part in self._parts:
            part.proceed()

    def withdraw(self) -> bool:
        """Cancel the first request that has written nothing yet. Whether there was one."""
        return any(part.withdraw() for part in self._parts)
