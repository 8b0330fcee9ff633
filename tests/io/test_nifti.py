import gzip
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import Geometry, Image, InputError
from napari_scribseg.io import read_labels, read_volume, write_labels
from napari_scribseg.io.nifti import has_label_intent


def array_order(affine):
    return affine[:, [2, 1, 0, 3]]


def voxels(shape=(7, 6, 5), dtype=np.int16):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("name", ["i.nii", "i.nii.gz", "I.NII.GZ"])
def test_voxels_and_affine_are_those_of_nibabel(tmp_path, name, any_affine):
    nibabel.save(nibabel.Nifti1Image(voxels(), any_affine), tmp_path / name)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, voxels().T)
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.geometry.affine, array_order(any_affine), atol=2e-5)
    np.testing.assert_allclose(volume.geometry.spacing, np.linalg.norm(any_affine[:3, 2::-1], axis=0), rtol=1e-6)
    assert volume.geometry.unit == "millimeter"
    assert volume.name.lower() == "i"


def test_an_uncompressed_file_is_mapped_not_copied(tmp_path):
    nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4)), tmp_path / "i.nii")
    array = read_volume(tmp_path / "i.nii").array
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    assert isinstance(array, np.memmap)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, ">i2", ">f4"])
def test_types_are_kept(tmp_path, dtype):
    image = nibabel.Nifti1Image(voxels(dtype=dtype), np.eye(4))
    nibabel.save(image, tmp_path / "i.nii.gz")
    array = read_volume(tmp_path / "i.nii.gz").array
    np.testing.assert_array_equal(array, voxels().T)
    assert array.dtype == np.dtype(dtype).newbyteorder("=")


def test_scaled_values_are_float32(tmp_path):
    image = nibabel.Nifti1Image(voxels(dtype=np.uint8), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "i.nii")
    stored = nibabel.load(tmp_path / "i.nii")
    array = read_volume(tmp_path / "i.nii").array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array.T, stored.get_fdata(), rtol=1e-6)


def test_time_channels_slices_and_colours(tmp_path):
    cases = {
        (7, 6, 5, 3): ((3, 5, 6, 7), False),
        (7, 6, 5, 1): ((5, 6, 7), False),
        (7, 6, 5, 1, 2): ((5, 6, 7, 2), True),
        (7, 6): ((6, 7), False),
    }
    for shape, (expected, channels) in cases.items():
        data = voxels(shape)
        image = nibabel.Nifti1Image(data, np.eye(4))
        if len(shape) == 4:
            image.header["pixdim"][4] = 2500
            image.header.set_xyzt_units("mm", "msec")
        nibabel.save(image, tmp_path / "i.nii.gz")
        volume = read_volume(tmp_path / "i.nii.gz")
        assert (volume.array.shape, volume.channels) == (expected, channels), shape
        if shape[-1] == 3:
            assert volume.geometry.spacing[0] == pytest.approx(2.5)
            np.testing.assert_array_equal(volume.array, data.T)
        if channels:
            np.testing.assert_array_equal(volume.array[..., 1], data[..., 0, 1].T)
    rgb = np.zeros((7, 6, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = voxels()
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), tmp_path / "i.nii.gz")
    volume = read_volume(tmp_path / "i.nii.gz")
    assert volume.channels
    np.testing.assert_array_equal(volume.array[..., 1], voxels().T)


def test_micrometres_become_millimetres_and_stay_in_the_labels(tmp_path, affine):
    image = nibabel.Nifti1Image(voxels(), affine * [[1000], [1000], [1000], [1]])
    image.header.set_xyzt_units("micron", "sec")
    nibabel.save(image, tmp_path / "i.nii")
    volume = read_volume(tmp_path / "i.nii")
    np.testing.assert_allclose(volume.geometry.affine, array_order(affine), atol=2e-5)
    write_labels(tmp_path / "l.nii", voxels().T, volume.geometry)
    labels = nibabel.load(tmp_path / "l.nii")
    assert labels.header.get_xyzt_units() == ("micron", "sec")
    np.testing.assert_allclose(labels.affine, nibabel.load(tmp_path / "i.nii").affine)


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 1), (4, 1), (0, 0)])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_labels_keep_the_header_of_the_image(tmp_path, codes, kind, affine):
    image = kind(voxels(), None)
    image.header["pixdim"][1:4] = 0.7, 0.9, 3.5
    image.set_sform(affine, codes[0])
    image.set_qform(affine, codes[1])
    image.header["descrip"] = b"a scanner"
    image.header["scl_slope"], image.header["scl_inter"] = 2, 1
    nibabel.save(image, tmp_path / "i.nii.gz")
    reference = nibabel.load(tmp_path / "i.nii.gz")
    volume = read_volume(tmp_path / "i.nii.gz")
    write_labels(tmp_path / "l.nii.gz", np.full(volume.array.shape, 300), volume.geometry)
    labels = nibabel.load(tmp_path / "l.nii.gz")
    assert isinstance(labels, kind)
    np.testing.assert_array_equal(labels.affine, reference.affine)
    for key in ("pixdim", "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c",
                "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units", "descrip", "dim"):  # fmt: skip
        assert labels.header[key].tobytes() == reference.header[key].tobytes(), key
    assert labels.header["intent_code"] == 1002
    assert labels.get_data_dtype() == np.uint16
    assert labels.dataobj.slope == 1
    assert labels.dataobj.inter == 0
    assert np.unique(np.asarray(labels.dataobj)).tolist() == [300]
    assert has_label_intent(tmp_path / "l.nii.gz")
    assert not has_label_intent(tmp_path / "i.nii.gz")


