"""What can be asked of a session at any time; nothing here changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.session.beforehand import Beforehand
from napari_scribseg.session.history import unpack
from napari_scribseg.session.rules import lacking, present_ids
from napari_scribseg.session.runner import Runner
from napari_scribseg.session.state import State
from napari_scribseg.session.updates import Doing, Update
from napari_scribseg.session.volume import Plane, Volume

__all__ = ["Readable"]


class Readable:
    """The half of :class:`~napari_scribseg.session.Session` that only looks."""

    _state: State
    _runner: Runner
    _beforehand: Beforehand

    @property
    def volume(self) -> Volume:
        """What is annotated."""
        return self._state.volume

    @property
    def labels(self) -> NDArray[Any]:
        """The output, shape (\\*S), uint8 or uint16, background 0; replaced (``changed``) when ids outgrow uint8."""
        return self._state.canvas.labels

    def finished_labels(self) -> NDArray[Any]:
        """A copy of the output for saving, without the preview that :attr:`labels` shows while a job runs."""
        return self._state.canvas.finished()

    def painted(self, index: Plane | int | None = None) -> NDArray[Any]:
        """The strokes of a plane, shape (H, W), 0 where unpainted; a copy."""
        return self._state.canvas.strokes.get(self.plane(index))

    def painted_planes(self, displayed: tuple[int, int] | None = None) -> list[Plane]:
        """The planes with strokes that lie along two axes (the last two by default)."""
        return self._state.canvas.strokes.planes(displayed)

    def results(self, index: Plane | int | None = None) -> Update | None:
        """What the engine said to make a plane as it is, also after undo and redo, as long as memory allows.

        None where no engine made it so. Of all but the last result of a plane the probabilities are rounded to 1/255.
        """
        return self._runner.result(self.plane(index))

    @property
    def accepted(self) -> frozenset[Plane]:
        """The locked planes."""
        return frozenset(self._state.canvas.accepted)

    def is_accepted(self, index: Plane | int | None = None) -> bool:
        """Whether a plane is locked."""
        return self.plane(index) in self._state.canvas.accepted

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

    def is_answered(self, index: Plane | int | None = None) -> bool:
        """Whether the labels of a plane are an engine's answer to strokes that include those of now."""
        plane = self.plane(index)
        entry, painted = self._state.history.newest_entry(plane), self.painted(plane)
        if entry is None or entry.seeds is None:
            return False
        region, values = entry.seeds.region, unpack(entry.seeds.values, entry.seeds.shape, entry.seeds.dtype)
        return bool(np.array_equal(np.where(painted[region] != 0, values, 0), painted[region]))

    def lacking(self, index: Plane | int | None = None) -> str:
        """What the strokes of a plane lack to be answered, in a sentence without an end; empty if nothing."""
        plane, state = self.plane(index), self._state
        return lacking(self.drawn_ids(plane), state.engine.info, state.classes, state.prior(plane))

    def drawn_ids(self, index: Plane | int | None = None) -> tuple[int, ...]:
        """The ids of the strokes of a plane, ascending."""
        return present_ids(self.painted(index))

    def label_ids(self, index: Plane | int | None = None) -> tuple[int, ...]:
        """The ids of the labels of a plane, ascending, without a preview."""
        return present_ids(self._state.canvas.peek(self.plane(index)))

    @property
    def has_preview(self) -> bool:
        """Whether :attr:`labels` shows a preview of the request under way."""
        return self._runner.has_preview

    def plane(self, index: Plane | int | None = None) -> Plane:
        """The plane meant by an index along the axis in use, by a Plane, or by None in a 2D image, if there is one."""
        return self._state.find_plane(index)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return self._state.history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._state.history.can_redo
