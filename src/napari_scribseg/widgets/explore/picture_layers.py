"""The explorer's layers in the viewer, and what the user does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.explore import Picture
from napari_scribseg.explore.edits import NEGATIVE, POSITIVE
from napari_scribseg.widgets.common.colors import class_colormap, class_features
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.slices import displayed_axes, slice_at
from napari_scribseg.widgets.common.viewer_events import Later, ViewerEvents
from napari_scribseg.widgets.explore.contours import BORDER, CHOSEN
from napari_scribseg.widgets.explore.groups import Group, pictures_layer

__all__ = ["PictureLayers"]

_CONTOURS = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), BORDER: (1.0, 0.85, 0.2, 0.75), CHOSEN: (1.0, 1.0, 1.0, 1.0)}
_STROKES = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), POSITIVE: (0.2, 0.9, 0.35, 1.0), NEGATIVE: (0.95, 0.25, 0.3, 1.0)}
_NAMES = {"index": [0, POSITIVE, NEGATIVE], "name": ["no stroke", "positive", "negative"]}
_OURS = {"explore": True}
_CLICK = 4  # pixels that the mouse may move in a click


class PictureLayers:
    """Layers for the pictures of a workspace.

    Parameters
    ----------
    viewer : ViewerModel
    pictures : sequence of Picture
        Of the workspace; a layer that the user deleted is made again from them.
    keys : dict
        Bound on the layers of segments; ``stroke_keys`` on those of strokes.
    later : callable
        ``later(milliseconds, function)`` calls a function of the window's thread soon.

    Attributes
    ----------
    groups : list of Group
    front : Group or None
        The one displayed.
    turned : Signal()
        Another picture is displayed.
    picked : Signal(int, int, str)
        Row and column of the displayed picture that were clicked, and how that counts; see :meth:`Exploration.select`.
    lost : Signal()
        A layer of images or of segments left the viewer.
    """

    turned = Signal()
    picked = Signal(int, int, str)
    lost = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        pictures: Sequence[Picture],
        keys: dict[str, Callable[[], object]],
        stroke_keys: dict[str, Callable[[], object]],
        later: Later,
    ) -> None:
        self.viewer, self.pictures = viewer, pictures
        self.groups: list[Group] = []
        self.front: Group | None = None
        self._resting = False
        self._contours: Labels | None = None
        self._keys, self._stroke_keys = keys, stroke_keys
        self._viewer_events = ViewerEvents(viewer, later, self.turned.emit, self._on_removed)
        viewer.mouse_drag_callbacks.append(self._on_mouse)

    @property
    def is_turning(self) -> bool:
        """Whether :attr:`turned` is about to be emitted."""
        return self._viewer_events.is_waiting

    def rest(self, resting: bool) -> None:
        """Hide segments and contours while the user paints for an engine; or show them again."""
        if resting == self._resting:
            return
        self._resting = resting
        if resting:
            self.hide_contours()
        if self.front is not None and self.front.segments is not None:
            self.front.segments.visible = not resting

    def name(self, index: int) -> str:
        """The name of a picture; that of its layer where it came from a layer."""
        group, picture = self.group(index), self.pictures[index]
        if group.made or group.source is None or picture.path is not None:
            return picture.name
        name = group.source.layer.name
        return f"{name} [{index - group.first}]" if group.count > 1 else name

    # which picture ----------------------------------------------------------------------------------------------------

    def add(self, first: int, count: int, source: LayerSource | None = None) -> None:
        """Show pictures by an existing layer, or by one that is made for them."""
        self.groups.append(Group(first, count, source, source is None))

    def index(self, group: Group | None = None) -> int | None:
        """The visible picture; None in 3D, or where no slice of the layer in front (or of another group) is."""
        group = group or self.front
        if group is None or group.source is None or self.viewer.dims.ndisplay != 2:
            return None
        layer, dims = group.source.layer, self.viewer.dims
        if len(dims.order) < layer.ndim:
            return None
        point = layer.world_to_data(dims.point[-layer.ndim :])
        slice_index = slice_at(
            group.source.layer_shape, displayed_axes(dims.order, layer.ndim), point, group.source.channel_axis
        )
        axes = len(group.source.shape)
        if slice_index is None or slice_index.displayed != (axes - 2, axes - 1):
            return None
        index = group.first + (slice_index.position[0] if slice_index.position else 0)
        return index if index < group.first + group.count else None

    def turn_to(self, index: int, classes: ClassTable) -> range:
        """Display a picture, and bring its layers to the front; deleted layers are made again.

        Returns
        -------
        range
            The pictures whose classes have to be shown again.
        """
        group = self.group(index)
        new = range(group.first, group.first + (group.count if self._complete(group, classes) else 0))
        if group is not self.front:
            self.hide_contours()
            for other in self.groups:
                for layer in _layers(other):
                    layer.visible = other is group
            former, self.front = self.front, group
            if former is not None:
                self.viewer.reset_view()
        self.viewer.dims.ndisplay = 2
        assert group.source is not None
        if len(group.source.shape) == 3:
            layer = group.source.layer
            point = [0.0] * layer.ndim
            axis = 0 if group.source.channel_axis != 0 else 1
            point[axis] = index - group.first
            world = layer.data_to_world(point)
            self.viewer.dims.set_point(self.viewer.dims.ndim - layer.ndim + axis, float(world[axis]))
        return new

    def group(self, index: int) -> Group:
        """The group of a picture."""
        return next(g for g in self.groups if g.first <= index < g.first + g.count)

    def pixel(self, position: Sequence[float]) -> tuple[int, int]:
        """Row and column of the visible picture at a position of the world."""
        assert self.front is not None
        assert self.front.source is not None
        layer = self.front.source.layer
        at = np.asarray(layer.world_to_data(position[-layer.ndim :]))
        spatial = [float(a) for axis, a in enumerate(at) if axis != self.front.source.channel_axis]
        return round(spatial[-2]), round(spatial[-1])

    # what is shown ----------------------------------------------------------------------------------------------------

    def show_labels(self, index: int, values: NDArray[Any], *, refresh: bool = True) -> None:
        """The class of each pixel of a picture, shape (H, W); 0 for none."""
        group = self.group(index)
        if group.segments is None:
            return
        group.segments.data[group.at(index, values)] = values
        if refresh:
            group.segments.refresh(extent=False, highlight=False, thumbnail=False)

    def show_contours(self, index: int, values: NDArray[np.uint8]) -> None:
        """Contours over the visible picture, shape (H, W), as :func:`~.contours.contours` gives them."""
        group = self.group(index)
        if group is not self.front or group.source is None or self._resting:
            return
        shape = [1] * len(group.source.layer_shape)
        axes = [axis for axis in range(len(shape)) if axis != group.source.channel_axis]
        for axis in axes[-2:]:
            shape[axis] = group.source.layer_shape[axis]
        data = np.zeros(shape, dtype=np.uint8)
        data[group.at(group.first, values)] = values
        if self._contours is not None and self._contours.data.shape == data.shape:
            self._contours.data = data
            return
        self.hide_contours()
        self._contours = Labels(
            data,
            name="segments: contours",
            opacity=1.0,
            colormap=DirectLabelColormap(color_dict=_CONTOURS),
            metadata={"scribseg": _OURS},
            **group.source.placement(tuple(shape)),
        )
        self._add(self._contours, self._keys)

    def hide_contours(self) -> None:
        """Remove the contours."""
        contours, self._contours = self._contours, None
        if contours in self.viewer.layers:
            self.viewer.layers.remove(contours)

    def show_classes(self, classes: ClassTable) -> None:
        """Show names and colours."""
        for group in self.groups:
            if group.segments is not None:
                group.segments.colormap = class_colormap(classes)
                group.segments.features = class_features(classes)

    # strokes ----------------------------------------------------------------------------------------------------------

    def paint(self, value: int) -> None:
        """Take up the brush for positive or negative strokes on the visible picture."""
        group = self.front
        if group is None or group.source is None:
            raise InputError("there is no image to draw on; add images first")
        if group.strokes is None:
            group.strokes = Labels(
                np.zeros(group.source.layer_shape, dtype=np.uint8),
                name=f"{group.source.layer.name} split strokes",
                opacity=0.9,
                colormap=DirectLabelColormap(color_dict=_STROKES),
                features=_NAMES,
                metadata={"scribseg": _OURS},
                **group.source.placement(),
            )
            group.strokes.brush_size = max(2, round(min(group.source.shape[-2:]) / 150))
            self._add(group.strokes, self._stroke_keys)
        self.viewer.layers.selection.active = group.strokes
        group.strokes.mode = "paint"
        group.strokes.selected_label = value

    @property
    def is_painting(self) -> bool:
        """Whether the mouse paints rather than picks."""
        active = self.viewer.layers.selection.active
        return isinstance(active, Labels) and active.mode not in ("pan_zoom", "transform")

    def lay_down_brush(self) -> None:
        """Let the mouse pick segments again."""
        if self.front is not None and self.front.segments is not None:
            self.viewer.layers.selection.active = self.front.segments
            self.front.segments.mode = "pan_zoom"

    def strokes(self, index: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
        """Strokes on a picture, shape (H, W): :data:`POSITIVE`, :data:`NEGATIVE` or 0."""
        group = self.group(index)
        if group.strokes is None:
            return np.zeros(shape, dtype=np.uint8)
        return np.array(group.strokes.data[group.at(index)], dtype=np.uint8)[: shape[0], : shape[1]]

    def write_strokes(self, index: int, values: NDArray[np.uint8]) -> None:
        """Replace the strokes on a picture."""
        group = self.group(index)
        if group.strokes is not None:
            group.strokes.data[group.at(index, values)] = values
            group.strokes.refresh(extent=False)

    # all --------------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Leave the layers to the user, except the contours, and disconnect from the viewer."""
        self._viewer_events.close()
        self.viewer.mouse_drag_callbacks.remove(self._on_mouse)
        self.hide_contours()
        for group in self.groups:
            for layer, keys in ((group.segments, self._keys), (group.strokes, self._stroke_keys)):
                if layer is not None:
                    layer.editable = True
                    for key in keys:
                        layer.bind_key(key, None)

    def _complete(self, group: Group, classes: ClassTable) -> bool:
        """Make the layers of a group that are missing; returns whether that of the segments was."""
        if group.source is None:
            layer = pictures_layer(self.pictures[group.first : group.first + group.count])
            self.viewer.add_layer(layer)
            group.source = LayerSource(layer)
            group.segments = None
        if group.segments is None:
            group.segments = Labels(
                np.zeros(group.source.layer_shape, dtype=np.uint16),
                name=f"{group.source.layer.name} segments",
                opacity=0.5,
                colormap=class_colormap(classes),
                features=class_features(classes),
                metadata={"scribseg": {**group.source.metadata(), **_OURS}},
                **group.source.placement(),
            )
            group.segments.editable = False  # it shows the workspace, which a brush would not change
            self._add(group.segments, self._keys)
            self.viewer.layers.selection.active = group.segments
            return True
        return False

    def _on_removed(self, layer: Layer) -> None:
        """Drop a layer that left the viewer."""
        if layer is self._contours:
            self._contours = None
        for group in self.groups:
            if group.source is not None and layer is group.source.layer:
                group.source = None
                self.lost.emit()
            if layer is group.segments:
                group.segments = None
                self.lost.emit()
            if layer is group.strokes:
                group.strokes = None

    def _on_mouse(self, _viewer: Any, event: Any) -> Iterator[None]:
        if event.button != 1 or self.is_painting:
            return
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.array(event.pos) - start).max() <= _CLICK and self.index() is not None:
            modifiers = {str(getattr(m, "name", m)) for m in event.modifiers}
            how = "add" if "Shift" in modifiers else "remove" if "Control" in modifiers else "new"
            self.picked.emit(*self.pixel(event.position), how)

    def _add(self, layer: Labels, keys: dict[str, Callable[[], object]]) -> None:
        """Add a layer without changing which one is selected."""
        selected = self.viewer.layers.selection.active
        self.viewer.add_layer(layer)
        for key, function in keys.items():
            layer.bind_key(key, lambda _layer, call=function: call(), overwrite=True)
        if selected is not None:
            self.viewer.layers.selection.active = selected


def _layers(group: Group) -> list[Layer]:
    image = None if group.source is None else group.source.layer
    return [layer for layer in (image, group.segments, group.strokes) if layer is not None]
