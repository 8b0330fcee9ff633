import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.layers import image_layers, layer_geometry
from napari_scribseg.widgets.segmentation.layer_set import LayerSet

CLASSES = ClassTable.from_ids([1, 2], background=255)


@pytest.fixture
def viewer():
    return ViewerModel()


def on(viewer, array, **kwargs):
    channel_axis = kwargs.pop("channels", None)
    return LayerSet(viewer, LayerSource(viewer.add_image(array, **kwargs), channel_axis=channel_axis))


def test_strokes_take_over_the_geometry_of_the_image(viewer):
    ras = np.diag([0.7, 0.5, 3, 1])[:, [2, 1, 0, 3]]
    kept = Geometry((4, 20, 30), (3, 0.5, 0.7), ras, "millimeter", ("z", "y", "x"))
    layers = on(viewer, np.zeros((4, 20, 30)), **display_placement(kept), metadata={"scribseg": {"geometry": kept}})
    strokes = layers.make_strokes(CLASSES)
    image = layers.source.layer
    for part in ("scale", "translate", "units", "axis_labels"):
        assert tuple(getattr(strokes, part)) == tuple(getattr(image, part))
    assert np.array_equal(strokes.affine.affine_matrix, image.affine.affine_matrix)
    assert strokes.metadata["scribseg"]["geometry"] is kept
    assert strokes.data.dtype == np.uint8
    assert (strokes.mode, viewer.layers.selection.active) == ("paint", strokes)


def test_result_shares_the_label_volume_and_lies_beneath_the_strokes(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    layers.make_strokes(CLASSES)
    labels = np.zeros((4, 20, 30), np.uint8)
    result = layers.show_result(labels, CLASSES)
    assert np.shares_memory(result.data, labels)
    assert list(viewer.layers) == [layers.source.layer, result, layers.strokes]
    assert viewer.layers.selection.active is layers.strokes
    wider = np.zeros((4, 20, 30), np.uint16)
    layers.show_result(wider, CLASSES)
    assert result.data is wider


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0), (1, 0, 2)])
def test_slice_follows_the_sliders_in_any_orientation(viewer, order):
    layers = on(viewer, np.zeros((4, 20, 30)), scale=(3, 0.5, 0.7), translate=(1, 2, 3))
    viewer.dims.order = order
    axis = order[0]
    viewer.dims.set_current_step(axis, 2)
    assert layers.slice_index() == SliceIndex(tuple(sorted(order[1:])), (2,))


def test_slice_of_a_time_series(viewer):
    layers = on(viewer, np.zeros((5, 4, 20, 30)))
    viewer.dims.current_step = (3, 1, 0, 0)
    assert layers.slice_index() == SliceIndex((2, 3), (3, 1))


def test_3d_states_what_to_do_instead(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    viewer.dims.ndisplay = 3
    assert layers.slice_index() is None
    assert "2D/3D" in layers.why_no_slice()


def test_outside_the_image_there_is_no_slice(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    viewer.add_image(np.zeros((9, 20, 30)))
    viewer.dims.set_current_step(0, 7)
    assert layers.slice_index() is None
    assert "sliders" in layers.why_no_slice()


def test_strokes_are_met_on_every_channel(viewer):
    layers = on(viewer, np.zeros((3, 2, 20, 30)), channels=0)
    strokes = layers.make_strokes(CLASSES)
    for channel in range(3):
        viewer.dims.current_step = (channel, 1, 0, 0)
        assert layers.slice_index() == SliceIndex((1, 2), (1,))
        strokes.paint([*strokes.world_to_data(viewer.dims.point)[:2].tolist(), 5 + channel, 5], 1)
    painted = layers.painted(SliceIndex((1, 2), (1,)))
    assert painted[5:8, 5].tolist() == [1, 1, 1]
    assert not layers.painted(SliceIndex((1, 2), (0,))).any()


def test_painted_is_a_copy(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    layers.make_strokes(CLASSES)
    painted = layers.painted(SliceIndex((0, 2), (3,)))
    assert painted.shape == (4, 30)
    painted[:] = 1
    assert not layers.strokes.data.any()


def test_written_strokes_are_ours_and_grow_for_large_ids(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    strokes = layers.make_strokes(CLASSES)
    seen = []
    strokes.events.set_data.connect(lambda _event: seen.append(layers.writing))
    painted = np.zeros((20, 30), np.uint16)
    painted[2:4] = 300
    strokes.data[1, 0, 0] = 7
    layers.write_strokes(SliceIndex((1, 2), (2,)), painted)
    assert strokes.data.dtype == np.uint16
    assert np.array_equal(strokes.data[2], painted)
    assert strokes.data[1, 0, 0] == 7
    assert seen
    assert all(seen)
    assert not layers.writing


def test_brush_takes_an_id_above_255(viewer):
    layers = on(viewer, np.zeros((20, 30)))
    layers.make_strokes(CLASSES)
    layers.paint_with(300)
    assert (layers.strokes.selected_label, layers.strokes.data.dtype) == (300, np.uint16)


def test_layer_of_napari_s_own_button_can_be_used(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)), scale=(3, 1, 1))
    viewer._new_labels()
    layers.use_strokes(viewer.layers[-1])
    assert layers.strokes is viewer.layers[-1]


def test_the_pen_of_an_existing_layer_suits_the_image_unless_its_width_was_chosen(viewer):
    layers = on(viewer, np.zeros((4, 200, 300)))
    viewer._new_labels()
    layers.use_strokes(viewer.layers[-1])
    assert layers.strokes.brush_size == 2
    layers.strokes.brush_size = 7
    layers.use_strokes(layers.strokes)
    assert layers.strokes.brush_size == 7


def test_layer_of_another_shape_is_refused(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)))
    other = viewer.add_labels(np.zeros((4, 20, 31), np.uint8))
    with pytest.raises(InputError, match=r"\(4, 20, 31\).*\(4, 20, 30\)"):
        layers.use_strokes(other)
    with pytest.raises(InputError, match=r"\(4, 20, 31\)"):
        layers.use_result(other)


