"""Hands an image from the explorer to Scribble segmentation: the classes of its segments become strokes."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_scribseg.core import InputError
from napari_scribseg.widgets.explore.exploration import Exploration
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

__all__ = ["finish_by_strokes"]


def finish_by_strokes(exploration: Exploration, widget: SegmentationWidget) -> None:
    """Paint the middle lines of the labelled segments of the image in sight as strokes in the segmentation widget.

    What is painted there already stays.

    Raises
    ------
    InputError
        If no image is in sight, or none of its segments has a class.
    """
    index = exploration.layers.index()
    if index is None:
        raise InputError("no image is in sight; turn to the one to be finished first")
    group = exploration.layers.group(index)
    assert group.source is not None
    classes = exploration.workspace.classes
    scribbles = exploration.workspace.scribbles(index)
    ids = np.array([identity or classes.background for identity in scribbles.ids] or [0], dtype=np.int64)
    painted = np.where(scribbles.seeds >= 0, ids[np.maximum(scribbles.seeds, 0)], 0)
    annotator: Any = widget.annotators.of(group.source.layer)
    if annotator is None:
        widget.images.choose(group.source.layer)
        widget.classes.show_classes(classes)
        widget.start()
        annotator = widget.annotators.of(group.source.layer)
        if annotator is None:
            raise InputError(widget.status.line.text() or "the segmentation could not be begun on this image")
    else:
        widget.annotators.turn_to(annotator)
    annotator.session.classes = annotator.session.classes.with_ids(int(i) for i in np.unique(painted))
    slice_index = annotator.layers.slice_index()
    if slice_index is None:
        raise InputError(annotator.layers.why_no_slice())
    strokes = annotator.layers.painted(slice_index).astype(np.int64)
    height, width = painted.shape
    corner = strokes[:height, :width]  # smaller pictures of a stack lie at the top left
    strokes[:height, :width] = np.where(corner > 0, corner, painted)
    annotator.layers.write_strokes(slice_index, strokes)
    exploration.layers.rest(True)
    annotator.look()
