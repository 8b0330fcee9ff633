"""Points as dots and shapes as outlines: in a viewer model, without a window."""

import numpy as np
import pandas as pd
import pytest
from annotation_bench import Bench

from napari_scribseg.widgets.segmentation.strokes_from_layer import StrokesFromLayer, class_of_cell


@pytest.fixture
def bench(nearest):
    bench = Bench(np.zeros((4, 40, 50), np.int16), nearest(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 1)
    bench.strokes.brush_size = 1
    return bench


@pytest.fixture
def drawn(bench):
    messages = []
    drawn = StrokesFromLayer(lambda: bench.annotator, messages.append)
    drawn.messages = messages
    return drawn


def test_points_are_dots_of_their_classes_and_are_segmented(bench, drawn):
    points = bench.viewer.add_points(
        [(1, 2, 2), (1, 15, 20), (2, 5, 5)], scale=(3, 1, 1), features={"class": ["background", "class 1", "class 1"]}
    )
    drawn.use(points)
    strokes = bench.strokes.data
    assert strokes[1, 2, 2] == 255
    assert strokes[1, 15, 20] == strokes[2, 5, 5] == 1
    assert np.count_nonzero(strokes) == 3
    assert bench.shown()[15, 20] == 1
    assert bench.shown()[2, 2] == 0


def test_a_new_point_has_the_class_in_the_brush_and_one_taken_away_leaves_no_dot(bench, drawn):
    points = bench.viewer.add_points(np.empty((0, 3)), scale=(3, 1, 1))
    drawn.use(points)
    bench.strokes.selected_label = 255
    points.add((1, 2, 2))
    bench.strokes.selected_label = 1
    points.add((1, 15, 20))
    assert (bench.strokes.data[1, 2, 2], bench.strokes.data[1, 15, 20]) == (255, 1)
    assert bench.shown()[15, 20] == 1
    bench.paint(1, (1, 10, 10))
    points.selected_data = {1}
    points.remove_selected()
    assert bench.strokes.data[1, 15, 20] == 0
    assert bench.strokes.data[1, 10, 10] == 1  # what was painted by hand stays
    bench.annotator.undo()
    assert bench.strokes.data[1, 15, 20] == 1


def test_dots_are_as_wide_as_the_brush(bench, drawn):
    bench.strokes.brush_size = 5
    drawn.use(bench.viewer.add_points([(1, 10, 10)], scale=(3, 1, 1)))
    drawn = np.argwhere(bench.strokes.data[1])
    assert np.hypot(*(drawn - (10, 10)).T).max() <= 2.5
    assert len(drawn) == 21


def test_points_outside_are_reported_and_left_out(bench, drawn):
    drawn.use(bench.viewer.add_points([(1, 10, 10), (1, 50, 2), (9, 2, 2)], scale=(3, 1, 1)))
    assert np.count_nonzero(bench.strokes.data) == 1
    assert drawn.messages == ["2 of 3 points lie outside the image and are left out"]


def test_a_large_id_from_the_table_fits(bench, drawn):
    drawn.use(bench.viewer.add_points([(1, 10, 10)], scale=(3, 1, 1), features={"label": [700]}))
    assert bench.strokes.data[1, 10, 10] == 700


def test_a_layer_that_is_let_go_paints_no_more(bench, drawn):
    points = bench.viewer.add_points(np.empty((0, 3)), scale=(3, 1, 1))
    drawn.use(points)
    drawn.use(None)
    points.add((1, 2, 2))
    assert not bench.strokes.data.any()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (3.0, 3),
        ("liver", 7),
        ("spleen", None),
        (0, None),
        (-1, None),
        (2.5, None),
        (np.nan, None),
        (65535, 65535),
        (70000, None),
        (None, None),
    ],
)
def test_the_class_that_a_cell_names(value, expected):
    assert class_of_cell(value, {"liver": 7}) == expected
    assert class_of_cell(pd.Series([value], dtype=object).iloc[0], {"liver": 7}) == expected


BOX = np.asarray([(1, 5, 5), (1, 5, 20), (1, 25, 20), (1, 25, 5)], dtype=float)


def moved(rows, columns):
    return BOX + np.asarray([0, rows, columns])


def test_a_polygon_is_a_closed_thin_line_of_its_class(bench, drawn):
    shapes = bench.viewer.add_shapes([BOX], shape_type="polygon", scale=(3, 1, 1), features={"class": ["class 1"]})
    drawn.use(shapes)
    slice_index = bench.strokes.data[1]
    assert set(np.unique(slice_index)) == {0, 1}
    assert np.count_nonzero(slice_index) == 2 * (15 + 20)
    assert (slice_index[5, 5:21] == 1).all()
    assert (slice_index[5:26, 5] == 1).all()  # from the last corner back to the first
    assert not bench.strokes.data[[0, 2, 3]].any()


def test_an_ellipse_touches_its_box_and_a_path_stays_open(bench, drawn):
    shapes = bench.viewer.add_shapes([BOX], shape_type="ellipse", scale=(3, 1, 1))
    drawn.use(shapes)
    rows, columns = np.nonzero(bench.strokes.data[1])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 25, 5, 20)
    assert bench.strokes.data[1, 5, 5] == 0
    drawn.use(bench.viewer.add_shapes([moved(10, 25)], shape_type="path", scale=(3, 1, 1)))
    assert bench.strokes.data[1, 35, 40] == 1
    assert bench.strokes.data[1, 25, 30] == 0


def test_a_shape_taken_away_or_added_is_followed(bench, drawn):
    shapes = bench.viewer.add_shapes([BOX], shape_type="polygon", scale=(3, 1, 1))
    drawn.use(shapes)
    bench.strokes.selected_label = 255
    shapes.add_polygons([moved(8, 25)])
    assert bench.strokes.data[1, 13, 35] == 255
    assert bench.strokes.data[1, 5, 10] == 1
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert bench.strokes.data[1, 5, 10] == 0
    assert bench.strokes.data[1, 13, 35] == 255


def test_what_leaves_the_image_runs_along_its_rim(bench, drawn):
    drawn.use(bench.viewer.add_shapes([moved(-15, 0)], shape_type="polygon", scale=(3, 1, 1)))
    assert (bench.strokes.data[1, 0, 5:21] == 1).all()
    assert (bench.strokes.data[1, 10, 5:21] == 1).all()


def test_shapes_outside_are_reported(bench, drawn):
    drawn.use(bench.viewer.add_shapes([BOX, moved(100, 0)], shape_type="polygon", scale=(3, 1, 1)))
    assert drawn.messages == ["1 of 2 shapes lie outside the image and are left out"]
