"""The whole widget on a viewer model: choosing layers, starting, resuming and losing them."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
from hands import until
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtWidgets import QFileDialog

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Geometry, Source
from napari_scribseg.io import write_labels
from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.preparing import PREPARING, READY
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 20, 30), np.float32), name="scan")
    return viewer


@pytest.fixture
def widget(viewer, qtbot, monkeypatch, nearest):
    """The widget; any engine is the quick one for tests."""
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    widget = SegmentationWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.end_all()


def status(widget):
    return widget.status.line.text()


def choose(combo, text):
    combo.setCurrentIndex(combo.findText(text))


def texts(combo):
    return [combo.itemText(i) for i in range(combo.count())]


def test_choices_follow_the_layers_and_their_names(widget, viewer):
    labels = viewer.add_labels(np.zeros((4, 20, 30), np.uint8), name="mine")
    choose(widget.images.strokes_combo, "mine")
    labels.name = "yours"
    assert texts(widget.images.strokes_combo) == ["new layer", "yours"]
    assert widget.images.strokes is labels
    viewer.layers.remove(labels)
    assert widget.images.strokes is None
    viewer.layers.remove(viewer.layers["scan"])
    assert widget.images.image is None
    assert widget.images.source is None
    assert status(widget) == "Open an image, or press Start painting to choose one"


def test_layers_named_after_the_image_are_chosen_if_they_fit(widget, viewer):
    viewer.add_labels(np.zeros((4, 20, 31), np.uint8), name="scan labels")
    strokes = viewer.add_labels(np.zeros((4, 20, 30), np.uint8), name="scan strokes")
    assert widget.images.strokes is strokes
    assert widget.images.result is None


def test_channels_are_chosen(widget, viewer):
    viewer.add_image(np.zeros((4, 20, 30)), name="other")
    combo = widget.images.channels_combo
    assert not combo.isHidden()
    assert texts(combo) == ["one channel", "axis 0 (4 channels)", "all 2 images of this shape"]
    combo.setCurrentIndex(2)
    assert [layer.name for layer in widget.images.source.others] == ["other"]
    widget.start()
    assert len(widget.annotators.front.layers.source.others) == 1
    viewer.layers.remove(viewer.layers["other"])
    assert widget.annotators.front is None


def test_points_are_strokes_as_long_as_their_layer_is_chosen(widget, viewer):
    widget.start()
    strokes = widget.annotators.front.layers.strokes
    points = viewer.add_points([(0, 5, 5)], name="dots", features={"class": ["class 1"]})
    shapes = viewer.add_shapes([[(0, 10, 10), (0, 10, 20)]], shape_type="line", name="lines")
    assert not strokes.data.any()
    choose(widget.images.clicks_combo, "dots")
    assert strokes.data[0, 5, 5] == 1
    choose(widget.images.clicks_combo, "lines")
    assert (strokes.data[0, 10, 10:21] > 0).all()
    points.add((0, 2, 2))
    assert strokes.data[0, 2, 2] == 0
    viewer.layers.remove(shapes)
    assert widget.images.clicks is None
    assert (strokes.data[0, 10, 10:21] > 0).all()


def test_strokes_and_result_must_be_two_layers(widget, viewer):
    viewer.add_labels(np.zeros((4, 20, 30), np.uint8), name="mine")
    choose(widget.images.strokes_combo, "mine")
    choose(widget.images.result_combo, "mine")
    widget.start()
    assert "are the same layer" in status(widget)
    assert len(viewer.layers) == 2
    assert widget.annotators.front is None


def test_the_names_of_chosen_layers_become_the_classes(widget, viewer):
    features = {"index": [0, 3, 7], "name": ["background", "liver", "spleen"]}
    strokes = np.zeros((4, 20, 30), np.uint8)
    strokes[0, 2, 2] = 9
    viewer.add_labels(strokes, name="scan strokes", features=features)
    widget.start()
    classes = widget.annotators.front.session.classes
    assert (classes[3].name, classes[7].name) == ("liver", "spleen")
    assert 9 in classes
    assert classes.background == 255
    assert widget.classes.classes == classes


def test_a_replaced_image_ends_its_annotation_and_leaves_the_layers(widget, viewer):
    widget.start()
    strokes = widget.annotators.front.layers.strokes
    viewer.layers["scan"].data = np.ones((4, 20, 31))
    assert widget.annotators.front is None
    assert status(widget).startswith("⚠ The image was replaced. Its strokes are autosaved")
    assert strokes in viewer.layers
    assert not strokes.keymap


def test_a_session_whose_engine_is_gone_resumes_with_the_one_of_the_window(widget, tmp_path, nearest):
    session = Session(Source.from_array(np.zeros((4, 20, 30), np.float32)), nearest())  # not registered
    session.draw(np.pad([[255, 0], [0, 1]], ((0, 18), (0, 28))), 2)
    session.save(tmp_path / "a.scribseg")
    widget.resume(tmp_path / "a.scribseg")
    front = widget.annotators.front
    assert np.array_equal(front.session.labels, session.labels)
    assert (front.layers.strokes.data[2, 0, 0], front.layers.strokes.data[2, 1, 1]) == (255, 1)
    assert status(widget) == "Resumed 1 slice with strokes from a.scribseg"
    (tmp_path / "b.scribseg").write_bytes((tmp_path / "a.scribseg").read_bytes()[:-200])
    widget.resume(tmp_path / "b.scribseg")
    assert "b.scribseg" in status(widget)  # the first error, not that of the second try
    assert widget.annotators.front is front


def test_a_class_in_use_can_not_be_removed_and_the_table_shows_it_again(widget):
    widget.start()
    front = widget.annotators.front
    front.layers.strokes.paint((front.layers.slice_index().position[0], 5, 5), 1)
    until(lambda: front.session.painted_slices(), "the stroke")
    widget.classes.select(1)
    widget.classes.remove_class()
    assert "has strokes or labels; erase them" in status(widget)
    assert 1 in widget.classes.classes
    liver = replace(front.session.classes[1], name="liver")
    widget.classes.changed.emit(front.session.classes.with_class(liver))
    assert front.session.classes[1].name == "liver"


def test_without_a_background_the_status_line_states_it(widget):
    widget.start()
    widget.classes.changed.emit(ClassTable.from_ids([1, 2]))
    assert status(widget) == "No class is the background: paint a class for what surrounds the others"


def test_the_first_step_names_the_class_and_is_shown_again_when_the_engine_is_ready(widget):
    widget.start()
    widget._on_warm(READY)
    assert status(widget).startswith("Paint a stroke of the selected class")
    widget.classes.add_names(("liver",))
    widget.images.start.click()
    widget._on_warm(PREPARING)
    assert status(widget) == PREPARING
    widget._on_warm(READY)
    assert status(widget).startswith("Paint a stroke of liver;")
    widget._on_warm(PREPARING)
    widget.show_message("something else")
    widget._on_warm(READY)
    assert status(widget) == "Something else"


def test_without_an_image_the_start_opens_the_one_that_is_chosen(widget, viewer, tmp_path, monkeypatch):
    PluginManager.instance().discover()  # which a viewer with a window does
    viewer.layers.clear()
    chosen = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: chosen.append(args[2]) or (str(path), ""))
    path = ""
    widget.images.start.click()
    assert "no image to paint on" in status(widget)
    path = tmp_path / "broken.nii.gz"
    path.write_bytes(b"no volume")
    widget.images.start.click()
    assert "broken.nii.gz" in status(widget)
    assert widget.annotators.front is None
    path = tmp_path / "mine.nrrd"
    write_labels(path, np.ones((4, 20, 30), np.uint8), Geometry((4, 20, 30), (1.0, 1.0, 1.0)), ClassTable())
    widget.images.start.click()
    assert "no image to paint on" in status(widget)  # the file held labels
    path = tmp_path / "scan.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 20, 30), np.int16)), str(path))
    widget.images.start.click()
    front = widget.annotators.front
    assert front.layers.source.layer.name == "scan"
    assert front.layers.source.layer.source.path == str(path)
    assert front.layers.strokes in viewer.layers
    viewer.layers.clear()
    path = ""
    widget.images.start.click()
    assert chosen[-1] == str(tmp_path)


def test_nothing_is_saved_before_the_start(widget):
    widget.files.buttons["save_strokes"].click()
    assert status(widget) == "⚠ There are no strokes to save: press Start painting first"
    widget.engines.picture_requested.emit("features")
    assert "Press Start painting first" in status(widget)