def test_strokes_resized_behind_our_back_are_refused(viewer):
    layers = on(viewer, np.zeros((20, 30)))
    layers.make_strokes(CLASSES).data = np.zeros((5, 5), np.uint8)
    with pytest.raises(InputError, match=r"\(5, 5\)"):
        layers.painted(SliceIndex((0, 1)))


def test_geometry_is_found_through_the_image(viewer):
    lps = np.diag([-1, -1, 3, 1.0])[:, [2, 1, 0, 3]]
    lps[:3, 3] = 10, 20, -30
    kept = Geometry((4, 20, 30), (3, 1, 1), lps, "millimeter")
    viewer.add_image(np.zeros((4, 20, 30)), **display_placement(kept), metadata={"scribseg": {"geometry": kept}})
    viewer._new_labels()
    layer = viewer.layers[-1]
    assert layer_geometry(viewer, layer) is kept
    layer.translate = np.add(layer.translate, (6, 2, 1))  # two slices on, two rows and one column
    np.testing.assert_allclose(layer_geometry(viewer, layer).affine[:3, 3], (9, 18, -24))


def test_classes_give_names_and_colors(viewer):
    layers = on(viewer, np.zeros((20, 30)))
    layers.make_strokes(CLASSES)
    layers.show_result(np.zeros((20, 30), np.uint8), CLASSES)
    assert layers.strokes.features["name"][0] == "no stroke"
    from dataclasses import replace

    table = CLASSES.with_class(replace(CLASSES[1], name="liver", color=(1, 0, 0, 1), visible=False))
    layers.show_classes(table)
    for layer in (layers.strokes, layers.result):
        assert layer.colormap.map(1) == pytest.approx([1, 0, 0, 0])
        assert layer.colormap.map(2)[3] == 1
        assert dict(zip(layer.features["index"], layer.features["name"], strict=True))[1] == "liver"
    assert [layer.features["name"][0] for layer in (layers.strokes, layers.result)] == ["no stroke", "unlabelled"]


def test_overlay_is_seen_on_one_slice_at_a_time(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)), scale=(3, 0.5, 0.7))
    layers.make_strokes(CLASSES)
    layers.show_overlay(SliceIndex((1, 2), (2,)), np.full((20, 30), 0.5, np.float32), "uncertainty", 0.6, (1, 1, 0))
    overlay = layers.overlay
    assert overlay.data.shape == (1, 20, 30)
    assert viewer.layers[-1] is layers.strokes
    assert viewer.layers.selection.active is layers.strokes
    assert overlay not in image_layers(viewer)
    layers.show_overlay(SliceIndex((1, 2), (3,)), np.zeros((20, 30), np.float32), "probability", 0.4, (1, 0, 0))
    assert layers.overlay is overlay
    assert overlay.opacity == 0.4
    layers.show_overlay(SliceIndex((0, 2), (3,)), np.zeros((4, 30), np.float32), "probability", 0.4, (1, 0, 0))
    assert layers.overlay.data.shape == (4, 1, 30)
    layers.hide_overlay()
    assert len(viewer.layers) == 2


