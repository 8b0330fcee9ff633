"""What can be asked of a session at any time; nothing here changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.events import Doing, Update
from napari_scribseg.annotate.history import unpack
from napari_scribseg.annotate.prefetch import Beforehand
from napari_scribseg.annotate.rules import lacking, present_ids
from napari_scribseg.annotate.runner import Runner
from napari_scribseg.annotate.state import State
from napari_scribseg.core.source import SliceIndex, Source

__all__ = ["Readable"]


class Readable:
    """The half of :class:`~napari_scribseg.annotate.Session` that only looks."""

    _state: State
    _runner: Runner
    _beforehand: Beforehand

    @property
    def volume(self) -> Source:
        """What is annotated."""
        return self._state.volume

    @property
    def labels(self) -> NDArray[Any]:
        """The output, shape (\\*S), uint8 or uint16, background 0; replaced (``changed``) when ids outgrow uint8."""
        return self._state.canvas.labels

    def finished_labels(self) -> NDArray[Any]:
        """A copy of the output for saving, without the preview that :attr:`labels` shows while a job runs."""
        return self._state.canvas.finished()

    def painted(self, index: SliceIndex | int | None = None) -> NDArray[Any]:
        """The strokes of a slice, shape (H, W), 0 where unpainted; a copy."""
        return self._state.canvas.strokes.get(self.slice_index(index))

    def painted_slices(self, displayed: tuple[int, int] | None = None) -> list[SliceIndex]:
        """The slices with strokes that lie along two axes (the last two by default)."""
        return self._state.canvas.strokes.slices(displayed)

    def results(self, index: SliceIndex | int | None = None) -> Update | None:
        """What the engine said to make a slice as it is, also after undo and redo, as long as memory allows.

        None where no engine made it so. Of all but the last result of a slice the probabilities are rounded to 1/255.
        """
        return self._runner.result(self.slice_index(index))

    @property
    def accepted(self) -> frozenset[SliceIndex]:
        """The locked slices."""
        return frozenset(self._state.canvas.accepted)

    def is_accepted(self, index: SliceIndex | int | None = None) -> bool:
        """Whether a slice is locked."""
        return self.slice_index(index) in self._state.canvas.accepted

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._runner.is_busy

    @property
    def doing(self) -> Doing | None:
        """What is worked on; None while nothing is, or only what nobody waits for."""
        return self._runner.doing or next(iter(self._beforehand.asked.values()), None)

    @property
    def version(self) -> int:
        """Another number whenever strokes or labels changed for good: by a step, its answer, undo or redo."""
        return self._state.history.version

    def is_answered(self, index: SliceIndex | int | None = None) -> bool:
        """Whether the labels of a slice are an engine's answer to strokes that include those of now."""
        slice_index = self.slice_index(index)
        entry, painted = self._state.history.newest_entry(slice_index), self.painted(slice_index)
        if entry is None or entry.seeds is None:
            return False
        region, values = entry.seeds.region, unpack(entry.seeds.values, entry.seeds.shape, entry.seeds.dtype)
        return bool(np.array_equal(np.where(painted[region] != 0, values, 0), painted[region]))

    def lacking(self, index: SliceIndex | int | None = None) -> str:
        """What the strokes of a slice lack to be answered, in a sentence without an end; empty if nothing."""
        slice_index, state = self.slice_index(index), self._state
        return lacking(self.drawn_ids(slice_index), state.engine.info, state.classes, state.prior(slice_index))

    def drawn_ids(self, index: SliceIndex | int | None = None) -> tuple[int, ...]:
        """The ids of the strokes of a slice, ascending."""
        return present_ids(self.painted(index))

    def label_ids(self, index: SliceIndex | int | None = None) -> tuple[int, ...]:
        """The ids of the labels of a slice, ascending, without a preview."""
        return present_ids(self._state.canvas.peek(self.slice_index(index)))

    @property
    def has_preview(self) -> bool:
        """Whether :attr:`labels` shows a preview of the request under way."""
        return self._runner.has_preview

    def slice_index(self, index: SliceIndex | int | None = None) -> SliceIndex:
        """The slice meant by an index along the axis in use, by a SliceIndex, or by None in a 2D image."""
        return self._state.find_slice(index)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._state.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._state.history.can_redo