def test_a_header_of_another_grid_is_not_used(tmp_path, affine):
    nibabel.save(nibabel.Nifti1Image(voxels(), affine), tmp_path / "i.nii")
    whole = read_volume(tmp_path / "i.nii").geometry
    moved = whole.affine.copy()
    moved[:3, 3] = whole.affine[:3] @ [2, 1, 0, 1]
    cropped = Geometry((3, 5, 7), whole.spacing, moved, whole.unit, reference=whole.reference)
    write_labels(tmp_path / "l.nii", np.ones((3, 5, 7), int), cropped)
    labels = nibabel.load(tmp_path / "l.nii")
    np.testing.assert_allclose(array_order(labels.affine), moved, atol=1e-4)
    assert labels.header["sform_code"] == 1


def test_a_foreign_byte_order_is_turned(tmp_path, affine):
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(voxels(), affine, header), tmp_path / "i.nii")
    volume = read_volume(tmp_path / "i.nii")
    np.testing.assert_array_equal(volume.array, voxels().T)
    write_labels(tmp_path / "l.nii", volume.array, volume.geometry)
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii").array, voxels().T)
    np.testing.assert_allclose(nibabel.load(tmp_path / "l.nii").affine, affine, atol=2e-5)


def test_axes_beyond_the_range_of_nifti1(tmp_path):
    shape = (2, 2, 40000)
    labels = np.zeros(shape, np.uint8)
    labels[1, 1, 39999] = 5
    write_labels(tmp_path / "l.nii", labels, Geometry(shape, (1, 1, 1), np.eye(4)[:, [2, 1, 0, 3]], "millimeter"))
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii").array, labels)
    assert isinstance(nibabel.load(tmp_path / "l.nii"), nibabel.Nifti2Image)


def test_the_same_labels_make_the_same_bytes(tmp_path, affine, geometry_from):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labels(tmp_path / name, voxels().T, geometry_from(affine))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_singular_affines_are_reported_and_replaced(tmp_path):
    image = nibabel.Nifti1Image(voxels(), None)
    image.header["sform_code"] = 1  # all rows are zero
    image.header["pixdim"][1:4] = 2, 3, 4
    nibabel.save(image, tmp_path / "i.nii")
    header = bytearray((tmp_path / "i.nii").read_bytes())
    header[280:328] = bytes(48)
    (tmp_path / "i.nii").write_bytes(header)
    with pytest.warns(UserWarning, match="singular"):
        volume = read_volume(tmp_path / "i.nii")
    assert volume.geometry.spacing == (4, 3, 2)


@pytest.mark.parametrize("name", ["i.nii", "i.nii.gz"])
@pytest.mark.parametrize("keep", [0, 100, 347, 352, 0.5, 0.95])
def test_truncated_files_are_reported_in_one_message(tmp_path, name, keep):
    data = np.random.default_rng(0).integers(0, 30000, (40, 30, 20)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match=r"^i\.nii") as raised:
        np.asarray(read_volume(tmp_path / name).array).sum()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["i.nii", "i.nii.gz"])
