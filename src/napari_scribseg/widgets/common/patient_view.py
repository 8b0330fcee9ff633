"""Letters of the patient's directions on the canvas, radiological display, and the axis that slices cut."""

from __future__ import annotations

from typing import Any

from napari.components.overlays import TextOverlay

from napari_scribseg.core.anatomy import slice_names
from napari_scribseg.widgets.common.camera import camera_of
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.patient_axes import edge_letters, patient_axes, radiological

__all__ = ["PatientView"]

_EDGES = {"top": "top_center", "bottom": "bottom_center", "left": "middle_left", "right": "middle_right"}
_SIZE = 16  # points
_LEAST = 30  # millimetres, of the longest side of an image of a patient


class PatientView:
    """How a viewer displays an image that knows how it lies in the patient.

    Only the camera and the order of the axes change; layers, and what is saved of them, stay as they are.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    size : int
        Of the letters, in points.
    """

    def __init__(self, viewer: Any, size: int = _SIZE) -> None:
        self._viewer = viewer
        self._size = size
        self._source: LayerSource | None = None
        self._letters = False
        self._radiological = False
        self._former: Any = None  # the camera's orientation without radiological display
        self._swapped: tuple[int, int] | None = None  # the axes of rows and columns, exchanged by this object
        self._overlays: dict[str, TextOverlay] = {}
        self._arranging = False
        for event in self._events():
            event.connect(self._on_changed)

    @property
    def camera(self) -> Any:
        """The viewer's camera."""
        return camera_of(self._viewer)

    @property
    def can_letter(self) -> bool:
        """Whether napari has overlays of its canvas, from 0.9."""
        return hasattr(self._viewer, "canvas")

    @property
    def is_placed(self) -> bool:
        """Whether the directions of the image in the patient are known."""
        return bool(self._axes())

    @property
    def shows_patient(self) -> bool:
        """Whether the directions are known and the image has the size of a part of a body, not of a specimen."""
        source = self._source
        if source is None or not self.is_placed:
            return False
        geometry = source.geometry()
        sizes = [n * step for n, step in zip(geometry.shape, geometry.spacing, strict=True)][-3:]
        return geometry.unit == "millimeter" and max(sizes) >= _LEAST

    @property
    def letters(self) -> bool:
        """Whether the edges of the canvas have letters; in a 3D view they have none."""
        return self._letters

    @letters.setter
    def letters(self, shown: bool) -> None:
        if shown != self._letters:
            self._letters = shown
            self._show_letters()

    @property
    def radiological(self) -> bool:
        """Whether the patient's right is on the left, and the front or the head above."""
        return self._radiological

    @radiological.setter
    def radiological(self, wanted: bool) -> None:
        if wanted == self._radiological:
            return
        if wanted:
            self._former = self.camera.orientation
        self._radiological = wanted
        self._arrange()
        self._show_letters()

    def follow(self, source: LayerSource | None) -> None:
        """Display this image from now on."""
        self._source = source
        self._arrange()
        self._show_letters()

    def slice_axes(self) -> list[tuple[str, int]]:
        """For people, the spatial axes that slices of the image can cut, with their numbers in the volume."""
        source = self._source
        if source is None or len(source.shape) < 3:
            return []
        geometry = source.geometry()
        names = slice_names(geometry) if self.is_placed else None
        axes = range(len(source.shape))[-3:]
        return [(f"{names[axis] if names else geometry.axis_names[axis]} (axis {axis})", axis) for axis in axes]

    @property
    def slice_axis(self) -> int | None:
        """The axis of the volume that the displayed slice cuts; None in 3D, and where there are several or none."""
        if self._viewer.dims.ndisplay != 2:
            return None
        hidden = [axis for _, axis in self.slice_axes() if self._world(axis) not in self._viewer.dims.displayed]
        return hidden[0] if len(hidden) == 1 else None

    def show_slices(self, axis: int) -> None:
        """Display slices that cut an axis of the volume."""
        dims = self._viewer.dims
        shown = [self._world(other) for _, other in self.slice_axes() if other != axis]
        hidden = [other for other in range(dims.ndim) if other not in (*shown, self._world(axis))]
        self._swapped = None
        dims.ndisplay = 2
        dims.order = (*hidden, self._world(axis), *shown)

    def close(self) -> None:
        """Leave the viewer as it was without this object."""
        for event in self._events():
            event.disconnect(self._on_changed)
        self._source = None
        self.letters = False
        self.radiological = False

    def _events(self) -> tuple[Any, ...]:
        dims = self._viewer.dims.events
        return dims.order, dims.ndisplay, self.camera.events.orientation

    def _world(self, axis: int) -> int:
        """The axis of the world for an axis of the volume."""
        assert self._source is not None
        layer = self._source.layer
        own = [a for a in range(layer.ndim) if a != self._source.channel_axis]
        return int(self._viewer.dims.ndim - layer.ndim + own[axis])

    def _axes(self) -> dict[int, Any]:
        source = self._source
        if source is None or self._viewer.dims.ndim < source.layer.ndim:
            return {}
        return patient_axes(source, self._viewer.dims.ndim)

    def _on_changed(self, _event: Any = None) -> None:
        if not self._arranging:
            self._arrange()
            self._show_letters()

    def _arrange(self) -> None:
        """Set the camera, and which axis runs along the rows."""
        dims = self._viewer.dims
        wanted = radiological(self._axes(), dims.displayed) if self._radiological else None
        pair = tuple(dims.order[-2:])
        if wanted is not None:
            order, orientation = (wanted.rows, wanted.columns), wanted.orientation
        else:
            order = self._swapped[::-1] if self._swapped == pair else pair
            orientation = self._former
        self._arranging = True
        try:
            if order != pair:
                self._swapped = order if wanted is not None else None
                dims.order = (*dims.order[:-2], *order)
            if orientation is not None:
                self.camera.orientation = orientation
        finally:
            self._arranging = False
        if not self._radiological:
            self._former = None

    def _show_letters(self) -> None:
        if not self.can_letter:
            return
        dims, axes = self._viewer.dims, self._axes() if self._letters else {}
        texts = ("",) * 4
        if axes and dims.ndisplay == 2:
            texts = edge_letters(axes, dims.displayed, self.camera.orientation)
        for (edge, position), text in zip(_EDGES.items(), texts, strict=True):
            self._show_letter(edge, position, text)

    def _show_letter(self, edge: str, position: str, text: str) -> None:
        overlays, overlay = self._viewer.canvas.overlays, self._overlays.get(edge)
        if not text:
            if overlay is not None:
                del overlays[f"scribseg_{edge}"], self._overlays[edge]
        elif overlay is None:
            overlay = TextOverlay(text=text, position=position, font_size=self._size, visible=True)
            self._overlays[edge] = overlays[f"scribseg_{edge}"] = overlay
        else:
            overlay.text = text
