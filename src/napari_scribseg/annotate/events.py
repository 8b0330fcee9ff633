"""The events of a session, and their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal, SignalGroup

from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.errors import InputError, one_line
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.patches import Region

__all__ = ["Doing", "FailedError", "Restored", "SessionEvents", "Stepped", "Update", "failure"]


class FailedError(RuntimeError):
    """Work that is not an engine's failed; the message says what, on which slices, and why."""


def failure(what: str, error: Exception) -> Exception:
    """An error that says what failed, such as ``"filling z 5 to z 9"``; of input that cannot be used, an InputError."""
    if isinstance(error, InputError):
        made: Exception = InputError(f"{what} failed: {error}")
    else:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        made = FailedError(f"{what} failed: {one_line(why)}")
    made.__cause__ = error
    return made


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A result, or a preview of one.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    labels : ndarray of shape (H, W), unsigned integer
        Label ids of the whole slice, background 0, after the overlap rule and the locks; a copy.
    region : tuple of 2 slices
        Bounding box of the voxels that changed since the last update of this slice; empty slices where none did.
    probabilities : ndarray of shape (K, H, W), float32
        By the engine, before the overlap rule.
    ids : tuple of int
        Label id of each of the K classes; the background class is 0.
    final : bool
        False for a preview that will get better, and for a result made while the pen is still down.
    notes : tuple of str
        Choices that the engine made by itself.
    generation : int
        Number of the request.
    curve : LossCurve or None
        The course of the engine's fit; None for an engine that fits nothing.
    seconds : float
        How long the engine took; 0 where that is not known, as for a preview.
    """

    slice_index: SliceIndex
    labels: NDArray[Any]
    region: Region
    probabilities: NDArray[np.float32]
    ids: tuple[int, ...]
    final: bool
    notes: tuple[str, ...]
    generation: int
    curve: LossCurve | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A slice that is in a former state again: show these arrays.

    Attributes
    ----------
    slice_index : SliceIndex
        The slice.
    painted : ndarray of shape (H, W), unsigned integer, or None
        The strokes, 0 where unpainted; None where only a preview was removed.
    labels : ndarray of shape (H, W), unsigned integer
        The output; both are copies.
    """

    slice_index: SliceIndex
    painted: NDArray[Any] | None
    labels: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Doing:
    """What a session is computing.

    Attributes
    ----------
    what : str
        ``result``, ``propagation``, ``fill``, ``draft``, ``network`` (its prediction without strokes), ``picture`` or
        ``tool``.
    slice_index : SliceIndex
        The slice.
    done, total : int
        Of a propagation, a fill or drafts: how many slices are written, and of how many.
    refined : bool
        Whether a preview is shown already.
    stopped : bool
        Whether it was cancelled and nothing follows.
    name : str
        Of a picture or a tool.
    """

    what: str
    slice_index: SliceIndex
    done: int = 0
    total: int = 1
    refined: bool = False
    stopped: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that was undone or redone.

    Attributes
    ----------
    redone : bool
        Whether it was redone.
    what : str
        ``stroke``, ``result``, ``fill``, ``draft``, ``edit``, ``clear``, ``accept`` or ``reopen``.
    slices : tuple of SliceIndex
        The slices.
    """

    redone: bool
    what: str
    slices: tuple[SliceIndex, ...]

    @classmethod
    def of(cls, step: SessionStep, redone: bool) -> Stepped:
        """Describe a step."""
        kinds = {entry.kind for entry in step.entries}
        painted = any(change.kind == "painted" for change in step.changes)
        named = next((kind for kind in ("clear", "accept", "reopen", "edit") if kind in kinds), None)
        other = "stroke" if painted else next((kind for kind in ("fill", "draft") if kind in kinds), "result")
        return cls(redone, named or other, step.slices())


class SessionEvents(SignalGroup):
    """The events of a session; all are emitted in the owner's thread.

    Attributes
    ----------
    updated : Signal(Update)
        A result or a preview was written.
    failed : Signal(SliceIndex, Exception)
        A request on a slice cannot be met.
    busy : Signal(bool)
        Requests are being computed, or no longer.
    progress : Signal(float)
        How far the request is, from 0 to 1.
    filling : Signal(bool)
        Slices are being filled or drafted, or no longer; :attr:`busy` is for what the user waits for.
    restored : Signal(Restored)
        A slice is as it was before.
    stepped : Signal(Stepped)
        A step was undone or redone.
    changed : Signal()
        Classes, settings, accepted slices, or the array of labels were replaced.
    hint : Signal(str)
        A message for the user: not a failure, but worth knowing.
    """

    updated = Signal(Update)
    failed = Signal(SliceIndex, Exception)
    busy = Signal(bool)
    progress = Signal(float)
    filling = Signal(bool)
    restored = Signal(Restored)
    stepped = Signal(Stepped)
    changed = Signal()
    hint = Signal(str)
