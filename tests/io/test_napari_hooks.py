import dataclasses
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from napari_scribseg.core import ClassTable, Geometry, InputError, Source
from napari_scribseg.core.anatomy import nearest_axes
from napari_scribseg.io import napari_hooks as hooks
from napari_scribseg.io import read_labels, read_volume, write_labels

OBLIQUE = np.array([[0.2, -0.3, -0.9, 40], [0.1, -1.1, 0.35, 30], [2.9, 0.1, 0.15, -20], [0, 0, 0, 1]])


@pytest.fixture
def geometry():
    spacing = tuple(np.linalg.norm(OBLIQUE[:3, :3], axis=0))
    return Geometry((4, 5, 6), spacing, OBLIQUE, "millimeter")


@pytest.fixture
def classes():
    table = ClassTable.from_ids([1, 300])
    return table.with_class(type(table[1])(1, "liver", (1.0, 0.5, 0.0, 1.0)))


@pytest.fixture
def labels():
    array = np.zeros((4, 5, 6), np.uint16)
    array[1:3, 1:4, 2:5] = 1
    array[3, 4, 5] = 300
    return array


def test_unknown_formats_are_left_to_others(tmp_path):
    assert hooks.get_reader("picture.xyz") is None
    assert hooks.get_reader([]) is None
    assert hooks.get_reader(["a.nii", "b.doc"]) is None
    assert hooks.get_reader(str(tmp_path)) is not None
    assert hooks.get_reader("a.NII.GZ") is not None


@pytest.mark.parametrize("name", ["out.seg.nrrd", "out_dseg.nii.gz", "out.nii.gz"])
def test_labels_come_back_as_labels_with_names_colours_and_place(tmp_path, geometry, classes, labels, name):
    write_labels(tmp_path / name, labels, geometry, classes, bids_tsv=name.endswith(".gz"))
    path = str(tmp_path / name)
    ((data, kwargs, kind),) = hooks.get_reader(path)(path)
    assert kind == "labels"
    np.testing.assert_array_equal(data, labels)
    assert dict(zip(kwargs["features"]["index"], kwargs["features"]["name"], strict=True))[1] == "liver"
    np.testing.assert_allclose(kwargs["colormap"][1], (1.0, 0.5, 0.0, 1.0), atol=0.01)
    np.testing.assert_allclose(kwargs["scale"], geometry.spacing, rtol=1e-5)
    np.testing.assert_allclose(kwargs["metadata"]["scribseg"]["geometry"].affine, OBLIQUE, atol=1e-4)


def test_an_image_named_like_labels_is_still_an_image(tmp_path):
    path = tmp_path / "ct_seg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.linspace(-900, 900, 60, dtype=np.float32).reshape(3, 4, 5), np.eye(4)), path)
    ((data, _, kind),) = hooks.get_reader(str(path))(str(path))
    assert kind == "image"
    assert data.shape == (5, 4, 3)


def test_an_image_beside_its_own_labels_is_still_an_image(tmp_path, geometry, classes, labels):
    path = tmp_path / "scan [1].nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.arange(120, dtype=np.uint16).reshape(6, 5, 4), np.eye(4)), path)
    write_labels(tmp_path / "scan [1]_dseg.nii.gz", labels, geometry, classes, bids_tsv=True, itksnap=True)
    ((_, _, kind),) = hooks.get_reader(str(path))(str(path))
    assert kind == "image"
    ((_, kwargs, kind),) = hooks.get_reader(str(path))(str(tmp_path / "scan [1]_dseg.nii.gz"))
    assert kind == "labels"
    assert "liver" in kwargs["features"]["name"]
    (tmp_path / "scan [1]_dseg.nii.gz").unlink()  # then the table is that of the volume of this name
    ((_, _, kind),) = hooks.get_reader(str(path))(str(path))
    assert kind == "labels"