@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (0, 5, 5), (-4, 5, 5)])
def test_oversized_headers_are_reported_before_memory_is_taken(tmp_path, name, shape):
    nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4)), tmp_path / name)
    opener = gzip.open if name.endswith("gz") else open
    with opener(tmp_path / name, "rb") as file:
        content = bytearray(file.read())
    content[42:48] = np.array(shape, "<i2").tobytes()
    with opener(tmp_path / name, "wb") as file:
        file.write(content)
    with pytest.raises(InputError, match="header") as raised:
        read_volume(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_what_is_no_image_or_holds_no_real_numbers(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.complex64), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(InputError, match="complex"):
        read_volume(tmp_path / "c.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3, 2, 2), np.int16), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match="3x3x3x2x2"):
        read_volume(tmp_path / "m.nii")
    with pytest.raises(InputError, match="there is no file"):
        read_volume(tmp_path / "no.nii")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(InputError, match=r"a\.xyz: the format is not known; expected one of \.nii"):
        read_volume(tmp_path / "a.xyz")


def test_header_fields_without_a_sense_are_reported_and_replaced(tmp_path):
    nibabel.save(nibabel.Nifti1Image(voxels(), np.diag([2.0, 3, 4, 1])), tmp_path / "i.nii")
    good = (tmp_path / "i.nii").read_bytes()
    unit = bytearray(good)
    unit[123] = 7
    (tmp_path / "i.nii").write_bytes(unit)
    with pytest.warns(UserWarning, match=r"i\.nii: its unit of length is unknown"):
        assert read_volume(tmp_path / "i.nii").geometry.spacing == (4, 3, 2)
    quaternion = bytearray(good)
    quaternion[252:256] = np.array([1, 1], "<i2").tobytes()  # a qform that is none, beside a good sform
    quaternion[256:260] = np.array([5.0], "<f4").tobytes()
    (tmp_path / "i.nii").write_bytes(quaternion)
    assert read_volume(tmp_path / "i.nii").geometry.spacing == (4, 3, 2)


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nrrd", ".mha", ".nii.gz"])
def test_labels_of_an_image_without_a_place_land_where_programs_put_the_image(tmp_path, extension):
    image = nibabel.Nifti1Image(voxels(), None)
    image.header.set_zooms((0.7, 0.9, 3.5))
    nibabel.save(image, tmp_path / "i.nii")
    volume = read_volume(tmp_path / "i.nii")
    assert volume.geometry.affine is None
    assert volume.geometry.unit == "millimeter"
    assert volume.geometry.spacing == pytest.approx((3.5, 0.9, 0.7))
    write_labels(tmp_path / f"l{extension}", np.ones(volume.array.shape, np.uint8), volume.geometry)
    shown, labels = (sitk.ReadImage(str(tmp_path / name)) for name in ("i.nii", f"l{extension}"))
    for index in itertools.product((0, 6), (0, 5), (0, 4)):
        np.testing.assert_allclose(
            labels.TransformIndexToPhysicalPoint(index), shown.TransformIndexToPhysicalPoint(index), atol=1e-5
        )


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1.0, 1e6])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_voxels_of_every_size_keep_their_direction(tmp_path, affine, size, form):
    small = affine.copy()
    small[:3] *= size
    image = nibabel.Nifti1Image(voxels(), small)
    image.set_sform(small, code=form == "sform")
    image.set_qform(small, code=form == "qform")
    nibabel.save(image, tmp_path / "i.nii")
    volume = read_volume(tmp_path / "i.nii")
    np.testing.assert_allclose(volume.geometry.affine, array_order(nibabel.load(tmp_path / "i.nii").affine), rtol=1e-12)
    for name in ("l.nii", "l.nrrd", "l.mha"):
        write_labels(tmp_path / name, voxels().T, volume.geometry)
        back = read_labels(tmp_path / name).geometry
        corners = np.array([[*index, 1] for index in itertools.product((0, 4), (0, 5), (0, 6))])
        difference = corners @ (back.affine - volume.geometry.affine).T
        assert np.abs(difference).max() < 1e-4 * min(volume.geometry.spacing), name


def test_a_header_of_small_voxels_is_not_used_after_a_move_by_voxels(tmp_path):
    affine = np.diag([1e-6, 1e-6, 1e-6, 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels(), affine), tmp_path / "i.nii")
    geometry = read_volume(tmp_path / "i.nii").geometry
    moved = geometry.affine.copy()
    moved[:3, 3] += 3e-6
    moved_to = Geometry(geometry.shape, geometry.spacing, moved, geometry.unit, reference=geometry.reference)
    write_labels(tmp_path / "l.nii", voxels().T, moved_to)
    np.testing.assert_allclose(nibabel.load(tmp_path / "l.nii").affine[:3, 3], 3e-6, rtol=1e-5)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("offset", [np.inf, np.nan, -6330584.0, 1e30, 400.0])
def test_a_senseless_offset_of_the_voxels_is_reported_in_one_message(tmp_path, extension, offset, capfd):
    path = tmp_path / f"i{extension}"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "whole.nii")
    content = bytearray((tmp_path / "whole.nii").read_bytes())
    content[108:112] = np.float32(offset).tobytes()
    path.write_bytes(gzip.compress(content) if extension == ".nii.gz" else content)
    with pytest.raises(InputError, match=r"^i\.nii.*: "):
        read_volume(path)
    assert capfd.readouterr().err == ""


def test_an_image_of_a_2d_file_and_of_a_series(tmp_path):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.arange(12, dtype=np.int16).reshape(3, 4), affine), tmp_path / "flat.nii")
    image = Image.read(tmp_path / "flat.nii")
    assert (image.shape, image.spacing) == ((4, 3), (3.0, 2.0))
    np.testing.assert_allclose(image.affine, affine[:, [2, 1, 0, 3]])
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 6), np.int16), affine), tmp_path / "series.nii")
    with pytest.raises(InputError, match="a series with the axes t, z, y, x; an image of 2 or 3 axes is expected"):
        Image.read(tmp_path / "series.nii")
