"""Points as clicks: in a viewer model, without a window."""

import numpy as np
import pandas as pd
import pytest
from annotation_bench import Bench

from napari_scribseg.widgets.segmentation.clicks import Clicks, point_class


@pytest.fixture
def bench(nearest):
    bench = Bench(np.zeros((4, 20, 30), np.int16), nearest(), scale=(3, 1, 1))
    bench.viewer.dims.set_current_step(0, 1)
    bench.strokes.brush_size = 1
    return bench


@pytest.fixture
def clicks(bench):
    messages = []
    clicks = Clicks(lambda: bench.annotator, messages.append)
    clicks.messages = messages
    return clicks


def test_points_are_dots_of_their_classes_and_are_segmented(bench, clicks):
    points = bench.viewer.add_points(
        [(1, 2, 2), (1, 15, 20), (2, 5, 5)], scale=(3, 1, 1), features={"class": ["background", "class 1", "class 1"]}
    )
    clicks.use(points)
    strokes = bench.strokes.data
    assert strokes[1, 2, 2] == 255
    assert strokes[1, 15, 20] == strokes[2, 5, 5] == 1
    assert np.count_nonzero(strokes) == 3
    assert bench.shown()[15, 20] == 1
    assert bench.shown()[2, 2] == 0


def test_a_new_point_has_the_class_in_the_brush_and_one_taken_away_leaves_no_dot(bench, clicks):
    points = bench.viewer.add_points(np.empty((0, 3)), scale=(3, 1, 1))
    clicks.use(points)
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


def test_dots_are_as_wide_as_the_brush(bench, clicks):
    bench.strokes.brush_size = 5
    clicks.use(bench.viewer.add_points([(1, 10, 10)], scale=(3, 1, 1)))
    drawn = np.argwhere(bench.strokes.data[1])
    assert np.hypot(*(drawn - (10, 10)).T).max() <= 2.5
    assert len(drawn) == 21


def test_points_outside_are_reported_and_left_out(bench, clicks):
    clicks.use(bench.viewer.add_points([(1, 10, 10), (1, 50, 2), (9, 2, 2)], scale=(3, 1, 1)))
    assert np.count_nonzero(bench.strokes.data) == 1
    assert clicks.messages == ["2 of 3 points lie outside the image and are left out"]


def test_a_large_id_from_the_table_fits(bench, clicks):
    clicks.use(bench.viewer.add_points([(1, 10, 10)], scale=(3, 1, 1), features={"label": [700]}))
    assert bench.strokes.data[1, 10, 10] == 700


def test_a_layer_that_is_let_go_paints_no_more(bench, clicks):
    points = bench.viewer.add_points(np.empty((0, 3)), scale=(3, 1, 1))
    clicks.use(points)
    clicks.use(None)
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
        (None, None),
    ],
)
def test_the_class_that_a_cell_names(value, expected):
    assert point_class(value, {"liver": 7}) == expected
    assert point_class(pd.Series([value], dtype=object).iloc[0], {"liver": 7}) == expected