def test_the_place_shown_is_the_nearest_orthogonal_one(geometry):
    shown = hooks.display_placement(geometry)
    assert shown["units"] == ("mm", "mm", "mm")
    assert all(s > 0 for s in shown["scale"])
    # planes run towards the head, rows towards the back, columns towards the left
    np.testing.assert_allclose(shown["translate"], (-20, -30, -40))


def test_axes_at_45_degrees_still_get_an_axis_each():
    turned = np.array([[1, 1, 0], [1, -0.99, 0], [0, 0.1, 1.0]]) / np.sqrt(2)
    nearest = nearest_axes(turned)
    np.testing.assert_array_equal(np.abs(nearest).sum(0), 1)
    np.testing.assert_array_equal(np.abs(nearest).sum(1), 1)


def test_time_and_pixels_have_their_units():
    assert hooks.display_placement(Geometry((2, 3, 4, 5), (2, 1, 1, 1), unit="millimeter"))["units"] == (
        "s",
        "mm",
        "mm",
        "mm",
    )
    assert hooks.display_placement(Geometry((3, 4), (1, 1)))["units"] == ("pixel", "pixel")


def test_channels_other_than_colours_get_an_axis(tmp_path):
    loaded = read_volume(_saved_channels(tmp_path, 2))
    data, kwargs, _ = hooks.image_layer(loaded)
    assert data.shape == (2, 5, 4, 3)
    assert not kwargs["rgb"]
    assert len(kwargs["scale"]) == len(kwargs["units"]) == len(kwargs["axis_labels"]) == 4


@pytest.mark.parametrize(
    ("dtype", "rgb"), [(np.uint8, True), (np.uint16, True), (np.int16, False), (np.float32, False)]
)
def test_colours_are_shown_as_colours_where_they_can_be(dtype, rgb):
    array = np.full((4, 5, 3), 7, dtype)
    data, kwargs, _ = hooks.image_layer(Source(array, Geometry((4, 5), (1.0, 1.0)), "a", channels=True, rgb=True))
    assert kwargs["rgb"] == rgb
    assert data.shape == ((4, 5, 3) if rgb else (3, 4, 5))


def _saved_channels(folder, n):
    path = folder / "channels.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.arange(60 * n, dtype=np.int16).reshape(3, 4, 5, 1, n), np.eye(4)), path)
    return path


def test_folders_of_other_formats_are_left_to_others(tmp_path):
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "a.zarr" / "0" / "0.0").write_bytes(bytes(100))
    assert hooks.get_reader(str(tmp_path / "a.zarr")) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no DICOM image in it"):
        hooks.get_reader(str(tmp_path / "empty"))(str(tmp_path / "empty"))


def test_a_series_that_cannot_be_read_does_not_keep_the_others_away(shared_data, monkeypatch):
    folder = str(shared_data / "dcmqi_ct_dicom")
    (series,) = hooks.list_series(folder)
    monkeypatch.setattr(hooks, "list_series", lambda _folder: (dataclasses.replace(series, identity="gone"), series))
    with pytest.warns(UserWarning, match="there is no 'gone'"):
        ((_, _, kind),) = hooks.get_reader(folder)(folder)
    assert kind == "image"


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".mhd", ".tif", ".ome.tif"])
def test_what_is_saved_reopens_as_labels_with_names_and_colours(
    tmp_path, geometry, classes, labels, extension, recwarn
):
    _, meta, _ = hooks.labels_layer(labels, "labels", geometry, classes)
    meta["colormap"] = SimpleNamespace(color_dict=meta["colormap"])  # as napari has it
    path, *_ = hooks.write_labels_layer(str(tmp_path / f"a{extension}"), labels, meta)
    ((_, back, kind),) = hooks.get_reader(path)(path)
    assert kind == "labels"
    assert dict(zip(back["features"]["index"], back["features"]["name"], strict=True))[1] == "liver"
    np.testing.assert_allclose(back["colormap"][1], (1.0, 0.5, 0.0, 1.0), atol=0.01)
    _, meta, _ = hooks.labels_layer(labels, "labels", geometry, ClassTable.from_ids([1, 300]))
    path, *others = hooks.write_labels_layer(str(tmp_path / f"b{extension}"), labels, meta)
    assert len(others) == (extension == ".mhd")  # there are no names to keep
    ((_, _, kind),) = hooks.get_reader(path)(path)
    assert kind == "labels"
    assert not [w for w in recwarn.list if "grid" not in str(w.message)]  # the grid is a sheared one


