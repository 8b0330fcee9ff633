import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io.layer_geometry import display_placement
from napari_scribseg.widgets.common.layer_source import LayerSource, channel_choices


def test_grey_volume_is_not_copied():
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    volume = LayerSource(Image(array, scale=(3, 1, 2))).volume()
    assert np.shares_memory(volume.array, array)
    assert volume.geometry.spacing == (3, 1, 2)
    assert volume.image(SliceIndex((1, 2), (2,))).data[0] == pytest.approx(array[2])


def test_rgb_photograph_has_three_channels():
    source = LayerSource(Image(np.zeros((6, 7, 3), np.uint8), rgb=True))
    assert source.layer_shape == source.shape == (6, 7)
    assert source.volume().image(SliceIndex((0, 1))).data.shape == (3, 6, 7)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_channel_axis(kind, axis):
    array = np.random.default_rng(0).normal(size=(3, 2, 5, 6)).astype(np.float32)
    data = {"numpy": lambda: array, "dask": lambda: da.from_array(array), "zarr": lambda: zarr.array(array)}[kind]()
    source = LayerSource(Image(data), channel_axis=axis)
    assert source.layer_shape == ((1, 2, 5, 6) if axis == 0 else (3, 1, 5, 6))
    assert source.shape == ((2, 5, 6) if axis == 0 else (3, 5, 6))
    image = source.volume().image(SliceIndex((1, 2), (1,)))
    assert image.data == pytest.approx(array[:, 1] if axis == 0 else array[1])


def test_several_layers_are_channels_of_one():
    arrays = [np.full((4, 5), number, np.uint16) for number in range(3)]
    first, *others = [Image(array) for array in arrays]
    image = LayerSource(first, tuple(others)).volume().image(SliceIndex((0, 1)))
    assert image.data[:, 0, 0].tolist() == [0, 1, 2]


def test_layers_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="same"):
        LayerSource(Image(np.zeros((4, 5))), (Image(np.zeros((4, 6))),)).volume()


def test_pyramid_takes_the_finest_bearable_level(monkeypatch):
    monkeypatch.setattr("napari_scribseg.widgets.common.layer_source.MAX_SLICE", 40 * 40)
    levels = [np.random.default_rng(0).random((64 // 2**k, 64 // 2**k)) for k in range(3)]
    source = LayerSource(Image(levels, multiscale=True, scale=(2, 2)))
    assert (source.level, source.full_shape, source.layer_shape) == (1, (64, 64), (32, 32))
    assert source.geometry().spacing == (4, 4)
    assert source.volume().image(SliceIndex((0, 1))).data[0] == pytest.approx(levels[1], abs=1e-6)


def test_geometry_of_a_reader_is_kept():
    kept = Geometry((4, 5), (0.5, 0.5), np.diag([1, 0.5, 0.5, 1]), "millimeter", ("y", "x"))
    placed = {"metadata": {"scribseg": {"geometry": kept}}, **display_placement(kept)}
    assert LayerSource(Image(np.zeros((4, 5)), **placed)).geometry() is kept
    stale = LayerSource(Image(np.zeros((4, 6)), **placed)).geometry()
    assert stale.shape == (4, 6)
    np.testing.assert_array_equal(stale.affine, kept.affine)


def test_geometry_without_a_reader():
    source = LayerSource(
        Image(np.zeros((4, 5, 6)), scale=(2.0, 0.5, 0.5), units=("um",) * 3, axis_labels=("z", "v", "u"))
    )
    geometry = source.geometry()
    assert geometry.spacing == pytest.approx((2e-3, 5e-4, 5e-4))
    assert (geometry.unit, geometry.axis_names, geometry.affine) == ("millimeter", ("z", "v", "u"), None)
    geometry = LayerSource(Image(np.zeros((5, 6)))).geometry()
    assert (geometry.spacing, geometry.unit, geometry.axis_names) == ((1.0, 1.0), "pixel", ("y", "x"))
    series = Image(np.zeros((3, 4, 5, 6)), scale=(0.04, 1, 1, 1), units=("s", "mm", "mm", "mm"))
    assert LayerSource(series).geometry().spacing == pytest.approx((0.04, 1, 1, 1))


def test_foreign_metadata_does_no_harm():
    assert LayerSource(Image(np.zeros((4, 5)), metadata={"scribseg": "x"})).geometry().shape == (4, 5)


def test_too_few_axes_are_refused():
    with pytest.raises(InputError, match="two axes"):
        LayerSource(Image(np.zeros((4, 5))), channel_axis=0)


def test_channel_choices():
    rgb = Image(np.zeros((6, 7, 3), np.uint8), rgb=True)
    assert [name for name, _ in channel_choices(rgb, [rgb])] == ["RGB"]
    first, second = Image(np.zeros((3, 64, 65))), Image(np.zeros((3, 64, 65)))
    names = [name for name, _ in channel_choices(first, [first, second, rgb])]
    assert names[0] == "one channel"
    assert names[1] == "axis 0 (3 channels)"
    assert names[2] == "all 2 images of this shape"
    assert len(names) == 3


def test_axis_named_channel_comes_first():
    image = Image(np.zeros((3, 5, 64, 65)), axis_labels=("channel", "z", "y", "x"))
    (name, source), *_ = channel_choices(image, [image])
    assert name == "axis channel (3 channels)"
    assert source.channel_axis == 0


@pytest.mark.parametrize("rotate", [None, 30.0])
def test_one_thick_voxel_is_met_at_every_position(rotate):
    rotation = {} if rotate is None else {"rotate": (0, 0, rotate)}
    image = Image(np.zeros((5, 6, 7)), scale=(3, 0.5, 0.7), translate=(10, -4, 2), **rotation)
    labels = Labels(np.zeros((1, 6, 7), np.uint8), **LayerSource(image).placement((1, 6, 7)))
    for z in range(5):
        point = labels.world_to_data(image.data_to_world((z, 2, 3)))
        assert np.rint(point) == pytest.approx([0, 2, 3])


def test_same_shape_is_left_where_it_is():
    image = Image(np.zeros((5, 6)), scale=(3, 0.5), translate=(10, -4), shear=[0.2])
    kwargs = LayerSource(image).placement()
    assert kwargs["scale"] == pytest.approx(image.scale)
    assert kwargs["translate"] == pytest.approx(image.translate)


def test_coarse_level_covers_the_fine_one():
    fine = Image(np.zeros((8, 12)), scale=(2, 3), translate=(1, 1))
    coarse = Labels(np.zeros((4, 6), np.uint8), **LayerSource(fine).placement((4, 6)))
    assert coarse.data_to_world((0, 0)) == pytest.approx(fine.data_to_world((0.5, 0.5)))
    assert coarse.data_to_world((3, 5)) == pytest.approx(fine.data_to_world((6.5, 10.5)))
