"""A points layer beside the strokes: each of its points is a click, painted as a dot of its class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from napari.layers import Points

from napari_scribseg.widgets.annotator import Annotator
from napari_scribseg.widgets.planes import plane_at

__all__ = ["Clicks", "point_class"]

_COLUMNS = ("class", "label")  # of a points layer's features: an id, or the name of a class
_KINDS = ("added", "removed", "changed")  # of changes that are done

Voxel = tuple[int, ...]


class Clicks:
    """Keeps the dots in the strokes of the annotator in front the same as the points of a layer.

    A point's class stands in the column ``class`` or ``label`` of the layer's features, as an id or a name of the class
    table; a point without one gets the class that is in the brush when it is placed.

    Parameters
    ----------
    front : callable
        Gives the annotator in front, or None.
    say : callable
        ``say(text)`` tells the user.
    """

    def __init__(self, front: Callable[[], Annotator | None], say: Callable[[str], object]) -> None:
        self._front, self._say = front, say
        self._points: Points | None = None
        self._owner: Annotator | None = None
        self._dots: dict[Voxel, int] = {}

    def use(self, points: Points | None) -> None:
        """Take up a points layer, with the points that it has; None for none. Dots that were painted stay."""
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
            self._say(f"{outside} of {len(self._points.data)} points lie outside the image and are left out")

    def _on_data(self, event: Any) -> None:
        action = getattr(event, "action", "changed")
        if str(getattr(action, "value", action)) in _KINDS:
            self.sync()

    def _wanted(self, annotator: Annotator) -> tuple[dict[Voxel, int], int]:
        """The class of every voxel with a point, and how many points lie outside."""
        points, strokes = self._points, annotator.layers.strokes
        assert points is not None
        assert strokes is not None
        features = points.features
        column = next((features[name] for name in _COLUMNS if name in features), None)
        names = {c.name: c.id for c in annotator.session.classes}
        found: dict[Voxel, int] = {}
        outside = 0
        for row, at in enumerate(np.asarray(points.data)):
            place = np.rint(strokes.world_to_data(points.data_to_world(at))).astype(int)[-strokes.ndim :]
            voxel = tuple(int(v) for v in place)
            if len(voxel) != strokes.ndim or not all(
                0 <= v < n for v, n in zip(voxel, strokes.data.shape, strict=True)
            ):
                outside += 1
                continue
            value = None if column is None else column.iloc[row]
            found[voxel] = point_class(value, names) or self._dots.get(voxel) or int(strokes.selected_label)
        return found, outside

    def _paint(self, annotator: Annotator, gone: dict[Voxel, int], new: dict[Voxel, int]) -> None:
        """Change the strokes slice by slice, each as one step that can be undone."""
        layers, strokes = annotator.layers, annotator.layers.strokes
        assert strokes is not None
        order = layers.viewer.dims.order
        displayed = tuple(axis - (len(order) - strokes.ndim) for axis in order)[-2:]
        radius = strokes.brush_size / 2
        planes: dict[Any, list[tuple[Voxel, int, bool]]] = {}
        for dots, erased in ((gone, True), (new, False)):
            for voxel, label in dots.items():
                plane = plane_at(strokes.data.shape, displayed, voxel, layers.source.channel_axis)
                if plane is not None:
                    planes.setdefault(plane, []).append((voxel, label, erased))
        axes = sorted(displayed)
        for plane, dots_here in planes.items():
            painted = layers.painted(plane)
            largest = max((label for _, label, erased in dots_here if not erased), default=0)
            painted = painted.astype(np.promote_types(painted.dtype, np.min_scalar_type(largest)))
            for voxel, label, erased in dots_here:
                disc = _disc(painted.shape, (voxel[axes[0]], voxel[axes[1]]), radius)
                if erased:
                    painted[disc & (painted == label)] = 0
                else:
                    painted[disc] = label
            layers.write_strokes(plane, painted)
            annotator.pen_lifted(plane)


def point_class(value: Any, names: dict[str, int]) -> int | None:
    """The id that a cell of a table names: a whole number above 0, or the name of a class; None for anything else."""
    if isinstance(value, str):
        return names.get(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if np.isfinite(number) and number > 0 and number == int(number) else None


def _disc(shape: tuple[int, ...], centre: Iterable[int], radius: float) -> Any:
    y, x = np.ogrid[: shape[0], : shape[1]]
    row, column = centre
    return (y - row) ** 2 + (x - column) ** 2 <= max(radius, 0.5) ** 2
