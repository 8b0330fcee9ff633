"""What a volume is annotated with: its labels, its strokes, and the slices that are accepted."""

from __future__ import annotations

import contextlib
import math
import mmap
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.annotate.steps import ArrayChange, Change, ValueChange
from napari_scribseg.annotate.stroke_store import StrokeStore
from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.errors import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel.patches import Region, changed_region, pack, unpack

__all__ = ["Annotation", "blank", "pack_below"]

LARGE = 4 << 20  # bytes
Below = Literal["underlay", "original", "prior"]


class Annotation:
    """Labels and strokes of a volume of spatial shape ``shape``.

    Attributes
    ----------
    labels : ndarray of shape (\\*S), uint8 or uint16
        The output, background 0. Where nothing was written it costs no memory. A preview is shown in it.
    strokes : StrokeStore
        What was painted.
    fixed : StrokeStore
        The ids of voxels that were edited by hand, as strokes have them: no result changes these.
    accepted : set of SliceIndex
        The locked slices.
    """

    def __init__(self, shape: tuple[int, ...], labels: ArrayLike | None = None) -> None:
        self.shape = shape
        self.labels: NDArray[Any] = blank(shape, np.uint8) if labels is None else adopt(labels, shape)
        self.strokes = StrokeStore(shape)
        self.fixed = StrokeStore(shape)
        self.accepted: set[SliceIndex] = set()
        self._below: dict[tuple[Below, SliceIndex], bytes] = {}
        self._hidden: tuple[SliceIndex, NDArray[Any]] | None = None

    def view(self, slice_index: SliceIndex) -> NDArray[Any]:
        """The output of a slice as it is shown, shape (H, W): a view."""
        return self.labels[slice_index.slicer]

    def committed(self, slice_index: SliceIndex) -> NDArray[Any]:
        """The output of a slice without a preview: a copy."""
        if self._hidden is not None and self._hidden[0] == slice_index:
            return self._hidden[1].copy()
        self.hide()
        return self.view(slice_index).copy()

    def peek(self, slice_index: SliceIndex) -> NDArray[Any]:
        """The output of a slice without a preview of its own, for reading only; other previews stay."""
        hidden = self._hidden
        return hidden[1] if hidden is not None and hidden[0] == slice_index else self.view(slice_index)

    def finished(self) -> NDArray[Any]:
        """The output without a preview: a copy, which takes memory only where there are labels."""
        copy = _copied(self.labels, self.labels.dtype.type)
        if self._hidden is not None:
            slice_index, labels = self._hidden
            copy[slice_index.slicer] = labels
        return copy

    def copy_of(self, slicer: tuple[int | slice, ...]) -> NDArray[Any]:
        """A copy of part of the output, without a preview."""
        if self._hidden is None:
            return np.array(self.labels[slicer])
        slice_index, labels = self._hidden
        view = self.view(slice_index)
        shown = view.copy()
        view[...] = labels
        copy = np.array(self.labels[slicer])
        view[...] = shown
        return copy

    def show(self, slice_index: SliceIndex, labels: NDArray[Any]) -> Region:
        """Show a preview on a slice; returns the region that changed on the screen."""
        if self._hidden is None or self._hidden[0] != slice_index:
            self.hide()
            self._hidden = slice_index, self.view(slice_index).copy()
        view = self._room(slice_index, labels)
        region = changed_region(view, labels)
        view[region] = labels[region]
        return region

    @property
    def previewed(self) -> SliceIndex | None:
        """The slice that shows a preview."""
        return None if self._hidden is None else self._hidden[0]

    def hide(self) -> SliceIndex | None:
        """Remove the preview; returns its slice."""
        if self._hidden is None:
            return None
        slice_index, labels = self._hidden
        self._hidden = None
        view = self.view(slice_index)
        region = changed_region(view, labels)
        view[region] = labels[region]
        return slice_index

    def write(
        self, slice_index: SliceIndex, labels: NDArray[Any], change: ArrayChange | None = None
    ) -> tuple[Region, list[Change]]:
        """Make ``labels`` the output of a slice; returns the region that changed on the screen, and the changes.

        Strokes on a slice that crosses it then correct the new labels there. ``change`` is the change of the labels
        where it was made before.
        """
        before = self.committed(slice_index)
        self._hidden = None
        view = self._room(slice_index, labels)
        region = changed_region(view, labels)
        view[region] = labels[region]
        change = change or ArrayChange.between("labels", slice_index, before, labels)
        return region, [] if change is None else [change, *self._follow(slice_index, before != labels, labels)]

    def _follow(self, slice_index: SliceIndex, changed: NDArray[np.bool_], labels: NDArray[Any]) -> list[Change]:
        changes = []
        for other in [other for kind, other in self._below if kind == "prior" and other != slice_index]:
            here, there = slice_index.crossing(other), other.crossing(slice_index)
            packed = self._below["prior", other]
            if not packed or here is None or there is None:
                continue
            prior = unpack(packed, self.view(other).shape, "int32")
            prior[there] = np.where(changed[here], labels[here], prior[there])
            changes += self.set_prior(other, pack(prior))
        return changes

    def _room(self, slice_index: SliceIndex, labels: NDArray[Any]) -> NDArray[Any]:
        """The view of a slice, of a type in which no id of ``labels`` wraps; slices without labels stay unwritten."""
        if int(labels.max(initial=0)) > np.iinfo(self.labels.dtype).max:
            self.labels = _copied(self.labels, np.uint16)
        return self.view(slice_index)

    def underlay(self, slice_index: SliceIndex) -> NDArray[Any] | None:
        """The slice as it was before its first result; None before that."""
        return self._get_below("underlay", slice_index)

    def original(self, slice_index: SliceIndex) -> NDArray[Any] | None:
        """The slice as it was before its first result or edit, which clearing brings back; None before that."""
        return self._get_below("original", slice_index)

    def _get_below(self, kind: Below, slice_index: SliceIndex) -> NDArray[Any] | None:
        packed = self._below.get((kind, slice_index))
        if packed is None:
            return None
        shape = self.view(slice_index).shape
        return unpack(packed, shape, "uint16") if packed else np.zeros(shape, np.uint8)

    def set_underlay(self, slice_index: SliceIndex, labels: NDArray[Any] | None) -> list[Change]:
        """Store what lies under a slice's results, or remove it (None); returns the change, if any."""
        return self._store("underlay", slice_index, labels)

    def cover(self, slice_index: SliceIndex, changed: NDArray[np.bool_], labels: NDArray[Any]) -> list[Change]:
        """Let labels that were edited be part of what lies under the results of a slice; returns the change, if any."""
        underlay = self.underlay(slice_index)
        if underlay is None:
            return []
        return self.set_underlay(slice_index, np.where(changed, labels, underlay))

    def store_original(self, slice_index: SliceIndex, labels: NDArray[Any] | bytes) -> list[Change]:
        """Store a slice as it is before its first result or edit, or packed so; returns the change, if any."""
        if ("original", slice_index) in self._below:
            return []
        return self._replace("original", slice_index, labels if isinstance(labels, bytes) else pack_below(labels))

    def drop_original(self, slice_index: SliceIndex) -> list[Change]:
        """Note that a slice is as it was in the beginning; returns the change, if any."""
        return self._store("original", slice_index, None)

    def _store(self, kind: Below, slice_index: SliceIndex, labels: NDArray[Any] | None) -> list[Change]:
        return self._replace(kind, slice_index, None if labels is None else pack_below(labels))

    def _replace(self, kind: Below, slice_index: SliceIndex, after: bytes | None) -> list[Change]:
        before = self._below.get((kind, slice_index))
        self._set_below(kind, slice_index, after)
        return [] if before == after else [ValueChange(kind, slice_index, before, after)]

    def _set_below(self, kind: Below, slice_index: SliceIndex, packed: bytes | None) -> None:
        if packed is None:
            self._below.pop((kind, slice_index), None)
        else:
            self._below[kind, slice_index] = packed

    def prior(self, slice_index: SliceIndex) -> bytes | None:
        """The labels that strokes on a slice correct: packed int32 ids, -1 where unknown; empty where there were none.

        None where no stroke was segmented since something else than strokes was written there.
        """
        return self._below.get(("prior", slice_index))

    def set_prior(self, slice_index: SliceIndex, packed: bytes | None) -> list[Change]:
        """Store the labels that strokes on a slice correct, or remove them (None); returns the change, if any."""
        return self._replace("prior", slice_index, packed)

    def paint(self, slice_index: SliceIndex, painted: NDArray[Any]) -> list[Change]:
        """Make ``painted`` the strokes of a slice; returns the change, if any."""
        change = ArrayChange.between("painted", slice_index, self.strokes.get(slice_index), painted)
        if change is None:
            return []
        self.strokes.set(slice_index, painted)
        return [change]

    def fix(self, slice_index: SliceIndex, ids: NDArray[Any]) -> list[Change]:
        """Make these the fixed ids of a slice, 0 where nothing is fixed; returns the change, if any."""
        change = ArrayChange.between("fixed", slice_index, self.fixed.get(slice_index), ids)
        if change is None:
            return []
        self.fixed.set(slice_index, ids)
        return [change]

    def accept(self, slice_index: SliceIndex, accepted: bool) -> list[Change]:
        """Lock a slice or unlock it; returns the change, if any."""
        if (slice_index in self.accepted) == accepted:
            return []
        self._set_accepted(slice_index, accepted)
        return [ValueChange("accepted", slice_index, not accepted, accepted)]

    def _set_accepted(self, slice_index: SliceIndex, accepted: bool) -> None:
        if accepted:
            self.accepted.add(slice_index)
        else:
            self.accepted.discard(slice_index)

    def apply(self, change: Change, *, after: bool) -> None:
        """Go to the state after a change, or back to the one before it."""
        if isinstance(change, ValueChange):
            value = change.after if after else change.before
            if change.kind == "accepted":
                self._set_accepted(change.slice_index, value)
            else:
                self._set_below(change.kind, change.slice_index, value)
            return
        values = change.diff.values(after=after)
        if change.kind != "labels":
            store = self.strokes if change.kind == "painted" else self.fixed
            ids = store.get(change.slice_index).astype(np.uint16)
            ids[change.diff.region] = values
            store.set(change.slice_index, ids)
        else:
            self.hide()
            self._room(change.slice_index, values)[change.diff.region] = values


