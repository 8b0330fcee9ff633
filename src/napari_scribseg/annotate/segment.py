"""One request to an engine: a job that reads a slice, prepares the engine and segments; what the engine must return."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.engine_cache import MISSING, PackedResult
from napari_scribseg.annotate.propagate import Propagation
from napari_scribseg.annotate.steps import SessionStep
from napari_scribseg.core.capabilities import SeesNeighbours
from napari_scribseg.core.curve import LossCurve
from napari_scribseg.core.engine import Engine, Segmentation
from napari_scribseg.core.errors import Cancelled, InputError
from napari_scribseg.core.image import Image
from napari_scribseg.core.scribbles import Scribbles
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.kernel.jobs import Job
from napari_scribseg.numerics.guess import certainty_of
from napari_scribseg.numerics.prior import segment_with_prior

__all__ = [
    "Seeder",
    "SegmentJob",
    "SegmentOutcome",
    "SliceResult",
    "check_segmentation",
    "checksum",
    "prepare",
    "to_label_ids",
]

_REST = 0.3  # seconds that a pen rests before more than a preview is computed

Seeder = Callable[[Image], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class SliceResult:
    """What an engine returned, checked, and its label ids of shape (H, W)."""

    segmentation: Segmentation[Any]
    labels: NDArray[Any]
    ids: tuple[int, ...]

    @classmethod
    def of(cls, segmentation: object, scribbles: Scribbles, engine: str) -> SliceResult:
        """Check what an engine returned; InputError if it cannot be used."""
        checked = check_segmentation(segmentation, scribbles, engine)
        return cls(checked, to_label_ids(checked, scribbles), scribbles.ids)


@dataclass(slots=True, eq=False)
class SegmentOutcome:
    """The outcome of a job; fields that it did not reach keep their defaults."""

    image: Image | None = None
    checksum: int = 0
    prepared: Any = MISSING
    painted: NDArray[Any] | None = None
    result: SliceResult | None = None
    packed: PackedResult | None = None
    error: Exception | None = None


def _ignore(*_values: object) -> None:
    pass


@dataclass(eq=False)
class SegmentJob(Job):
    """One request; filled in the owner's thread, then only read by the worker.

    Attributes
    ----------
    source, slice_index : Source, SliceIndex
        What to segment.
    engine, device : Engine, str
        How to segment it.
    painted : ndarray of shape (H, W), unsigned integer
        The strokes.
    background : int or None
        The id whose strokes mark the background.
    owner : SessionStep, Propagation or None
        What the result belongs to.
    live : bool
        Whether the pen is still down: the result is only shown.
    seeder : callable, optional
        ``seeder(image)`` gives the strokes, in the worker; previews are not shown then.
    again : bool
        Whether it repeats an earlier request.
    generation : int
        Number of the request.
    prior : ndarray of shape (H, W), int32, or None
        The labels that the strokes correct, -1 where unknown.
    drift : float
        How far the borders of these labels may have moved, in finest pixels; 0 where they are the user's.
    fixed : ndarray of shape (H, W), int32, or None
        Labels that no result changes, -1 elsewhere; of a run that is repeated, otherwise those of the annotation hold.
    image, prepared, warm
        What is cached of earlier jobs.
    on_progress, on_preview : callable
        ``on_progress(job, fraction)`` and ``on_preview(job, result)``, called in the worker.
    overtaken : Event
        Set while the job runs when the pen has moved on: a preview is then all of its result, so that the next begins.
    seen : tuple of SliceResult and Update, or None
        The preview that was shown last; belongs to the owner's thread.
    seconds : float
        How long the engine took for its result, once it is there.
    """

    source: Source
    slice_index: SliceIndex
    engine: Engine[Any]
    device: str
    painted: NDArray[Any]
    background: int | None
    owner: SessionStep | Propagation | None = None
    live: bool = False
    seeder: Seeder | None = None
    again: bool = False
    generation: int = 0
    prior: NDArray[np.int32] | None = None
    drift: float = 0.0
    fixed: NDArray[np.int32] | None = None
    image: Image | None = None
    prepared: Any = MISSING
    warm: Any = MISSING
    on_progress: Callable[[SegmentJob, float], object] = _ignore
    on_preview: Callable[[SegmentJob, SliceResult], object] = _ignore
    finish: Callable[[SegmentJob, SegmentOutcome | None, Exception | None], object] = field(
        default=_ignore, kw_only=True
    )
    overtaken: threading.Event = field(default_factory=threading.Event)
    seen: Any = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = f"the engine {self.engine.info.name!r}"

    def run(self) -> SegmentOutcome:
        """Read, prepare, segment. An Exception becomes part of the outcome; any other BaseException is raised."""
        outcome, name = SegmentOutcome(self.image, prepared=self.prepared), self.engine.info.name
        try:
            self.stop.check()
            image = outcome.image = self.image or self.source.image(self.slice_index)
            outcome.checksum = checksum(image)
            self.stop.check()
            if self.prepared is MISSING:
                outcome.prepared = prepare(self.engine, image, self.source, self.slice_index, self.device)
                self.stop.check()
            painted = outcome.painted = self.painted if self.seeder is None else self.seeder(image)
            weight = None
            if self.prior is not None and self.drift > 0:
                weight = certainty_of(self.prior, image.spacing, self.drift * min(image.spacing))
            scribbles = Scribbles.from_labels(painted, background=self.background, prior=self.prior, weight=weight)
            if self.engine.info.min_classes == 1:
                has_room = scribbles.n_classes < self.engine.info.max_classes
                scribbles = scribbles.with_rest(several=self.background is not None and has_room)
            shown, seen = -1.0, None

            def report(fraction: float, preview: Segmentation[object] | None = None) -> None:
                nonlocal shown, seen
                self.stop.check()
                if preview is not None and self.seeder is None:
                    seen = SliceResult.of(preview, scribbles, name)
                    self.on_preview(self, seen)
                    if self.live:
                        self.overtaken.wait(_REST)
                if seen is not None and self.overtaken.is_set():
                    outcome.result = seen
                    raise Cancelled
                if fraction - shown >= 0.01:
                    shown = float(fraction)
                    self.on_progress(self, min(max(shown, 0.0), 1.0))

            state = outcome.prepared if self.warm is MISSING else self.warm
            begun = time.perf_counter()
            segmentation = segment_with_prior(self.engine, image, scribbles, state, report)
            self.seconds = time.perf_counter() - begun
            outcome.result = SliceResult.of(segmentation, scribbles, name)
            if not self.live:
                outcome.packed = PackedResult.of(outcome.result.segmentation, scribbles.ids)
        except Cancelled as error:
            if self.stop.is_set() or outcome.result is None:
                outcome.error = error if self.stop.is_set() else RuntimeError(f"the engine {name!r} stopped by itself")
        except Exception as error:  # noqa: BLE001  an engine, or a lazy array, may raise anything; the user is shown it
            outcome.error = error
        return outcome


def prepare(engine: Engine[Any], image: Image, source: Source, slice_index: SliceIndex, device: str) -> Any:
    """An engine's state for a slice; one that sees several slices at once is given those around it."""
    slices = engine.slices if isinstance(engine, SeesNeighbours) else 1
    return engine.prepare(image if slices == 1 else source.around(slice_index, slices), device)


