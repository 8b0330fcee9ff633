"""The methods of a whole volume: an engine on slices with a fill between them, or one that segments it at once."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate import Session
from napari_scribseg.bench.results import Seeds
from napari_scribseg.bench.tasks import BenchTask
from napari_scribseg.bench.volume.fills import Fill, Labels, Span
from napari_scribseg.core import ClassTable, Engine, Image, Scribbles, Source
from napari_scribseg.numerics.prior import segment_with_prior

__all__ = ["AtOnce", "InSession", "SliceBySlice", "VolumeMethod"]


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

    def accept(self, index: int) -> None:
        """Keep the labels of a slice, which a user finds good."""

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

    def accept(self, index: int) -> None:
        """Keep the labels, and fill the spans beside them."""
        if index not in self._anchors:
            self.give(index, self.labels[index].copy())

    def is_labelled(self, index: int) -> bool:
        """Whether it has strokes or was filled."""
        return index in self._anchors or index in self._filled

    def offer(self) -> int | None:
        """None: it offers no slice."""
        return None


class InSession:
    """An engine in a session that fills the slices between, as a user has it.

    Parameters
    ----------
    engine : Engine
    task : BenchTask
        A volume.
    device : str
        Where the engine computes.
    """

    def __init__(self, engine: Engine[Any], task: BenchTask, device: str = "auto") -> None:
        self._background = task.n_classes  # the id of its strokes; those of the other classes are their indices
        classes = ClassTable.from_ids(range(1, task.n_classes + 1), background=self._background)
        channels = np.moveaxis(task.image.data, 0, -1)
        source = Source.from_array(channels, spacing=task.image.spacing, channels=True)
        self._session = Session(source, engine, classes=classes, device=device)
        self.labels: Labels = np.zeros(task.truth.shape, np.intp)

    def paint(self, index: int, seeds: Seeds, *, more: bool = False) -> None:
        """Draw on the slice; the session fills."""
        self._session.reopen(index)
        self._session.follows = not more
        painted = np.where(seeds == 0, self._background, np.maximum(seeds, 0))
        self._session.draw(painted, index).result()
        self._follow(more)

    def give(self, index: int, labels: Labels, *, more: bool = False) -> None:
        """Set the labels of the slice by hand, and accept them: no edit makes an empty slice count."""
        self._session.follows = not more
        self._session.edit(np.maximum(labels, 0), index)
        self._session.accept(index)
        self._follow(more)

    def accept(self, index: int) -> None:
        """Lock the slice until it is painted on; the session fills."""
        self._session.accept(index)
        self._follow(False)

    def _follow(self, more: bool) -> None:
        """Fill what is not filled yet, and take over the labels."""
        if not more and self._session.anchors():
            self._session.fill().result()
        self.labels = self._session.finished_labels().astype(np.intp)

    def is_labelled(self, index: int) -> bool:
        """Whether it is an anchor or was filled."""
        slice_index = self._session.slice_index(index)
        return slice_index in self._session.filled or slice_index in self._session.anchors()

    def offer(self) -> int | None:
        """The slice that the session offers."""
        found = self._session.next_slice()
        return None if found is None else found.position[0]


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

    def accept(self, index: int) -> None:
        """Nothing follows: only strokes count."""

    def is_labelled(self, index: int) -> bool:
        """Whether there is a result."""
        return self._segmented

    def offer(self) -> int | None:
        """None: it offers no slice."""
        return None


def _slice(image: Image, index: int) -> Image:
    """One slice of a volume across its first axis."""
    return Image(np.ascontiguousarray(image.data[:, index]), image.spacing[1:])