@pytest.mark.parametrize("rotate", [0.0, 25.0])
@pytest.mark.parametrize(("displayed", "position"), [((1, 2), 2), ((0, 2), 7), ((0, 1), 11)])
def test_a_picture_lies_on_its_slice_and_on_no_other(viewer, displayed, position, rotate):
    affine = np.eye(4)
    affine[:3, 3] = 5, 6, 7
    array = np.random.default_rng(0).random((4, 20, 30)).astype(np.float32)
    turned = {"rotate": (rotate, 0, 0)} if rotate else {}
    layers = on(viewer, array, name="scan", scale=(3, 0.5, 0.7), translate=(1, 2, 3), affine=affine, **turned)
    layers.make_strokes(CLASSES)
    slice_index = SliceIndex(displayed, (position,))
    values = array[slice_index.slicer]
    assert layers.show_picture(slice_index, np.stack([values] * 3, -1), "features")
    picture = viewer.layers["features of scan"]
    assert picture.rgb
    index = np.array([1, 3, 5])
    index[slice_index.others[0]] = position
    for place in (index, index + np.eye(3, dtype=int)[displayed[0]], index + np.eye(3, dtype=int)[displayed[1]]):
        inside = picture.world_to_data(layers.source.layer.data_to_world(place))
        found = np.rint(inside).astype(int)
        np.testing.assert_allclose(inside, found, atol=1e-6)
        assert found[slice_index.others[0]] == 0
        assert picture.data[tuple(found)][0] == array[tuple(place)]


def test_pictures_lie_above_the_image_and_the_newest_stays(viewer):
    layers = on(viewer, np.zeros((4, 20, 30)), name="scan", scale=(3, 1, 1))
    strokes = layers.make_strokes(CLASSES)
    layers.show_result(np.zeros((4, 20, 30), np.uint8), CLASSES)
    layers.show_picture(SliceIndex((1, 2), (2,)), np.zeros((20, 30, 3), np.float32), "semantic features")
    assert [layer.name for layer in viewer.layers] == [
        "scan", "semantic features of scan", "scan labels", "scan strokes"
    ]  # fmt: skip
    assert (viewer.layers.selection.active, strokes.mode) == (strokes, "paint")
    assert image_layers(viewer) == [layers.source.layer]
    layers.show_picture(SliceIndex((0, 2), (3,)), np.ones((4, 30, 3), np.float32), "semantic features")
    assert len(viewer.layers) == 4
    assert viewer.layers[1].data.shape == (4, 1, 30, 3)
    viewer.layers.selection.active = viewer.layers[1]
    layers.show_picture(SliceIndex((1, 2), (0,)), np.ones((20, 30, 3), np.float32), "semantic features")
    viewer.layers.remove(viewer.layers[1])
    assert layers.release_layer(viewer.layers[0]) == "image"
    layers.release()
    viewer.layers.clear()
    assert not layers.show_picture(SliceIndex((1, 2), (0,)), np.ones((20, 30, 3), np.float32), "semantic features")
    assert not viewer.layers


def test_a_picture_is_met_on_every_channel(viewer):
    layers = on(viewer, np.zeros((3, 4, 20, 30)), channels=0)
    layers.show_picture(SliceIndex((1, 2), (2,)), np.zeros((20, 30, 3), np.float32), "features")
    picture = viewer.layers[1]
    assert picture.data.shape == (1, 1, 20, 30, 3)
    for channel in range(3):
        inside = np.rint(picture.world_to_data((channel, 2, 5, 5)))
        assert tuple(inside[:2]) == (0, 0)


def test_deleted_layers_are_released(viewer):
    layers = on(viewer, np.zeros((20, 30)))
    strokes = layers.make_strokes(CLASSES)
    result = layers.show_result(np.zeros((20, 30), np.uint8), CLASSES)
    assert layers.release_layer(viewer.add_points([])) is None
    assert layers.release_layer(strokes) == "strokes"
    assert layers.release_layer(result) == "result"
    assert layers.release_layer(layers.source.layer) == "image"
    assert layers.painted(SliceIndex((0, 1))).shape == (20, 30)
    layers.refresh_result()
    layers.write_strokes(SliceIndex((0, 1)), np.zeros((20, 30), np.uint8))


def test_keys_are_bound_over_napari_s_and_given_back(viewer):
    layers = on(viewer, np.zeros((20, 30)))
    strokes = layers.make_strokes(CLASSES)
    pressed = []
    keys = {
        "Control-Z": lambda: pressed.append("undo"),
        "A": lambda: pressed.append("accept"),
        "O": lambda: pressed.append("overlay"),
    }
    layers.bind_keys(keys)
    layers.bind_keys(keys)
    for function in strokes.keymap.values():
        function(strokes)
    assert sorted(pressed) == ["accept", "overlay", "undo"]
    assert len(layers.source.layer.keymap) == 2
    layers.unbind_keys(keys)
    assert not strokes.keymap
    assert not layers.source.layer.keymap
