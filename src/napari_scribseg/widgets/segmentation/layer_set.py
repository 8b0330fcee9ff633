"""The layers of one image: strokes, result and overlay. No other module of the widget changes viewer layers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.widgets.common.camera import camera_of
from napari_scribseg.widgets.common.colors import class_colormap, class_features
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.common.slices import displayed_axes, slice_at

__all__ = ["LayerSet"]

_TOOLS = ("paint", "fill", "polygon")  # that put the chosen class into the strokes
_BRUSH, _OPACITY = 10, 0.7  # pixels and opacity of a labels layer of napari's
_NOTHING = ("unlabelled", "no stroke")  # the name of 0 under the mouse, in the result and in the strokes
_STROKES_OPACITY, _RESULT_OPACITY = 0.6, 0.45  # so that edges of the image are seen through them
_ERASER = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: (1.0, 1.0, 1.0, 1.0)})
_MARKS = DirectLabelColormap(
    color_dict={None: "transparent", 0: "transparent", 1: (0.1, 0.9, 0.3, 1.0), 2: (1.0, 0.15, 0.1, 1.0)}
)
_IMAGE_KEYS = {"C", "O", "X", "Y", "Z"}  # napari's own on an image layer


class LayerSet:
    """The layers that belong to one annotated image.

    Attributes
    ----------
    source : LayerSource
        The image.
    strokes, result : Labels or None
        Strokes of the user, and labels; None while they are not in the viewer.
    overlay : Image or None
        Probability or uncertainty of the displayed slice.
    pen_layer : Labels or None
        What the pen paints on where it edits the result; it is empty between two strokes.
    erasing : bool
        Whether the pen erases there.
    pen_layer_made : Signal(Labels)
        There is a new one.
    writing : bool
        Whether this object, not the user, is changing the strokes layer.
    """

    pen_layer_made = Signal(object)

    def __init__(self, viewer: ViewerModel, source: LayerSource) -> None:
        self.viewer = viewer
        self.source = source
        self.strokes: Labels | None = None
        self.result: Labels | None = None
        self.overlay: Image | None = None
        self.pen_layer: Labels | None = None
        self.erasing = False
        self._marks: Labels | None = None
        self._keys: dict[str, Callable[[], object]] = {}
        self.writing = False
        self._pictures: dict[str, Image] = {}

    # the displayed slice ----------------------------------------------------------------------------------------------

    def go_to(self, slice_index: SliceIndex) -> None:
        """Display a slice along the axes that are displayed now; further axes of the viewer stay where they are."""
        world, dims = self._world_at(slice_index.others, slice_index.position), self.viewer.dims
        for axis in dims.not_displayed:
            dims.set_point(axis, world[axis])

    def look_at(self, slice_index: SliceIndex, row: int, column: int) -> None:
        """Display a slice, with one of its voxels in the middle of the canvas."""
        self.go_to(slice_index)
        world = self._world_at(slice_index.displayed, (row, column))
        camera_of(self.viewer).center = tuple(world[axis] for axis in self.viewer.dims.displayed)

    def _world_at(self, axes: Sequence[int], position: Sequence[int]) -> list[float]:
        """Where the viewer stands, along each of its axes, moved to a position along some axes of the image."""
        layer, world = self.strokes if self.strokes is not None else self.source.layer, list(self.viewer.dims.point)
        spatial = [axis for axis in range(layer.ndim) if axis != self.source.channel_axis]
        point = list(layer.world_to_data(world[-layer.ndim :]))
        for axis, along in zip(axes, position, strict=True):
            point[spatial[axis]] = along
        world[-layer.ndim :] = map(float, layer.data_to_world(point))
        return world

    def slice_index(self) -> SliceIndex | None:
        """The displayed slice; None in 3D, outside the image, or where the channel axis is displayed."""
        if self.viewer.dims.ndisplay != 2:
            return None
        layer = self.strokes if self.strokes is not None else self.source.layer
        if len(self.viewer.dims.order) < layer.ndim:
            return None
        point = layer.world_to_data(self.viewer.dims.point[-layer.ndim :])
        shown = displayed_axes(self.viewer.dims.order, layer.ndim)
        return slice_at(self.source.layer_shape, shown, point, self.source.channel_axis)

    def middle_slice(self) -> SliceIndex | None:
        """The slice in the middle of the image, along the displayed axes; None in 3D."""
        if self.viewer.dims.ndisplay != 2 or len(self.viewer.dims.order) < self.source.layer.ndim:
            return None
        shown = displayed_axes(self.viewer.dims.order, self.source.layer.ndim)
        middle = [(n - 1) // 2 for n in self.source.layer_shape]
        return slice_at(self.source.layer_shape, shown, middle, self.source.channel_axis)

    def slider_numbers(self, slice_index: SliceIndex) -> tuple[int, ...]:
        """The numbers of a slice at napari's sliders, which count over all layers."""
        world, dims = self._world_at(slice_index.others, slice_index.position), self.viewer.dims
        spatial = [axis for axis in range(self.source.layer.ndim) if axis != self.source.channel_axis]
        numbers = []
        for along, index in zip(slice_index.others, slice_index.position, strict=True):
            axis = dims.ndim - self.source.layer.ndim + spatial[along]
            start, _, step = dims.range[axis]
            numbers.append(round((world[axis] - start) / step) if step else index)
        return tuple(numbers)

    def slices_beside(self, slice_index: SliceIndex, layer: Labels | None = None) -> Iterator[SliceIndex]:
        """The other slices that a stroke on this one changes if napari's *n edit dimensions* is above two.

        It is a stroke on the strokes layer, or on another one.
        """
        layer = self.strokes if layer is None else layer
        if layer is None or layer.n_edit_dimensions <= 2:
            return
        space = [axis for axis in range(layer.ndim) if axis != self.source.channel_axis]
        order = displayed_axes(self.viewer.dims.order, layer.ndim, layer.n_edit_dimensions)
        edited = {space.index(axis) for axis in order if axis in space}
        ranges = [
            range(self.source.shape[axis]) if axis in edited else (at,)
            for axis, at in zip(slice_index.others, slice_index.position, strict=True)
        ]
        for position in itertools.product(*ranges):
            if position != slice_index.position:
                yield SliceIndex(slice_index.displayed, position)

    def why_no_slice(self) -> str:
        """What the user can do while :meth:`slice_index` is None, as a message."""
        if self.viewer.dims.ndisplay != 2:
            return "The window shows 3D: go back to slices with the 2D/3D button (Ctrl+Y), then paint"
        return "No slice of the image is displayed: move the sliders into it, with two axes of space displayed"

    # strokes ----------------------------------------------------------------------------------------------------------

    def make_strokes(self, classes: ClassTable, painted: Mapping[SliceIndex, NDArray[Any]] | None = None) -> Labels:
        """Add a strokes layer on the grid of the image, with ``painted`` slices of shape (H, W), ready to paint on."""
        painted = painted or {}
        largest = max((*classes.ids, *(int(values.max(initial=0)) for values in painted.values())), default=0)
        data = np.zeros(self.source.layer_shape, dtype=np.min_scalar_type(largest))
        for slice_index, values in painted.items():
            data[self._slicer(slice_index)] = values
        self.strokes = self._labels(data, f"{self.source.layer.name} strokes", classes, _STROKES_OPACITY)
        self.strokes.features = class_features(classes, _NOTHING[True])
        self._fit_brush()
        self.take_up_brush()
        return self.strokes

    def _fit_brush(self) -> None:
        """Give the pen a width that suits the image."""
        if self.strokes is not None:
            self.strokes.brush_size = max(1, round(min(self.source.shape[-2:]) / 100))

    def take_up_brush(self) -> None:
        """Select the layer that the pen paints on, and napari's paint mode."""
        pen = self.pen
        if pen is not None and self.viewer.dims.ndisplay == 2:
            self.viewer.layers.selection.active = pen
            pen.mode = "paint"

    def take_up_tool(self) -> None:
        """As :meth:`take_up_brush`, but keep fill and polygon mode."""
        pen = self.pen
        if pen is None or self.viewer.layers.selection.active is not pen or pen.mode not in _TOOLS:
            self.take_up_brush()

    @property
    def pen(self) -> Labels | None:
        """The layer that the pen paints on."""
        return self.strokes if self.pen_layer is None else self.pen_layer

    def use_strokes(self, layer: Labels) -> None:
        """Use an existing labels layer, such as one made with napari's own button, as the strokes.

        Its pen gets a width that suits the image, and the layer the opacity of new ones, unless the user has chosen
        others.

        Raises
        ------
        InputError
            If its shape is not :attr:`LayerSource.layer_shape`, or it is a pyramid.
        """
        self._require(layer)
        self.strokes = layer
        if layer.brush_size == _BRUSH:
            self._fit_brush()
        if layer.opacity == _OPACITY:
            layer.opacity = _STROKES_OPACITY

    def painted(self, slice_index: SliceIndex) -> NDArray[Any]:
        """A copy of one slice of the strokes, shape (H, W).

        Raises
        ------
        InputError
            If the layer no longer has the image's shape.
        """
        if self.strokes is None:
            return np.zeros([self.source.shape[axis] for axis in slice_index.displayed], dtype=np.uint8)
        self._require(self.strokes)
        return np.array(self.strokes.data[self._slicer(slice_index)])

    def write_strokes(self, slice_index: SliceIndex, painted: NDArray[Any]) -> None:
        """Replace the strokes of a slice, shape (H, W)."""
        if self.strokes is None:
            return
        self.grow_strokes(int(painted.max(initial=0)))
        with self._write():
            self.strokes.data[self._slicer(slice_index)] = painted
            self.strokes.refresh(extent=False)

    def grow_strokes(self, identity: int) -> None:
        """Give the strokes layer a wider integer type if an id does not fit; only painted slices take memory."""
        if self.strokes is None or identity <= np.iinfo(self.strokes.data.dtype).max:
            return
        old = self.strokes.data
        new = np.zeros(old.shape, dtype=np.uint16)
        for index in np.ndindex(*old.shape[:-2]):
            values = np.asarray(old[index])
            if values.any():
                new[index] = values
        with self._write():
            self.strokes.data = new

    @property
    def chosen(self) -> int:
        """The id that the pen paints; 0 where there is no strokes layer."""
        return 0 if self.strokes is None else int(self.strokes.selected_label)

    def paint_with(self, identity: int) -> None:
        """Paint with a class from now on."""
        if self.strokes is not None and self.strokes.selected_label != identity:
            self.grow_strokes(identity)
            self.strokes.selected_label = identity
        if self.pen_layer is not None and not self.erasing:
            self.pen_layer.selected_label = identity

    # edits of the result ----------------------------------------------------------------------------------------------

    def show_pen_layer(self, classes: ClassTable, *, erasing: bool) -> None:
        """Add the layer that the pen paints on where it edits the result, or change between painting and erasing."""
        self.erasing = erasing
        if self.pen_layer is None:
            data = np.zeros(self.source.layer_shape, np.uint16)
            self.pen_layer = self._labels(data, f"{self.source.layer.name} brush", classes, 0.8)
            for key, function in self._keys.items():
                self.pen_layer.bind_key(key, lambda _layer, call=function: call(), overwrite=True)
            self.pen_layer_made.emit(self.pen_layer)
        if self.strokes is not None:
            self.pen_layer.brush_size = self.strokes.brush_size
        # the class first: napari says that it changed when the colours change
        self.pen_layer.selected_label = 1 if erasing or self.strokes is None else self.strokes.selected_label
        self.pen_layer.colormap = _ERASER if erasing else class_colormap(classes)

    def hide_pen_layer(self) -> None:
        """Remove the layer that the pen paints on where it edits the result."""
        layer, self.pen_layer = self.pen_layer, None
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def take_pen_strokes(self, slice_index: SliceIndex | None) -> list[tuple[SliceIndex, NDArray[np.bool_]]]:
        """The pixels, shape (H, W), that the pen painted by slice, like the displayed one; the layer is empty then."""
        if self.pen_layer is None or slice_index is None:
            return []
        slices = [slice_index, *self.slices_beside(slice_index, self.pen_layer)]
        found = [(each, np.array(self.pen_layer.data[self._slicer(each)]) != 0) for each in slices]
        for each, mask in found:
            if mask.any():
                self.pen_layer.data[self._slicer(each)] = 0
        self.pen_layer.refresh(extent=False)
        return [(each, mask) for each, mask in found if mask.any()]

    def show_marks(self, marks: Mapping[SliceIndex, NDArray[np.uint8]]) -> None:
        """Show on slices what would be added (1) and removed (2), shape (H, W)."""
        self.hide_marks()
        data = np.zeros(self.source.layer_shape, np.uint8)
        for slice_index, values in marks.items():
            data[self._slicer(slice_index)] = values
        active = self.viewer.layers.selection.active
        self._marks = self._labels(data, f"{self.source.layer.name} preview", ClassTable(), 0.8)
        self._marks.colormap, self._marks.editable = _MARKS, False
        self.viewer.layers.selection.active = active

    def hide_marks(self) -> None:
        """Remove the marks of a preview."""
        marks, self._marks = self._marks, None
        if marks in self.viewer.layers:
            self.viewer.layers.remove(marks)

    # result -----------------------------------------------------------------------------------------------------------

    def show_result(self, labels: NDArray[Any], classes: ClassTable) -> Labels:
        """Show the label volume itself, not a copy; after a change of it call :meth:`refresh_result`."""
        data = labels if self.source.channel_axis is None else np.expand_dims(labels, self.source.channel_axis)
        if self.result is None:
            below = self.viewer.layers.index(self.strokes) if self.strokes in self.viewer.layers else None
            self.result = self._labels(data, f"{self.source.layer.name} labels", classes, _RESULT_OPACITY)
            if below is not None:
                self.viewer.layers.move(len(self.viewer.layers) - 1, below)
                self.viewer.layers.selection.active = self.strokes
        elif not np.shares_memory(self.result.data, data):
            self.result.data = data
        self.result.editable = False  # it shows the session's own array: a brush stroke there could not be undone
        return self.result

    def use_result(self, layer: Labels) -> NDArray[Any]:
        """Use an existing labels layer as the result; returns its ids, in the volume's shape.

        Raises
        ------
        InputError
            If its shape is not :attr:`LayerSource.layer_shape`, or it is a pyramid.
        """
        self._require(layer)
        self.result = layer
        values = np.asarray(layer.data)
        return values if self.source.channel_axis is None else values.squeeze(self.source.channel_axis)

    def refresh_result(self, thumbnail: bool = True) -> None:
        """Redraw the result after the label volume changed."""
        if self.result is not None:
            self.result.refresh(extent=False, highlight=False, thumbnail=thumbnail)

    # overlay ----------------------------------------------------------------------------------------------------------

    def show_overlay(
        self,
        slice_index: SliceIndex,
        values: NDArray[np.float32],
        name: str,
        opacity: float,
        color: tuple[float, ...],
        most: float = 1.0,
    ) -> None:
        """Show values of shape (H, W), from 0 (transparent) to ``most`` (an RGB colour), over one slice."""
        shape = self._slice_shape(slice_index)
        data = values.reshape(shape)
        title = f"{self.source.layer.name} {name}"
        colormap = Colormap([(*color[:3], 0.0), (*color[:3], 1.0)], name=name)
        if self.overlay is not None and self.overlay.data.shape == shape:
            self.overlay.data = data
            self.overlay.name, self.overlay.opacity, self.overlay.colormap = title, opacity, colormap
            self.overlay.contrast_limits = (0, most)
            return
        self.hide_overlay()
        self.overlay = self._add_image(
            data,
            self.strokes,
            name=title,
            colormap=colormap,
            contrast_limits=(0, most),
            opacity=opacity,
            blending="translucent",
            **self.source.placement(shape),
        )

    def hide_overlay(self) -> None:
        """Remove the overlay."""
        overlay, self.overlay = self.overlay, None
        if overlay in self.viewer.layers:
            self.viewer.layers.remove(overlay)

    # pictures ---------------------------------------------------------------------------------------------------------

    def show_picture(self, slice_index: SliceIndex, colors: NDArray[np.float32], name: str) -> bool:
        """Show colours of shape (H, W, 3), from 0 to 1, on one slice, directly above the image.

        A new picture replaces the former one of its name. False if the image was deleted.
        """
        layers, image = self.viewer.layers, self.source.layer
        if image not in layers:
            return False
        selected = layers.selection.active
        former = self._pictures.pop(name, None)
        if former in layers:
            layers.remove(former)
        self._pictures[name] = self._add_image(
            colors.reshape(*self._slice_shape(slice_index), 3),
            layers[layers.index(image) + 1] if image is not layers[-1] else None,
            rgb=True,
            name=f"{name} of {image.name}",
            **self.source.placement_of(slice_index),
        )
        layers.selection.active = selected if selected in layers else self.strokes
        return True

    # all --------------------------------------------------------------------------------------------------------------

    def show_classes(self, classes: ClassTable) -> None:
        """Give both labels layers the names and colours of a class table."""
        self.grow_strokes(max(classes.ids, default=0))
        for layer in (self.strokes, self.result):
            if layer is not None:
                layer.colormap = class_colormap(classes)
                layer.features = class_features(classes, _NOTHING[layer is self.strokes])
        if self.pen_layer is not None and not self.erasing:
            self.pen_layer.colormap = class_colormap(classes)

    def release(self) -> None:
        """Remove overlay, preview and the layer of the pen, and let the user edit the result."""
        self.hide_overlay()
        self.hide_marks()
        self.hide_pen_layer()
        if self.result is not None:
            self.result.editable = True

    def remove(self) -> None:
        """Remove the image and all layers that belong to it from the viewer."""
        self.release()
        own = (self.strokes, self.result, *self._pictures.values(), *self.source.others, self.source.layer)
        for layer in own:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def release_layer(self, layer: Layer) -> str | None:
        """Drop a layer that left the viewer; returns its role: image, strokes, result, overlay or pen_layer."""
        if layer is self.source.layer or layer in self.source.others:
            return "image"
        if layer is self._marks:
            self._marks = None
        for role in ("strokes", "result", "overlay", "pen_layer"):
            if layer is getattr(self, role):
                setattr(self, role, None)
                return role
        self._pictures = {name: picture for name, picture in self._pictures.items() if picture is not layer}
        return None

    def bind_keys(self, keys: dict[str, Callable[[], object]]) -> None:
        """Bind keys on the layers; the image layer keeps napari's own keys."""
        self._keys = keys
        for layer in self._keyed():
            for key, function in keys.items():
                if layer is not self.source.layer or key not in _IMAGE_KEYS:
                    layer.bind_key(key, lambda _layer, call=function: call(), overwrite=True)

    def unbind_keys(self, keys: dict[str, Callable[[], object]]) -> None:
        """Restore napari's keys."""
        self._keys = {}
        for layer in self._keyed():
            for key in keys:
                layer.bind_key(key, None)

    def trouble(self) -> str:
        """Which layer is missing or does not fit, as a message; empty if none."""
        if self.strokes is None:
            return "The strokes layer was deleted; Start painting restores it with its strokes"
        if self.result is None:
            return "The result layer was deleted; the next result, or Start painting, restores it"
        return self.misfit()

    def misfit(self) -> str:
        """Why the strokes layer cannot be read, as a message; empty if it can."""
        try:
            if self.strokes is not None:
                self._require(self.strokes)
        except InputError as error:
            return user_message(error)
        return ""

    @contextlib.contextmanager
    def _write(self) -> Iterator[None]:
        self.writing = True
        try:
            yield
        finally:
            self.writing = False

    def _keyed(self) -> list[Layer]:
        layers = (self.source.layer, self.strokes, self.result, self.pen_layer)
        return [layer for layer in layers if layer is not None]

    def _slicer(self, slice_index: SliceIndex) -> tuple[int | slice, ...]:
        slicer = list(slice_index.slicer)
        if self.source.channel_axis is not None:
            slicer.insert(self.source.channel_axis, 0)
        return tuple(slicer)

    def _slice_shape(self, slice_index: SliceIndex) -> tuple[int, ...]:
        """Shape of a layer of one slice: one voxel along each axis that is not displayed."""
        axes = [axis for axis in range(len(self.source.layer_shape)) if axis != self.source.channel_axis]
        shown = {axes[axis] for axis in slice_index.displayed}
        return tuple(n if axis in shown else 1 for axis, n in enumerate(self.source.layer_shape))

    def _require(self, layer: Labels) -> None:
        shape = tuple(layer.data.shape)
        if layer.multiscale or shape != self.source.layer_shape:
            kind = "is a pyramid" if layer.multiscale else f"has the shape {shape}"
            raise InputError(
                f"the labels layer {layer.name!r} {kind}; the image {self.source.layer.name!r} needs one of the shape "
                f"{self.source.layer_shape}"
            )

    def _labels(self, data: NDArray[Any], name: str, classes: ClassTable, opacity: float) -> Labels:
        layer = Labels(
            data,
            name=name,
            opacity=opacity,
            colormap=class_colormap(classes),
            features=class_features(classes),
            metadata={"scribseg": self.source.metadata()},
            **self.source.placement(),
        )
        self.viewer.add_layer(layer)
        return layer

    def _add_image(self, data: NDArray[Any], above: Layer | None, **options: Any) -> Image:
        """Add an image layer directly below another layer without a change of the selection."""
        layers, selected = self.viewer.layers, self.viewer.layers.selection.active
        image = Image(data, metadata={"scribseg": {"overlay": True}}, **options)
        layers.insert(layers.index(above) if above in layers else len(layers), image)
        layers.selection.active = selected
        return image
