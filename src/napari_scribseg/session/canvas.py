"""The arrays of a session: output, strokes, and what may not be written."""

from __future__ import annotations

import contextlib
import math
import mmap
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_scribseg.core.classes import MAX_ID
from napari_scribseg.core.errors import InputError
from napari_scribseg.session.history import ArrayChange, Change, ValueChange, pack, unpack
from napari_scribseg.session.strokes import StrokeStore
from napari_scribseg.session.updates import Region, changed_region
from napari_scribseg.session.volume import Plane

__all__ = ["Canvas", "blank"]

LARGE = 4 << 20  # bytes
Below = Literal["underlay", "found", "prior"]


class Canvas:
    """Output and strokes of a volume of spatial shape ``shape``; knows neither engines nor threads.

    Attributes
    ----------
    labels : ndarray of shape (\\*S), uint8 or uint16
        The output, background 0. Where nothing was written it costs no memory. A preview is shown in it.
    strokes : StrokeStore
        What was painted.
    accepted : set of Plane
        The locked planes.
    """

    def __init__(self, shape: tuple[int, ...], labels: ArrayLike | None = None) -> None:
        self.shape = shape
        self.labels: NDArray[Any] = blank(shape, np.uint8) if labels is None else adopt(labels, shape)
        self.strokes = StrokeStore(shape)
        self.accepted: set[Plane] = set()
        self._below: dict[tuple[Below, Plane], bytes] = {}
        self._hidden: tuple[Plane, NDArray[Any]] | None = None

    def view(self, plane: Plane) -> NDArray[Any]:
        """The output of a plane as it is shown, shape (H, W): a view."""
        return self.labels[plane.slicer]

    def committed(self, plane: Plane) -> NDArray[Any]:
        """The output of a plane without a preview: a copy."""
        if self._hidden is not None and self._hidden[0] == plane:
            return self._hidden[1].copy()
        self.hide()
        return self.view(plane).copy()

    def peek(self, plane: Plane) -> NDArray[Any]:
        """The output of a plane without a preview of its own, to be looked at only; other previews stay."""
        hidden = self._hidden
        return hidden[1] if hidden is not None and hidden[0] == plane else self.view(plane)

    def finished(self) -> NDArray[Any]:
        """The output without a preview: a copy, which takes memory only where there are labels."""
        copy = blank(self.shape, self.labels.dtype.type)
        for index in np.ndindex(*self.shape[:-2]):
            if self.labels[index].any():
                copy[index] = self.labels[index]
        if self._hidden is not None:
            plane, labels = self._hidden
            copy[plane.slicer] = labels
        return copy

    def show(self, plane: Plane, labels: NDArray[Any]) -> Region:
        """Put a preview over a plane; returns what changed on the screen."""
        if self._hidden is None or self._hidden[0] != plane:
            self.hide()
            self._hidden = plane, self.view(plane).copy()
        return self._put(plane, labels)

    @property
    def previewed(self) -> Plane | None:
        """The plane that shows a preview."""
        return None if self._hidden is None else self._hidden[0]

    def hide(self) -> Plane | None:
        """Take the preview away; returns the plane that had one."""
        if self._hidden is None:
            return None
        plane, labels = self._hidden
        self._hidden = None
        self._put(plane, labels)
        return plane

    def write(self, plane: Plane, labels: NDArray[Any]) -> tuple[Region, list[Change]]:
        """Make ``labels`` the output of a plane; returns what changed on the screen, and the changes to remember.

        Where a plane crosses it whose strokes correct labels, they correct what is now written there.
        """
        before = self.committed(plane)
        self._hidden = None
        region = self._put(plane, labels)
        change = ArrayChange.between("labels", plane, before, labels)
        return region, [] if change is None else [change, *self._follow(plane, before != labels, labels)]

    def _follow(self, plane: Plane, changed: NDArray[np.bool_], labels: NDArray[Any]) -> list[Change]:
        changes = []
        for kind, other in list(self._below):
            here, there = plane.crossing(other), other.crossing(plane)
            packed = self._below[kind, other]
            if kind != "prior" or other == plane or not packed or here is None or there is None:
                continue
            prior = unpack(packed, self.view(other).shape, "int32")
            prior[there] = np.where(changed[here], labels[here], prior[there])
            changes += self.set_prior(other, pack(prior))
        return changes

    def _put(self, plane: Plane, labels: NDArray[Any]) -> Region:
        self._grow(int(labels.max(initial=0)))
        view = self.view(plane)
        region = changed_region(view, labels)
        view[region] = labels[region]
        return region

    def _grow(self, largest: int) -> None:
        """Widen the type of the output so that no id wraps; planes that hold nothing stay unwritten."""
        if largest <= np.iinfo(self.labels.dtype).max:
            return
        wide = blank(self.shape, np.uint16)
        for index in np.ndindex(*self.shape[:-2]):
            if self.labels[index].any():
                wide[index] = self.labels[index]
        self.labels = wide

    def underlay(self, plane: Plane) -> NDArray[Any] | None:
        """The plane as it was before its first result; None before that."""
        return self._get_below("underlay", plane)

    def found(self, plane: Plane) -> NDArray[Any] | None:
        """The plane as it was before its first result or edit, which clearing brings back; None before that."""
        return self._get_below("found", plane)

    def _get_below(self, kind: Below, plane: Plane) -> NDArray[Any] | None:
        packed = self._below.get((kind, plane))
        if packed is None:
            return None
        shape = self.view(plane).shape
        return unpack(packed, shape, "uint16") if packed else np.zeros(shape, np.uint8)

    def set_underlay(self, plane: Plane, labels: NDArray[Any] | None) -> list[Change]:
        """Remember what lies under a plane's results, or forget it (None); returns the change, if any."""
        return self._remember("underlay", plane, labels)

    def keep_found(self, plane: Plane, labels: NDArray[Any]) -> list[Change]:
        """Remember what a plane holds before its first result or edit; returns the change, if any."""
        return [] if ("found", plane) in self._below else self._remember("found", plane, labels)

    def forget_found(self, plane: Plane) -> list[Change]:
        """A plane is as it was found again; returns the change, if any."""
        return self._remember("found", plane, None)

    def _remember(self, kind: Below, plane: Plane, labels: NDArray[Any] | None) -> list[Change]:
        after: bytes | None = None
        if labels is not None:
            after = pack(labels.astype(np.uint16)) if labels.any() else b""
        return self._replace(kind, plane, after)

    def _replace(self, kind: Below, plane: Plane, after: bytes | None) -> list[Change]:
        before = self._below.get((kind, plane))
        self._set_below(kind, plane, after)
        return [] if before == after else [ValueChange(kind, plane, before, after)]

    def _set_below(self, kind: Below, plane: Plane, packed: bytes | None) -> None:
        if packed is None:
            self._below.pop((kind, plane), None)
        else:
            self._below[kind, plane] = packed

    def prior(self, plane: Plane) -> bytes | None:
        """What strokes on a plane correct, packed int32 ids, -1 where unknown; empty where there was nothing.

        None where no stroke was answered since something else than strokes was written there.
        """
        return self._below.get(("prior", plane))

    def set_prior(self, plane: Plane, packed: bytes | None) -> list[Change]:
        """Remember what strokes on a plane correct, or forget it (None); returns the change, if any."""
        return self._replace("prior", plane, packed)

    def paint(self, plane: Plane, painted: NDArray[Any]) -> list[Change]:
        """Make ``painted`` the strokes of a plane; returns the change, if any."""
        change = ArrayChange.between("painted", plane, self.strokes.get(plane), painted)
        if change is None:
            return []
        self.strokes.set(plane, painted)
        return [change]

    def accept(self, plane: Plane, accepted: bool) -> list[Change]:
        """Lock a plane or unlock it; returns the change, if any."""
        if (plane in self.accepted) == accepted:
            return []
        self._set_accepted(plane, accepted)
        return [ValueChange("accepted", plane, not accepted, accepted)]

    def _set_accepted(self, plane: Plane, accepted: bool) -> None:
        if accepted:
            self.accepted.add(plane)
        else:
            self.accepted.discard(plane)

    def apply(self, change: Change, *, after: bool) -> None:
        """Go to the state after a change, or back to the one before it."""
        if isinstance(change, ValueChange):
            value = change.after if after else change.before
            if change.kind == "accepted":
                self._set_accepted(change.plane, value)
            else:
                self._set_below(change.kind, change.plane, value)
            return
        values = change.values(after=after)
        if change.kind == "painted":
            painted = self.strokes.get(change.plane).astype(np.uint16)
            painted[change.region] = values
            self.strokes.set(change.plane, painted)
        else:
            self.hide()
            self._grow(int(values.max(initial=0)))
            self.view(change.plane)[change.region] = values


def blank(shape: tuple[int, ...], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Zeros that take memory only where something is written, in pages of 4 KB.

    What ``np.zeros`` returns for large arrays comes in pages of 2 MB on Linux: one row in each slice of a volume, as a
    plane along another axis writes them, would take memory for all of it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return np.zeros(shape, dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages does not know the advice
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, dtype).reshape(shape)


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
        raise InputError(f"the labels hold {given.dtype} values; integers are expected")
    low, high = int(given.min(initial=0)), int(given.max(initial=0))
    if low < 0 or high > MAX_ID:
        raise InputError(f"the labels hold ids from {low} to {high}; expected 0 to {MAX_ID}")
    if given.dtype in (np.uint8, np.uint16) and given.flags.writeable:
        return given
    return given.astype(np.uint8 if high <= 255 else np.uint16)