def pack_below(labels: NDArray[Any]) -> bytes:
    """Labels as they are stored below others: empty where there are none."""
    return pack(labels.astype(np.uint16)) if labels.any() else b""


def blank(shape: tuple[int, ...], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Zeros that take memory only where something is written, in pages of 4 KB.

    ``np.zeros`` gives large arrays in pages of 2 MB on Linux. A slice along another axis writes one row into each slice
    of the volume: that would take memory for the whole volume.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a system without huge pages refuses the advice
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)


def _copied(labels: NDArray[Any], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """A copy that takes memory only where there are labels."""
    copy = blank(labels.shape, dtype)
    for index in np.ndindex(*labels.shape[:-2]):
        if labels[index].any():
            copy[index] = labels[index]
    return copy


def adopt(labels: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """A label volume to write into: ``labels`` itself where it is a writable uint8 or uint16 array, else a copy.

    Raises
    ------
    InputError
        If the shape differs, the values are not integers, or an id is not in 0..65535.
    """
    given = np.asarray(labels)
    if given.shape != shape:
        raise InputError(f"the labels have shape {given.shape}; the image has {shape}")
    if given.dtype.kind not in "iub":
        raise InputError(f"the labels have {given.dtype} values; integers are expected")
    low, high = int(given.min(initial=0)), int(given.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise InputError(f"the labels have ids from {low} to {high}; expected 0 to {MAX_ID}")
    if given.dtype in (np.uint8, np.uint16) and given.flags.writeable:
        return given
    return given.astype(np.uint8 if high <= 255 else np.uint16)