def test_labels_of_an_image_with_channels_keep_its_geometry(tmp_path, geometry, classes, labels):
    _, meta, _ = hooks.labels_layer(labels, "labels", geometry, classes)
    (path, *_) = hooks.write_labels_layer(str(tmp_path / "a.seg.nrrd"), labels[np.newaxis], meta)
    back = read_labels(path)
    np.testing.assert_array_equal(back.array, labels)
    np.testing.assert_allclose(back.geometry.affine, OBLIQUE, atol=1e-4)


def test_the_background_of_a_layer_is_no_segment(tmp_path, geometry, labels):
    table = ClassTable.from_ids([1], background=255)
    _, meta, _ = hooks.labels_layer(labels, "labels", geometry, table)
    (path, *_) = hooks.write_labels_layer(str(tmp_path / "a.seg.nrrd"), labels, meta)
    assert read_labels(path).classes.ids == (1, 300)


def test_features_of_others_and_thousands_of_ids_do_no_harm():
    features = {"index": [0, 1, np.nan, -3, 70000, "a", None], "name": ["", "cell", "", "", "", "", ""]}
    assert hooks.layer_classes({"features": features}).ids == (1,)
    many = ClassTable.from_ids(range(1, 30000))
    assert hooks.layer_classes({"features": hooks.class_features(many)}) == many


def test_hidden_classes_stay_hidden():
    table = ClassTable.from_ids([1, 2])
    table = table.with_class(dataclasses.replace(table[2], visible=False))
    colormap = SimpleNamespace(color_dict=hooks.class_colors(table))
    assert hooks.layer_classes({"features": hooks.class_features(table), "colormap": colormap}) == table


@pytest.mark.parametrize("extension", [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".tif"])
def test_what_napari_saves_comes_back(tmp_path, geometry, classes, labels, extension):
    _, meta, _ = hooks.labels_layer(labels, "labels", geometry, classes)
    (path, *_) = hooks.write_labels_layer(str(tmp_path / f"saved{extension}"), labels, meta)
    back = read_labels(path)
    np.testing.assert_array_equal(back.array, labels)
    np.testing.assert_allclose(back.geometry.spacing, geometry.spacing, rtol=1e-5)
    if extension == ".seg.nrrd":
        assert back.classes[1].name == "liver"
    if extension != ".tif":
        np.testing.assert_allclose(back.geometry.affine, OBLIQUE, atol=1e-4)


def test_a_layer_without_our_metadata_keeps_its_voxel_sizes(tmp_path):
    meta = {"scale": (3.0, 500.0, 500.0), "units": ("millimeter", "micrometer", "micrometer"), "metadata": {}}
    (path,) = hooks.write_labels_layer(str(tmp_path / "plain"), np.ones((2, 3, 4), np.uint8), meta)
    assert path.endswith("plain.nii.gz")
    np.testing.assert_allclose(nibabel.load(path).header.get_zooms(), (0.5, 0.5, 3.0))


def test_a_pyramid_is_refused():
    with pytest.raises(InputError, match="pyramid"):
        hooks.write_labels_layer("x.nii", [np.ones((4, 4)), np.ones((2, 2))], {})


