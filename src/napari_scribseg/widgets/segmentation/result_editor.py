"""Edits of the result in the window: a brush on it, and tools with a preview. No Qt here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.numerics.editing import Over, Split, tool_class
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

__all__ = ["BRUSHES", "Brush", "ResultEditor", "ToolRequest"]

BRUSHES = ("strokes", "result", "erase")


@dataclass(frozen=True, slots=True)
class Brush:
    """What the pen does.

    Attributes
    ----------
    kind : str
        ``strokes`` for the engine, or ``result`` and ``erase``: it paints on the result itself, or erases there.
    limits : tuple of 2 float, or None
        Only pixels whose value lies in this range are painted; None for all.
    """

    kind: str = "strokes"
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool with its parameters, and where it works.

    Attributes
    ----------
    name, parameters : str, dict
        The tool.
    scope : str
        ``slice`` (the displayed one), ``range`` or ``volume``.
    first, last : int
        The slices of a range, both included.
    each_slice : bool
        Whether slices are edited one by one.
    over : {"background", "all"}
        Which voxels the class may get.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    scope: str = "slice"
    first: int = 0
    last: int = 0
    each_slice: bool = False
    over: Over = "background"


class ResultEditor:
    """Edits the result of one image; the class is that of the brush.

    Parameters
    ----------
    layers : LayerSet
        The pen paints on a layer of theirs.
    session : Session
        Gets the edits.
    show : callable
        ``show(text)`` shows a message.

    Attributes
    ----------
    brush : Brush
        What the pen does.
    """

    def __init__(self, layers: LayerSet, session: Session, show: Callable[[str], object]) -> None:
        self._layers, self._session, self._show = layers, session, show
        self.brush = Brush()
        self._previewed: int | None = None  # the version of the session that a preview is of

    # the brush --------------------------------------------------------------------------------------------------------

    def use_brush(self, brush: Brush) -> None:
        """Choose what the pen does."""
        if brush.kind not in BRUSHES:
            raise InputError(f"the brush is {brush.kind!r}; expected one of {', '.join(BRUSHES)}")
        if brush.limits is not None and brush.limits[0] > brush.limits[1]:
            low, high = brush.limits
            raise InputError(f"the pen is limited to values from {low:g} to {high:g}; the lower one is expected first")
        former, self.brush = self.brush, brush
        if brush.kind == "strokes":
            self._layers.hide_pen_layer()
        elif brush.kind != former.kind or self._layers.pen_layer is None:
            self._layers.show_pen_layer(self._session.classes, erasing=brush.kind == "erase")
        self._layers.take_up_brush()

    def pen_layer_lost(self) -> None:
        """Paint strokes again, because the layer of the pen was deleted."""
        self.brush = Brush("strokes", self.brush.limits)

    def allowed(self, slice_index: SliceIndex, painted: NDArray[Any]) -> NDArray[Any]:
        """The strokes of a slice without new ones on pixels whose values lie outside of the limits."""
        if self.brush.limits is None:
            return painted
        former = self._session.painted(slice_index)
        outside = (painted != former) & (painted != 0) & ~self._within_limits(slice_index)
        return np.where(outside, former, painted) if outside.any() else painted

    def _within_limits(self, slice_index: SliceIndex) -> NDArray[np.bool_]:
        """The pixels of a slice, shape (H, W), that may be painted."""
        if self.brush.limits is None:
            return np.ones([self._session.volume.shape[axis] for axis in slice_index.displayed], bool)
        volume, (low, high) = self._session.volume, self.brush.limits
        values = np.asarray(volume.array[slice_index.slicer])
        values = values.mean(axis=-1) if volume.channels else values
        within: NDArray[np.bool_] = (values >= low) & (values <= high)
        return within

    def read_stroke(self) -> None:
        """Write a stroke of the pen on the result, and clear the layer of the pen."""
        shown = self._layers.slice_index()
        for slice_index, mask in self._layers.take_pen_strokes(shown):
            self._paint(slice_index, mask)

    def _paint(self, slice_index: SliceIndex, mask: NDArray[np.bool_]) -> None:
        session, (identity, name) = self._session, self._class()
        where = session.volume.where(slice_index)
        label = next((c for c in session.classes if c.id == identity), None)
        if self.brush.kind == "erase" or (label is not None and label.background):
            identity = 0
        elif label is not None and label.locked:
            raise InputError(f"{name} is locked; unlock it to paint it")
        mask = mask & self._within_limits(slice_index)
        if not mask.any():
            low, high = self.brush.limits or (0, 0)
            self._show(f"No pixel under the pen has a value from {low:g} to {high:g}")
            return
        before = session.slice_labels(slice_index)
        if session.edit(np.where(mask, np.uint16(identity), before), slice_index, fix=mask):
            done = f"Painted {name} on the result of {where}" if identity else f"Erased on the result of {where}"
            self._show(f"{done}; Undo restores it")

    def _class(self) -> tuple[int, str]:
        """Id and name of the class in the brush."""
        strokes = self._layers.strokes
        identity = 0 if strokes is None else int(strokes.selected_label)
        named = {label.id: label.name for label in self._session.classes}
        if identity == 0:
            raise InputError("no class is chosen; choose the one that is edited")
        return identity, named.get(identity, f"label {identity}")

    # tools ------------------------------------------------------------------------------------------------------------

    def run(self, request: ToolRequest, slice_index: SliceIndex, *, preview: bool) -> None:
        """Run a tool on the class in the brush; a preview is shown and changes nothing.

        Raises
        ------
        InputError
            If the tool cannot be used so.
        """
        session, (identity, name) = self._session, self._class()
        made = tool_class(request.name)(**request.parameters)
        start = stop = slice_index
        if request.scope != "slice" and slice_index.others:
            axis = slice_index.others[-1]
            n_slices = session.volume.shape[axis]
            first, last = (request.first, request.last) if request.scope == "range" else (0, n_slices - 1)
            if not 0 <= first <= last < n_slices:
                raise InputError(f"the slices {first} to {last} were chosen; expected some from 0 to {n_slices - 1}")
            start, stop = slice_index.at(axis, first), slice_index.at(axis, last)
        self.hide_preview()
        former = set(session.classes.ids)

        def arrived(future: Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:  # the session reports the error
                return
            found = future.result()
            where = session.volume.span(found) if found else ""
            if not found:
                self._show(f"{made.info.title}: nothing changes of {name}")
            elif preview:
                self._preview(found)
                self._show(f"{made.info.title} of {name} would change {where}: green is added, red is removed")
            else:
                self._show(f"{made.info.title} of {name} changed {where}; Undo restores it")
            if isinstance(made, Split) and (n_parts := _n_new(found, former) + 1) >= made.parts:
                done = "Separated" if not preview else "It would separate"
                self._show(f"{done} {n_parts} parts, as many as 'most parts' allows; a larger number separates more")

        future = session.apply(
            made, identity, start, stop, each_slice=request.each_slice, over=request.over, preview=preview
        )
        future.add_done_callback(arrived)

    def _preview(self, found: dict[SliceIndex, NDArray[Any]]) -> None:
        """Show what would be added to the class, and what would be removed from any."""
        marks = {}
        for slice_index, labels in found.items():
            former = self._session.slice_labels(slice_index)
            marks[slice_index] = np.where(labels == former, 0, np.where(labels != 0, 1, 2)).astype(np.uint8)
        self._layers.show_marks(marks)
        self._previewed = self._session.version

    def hide_preview(self, *, outdated: bool = False) -> None:
        """Remove a preview; with ``outdated``, only if strokes or labels changed since."""
        if not outdated or self._previewed not in (None, self._session.version):
            self._previewed = None
            self._layers.hide_marks()


def _n_new(found: dict[SliceIndex, NDArray[Any]], former: set[int]) -> int:
    """How many ids in the labels of slices, shape (H, W), no class had before."""
    ids = {int(i) for labels in found.values() for i in np.unique(labels)}
    return len(ids - former - {0})