def checksum(image: Image) -> int:
    """CRC-32 of an image's values, by which a replay checks that it sees the same voxels."""
    return zlib.crc32(np.ascontiguousarray(image.data).data.cast("B"))


def to_label_ids(segmentation: Segmentation[Any], scribbles: Scribbles) -> NDArray[Any]:
    """Label ids of shape (H, W) by the most probable class; seeds that bind have theirs."""
    binding = segmentation.binding(scribbles.seeds)
    classes = np.where(binding, scribbles.seeds, segmentation.labels)
    return scribbles.to_ids(classes)


def check_segmentation(segmentation: object, scribbles: Scribbles, engine: str) -> Segmentation[Any]:
    """The segmentation itself, if an engine may return it.

    Raises
    ------
    InputError
        If it is not a :class:`Segmentation` with finite probabilities of the right shape that sum to 1, or its curve is
        not one.
    """
    shape = (scribbles.n_classes, *scribbles.shape)
    if not isinstance(segmentation, Segmentation):
        raise InputError(f"the engine {engine!r} returned {type(segmentation).__name__}; a Segmentation is expected")
    values = segmentation.probabilities
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise InputError(f"the engine {engine!r} returned probabilities as {kind}; a float32 numpy array is expected")
    if values.shape != shape:
        raise InputError(f"the engine {engine!r} returned probabilities of shape {values.shape}; expected {shape}")
    total = values.sum(axis=0)
    if not np.isfinite(total).all():
        raise InputError(f"the engine {engine!r} returned probabilities that are NaN or infinite")
    if float(values.min()) < -1e-3 or float(np.abs(total - 1).max()) > 1e-2:
        raise InputError(
            f"the engine {engine!r} returned probabilities from {values.min():.3g} that sum to between "
            f"{total.min():.3g} and {total.max():.3g}; values >= 0 that sum to 1 are expected"
        )
    if not isinstance(segmentation.curve, LossCurve | None):
        kind = type(segmentation.curve).__name__
        raise InputError(f"the engine {engine!r} returned a curve of type {kind}; a LossCurve, or None, is expected")
    return segmentation
