"""Shapes as outlines: in a viewer model, without a window."""

import numpy as np
import pytest
from annotation_bench import Bench

from napari_scribseg.widgets.segmentation.clicks import Outlines


@pytest.fixture
def bench(nearest):
    bench = Bench(np.zeros((4, 40, 50), np.int16), nearest(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 1)
    return bench


@pytest.fixture
def outlines(bench):
    messages = []
    outlines = Outlines(lambda: bench.annotator, messages.append)
    outlines.messages = messages
    return outlines


BOX = np.asarray([(1, 5, 5), (1, 5, 20), (1, 25, 20), (1, 25, 5)], dtype=float)


def moved(rows, columns):
    return BOX + np.asarray([0, rows, columns])


def test_a_polygon_is_a_closed_thin_line_of_its_class(bench, outlines):
    shapes = bench.viewer.add_shapes([BOX], shape_type="polygon", scale=(3, 1, 1), features={"class": ["class 1"]})
    outlines.use(shapes)
    slice_index = bench.strokes.data[1]
    assert set(np.unique(slice_index)) == {0, 1}
    assert np.count_nonzero(slice_index) == 2 * (15 + 20)
    assert (slice_index[5, 5:21] == 1).all()
    assert (slice_index[5:26, 5] == 1).all()  # from the last corner back to the first
    assert not bench.strokes.data[[0, 2, 3]].any()


def test_an_ellipse_touches_its_box_and_a_path_stays_open(bench, outlines):
    shapes = bench.viewer.add_shapes([BOX], shape_type="ellipse", scale=(3, 1, 1))
    outlines.use(shapes)
    rows, columns = np.nonzero(bench.strokes.data[1])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 25, 5, 20)
    assert bench.strokes.data[1, 5, 5] == 0
    outlines.use(bench.viewer.add_shapes([moved(10, 25)], shape_type="path", scale=(3, 1, 1)))
    assert bench.strokes.data[1, 35, 40] == 1
    assert bench.strokes.data[1, 25, 30] == 0


def test_a_shape_taken_away_or_added_is_followed(bench, outlines):
    shapes = bench.viewer.add_shapes([BOX], shape_type="polygon", scale=(3, 1, 1))
    outlines.use(shapes)
    bench.strokes.selected_label = 255
    shapes.add_polygons([moved(8, 25)])
    assert bench.strokes.data[1, 13, 35] == 255
    assert bench.strokes.data[1, 5, 10] == 1
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert bench.strokes.data[1, 5, 10] == 0
    assert bench.strokes.data[1, 13, 35] == 255


def test_what_leaves_the_image_runs_along_its_rim(bench, outlines):
    outlines.use(bench.viewer.add_shapes([moved(-15, 0)], shape_type="polygon", scale=(3, 1, 1)))
    assert (bench.strokes.data[1, 0, 5:21] == 1).all()
    assert (bench.strokes.data[1, 10, 5:21] == 1).all()


def test_shapes_outside_are_reported(bench, outlines):
    outlines.use(bench.viewer.add_shapes([BOX, moved(100, 0)], shape_type="polygon", scale=(3, 1, 1)))
    assert outlines.messages == ["1 of 2 shapes lie outside the image and are left out"]
