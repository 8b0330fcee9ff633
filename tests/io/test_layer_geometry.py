"""Layers placed in every way napari has, saved in every format, read back by libraries of others."""

import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_scribseg.io import napari_hooks as hooks
from napari_scribseg.io import read_volume, write_labels
from napari_scribseg.io.layer_geometry import LayerTransform, layer_geometry, layer_metadata

SHAPE = (5, 6, 7)
MARKED = (3, 1, 5)
TURN = nibabel.eulerangles.euler2mat(0.3, -0.5, 0.7)
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = nibabel.eulerangles.euler2mat(-0.2, 0.1, 0.4) @ np.diag([1.5, -0.5, 2.0]), (7, -8, 9)
EVERYWHERE = {"scale": (3.0, 0.9, 0.7), "translate": (-40.0, 30.5, 12.25)}
KINDS = {
    "translate": EVERYWHERE,
    "negative scale": {"scale": (-3.0, -0.9, -0.7), "translate": (-40.0, 30.5, 12.25)},
    "rotate": {**EVERYWHERE, "rotate": TURN},
    "shear": {**EVERYWHERE, "shear": (0.1, -0.2, 0.3)},
    "affine": {"affine": AFFINE},
    "everything": {**EVERYWHERE, "rotate": TURN, "shear": (0.1, -0.2, 0.3), "affine": AFFINE},
    "small": {"scale": (3e-6, 9e-7, 7e-7), "translate": (4e-6, -5e-6, 6e-6), "rotate": TURN},
}
FORMATS = [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd"]
SHEARED = ("shear", "everything")


def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[MARKED] = 1
    return array


def layer(**options):
    napari_layers = pytest.importorskip("napari.layers")
    return napari_layers.Labels(labels(), **options)


def saved(path, one):
    data, meta, _ = one.as_layer_data_tuple()
    hooks.write_labels_layer(str(path), data, meta)


def voxel_at(path):
    """RAS+ of the marked voxel, of the one beside it, and the smallest voxel size, as a library of others has them."""
    if ".nii" in path.name:
        image = nibabel.load(path)
        index = np.argwhere(np.asarray(image.dataobj) == 1)[0]
        to_ras = image.affine
    else:
        image = sitk.ReadImage(str(path))
        index = np.argwhere(sitk.GetArrayFromImage(image) == 1)[0][::-1]
        points = [image.TransformContinuousIndexToPhysicalPoint(list(map(float, p))) for p in (*np.eye(3), np.zeros(3))]
        to_ras = np.eye(4)
        to_ras[:3] = (np.diag([-1, -1, 1]) @ np.array(points).T)[:, [0, 1, 2, 3]]
        to_ras[:3, :3] -= to_ras[:3, 3:]
    return to_ras[:3, :3] @ index + to_ras[:3, 3], np.linalg.norm(to_ras[:3, :3], axis=0).min()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize(("unit", "size"), [("mm", 1.0), ("um", 1e-3), ("cm", 10.0), ("pixel", 1.0)])
def test_a_voxel_lies_where_the_layer_shows_it(tmp_path, kind, extension, unit, size):
    one = layer(**KINDS[kind], units=(unit,) * 3)
    path = tmp_path / f"l{extension}"
    if kind in SHEARED and ".nii" in extension:
        with pytest.warns(UserWarning, match=r"the grid of l\.nii.* is sheared"):
            saved(path, one)
    else:
        saved(path, one)
    found, smallest = voxel_at(path)
    wanted = np.array(one.data_to_world(MARKED))[::-1] * size
    assert np.abs(found - wanted).max() < 1e-4 * smallest
    if ".nii" in extension:
        assert nibabel.load(path).header.get_xyzt_units()[0] == ("unknown" if unit == "pixel" else "mm")
    back = read_volume(path).geometry
    assert np.abs((back.affine @ [*MARKED, 1])[:3] - wanted).max() < 1e-4 * smallest


@pytest.mark.parametrize("extension", [".tif", ".ome.tif"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_tiff_cannot_keep_is_reported_in_one_message(tmp_path, kind, extension):
    one = layer(**KINDS[kind], units=("mm",) * 3)
    words = "position" if kind == "translate" else "position and directions"
    with pytest.warns(UserWarning, match=rf"l\{extension} keeps the voxel size, but not the grid's {words}; .nii.gz"):
        saved(tmp_path / f"l{extension}", one)
    corner = np.array(one.data_to_world((0, 0, 0)))
    wanted = [np.linalg.norm(np.array(one.data_to_world(step)) - corner) for step in np.eye(3)]
    assert read_volume(tmp_path / f"l{extension}").geometry.spacing == pytest.approx(wanted, rel=1e-6)


def test_a_layer_of_plain_voxels_has_no_affine_and_gives_no_warning(tmp_path, recwarn):
    one = layer(scale=(3, 2, 1), units=("mm",) * 3)
    for extension in (".tif", ".nii"):
        saved(tmp_path / f"l{extension}", one)
    assert not [w for w in recwarn.list if "keeps the voxel size" in str(w.message)]
    header = nibabel.load(tmp_path / "l.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    with tifffile.TiffFile(tmp_path / "l.tif") as file:
        assert file.imagej_metadata["spacing"] == 3


# what readers leave ---------------------------------------------------------------------------------------------------

OBLIQUE = np.eye(4)  # of an image in the order (x, y, z)
OBLIQUE[:3, :3], OBLIQUE[:3, 3] = TURN @ np.diag([0.7, 0.9, 3.0]), (-31.5, 12.25, 104.0)
LPS = np.diag([-0.7, -0.9, 3.0, 1.0])
LPS[:3, 3] = 100, 80, -40


def opened(tmp_path, affine):
    """An image layer as napari makes it of what our reader says."""
    napari_layers = pytest.importorskip("napari.layers")
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), affine), tmp_path / "i.nii")
    ((data, kwargs, _),) = hooks.get_reader(str(tmp_path / "i.nii"))(str(tmp_path / "i.nii"))
    return napari_layers.Image(data, **kwargs)


def geometry_of(one, shape=SHAPE):
    return layer_geometry(shape, LayerTransform.of(one.as_layer_data_tuple()[1], len(shape)))


@pytest.mark.parametrize("affine", [OBLIQUE, LPS], ids=["oblique", "lps"])
def test_a_layer_that_was_not_moved_keeps_the_geometry_of_the_file(tmp_path, affine):
    one = opened(tmp_path, affine)
    assert geometry_of(one) is one.metadata["scribseg"]["geometry"]
    one.units = ("um",) * 3  # the same numbers, a thousandth of the size
    smaller = geometry_of(one)
    np.testing.assert_allclose(smaller.spacing, np.array((3.0, 0.9, 0.7)) / 1000, rtol=1e-6)


@pytest.mark.parametrize("affine", [OBLIQUE, LPS], ids=["oblique", "lps"])
@pytest.mark.parametrize("extension", FORMATS)
def test_a_scale_set_by_hand_counts(tmp_path, affine, extension):
    one = opened(tmp_path, affine)
    one.scale = (6.0, 0.9, 1.4)
    write_labels(tmp_path / f"l{extension}", labels(), geometry_of(one))
    found, smallest = voxel_at(tmp_path / f"l{extension}")
    wanted = (affine @ np.diag([2.0, 1.0, 2.0, 1.0]) @ [*MARKED[::-1], 1])[:3]
    assert np.abs(found - wanted).max() < 1e-4 * smallest


@pytest.mark.parametrize("affine", [OBLIQUE, LPS], ids=["oblique", "lps"])
def test_a_layer_that_was_moved_and_turned_moves_in_the_patient(tmp_path, affine):
    one = opened(tmp_path, affine)
    before = one.affine.affine_matrix
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = TURN, (5, -6, 7)
    index = np.array(one.data_to_world(MARKED))
    one.affine = moved @ before
    now = geometry_of(one)
    turned = np.array(one.world_to_data(index))  # the voxel that lies now where the marked one lay
    np.testing.assert_allclose((now.affine @ [*turned, 1])[:3], (affine @ [*MARKED[::-1], 1])[:3], atol=1e-4)


def test_a_size_given_to_an_image_without_one_counts(tmp_path):
    napari_layers = pytest.importorskip("napari.layers")
    tifffile.imwrite(tmp_path / "i.tif", np.zeros(SHAPE, np.uint8), imagej=True, metadata={"axes": "ZYX"})
    ((data, kwargs, _),) = hooks.get_reader(str(tmp_path / "i.tif"))(str(tmp_path / "i.tif"))
    one = napari_layers.Image(data, **kwargs)
    assert geometry_of(one).unit == "pixel"
    one.scale, one.units = (2.0, 0.5, 0.5), ("um",) * 3
    assert geometry_of(one).unit == "millimeter"
    assert geometry_of(one).spacing == pytest.approx((2e-3, 5e-4, 5e-4))


def test_time_takes_part(tmp_path):
    napari_layers = pytest.importorskip("napari.layers")
    image = nibabel.Nifti1Image(np.zeros((*SHAPE[::-1], 2), np.int16), LPS)
    image.header.set_zooms((0.7, 0.9, 3.0, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "i.nii")
    ((data, kwargs, _),) = hooks.get_reader(str(tmp_path / "i.nii"))(str(tmp_path / "i.nii"))
    one = napari_layers.Image(data, **kwargs)
    one.scale = (5.0, 3.0, 0.9, 1.4)
    now = geometry_of(one, data.shape)
    assert now.spacing == pytest.approx((5.0, 3.0, 0.9, 1.4))
    np.testing.assert_allclose(now.affine, (LPS @ np.diag([2, 1, 1, 1]))[:, [2, 1, 0, 3]], atol=1e-5)


def test_what_is_left_in_a_layer_holds_for_it(tmp_path):
    """Strokes get the geometry and the place of an image that has been moved; both are moved once, not twice."""
    one = opened(tmp_path, OBLIQUE)
    one.translate = np.add(one.translate, (4, 5, 6))
    transform = LayerTransform.of(one.as_layer_data_tuple()[1], 3)
    geometry = layer_geometry(SHAPE, transform)
    meta = {**one.as_layer_data_tuple()[1], "metadata": {"scribseg": layer_metadata(geometry, transform)}}
    assert layer_geometry(SHAPE, LayerTransform.of(meta, 3)) is geometry
    meta["scale"] = [6.0, 0.9, 0.7]
    np.testing.assert_allclose(
        layer_geometry(SHAPE, LayerTransform.of(meta, 3)).affine, geometry.affine * [2, 1, 1, 1], atol=1e-5
    )


# readers of others ----------------------------------------------------------------------------------------------------


def as_napari_nifti(affine):
    """What napari-nifti 0.0.20 leaves: an array towards head, front and right, mirrored for display."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    origin = affine[2::-1, 3]
    return {
        "scale": -sizes, "translate": origin + (np.array(SHAPE) - 1) * sizes,
        "metadata": {"affine": affine, "header": None, "spacing": sizes[::-1], "origin": affine[:3, 3],
                     "direction": affine[:3, :3] / sizes[::-1], "coordinate_system": "RAS+"},
    }  # fmt: skip


RAS = OBLIQUE.copy()  # its axes run mostly to the right, the front and the head
RAS[:3, :3] = nibabel.eulerangles.euler2mat(0.1, -0.15, 0.2) @ np.diag([0.7, 0.9, 3.0])


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("factor", [(1, 1, 1), (2, 1, 0.5)])
def test_layers_of_napari_nifti(tmp_path, extension, factor):
    parts = as_napari_nifti(RAS)
    parts["scale"] = parts["scale"] * factor
    saved(tmp_path / f"l{extension}", layer(**parts))
    found, smallest = voxel_at(tmp_path / f"l{extension}")
    wanted = (RAS @ np.diag([*factor[::-1], 1.0]) @ [*MARKED[::-1], 1])[:3]
    assert np.abs(found - wanted).max() < 1e-4 * smallest


@pytest.mark.parametrize("kind", ["placed", "sizes only", "whole affine", "order of the file"])
def test_other_readers_that_leave_an_affine(kind):
    ours = RAS[:, [2, 1, 0, 3]]
    sizes = np.linalg.norm(ours[:3, :3], axis=0)
    meta = {
        "placed": {"scale": sizes, "translate": RAS[2::-1, 3]},
        "sizes only": {"scale": sizes},
        "whole affine": {"affine": ours[[2, 1, 0, 3]]},
        "order of the file": {"affine": RAS},
    }[kind] | {"metadata": {"affine": RAS}}
    found = layer_geometry(SHAPE, LayerTransform.of(meta, 3)).affine
    np.testing.assert_allclose(found, RAS if kind == "order of the file" else ours, atol=1e-9)


def test_a_series_of_napari_nifti_whose_time_is_chosen_as_channels():
    affine = np.eye(5)
    affine[:3, :3], affine[:3, 4], affine[3, 3] = RAS[:3, :3], RAS[:3, 3], 2.5
    parts = as_napari_nifti(RAS)
    meta = {"scale": [*parts["scale"], 2.5], "translate": [*parts["translate"], 0.0], "metadata": {"affine": affine}}
    found = layer_geometry(SHAPE, LayerTransform.of(meta, 4).without([3]))
    np.testing.assert_allclose(found.affine, RAS[:, [2, 1, 0, 3]], atol=1e-9)


@pytest.mark.parametrize("turned", [True, False])
def test_layers_of_napari_itk_io(tmp_path, turned):
    image = sitk.GetImageFromArray(labels())
    image.SetDirection(TURN.ravel())
    image.SetSpacing((0.7, 0.9, 3.0))
    image.SetOrigin((10, 20, -30))
    direction = np.array(image.GetDirection()).reshape(3, 3)[::-1, ::-1]
    spacing, origin = np.array(image.GetSpacing())[::-1], np.array(image.GetOrigin())[::-1]
    parts = {"scale": spacing, "translate": origin} | ({"rotate": direction.T} if turned else {})
    saved(tmp_path / "l.mha", layer(**parts, metadata={"direction": direction, "spacing": spacing, "origin": origin}))
    sitk.WriteImage(image, tmp_path / "i.mha")
    found, smallest = voxel_at(tmp_path / "l.mha")
    wanted, _ = voxel_at(tmp_path / "i.mha")
    assert np.abs(found - wanted).max() < 1e-4 * smallest


@pytest.mark.parametrize(
    "metadata",
    [{"affine": "x"}, {"affine": np.zeros((4, 4))}, {"affine": np.full((4, 4), np.nan)}, {"affine": [[1, 2], [3]]},
     {"direction": 1, "spacing": None, "origin": "0"}, {"affine": None}, {"scribseg": 3}, {"affine": np.eye(3)}],
)  # fmt: skip
def test_metadata_without_a_sense_do_no_harm(metadata):
    meta = {"scale": (3, 2, 1), "translate": (1, 2, 3), "metadata": metadata}
    found = layer_geometry(SHAPE, LayerTransform.of(meta, 3))
    np.testing.assert_allclose(found.affine, [[0, 0, 1, 3], [0, 2, 0, 2], [3, 0, 0, 1], [0, 0, 0, 1]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_world_matrix_is_that_of_napari(kind):
    one = layer(**KINDS[kind])
    world = LayerTransform.of(one.as_layer_data_tuple()[1], 3).world
    for index in itertools.product((0, 4), (0, 5), (0, 6)):
        np.testing.assert_allclose((world @ [*index, 1])[:3], one.data_to_world(index), rtol=1e-9, atol=1e-12)


def test_a_2d_image_that_was_moved_keeps_its_position():
    meta = {"scale": (2.0, 0.5), "translate": (10.0, 20.0), "units": ("mm", "mm")}
    found = layer_geometry((5, 6), LayerTransform.of(meta, 2))
    assert found.spacing == (2.0, 0.5)
    np.testing.assert_allclose(found.affine @ [0, 1, 1, 1], [20.5, 12.0, 0.0, 1.0])


def test_kept_geometry_of_samples_is_where_they_are_shown():
    for sample in (hooks.sample_ct_phantom, hooks.sample_photograph):
        for data, kwargs, _ in sample():
            kept = kwargs["metadata"]["scribseg"]["geometry"]
            transform = LayerTransform.of(kwargs, len(kwargs["scale"]))
            assert layer_geometry(kept.shape, transform) is kept, data.shape
