"""The labels that numbers are of: the result of the image in front, or a labels layer. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from numpy.typing import NDArray

from napari_scribseg.core import ClassTable, Geometry, InputError, Report, silent
from napari_scribseg.io.measurement_table import MeasurementTable
from napari_scribseg.numerics.measure import measure_labels
from napari_scribseg.widgets.common.colors import layer_classes
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.layers import image_layers, layer_geometry
from napari_scribseg.widgets.segmentation.annotator import Annotator

__all__ = ["Measured", "measured_now"]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Labels to measure, as they are now.

    Attributes
    ----------
    labels : ndarray of shape (\\*S)
        A copy.
    image : array of shape (\\*S) or (\\*S, C), or None
        For intensities; may be read lazily.
    geometry : Geometry
        Of the labels.
    classes : ClassTable
        Names.
    name : str
        Of the image or the labels layer.
    path : str or None
        The file that the image was read from.
    version : callable
        Gives another number once the labels changed.
    """

    labels: NDArray[Any]
    image: Any
    geometry: Geometry
    classes: ClassTable
    name: str
    path: str | None = None
    version: Callable[[], int] = lambda: 0

    @classmethod
    def of(cls, annotator: Annotator) -> Measured:
        """The result of an annotator, without the preview of a running job."""
        session, source = annotator.session, annotator.layers.source
        return cls(
            session.finished_labels(),
            session.volume.array,
            source.geometry(),
            session.classes,
            source.layer.name,
            source.layer.source.path,
            lambda: session.version,
        )

    def table(self, axis: int | None = None, report: Report = silent) -> MeasurementTable:
        """Measure; in any thread. ``axis`` is as of :func:`~napari_scribseg.numerics.measure.measure_labels`."""
        image = None if self.image is None else np.asarray(self.image)
        ids = [label.id for label in self.classes if not label.background]
        rows = measure_labels(self.labels, self.geometry, image, axis=axis, ids=ids, report=report)
        return MeasurementTable(tuple(rows), self.classes, self.geometry, axis)


def measured_now(viewer: ViewerModel, annotator: Annotator | None, selected: Labels | None) -> Measured:
    """What to measure: the result of an annotator; without one a labels layer, with an image of its shape.

    Raises
    ------
    InputError
        If there is neither.
    """
    if annotator is not None:
        return Measured.of(annotator)
    if selected is None or selected.multiscale:
        raise InputError("there are no labels to measure: press Start painting, or select a labels layer")
    labels = np.array(selected.data)
    alike = (LayerSource(image) for image in image_layers(viewer))
    source = next((s for s in alike if s.shape == labels.shape), None)
    return Measured(
        labels,
        None if source is None else source.volume().array,
        layer_geometry(viewer, selected),
        layer_classes(selected),
        selected.name,
        selected.source.path,
    )
