"""Strokes from a points layer, whose points are dots, or from a shapes layer, whose shapes are outlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Points, Shapes

from napari_scribseg.core import Stroke
from napari_scribseg.widgets.common.slices import displayed_axes, slice_at
from napari_scribseg.widgets.segmentation.annotator import Annotator

__all__ = ["StrokesFromLayer", "class_of_cell"]

_COLUMNS = ("class", "label")  # of the layer's features: an id, or the name of a class
_DONE = ("added", "removed", "changed")  # napari announces each change before, too

Voxel = tuple[int, ...]


class StrokesFromLayer:
    """Paints the points or shapes of a layer into the strokes of the annotator in front.

    A point is a dot of the brush's size, a shape a thin line, closed unless it is a path or a line. The column
    ``class`` or ``label`` of the layer's features holds their classes, as an id or a name of the class table; without
    one, a point or shape gets the class that is in the brush when it is added.

    Parameters
    ----------
    front : callable
        Gives the annotator in front, or None.
    show_message : callable
        ``show_message(text)`` shows a message.
    """

    def __init__(self, front: Callable[[], Annotator | None], show_message: Callable[[str], object]) -> None:
        self._front, self._show_message = front, show_message
        self._layer: Points | Shapes | None = None
        self._painted_on: Annotator | None = None
        self._painted: dict[Voxel, int] = {}

    def use(self, layer: Points | Shapes | None) -> None:
        """Use a layer with all that it has; None for none. What is painted stays."""
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_data)
        self._layer, self._painted = layer, {}
        if layer is not None:
            layer.events.data.connect(self._on_data)
            self.sync()

    def sync(self) -> None:
        """Paint and erase until the strokes show what the layer has."""
        layer, annotator = self._layer, self._front()
        if layer is None or annotator is None or annotator.layers.strokes is None:
            return
        if annotator is not self._painted_on:
            self._painted_on, self._painted = annotator, {}
        wanted, outside = self._wanted(layer, annotator)
        former, self._painted = self._painted, wanted
        gone = {voxel: label for voxel, label in former.items() if voxel not in wanted}
        new = {voxel: label for voxel, label in wanted.items() if voxel not in former}
        _paint(annotator, gone, new, 0.5 if isinstance(layer, Shapes) else annotator.layers.strokes.brush_size / 2)
        if outside:
            what = "shapes" if isinstance(layer, Shapes) else "points"
            self._show_message(f"{outside} of {len(layer.data)} {what} lie outside the image and are left out")

    def _on_data(self, event: Any) -> None:
        if event.action.value in _DONE:
            self.sync()

    def _wanted(self, layer: Points | Shapes, annotator: Annotator) -> tuple[dict[Voxel, int], int]:
        """The class of every voxel to be painted, and how many points or shapes lie outside."""
        strokes: Any = annotator.layers.strokes
        column = next((layer.features[name] for name in _COLUMNS if name in layer.features), None)
        names = {c.name: c.id for c in annotator.session.classes}
        find = _outline if isinstance(layer, Shapes) else _dot
        wanted: dict[Voxel, int] = {}
        outside = 0
        for row in range(len(layer.data)):
            voxels = find(layer, row, strokes)
            outside += not voxels
            named = class_of_cell(None if column is None else column.iloc[row], names)
            former = next((self._painted[voxel] for voxel in voxels if voxel in self._painted), None)
            wanted |= dict.fromkeys(voxels, named or former or int(strokes.selected_label))
        return wanted, outside


def class_of_cell(value: Any, names: dict[str, int]) -> int | None:
    """The id that a cell of a table means: an id from 1 to 65535, or the name of a class; None for anything else."""
    if isinstance(value, str):
        return names.get(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if 0 < number < 1 << 16 and number.is_integer() else None


def _dot(layer: Any, row: int, strokes: Any) -> list[Voxel]:
    """Where a point lies in the strokes layer; nowhere if it lies outside."""
    return _inside(_in_strokes(layer, layer.data[row][np.newaxis], strokes), strokes)


def _outline(layer: Any, row: int, strokes: Any) -> list[Voxel]:
    """The line of a shape in the strokes layer; where it leaves the image, it runs along the rim."""
    kind, points = layer.shape_type[row], np.asarray(layer.data[row], dtype=np.float64)
    if kind == "ellipse":  # its data are the corners of its box
        turn = np.linspace(0, 2 * np.pi, 128)[:, np.newaxis]
        across, down = (points[1] - points[0]) / 2, (points[3] - points[0]) / 2
        points = points.mean(axis=0) + np.cos(turn) * across + np.sin(turn) * down
    elif kind not in ("line", "path"):
        points = np.concatenate([points, points[:1]])
    path = Stroke(_in_strokes(layer, points, strokes), 0, 1).path()
    return _inside(np.clip(path, 0, np.asarray(strokes.data.shape) - 1), strokes) if _inside(path, strokes) else []


def _in_strokes(layer: Any, points: Any, strokes: Any) -> Any:
    """Positions of shape (N, ndim) of a layer in the voxels of the strokes layer."""
    return np.stack([strokes.world_to_data(layer.data_to_world(at)) for at in points])


def _inside(points: Any, strokes: Any) -> list[Voxel]:
    """The voxels of positions, each once, without those outside the strokes layer."""
    voxels = np.unique(np.rint(points).astype(int), axis=0)
    return [tuple(v) for v in voxels[((voxels >= 0) & (voxels < strokes.data.shape)).all(axis=1)].tolist()]


def _paint(annotator: Annotator, gone: dict[Voxel, int], new: dict[Voxel, int], radius: float) -> None:
    """Change the strokes slice by slice, each as one step that can be undone; ``radius`` of a dot in pixels."""
    layers, strokes = annotator.layers, annotator.layers.strokes
    assert strokes is not None
    displayed = displayed_axes(layers.viewer.dims.order, strokes.ndim)
    row, column = sorted(displayed)
    slices: dict[Any, list[tuple[tuple[int, int], int, bool]]] = {}
    for dots, erased in ((gone, True), (new, False)):
        for voxel, label in dots.items():
            slice_index = slice_at(strokes.data.shape, displayed, voxel, layers.source.channel_axis)
            if slice_index is not None:
                slices.setdefault(slice_index, []).append(((voxel[row], voxel[column]), label, erased))
    for slice_index, stamps in slices.items():
        painted = layers.painted(slice_index)
        painted = painted.astype(np.promote_types(painted.dtype, np.uint16))
        for centre, label, erased in stamps:
            _stamp(painted, centre, max(radius, 0.5), label, erased)
        layers.write_strokes(slice_index, painted)
        annotator.pen_lifted(slice_index)


def _stamp(painted: Any, centre: tuple[int, int], radius: float, label: int, erased: bool) -> None:
    """Paint a disc in place, or take it away where it has the label."""
    reach = int(radius)
    low = [max(c - reach, 0) for c in centre]
    window = painted[low[0] : centre[0] + reach + 1, low[1] : centre[1] + reach + 1]
    y, x = np.ogrid[: window.shape[0], : window.shape[1]]
    disc = (y + low[0] - centre[0]) ** 2 + (x + low[1] - centre[1]) ** 2 <= radius**2
    if erased:
        window[disc & (window == label)] = 0
    else:
        window[disc] = label
