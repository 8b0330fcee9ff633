"""What can be asked of a session at any time; nothing here changes it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_scribseg.session.runner import Runner
from napari_scribseg.session.state import State
from napari_scribseg.session.updates import Update
from napari_scribseg.session.volume import Plane, Volume

__all__ = ["Readable"]


class Readable:
    """The half of :class:`~napari_scribseg.session.Session` that only looks."""

    _state: State
    _runner: Runner

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
