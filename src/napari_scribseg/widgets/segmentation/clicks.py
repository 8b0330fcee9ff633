"""A layer beside the strokes whose points are dots of their classes, or whose shapes are outlines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Points, Shapes

from napari_scribseg.core import Stroke
from napari_scribseg.widgets.common.slices import slice_at
from napari_scribseg.widgets.segmentation.annotator import Annotator

__all__ = ["Clicks", "Outlines", "point_class"]

_COLUMNS = ("class", "label")  # of a points layer's features: an id, or the name of a class
_KINDS = ("added", "removed", "changed")  # of changes that are done

Voxel = tuple[int, ...]


class Clicks:
    """Paints the points of a layer as dots into the strokes of the annotator in front.

    A point's class stands in the column ``class`` or ``label`` of the layer's features, as an id or a name of the class
    table; a point without one gets the class that is in the brush when it is placed.

    Parameters
    ----------
    front : callable
        Gives the annotator in front, or None.
    show_message : callable
        ``show_message(text)`` shows a message.
    """

    _what = "points"

    def __init__(self, front: Callable[[], Annotator | None], show_message: Callable[[str], object]) -> None:
        self._front, self._show_message = front, show_message
        self._points: Points | Shapes | None = None
        self._owner: Annotator | None = None
        self._dots: dict[Voxel, int] = {}

    def use(self, points: Points | Shapes | None) -> None:
        """Use a points layer, with the points that it has; None for none. Painted dots stay."""
        if points is self._points:
            return
        if self._points is not None:
            self._points.events.data.disconnect(self._on_data)
        self._points, self._dots = points, {}
        if points is not None:
            points.events.data.connect(self._on_data)
            self.sync()

    def sync(self) -> None:
        """Paint and erase dots until they are those of the points."""
        annotator = self._front()
        if self._points is None or annotator is None or annotator.layers.strokes is None:
            return
        if annotator is not self._owner:
            self._owner, self._dots = annotator, {}
        wanted, outside = self._wanted(annotator)
        gone = {voxel: label for voxel, label in self._dots.items() if voxel not in wanted}
        new = {voxel: label for voxel, label in wanted.items() if voxel not in self._dots}
        self._dots = wanted
        self._paint(annotator, gone, new)
        if outside:
            self._show_message(
                f"{outside} of {len(self._points.data)} {self._what} lie outside the image and are left out"
            )

    def _on_data(self, event: Any) -> None:
        if event.action.value in _KINDS:
            self.sync()

    def _wanted(self, annotator: Annotator) -> tuple[dict[Voxel, int], int]:
        """The class of every voxel to be painted, and how many points or shapes lie outside."""
        layer, strokes = self._points, annotator.layers.strokes
        assert layer is not None
        assert strokes is not None
        features = layer.features
        column = next((features[name] for name in _COLUMNS if name in features), None)
        names = {c.name: c.id for c in annotator.session.classes}
        found: dict[Voxel, int] = {}
        outside = 0
        for row in range(len(layer.data)):
            voxels = self._voxels(layer, row, strokes)
            outside += not voxels
            named = point_class(None if column is None else column.iloc[row], names)
            former = next((self._dots[voxel] for voxel in voxels if voxel in self._dots), None)
            found |= dict.fromkeys(voxels, named or former or int(strokes.selected_label))
        return found, outside

    def _voxels(self, layer: Any, row: int, strokes: Any) -> list[Voxel]:
        """Where a point lies in the strokes; nowhere if it lies outside."""
        return _inside(_in_strokes(layer, layer.data[row][np.newaxis], strokes), strokes)

    def _paint(self, annotator: Annotator, gone: dict[Voxel, int], new: dict[Voxel, int]) -> None:
        """Change the strokes slice by slice, each as one step that can be undone."""
        layers, strokes = annotator.layers, annotator.layers.strokes
        assert strokes is not None
        order = layers.viewer.dims.order
        displayed = tuple(axis - (len(order) - strokes.ndim) for axis in order)[-2:]
        radius = strokes.brush_size / 2
        slices: dict[Any, list[tuple[Voxel, int, bool]]] = {}
        for dots, erased in ((gone, True), (new, False)):
            for voxel, label in dots.items():
                slice_index = slice_at(strokes.data.shape, displayed, voxel, layers.source.channel_axis)
                if slice_index is not None:
                    slices.setdefault(slice_index, []).append((voxel, label, erased))
        axes = sorted(displayed)
        for slice_index, dots_here in slices.items():
            painted = layers.painted(slice_index)
            largest = max((label for _, label, erased in dots_here if not erased), default=0)
            painted = painted.astype(np.promote_types(painted.dtype, np.min_scalar_type(largest)))
            for voxel, label, erased in dots_here:
                _stamp(painted, (voxel[axes[0]], voxel[axes[1]]), self._radius(radius), label, erased)
            layers.write_strokes(slice_index, painted)
            annotator.pen_lifted(slice_index)

    def _radius(self, brush: float) -> float:
        """Of a dot, in pixels."""
        return brush


class Outlines(Clicks):
    """As :class:`Clicks` for a shapes layer: each shape is a thin line, closed but for paths and lines."""

    _what = "shapes"

    def _voxels(self, layer: Any, row: int, strokes: Any) -> list[Voxel]:
        """The line of a shape in the strokes, as far as it lies inside."""
        kind, points = layer.shape_type[row], np.asarray(layer.data[row], dtype=np.float64)
        if kind == "ellipse":  # its data are the corners of its box
            turn = np.linspace(0, 2 * np.pi, 128)[:, np.newaxis]
            across, down = (points[1] - points[0]) / 2, (points[3] - points[0]) / 2
            points = points.mean(axis=0) + np.cos(turn) * across + np.sin(turn) * down
        elif kind not in ("line", "path"):
            points = np.concatenate([points, points[:1]])
        placed = _in_strokes(layer, points, strokes)
        if placed.shape[1] != strokes.ndim:
            return []
        path = Stroke(placed, 0, 1).path()
        if not _inside(path, strokes):
            return []
        return _inside(np.clip(path, 0, np.asarray(strokes.data.shape) - 1), strokes)  # along the rim, where it leaves

    def _radius(self, brush: float) -> float:
        """A line is one pixel wide."""
        return 0.0


def _in_strokes(layer: Any, points: Any, strokes: Any) -> Any:
    """Positions of shape (N, ndim) of a layer in the voxels of the strokes layer."""
    return np.stack([np.asarray(strokes.world_to_data(layer.data_to_world(at)))[-strokes.ndim :] for at in points])


def _inside(places: Any, strokes: Any) -> list[Voxel]:
    """The voxels of positions, each once, without those outside the strokes layer."""
    voxels = np.unique(np.rint(places).astype(int), axis=0)
    if voxels.shape[1] != strokes.ndim:
        return []
    kept = voxels[((voxels >= 0) & (voxels < np.asarray(strokes.data.shape))).all(axis=1)]
    return [tuple(int(v) for v in voxel) for voxel in kept]


def point_class(value: Any, names: dict[str, int]) -> int | None:
    """The id that a cell of a table names: a whole number above 0, or the name of a class; None for anything else."""
    if isinstance(value, str):
        return names.get(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if np.isfinite(number) and number > 0 and number == int(number) else None


def _stamp(painted: Any, centre: tuple[int, int], radius: float, label: int, erased: bool) -> None:
    """Paint a disc in place, or take it away where it has the label."""
    reach = int(max(radius, 0.5))
    low = [max(c - reach, 0) for c in centre]
    window = painted[low[0] : centre[0] + reach + 1, low[1] : centre[1] + reach + 1]
    y, x = np.ogrid[: window.shape[0], : window.shape[1]]
    disc = (y + low[0] - centre[0]) ** 2 + (x + low[1] - centre[1]) ** 2 <= max(radius, 0.5) ** 2
    if erased:
        window[disc & (window == label)] = 0
    else:
        window[disc] = label
