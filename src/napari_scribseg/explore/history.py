"""Undo and redo: steps that know what was before and after."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["History", "MapPatch", "Step"]

MAX_STEPS = 1000
MAX_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, eq=False)
class MapPatch:
    """A window of an image's map before and after a step, compressed."""

    image: int
    window: tuple[slice, slice]
    shape: tuple[int, int]
    before: bytes | None
    after: bytes

    @classmethod
    def of(
        cls, image: int, window: tuple[slice, slice], before: NDArray[np.int32] | None, after: NDArray[np.int32]
    ) -> MapPatch:
        """Compress both."""
        packed = None if before is None else zlib.compress(np.ascontiguousarray(before).tobytes(), 1)
        height, width = after.shape
        return cls(image, window, (height, width), packed, zlib.compress(np.ascontiguousarray(after).tobytes(), 1))

    def ids(self, after: bool) -> NDArray[np.int32]:
        """The map of the window after the step, or before it; 0 everywhere where the image was not cut before."""
        packed = self.after if after else self.before
        if packed is None:
            return np.zeros(self.shape, dtype=np.int32)
        return np.frombuffer(zlib.decompress(packed), dtype=np.int32).reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One thing that the user did: segments that became others, classes that changed."""

    kind: str
    patches: tuple[MapPatch, ...]
    ids: NDArray[np.int64]
    before: NDArray[np.int32]
    after: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        maps = sum(len(p.before or b"") + len(p.after) for p in self.patches)
        return maps + self.ids.nbytes + self.before.nbytes + self.after.nbytes


class History:
    """The steps that can be taken back and done again; the oldest are forgotten beyond 1000 steps or 512 MiB."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []

    def add(self, step: Step) -> None:
        """A new step; what was undone cannot be done again."""
        self.done.append(step)
        self.undone.clear()
        total = sum(s.nbytes for s in self.done)
        while len(self.done) > 1 and (len(self.done) > MAX_STEPS or total > MAX_BYTES):
            total -= self.done.pop(0).nbytes

    def back(self) -> Step | None:
        """The step to take back, moved to those that can be done again."""
        if not self.done:
            return None
        self.undone.append(self.done.pop())
        return self.undone[-1]

    def forth(self) -> Step | None:
        """The step to do again."""
        if not self.undone:
            return None
        self.done.append(self.undone.pop())
        return self.done[-1]
