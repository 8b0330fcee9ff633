"""Other views: layers of their own on the same arrays, linked with the main viewer."""

import numpy as np
import pytest
from hands import Hands, settle, until
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_scribseg.core import Geometry
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.mirrors import Mirror, Preview
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

GEOMETRY = Geometry((10, 24, 30), (3.0, 1.0, 1.0), np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "millimeter")
PLACED = {"metadata": {"scribseg": {"geometry": GEOMETRY}}, **display_placement(GEOMETRY)}


def layers_of(viewer):
    image = viewer.add_image(np.random.default_rng(0).normal(size=GEOMETRY.shape), name="scan", **PLACED)
    labels = viewer.add_labels(np.zeros(GEOMETRY.shape, np.uint8), name="labels", **PLACED)
    return image, labels


def test_a_mirror_shows_the_same_arrays_along_another_axis():
    viewer = ViewerModel()
    image, labels = layers_of(viewer)
    mirror = Mirror()
    mirror.show(LayerSource(image), [image, labels], 2)
    own_image, own_labels, cross = mirror.model.layers
    assert own_image.data is image.data
    assert own_labels.data is labels.data
    assert mirror.model.dims.order == (2, 0, 1)
    image.contrast_limits, labels.visible = (0, 0.5), False
    mirror.follow((15.0, 7.0, 20.0))
    assert list(own_image.contrast_limits) == [0, 0.5]
    assert not own_labels.visible
    assert not own_labels.editable
    np.testing.assert_array_equal(cross.data, [[15, 7, 20]])
    assert mirror.model.dims.point == (15.0, 7.0, 20.0)
    labels.data = np.ones(GEOMETRY.shape, np.uint8)
    mirror.follow((15.0, 7.0, 20.0))
    assert own_labels.data is labels.data
    mirror.show(LayerSource(image), [image], 1)
    assert len(mirror.model.layers) == 2
    assert mirror.model.dims.order[0] == 1
    mirror.close()
    assert not mirror.model.layers


def test_a_preview_has_the_labels_at_their_place_and_follows_them():
    viewer = ViewerModel()
    image, labels = layers_of(viewer)
    labels.data[4, 5:9, 6:12] = 3
    preview = Preview()
    preview.show(LayerSource(image), labels)
    (shown,) = preview.model.layers
    assert preview.model.dims.ndisplay == 3
    np.testing.assert_array_equal(shown.data, labels.data)
    assert shown.data is not labels.data
    np.testing.assert_allclose(shown.extent.world, labels.extent.world)
    labels.data[6] = 1
    preview.show(LayerSource(image), labels)
    assert preview.model.layers == [shown]
    assert (shown.data[6] == 1).all()


def test_a_preview_of_a_large_volume_is_thinned():
    shape = (10, 300, 200)
    viewer = ViewerModel()
    grid = Geometry(shape, (3.0, 1.0, 1.0), GEOMETRY.affine, "millimeter")
    placed = {"metadata": {"scribseg": {"geometry": grid}}, **display_placement(grid)}
    image = viewer.add_image(np.zeros(shape, np.uint8), **placed)
    labels = viewer.add_labels(np.ones(shape, np.uint8), **placed)
    preview = Preview()
    preview.show(LayerSource(image), labels)
    (shown,) = preview.model.layers
    assert shown.data.shape == (10, 100, 100)
    np.testing.assert_allclose(shown.extent.world[1], labels.extent.world[1], atol=3)


@pytest.fixture
def window(make_napari_viewer, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).normal(size=GEOMETRY.shape), name="scan", **PLACED)
    window = Hands(viewer, SegmentationWidget(viewer), "Scribble segmentation", (1366, 768))
    yield window
    window.widget.end_all()


@pytest.mark.gui
def test_views_show_strokes_and_result_and_a_click_moves_the_viewer(window):
    widget = window.widget
    widget.sections.reveal(widget.display)
    settle()
    QTest.mouseClick(widget.display.views_button, Qt.MouseButton.LeftButton)
    views = widget.views
    until(lambda: [m.axis for m in views.mirrors] == [1, 2], "the other axes")
    widget.images.start.click()
    settle()
    annotator = widget.annotators.front
    z = window.viewer.dims.current_step[0]
    annotator.layers.strokes.data[z, 2:5, 3:9] = 1
    annotator.layers.strokes.data[z, 18:20, 3:9] = 255
    annotator.look()
    until(lambda: widget.annotators.is_idle, "the end of the job")
    until(lambda: len(views.mirrors[0].model.layers) == 4, "image, result, strokes and cross")
    _, result, strokes, _ = views.mirrors[0].model.layers
    assert np.shares_memory(result.data, annotator.layers.result.data)
    assert np.shares_memory(strokes.data, annotator.layers.strokes.data)
    until(lambda: any((layer.data == 1).any() for layer in views.preview.model.layers), "the labels in 3D")

    canvas = views.canvases[0].canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    settle()
    before = window.viewer.dims.point
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle + QPoint(12, 12))
    until(lambda: window.viewer.dims.point != before, "the viewer at the point")
    assert window.viewer.dims.point[1] == before[1]
    until(lambda: views.mirrors[1].model.dims.point == window.viewer.dims.point, "the other view there, too")
    window.viewer.dims.order = (1, 0, 2)
    until(lambda: [m.axis for m in views.mirrors] == [0, 2], "the axes that are not displayed")


@pytest.mark.gui
def test_views_end_with_the_window_and_open_again(window):
    widget = window.widget
    widget.show_views()
    first = widget.views
    widget.show_views()
    assert widget.views is first
    settle()
    window.viewer.window.remove_dock_widget(first)
    assert first.is_ended
    widget.show_views()
    assert widget.views is not first
    settle()
    widget.end_all()
    assert widget.views.is_ended
