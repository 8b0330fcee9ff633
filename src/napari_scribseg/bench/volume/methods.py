"""The methods of a whole volume: an engine on slices with a fill between them, or one that segments it at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.bench.results import Seeds
from napari_scribseg.bench.tasks import BenchTask
from napari_scribseg.bench.volume.fills import Fill, Labels, Span
from napari_scribseg.core import Engine, Image, Scribbles
from napari_scribseg.numerics.prior import segment_with_prior

__all__ = ["AtOnce", "SliceBySlice", "VolumeMethod"]


class VolumeMethod(Protocol):
    """A volume being annotated.

    Attributes
    ----------
    labels : ndarray of shape (D, H, W), integer
        Class index of every voxel; 0 where there is no result.
    """

    labels: Labels

    def paint(self, index: int, seeds: Seeds, *, more: bool = False) -> None:
        """Take all strokes (H, W) of a slice; ``labels`` follow, unless ``more`` slices are painted first."""

    def give(self, index: int, labels: Labels, *, more: bool = False) -> None:
        """Take finished labels (H, W) of a slice, in the same way; -1 is unknown."""

    def is_labelled(self, index: int) -> bool:
        """Whether a slice has labels, which a user corrects."""

    def offer(self) -> int | None:
        """The slice that the method offers for the next stroke; None where it offers none."""


class SliceBySlice:
    """An engine on the slices with strokes, and a fill for those between.

    Parameters
    ----------
    engine : Engine
    task : BenchTask
        A volume.
    fill : callable, optional
        As in :data:`~napari_scribseg.bench.volume.fills.FILLS`; without one, only slices with strokes have labels.
    device : str
        Where the engine computes.
    """

    def __init__(self, engine: Engine[Any], task: BenchTask, fill: Fill | None, device: str = "auto") -> None:
        self._engine, self._task, self._fill, self._device = engine, task, fill, device
        self.labels: Labels = np.zeros(task.truth.shape, np.intp)
        self._images = [_slice(task.image, index) for index in range(len(task.truth))]
        self._states: dict[int, Any] = {}
        self._priors: dict[int, NDArray[np.int32] | None] = {}
        self._anchors: set[int] = set()
        self._filled: set[int] = set()
        self._changed: set[int] = set()

    def paint(self, index: int, seeds: Seeds, *, more: bool = False) -> None:
        """Segment the slice, and fill the spans beside it."""
        image, engine = self._images[index], self._engine
        if index not in self._priors:
            self._priors[index] = self.labels[index].astype(np.int32) if index in self._filled else None
        scribbles = Scribbles(seeds, self._task.n_classes, prior=self._priors[index])
        if scribbles.prior is not None or int(np.count_nonzero(scribbles.counts)) >= max(engine.info.min_classes, 2):
            if index not in self._states:
                self._states[index] = engine.prepare(image, self._device)
            found = segment_with_prior(engine, image, scribbles, self._states[index])
            self._states[index] = found.state
            self._set(index, found.labels)
        if not more:
            self._fill_all()

    def give(self, index: int, labels: Labels, *, more: bool = False) -> None:
        """Keep the labels, and fill the spans beside them."""
        self._set(index, np.maximum(labels, 0))
        if not more:
            self._fill_all()

    def _set(self, index: int, labels: Labels) -> None:
        """The labels of a slice, from which its neighbours are filled."""
        self.labels[index] = labels
        self._anchors.add(index)
        self._filled.discard(index)
        self._changed.add(index)

    def _fill_all(self) -> None:
        """Fill the spans beside the slices that have changed."""
        changed, self._changed = self._changed, set()
        ends = [None, *sorted(self._anchors), None]
        if self._fill is not None:
            for first, last in pairwise(ends):
                if first in changed or last in changed:
                    self._fill_span(self._fill, first, last)

    def _fill_span(self, fill: Fill, first: int | None, last: int | None) -> None:
        start = 0 if first is None else first
        stop = len(self._images) if last is None else last + 1
        span = Span(
            None if first is None else self.labels[first], None if last is None else self.labels[last],
            self._images[start:stop], self._task.image.spacing[0], self._task.n_classes, self._engine, self._device,
        )  # fmt: skip
        if not span.length:
            return
        for index, labels in enumerate(fill(span), start=start + (first is not None)):
            self.labels[index] = 0 if labels is None else labels
            (self._filled.discard if labels is None else self._filled.add)(index)

    def is_labelled(self, index: int) -> bool:
        """Whether it has strokes or was filled."""
        return index in self._anchors or index in self._filled

    def offer(self) -> int | None:
        """None: it offers no slice."""
        return None


class AtOnce:
    """An engine that segments the whole volume from the strokes on all slices."""

    def __init__(self, engine: Engine[Any], task: BenchTask, device: str = "auto") -> None:
        self._engine, self._task, self._device = engine, task, device
        self.labels: Labels = np.zeros(task.truth.shape, np.intp)
        self._seeds: Seeds = np.full(task.truth.shape, -1, np.int32)
        self._state: Any = None
        self._prepared = self._segmented = False

    def paint(self, index: int, seeds: Seeds, *, more: bool = False) -> None:
        """Segment the volume."""
        self._seeds[index] = seeds
        if more:
            return
        scribbles = Scribbles(self._seeds, self._task.n_classes)
        if int(np.count_nonzero(scribbles.counts)) < max(self._engine.info.min_classes, 2):
            return
        if not self._prepared:
            self._state, self._prepared = self._engine.prepare(self._task.image, self._device), True
        found = self._engine.segment(self._task.image, scribbles, self._state)
        self._state, self.labels, self._segmented = found.state, found.labels.astype(np.intp), True

    def give(self, index: int, labels: Labels, *, more: bool = False) -> None:
        """Take all pixels of a slice as seeds."""
        self.paint(index, labels.astype(np.int32), more=more)

    def is_labelled(self, index: int) -> bool:
        """Whether there is a result."""
        return self._segmented

    def offer(self) -> int | None:
        """None: it offers no slice."""
        return None


def _slice(image: Image, index: int) -> Image:
    """One slice of a volume across its first axis."""
    return Image(np.ascontiguousarray(image.data[:, index]), image.spacing[1:])