@pytest.mark.parametrize(
    "sample", [hooks.sample_mr_volume, hooks.sample_photograph, hooks.sample_ct_phantom], ids=lambda f: f.__name__
)
def test_samples_are_an_image_and_its_strokes(sample):
    (image, image_kwargs, image_kind), (strokes, strokes_kwargs, strokes_kind) = sample()
    assert (image_kind, strokes_kind) == ("image", "labels")
    assert image.shape[: strokes.ndim] == strokes.shape
    assert image_kwargs["scale"] == strokes_kwargs["scale"]
    assert image_kwargs["translate"] == strokes_kwargs["translate"]


def test_several_series_become_several_layers(shared_data):
    folder = str(shared_data / "dcmqi_ct_dicom")
    ((data, kwargs, kind),) = hooks.get_reader(folder)(folder)
    assert kind == "image"
    assert data.shape == (3, 512, 512)
    assert kwargs["units"] == ("mm", "mm", "mm")


@pytest.mark.gui
def test_napari_opens_saves_and_opens_again(make_napari_viewer, tmp_path, geometry, classes, labels):
    write_labels(tmp_path / "one.seg.nrrd", labels, geometry, classes)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "one.seg.nrrd"), plugin="napari-scribseg")
    layer.save(str(tmp_path / "two.seg.nrrd"), plugin="napari-scribseg")
    back = read_labels(tmp_path / "two.seg.nrrd")
    np.testing.assert_array_equal(back.array, labels)
    assert back.classes[1].name == "liver"
    np.testing.assert_allclose(back.classes[1].color, (1.0, 0.5, 0.0, 1.0), atol=0.01)
    np.testing.assert_allclose(back.geometry.affine, OBLIQUE, atol=1e-4)


@pytest.mark.gui
def test_labels_made_with_the_button_of_napari_are_saved_where_the_image_lies(make_napari_viewer, tmp_path):
    affine = np.diag([-0.7, -0.9, 3.0, 1.0])  # towards the left and the back, as most CT lie
    affine[:3, 3] = 100, 80, -40
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), affine), tmp_path / "i.nii")
    viewer = make_napari_viewer()
    viewer.open(str(tmp_path / "i.nii"), plugin="napari-scribseg")
    viewer._new_labels()
    layer = viewer.layers[-1]
    layer.data[2, 1, 3] = 1
    layer.save(str(tmp_path / "l.nii"), plugin="napari-scribseg")
    saved = nibabel.load(tmp_path / "l.nii")
    (index,) = np.argwhere(np.asarray(saved.dataobj) == 1)
    np.testing.assert_allclose(saved.affine @ [*index, 1], affine @ [3, 1, 2, 1], atol=1e-5)


def limits_of(path):
    ((_, kwargs, _),) = hooks.get_reader(str(path))(str(path))
    return kwargs.get("contrast_limits"), [w.name for w in kwargs["metadata"]["scribseg"]["windows"]]


@pytest.mark.parametrize("padding", [None, -3024, -32768])
def test_an_image_is_shown_in_the_middle_of_its_histogram(tmp_path, padding):
    values = np.random.default_rng(0).normal(3000, 300, (9, 40, 40)).astype(np.int16)
    if padding is not None:
        values[:, 30:] = padding
    values[0, 0, :3] = 30000  # metal
    nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), tmp_path / "i.nii")
    limits, names = limits_of(tmp_path / "i.nii")
    assert limits == pytest.approx((3000 - 2.576 * 300, 3000 + 2.576 * 300), abs=60)
    assert names == ["automatic"]


def test_a_ct_is_shown_in_the_window_of_soft_tissue(shared_data):
    limits, names = limits_of(shared_data / "totalsegmentator" / "example_ct.nii.gz")
    assert limits == (-160, 240)
    assert names[:2] == ["soft tissue", "lung"]
    limits, names = limits_of(shared_data / "totalsegmentator" / "example_mr_sm.nii.gz")
    assert -100 < limits[0] < 20
    assert 500 < limits[1] < 833
    assert names == ["automatic"]


def test_a_picture_of_8_bits_is_left_to_napari(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "i.nii")
    assert limits_of(tmp_path / "i.nii") == (None, [])
