"""Undo and redo: steps, bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["History", "Sized"]


class Sized(Protocol):
    """What a step must have."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""


S = TypeVar("S", bound=Sized)


class History(Generic[S]):
    """Steps that are done, and steps that were undone and can be redone; the oldest ones are dropped beyond the bounds.

    A step holds the states before and after it; its owner applies it. All methods belong to the owner's thread.

    Parameters
    ----------
    min_steps : int
        Number of steps that are kept whatever their size.
    max_steps : int, optional
        No more are kept.
    max_bytes : int
        Bound of all steps together, where there are more than ``min_steps``.

    Attributes
    ----------
    version : int
        Another number after each step, undo and redo.
    """

    def __init__(self, *, min_steps: int = 100, max_steps: int | None = None, max_bytes: int = 64 << 20) -> None:
        self._min_steps, self._max_steps, self._max_bytes = min_steps, max_steps, max_bytes
        self._done: list[S] = []
        self._undone: list[S] = []
        self._bytes = 0  # of the steps done
        self.version = 0

    def add(self, step: S) -> None:
        """A new step; the undone ones can no longer be redone."""
        self.version += 1
        self._undone.clear()
        self._push(step)
        self._trim()

    def undo(self) -> S | None:
        """The newest step, now undone; None where there is none."""
        if not self._done:
            return None
        self.version += 1
        self._undone.append(self._pop(-1))
        return self._undone[-1]

    def redo(self) -> S | None:
        """The step undone last, now done; None where there is none."""
        if not self._undone:
            return None
        self.version += 1
        self._push(self._undone.pop())
        return self._done[-1]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return bool(self._undone)

    def __iter__(self) -> Iterator[S]:
        """The steps done, the oldest first."""
        return iter(self._done)

    def __len__(self) -> int:
        return len(self._done)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of all steps, done and undone."""
        return self._bytes + sum(step.nbytes for step in self._undone)

    def _push(self, step: S) -> None:
        self._done.append(step)
        self._bytes += step.nbytes

    def _pop(self, index: int) -> S:
        step = self._done.pop(index)
        self._bytes -= step.nbytes
        return step

    def _trim(self) -> None:
        """Drop the oldest steps beyond the bounds."""
        while self._max_steps is not None and len(self._done) > self._max_steps:
            self._pop(0)
        excess = self.nbytes - self._max_bytes if len(self._done) > self._min_steps else 0
        while excess > 0 and len(self._done) > self._min_steps:
            excess -= self._pop(0).nbytes
