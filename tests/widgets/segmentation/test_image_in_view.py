"""The image that is chosen or begun is the one that is seen, and its class names are its own."""

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.widgets.segmentation import widget as segmentation
from napari_scribseg.widgets.segmentation.slice_list import PAINTED
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

FEATURES = {"index": [0, 1, 255], "name": ["unlabelled", "brain", "background"]}


@pytest.fixture
def viewer():
    """A head with strokes, and a body elsewhere."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((24, 20, 30), np.float32), name="head", scale=(3, 2, 2))
    strokes = np.zeros((24, 20, 30), np.uint8)
    strokes[[14, 18], 3, 3:9] = 1
    viewer.add_labels(strokes, name="head strokes", features=FEATURES, scale=(3, 2, 2))
    return viewer


@pytest.fixture
def widget(viewer, qtbot, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    widget = SegmentationWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.end_all()


def add_body(viewer, **options):
    return viewer.add_image(
        np.zeros((11, 40, 50), np.float32), name="body", scale=(5, 4, 4), translate=(200, 0, 0), **options
    )


def choose(widget, name):
    combo = widget.images.image_combo
    combo.setCurrentIndex(combo.findText(name))


def seen(viewer):
    return {layer.name for layer in viewer.layers if layer.visible}


def test_an_image_that_is_chosen_is_shown_alone_in_its_middle(widget, viewer):
    widget.start()
    body = add_body(viewer)
    assert viewer.dims.current_step[0] < 24  # as napari leaves it: beside the new image
    choose(widget, "body")
    assert seen(viewer) == {"body"}
    assert viewer.layers.selection.active is body  # not the strokes of the head, which are hidden
    assert round(float(body.world_to_data(viewer.dims.point)[0])) == 5
    assert viewer.camera.center[1:] == pytest.approx((78, 98), abs=3)
    widget.start()
    assert seen(viewer) == {"body", "body strokes", "body labels"}
    assert widget.annotators.front.layers.slice_index().position == (5,)


def test_a_picture_is_fitted_beside_a_volume_that_is_hidden(widget, viewer):
    viewer.add_image(np.zeros((300, 400)), name="picture")
    choose(widget, "picture")
    assert seen(viewer) == {"picture"}
    assert viewer.camera.center[1:] == pytest.approx((149.5, 199.5), abs=1)
    former = viewer.camera.zoom
    for layer in list(viewer.layers)[:-1]:
        viewer.layers.remove(layer)
    viewer.reset_view()
    assert viewer.camera.zoom == pytest.approx(former)


def test_an_image_that_is_begun_is_shown_where_it_was_chosen_before_the_widget_opened(widget, viewer):
    add_body(viewer)
    widget.images.choose(viewer.layers["body"])
    widget.start()
    assert seen(viewer) == {"body", "body strokes", "body labels"}
    assert widget.annotators.front.layers.slice_index().position == (5,)


def test_going_back_shows_the_slice_and_the_layers_that_were_left(widget, viewer):
    widget.start()
    viewer.dims.set_point(0, 3 * 20)
    viewer.camera.center, viewer.camera.zoom = (0, 11, 12), 3
    viewer.layers["head labels"].visible = False
    add_body(viewer)
    choose(widget, "body")
    widget.start()
    choose(widget, "head")
    assert viewer.layers.selection.active is viewer.layers["head strokes"]
    assert seen(viewer) == {"head", "head strokes"}  # the labels were hidden by the user
    assert widget.annotators.front.layers.slice_index().position == (20,)
    assert (viewer.camera.center[1:], viewer.camera.zoom) == ((11, 12), 3)


def test_what_a_user_blends_over_the_image_stays(widget, viewer):
    add_body(viewer, blending="additive")
    pale = viewer.add_image(np.zeros((24, 20, 30)), name="pale", scale=(3, 2, 2), opacity=0.5)
    viewer.add_image(np.zeros((24, 20, 30)), name="above", scale=(3, 2, 2))
    mask = viewer.add_labels(np.zeros((24, 20, 30), np.uint8), name="a mask of mine", scale=(3, 2, 2))
    widget.start()
    assert seen(viewer) == {"head", "head strokes", "head labels", "body", "pale", "a mask of mine"}
    assert (pale.visible, mask.visible) == (True, True)


def test_an_image_in_view_stays_as_it_is(widget, viewer):
    viewer.dims.set_point(0, 3 * 14)
    viewer.camera.center, viewer.camera.zoom = (0, 11, 12), 3
    widget.start()
    assert widget.annotators.front.layers.slice_index().position == (14,)
    viewer.dims.set_point(0, 3 * 5)
    widget.start()  # the layers are there
    assert widget.annotators.front.layers.slice_index().position == (5,)
    assert (viewer.camera.center[1:], viewer.camera.zoom) == ((11, 12), 3)


def test_work_on_strokes_that_are_there_begins_on_a_slice_with_some(widget, viewer):
    viewer.dims.set_point(0, 3 * 11)
    widget.start()
    assert widget.annotators.front.layers.slice_index().position == (14,)


def test_the_list_knows_strokes_before_their_slice_is_displayed(widget, viewer):
    viewer.dims.set_point(0, 3 * 14)
    widget.start()
    model = widget.slice_list.model
    texts = [model.data(model.index(row, 0)) for row in (5, 14, 18)]
    assert texts == ["z 5   empty", f"z 14   {PAINTED}", f"z 18   {PAINTED}"]


def test_a_slice_has_the_number_of_the_slider_everywhere(widget, viewer):
    widget.start()
    assert widget.slice_list.model.data(widget.slice_list.model.index(3, 0)).startswith("z 3 ")
    add_body(viewer)
    choose(widget, "body")
    widget.start()
    step = viewer.dims.current_step[0]
    assert step != 5
    model = widget.slice_list.model
    assert model.data(model.index(5, 0)).startswith(f"z {step}   ")
    annotator = widget.annotators.front
    annotator._news = None
    annotator.refresh_state()
    assert f"z {step}" in widget.status.line.text()
    here = annotator.layers.slice_index()
    assert annotator.session.volume.where(here) == f"z {step}"  # as the session's own messages name it
    annotator.session.accept(here)
    assert f"Z {step} is accepted" in widget.status.line.text()
    annotator.undo()
    assert f"z {step}" in widget.status.line.text()


def names(widget):
    return [label.name for label in widget.classes.classes]


def test_the_next_image_has_classes_of_its_own(widget, viewer):
    widget.start()
    assert "brain" in names(widget)
    add_body(viewer)
    choose(widget, "body")
    assert names(widget) == ["background", "class 1"]
    widget.start()
    assert names(widget) == ["background", "class 1"]
    choose(widget, "head")
    assert "brain" in names(widget)


def test_an_image_opened_after_the_last_one_was_deleted_has_classes_of_its_own(widget, viewer):
    widget.start()
    for layer in list(viewer.layers):
        viewer.layers.remove(layer)
    add_body(viewer)
    widget.start()
    assert names(widget) == ["background", "class 1"]


def test_names_given_before_the_image_is_begun_are_its_own(qtbot, monkeypatch, nearest):
    monkeypatch.setattr(segmentation, "get_engine", lambda _name, **_parameters: nearest())
    viewer = ViewerModel()
    widget = SegmentationWidget(viewer)
    qtbot.addWidget(widget)
    widget.classes.add_names(("liver",))
    add_body(viewer)
    widget.start()
    assert "liver" in names(widget)
    widget.end_all()


def test_strokes_are_equally_clear_on_all_images(widget, viewer):
    viewer.layers["head strokes"].opacity = 0.7  # as napari makes it
    widget.start()
    add_body(viewer)
    choose(widget, "body")
    widget.start()
    opacities = [viewer.layers[f"{name} strokes"].opacity for name in ("head", "body")]
    assert opacities == [0.6, 0.6]
