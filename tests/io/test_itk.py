import re
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import Geometry, InputError
from napari_scribseg.core.windows import DisplayWindow
from napari_scribseg.io import read_labels, read_volume, write_labels
from napari_scribseg.io.itk import read_image


def sitk_image(array, affine, **keywords):
    """An ITK image of an array (z, y, x) on a grid of RAS+ (x, y, z)."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(array, **keywords)
    image.SetSpacing(lengths)
    image.SetDirection((lps[:3, :3] / lengths).ravel())
    image.SetOrigin(lps[:3, 3])
    return image


def voxels(shape=(5, 6, 7), dtype=np.int16):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("name", ["i.nrrd", "i.nhdr", "i.mha", "i.mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_itk_writes_is_read_at_its_place(tmp_path, name, compressed, any_affine):
    sitk.WriteImage(sitk_image(voxels(), any_affine), str(tmp_path / name), useCompression=compressed)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, voxels())
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.geometry.affine, any_affine[:, [2, 1, 0, 3]], atol=1e-5)
    np.testing.assert_allclose(volume.geometry.spacing, np.linalg.norm(any_affine[:3, 2::-1], axis=0), rtol=1e-6)
    assert volume.geometry.unit == "millimeter"


def test_the_same_image_in_nifti_and_nrrd_has_the_same_place(tmp_path, affine):
    nibabel.save(nibabel.Nifti1Image(voxels().T, affine), tmp_path / "i.nii")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "i.nii")), str(tmp_path / "i.nrrd"))
    one, other = read_volume(tmp_path / "i.nii"), read_volume(tmp_path / "i.nrrd")
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.geometry.affine, other.geometry.affine, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["i.nrrd", "i.mha"])
def test_types(tmp_path, name, dtype):
    sitk.WriteImage(sitk.GetImageFromArray(voxels((5, 6, 7)).astype(dtype)), str(tmp_path / name))
    array = read_volume(tmp_path / name).array
    np.testing.assert_array_equal(array, voxels().astype(dtype))
    assert array.dtype == (np.float32 if dtype == np.float64 else dtype)


@pytest.mark.parametrize("name", ["i.nrrd", "i.mha"])
def test_channels_time_and_slices(tmp_path, name, affine):
    colours = voxels((5, 6, 7, 3), np.uint8)
    sitk.WriteImage(sitk_image(colours, affine, isVector=True), str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert volume.channels
    np.testing.assert_array_equal(volume.array, colours)
    np.testing.assert_allclose(volume.geometry.affine, affine[:, [2, 1, 0, 3]], atol=1e-5)

    series = sitk.JoinSeries([sitk_image(voxels() + t, affine) for t in range(3)], 0, 2.5)
    sitk.WriteImage(series, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert not volume.channels
    np.testing.assert_array_equal(volume.array, np.stack([voxels() + t for t in range(3)]))
    assert volume.geometry.spacing[0] == 2.5
    assert volume.geometry.axis_names == ("t", "z", "y", "x")
    np.testing.assert_allclose(volume.geometry.affine, affine[:, [2, 1, 0, 3]], atol=1e-5)

    image = sitk.GetImageFromArray(voxels()[0])
    image.SetSpacing((0.5, 0.25))
    sitk.WriteImage(image, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, voxels()[0])
    assert volume.geometry.spacing == (0.25, 0.5)


def nrrd(path, fields, data):
    header = "\n".join(["NRRD0005", *(f"{key}: {value}" for key, value in fields.items())])
    path.write_bytes(f"{header}\n\n".encode() + data)


PLAIN = {"type": "int16", "dimension": 3, "sizes": "7 6 5", "endian": "little", "encoding": "raw"}


def test_other_spaces_and_plain_spacings(tmp_path):
    place = {"space directions": "(1,0,0) (0,2,0) (0,0,3)", "space origin": "(10,20,30)"}
    for space, signs in {
        "left-posterior-superior": (-1, -1, 1),
        "right-anterior-superior": (1, 1, 1),
        "LAS": (-1, 1, 1),
    }.items():
        nrrd(tmp_path / "i.nrrd", PLAIN | {"space": space} | place, voxels().tobytes())
        expected = np.diag([*signs, 1]) @ np.array([[1, 0, 0, 10], [0, 2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])
        np.testing.assert_allclose(read_volume(tmp_path / "i.nrrd").geometry.affine, expected[:, [2, 1, 0, 3]])
    nrrd(tmp_path / "i.nrrd", PLAIN | {"spacings": "1 2 3"}, voxels().tobytes())
    assert read_volume(tmp_path / "i.nrrd").geometry.spacing == (3, 2, 1)


def test_a_list_of_volumes_is_a_series(tmp_path):
    series = voxels((3, 5, 6, 7))
    fields = PLAIN | {
        "dimension": 4, "space": "left-posterior-superior", "space origin": "(0,0,0)",
        "kinds": "list domain domain domain", "sizes": "3 7 6 5", "space directions": "none (1,0,0) (0,1,0) (0,0,2)",
    }  # fmt: skip
    nrrd(tmp_path / "i.nrrd", fields, np.ascontiguousarray(np.moveaxis(series, 0, -1)).tobytes())
    volume = read_volume(tmp_path / "i.nrrd")
    np.testing.assert_array_equal(volume.array, series)
    assert volume.geometry.axis_names == ("t", "z", "y", "x")
    assert volume.geometry.spacing == (1, 2, 1, 1)


@pytest.mark.parametrize("name", ["i.nrrd", "i.mha", "i.nhdr", "i.mhd"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_reported_in_one_message(tmp_path, name, compressed, keep):
    data = np.random.default_rng(0).integers(0, 30000, (20, 30, 40)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(data), str(tmp_path / name), useCompression=compressed)
    largest = max(tmp_path.iterdir(), key=lambda p: p.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"^i\.") as raised:
        read_volume(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": "70000 60000 50000"}, "declares 70000x60000x50000 voxels"),
        ({"sizes": "70000 60000 50000", "encoding": "gzip"}, "can at most hold"),
        ({"sizes": "0 6 5"}, "every axis needs at least one voxel"),
        ({"sizes": "-7 6 5"}, "every axis needs at least one voxel"),
        ({"sizes": "7 6"}, "the dimension '3' and 2 sizes"),
        ({"sizes": "7 6 x"}, "whole numbers are expected"),
        ({"sizes": "9" * 30}, "whole numbers are expected"),
        ({"type": "block"}, "the type 'block'"),
        ({"encoding": "zip"}, "the encoding 'zip'"),
        ({"data file": "gone.raw"}, "its data file gone.raw is missing"),
        ({"data file": ""}, "its data file without a name is missing"),
        ({"space": "left-posterior-superior", "space directions": "(1,0,0) (0,0,0) (0,0,1)"}, "cannot be read"),
    ],
)
def test_senseless_nrrd_headers_are_reported_before_memory_is_taken(tmp_path, change, words):
    nrrd(tmp_path / "i.nrrd", PLAIN | change, voxels().tobytes())
    with pytest.raises(InputError, match=words) as raised:
        read_volume(tmp_path / "i.nrrd")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("DimSize = 7 6 5", "DimSize = 70000 60000 50000", "declares 70000x60000x50000 voxels"),
        ("DimSize = 7 6 5", "DimSize = 0 6 5", "every axis needs at least one voxel"),
        ("DimSize = 7 6 5", "DimSize = 7 6", "NDims '3' and 2 sizes"),
        ("DimSize = 7 6 5", "DimSize = 7 6 a", "whole numbers are expected"),
        ("MET_SHORT", "MET_STRING", "the type 'STRING'"),
        ("ElementDataFile = LOCAL", "ElementDataFile = gone.raw", "its data file gone.raw is missing"),
        ("ElementDataFile = LOCAL", "ElementDataFile = ", "its data file without a name is missing"),
        ("ElementDataFile = LOCAL", "", "cut off"),
    ],
)
def test_senseless_metaimage_headers_are_reported_before_memory_is_taken(tmp_path, old, new, words):
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(tmp_path / "i.mha"))
    content = (tmp_path / "i.mha").read_bytes()
    assert old.encode() in content
    (tmp_path / "i.mha").write_bytes(content.replace(old.encode(), new.encode()))
    with pytest.raises(InputError, match=words) as raised:
        read_volume(tmp_path / "i.mha")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["i.nrrd", "i.mha"])
def test_what_is_another_format(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
    with pytest.raises(InputError, match=r"^i\."):
        read_volume(tmp_path / name)


def test_complex_values_are_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 3, 3), np.complex64)), str(tmp_path / "i.nrrd"))
    with pytest.raises(InputError, match="complex64"):
        read_volume(tmp_path / "i.nrrd")


@pytest.mark.parametrize("extension", [".mha", ".mhd"])
def test_compressed_voxels_that_are_fewer_or_damaged_are_reported(tmp_path, extension):
    labels = np.random.default_rng(0).integers(0, 9, (20, 30, 40))
    path, *others = write_labels(tmp_path / f"l{extension}", labels, Geometry(labels.shape, (1.0, 1.0, 1.0)))
    data = others[0] if others else path
    content = data.read_bytes()
    start = 0 if others else content.index(b"LOCAL\n") + 6
    voxels = zlib.decompress(content[start:])
    header = path.read_bytes()
    for kept in (100, len(voxels) // 2, len(voxels) - 1):
        packed = zlib.compress(voxels[:kept])
        size = b"CompressedDataSize = %d" % len(packed)
        new = re.sub(rb"CompressedDataSize = \d+", size, header if others else content[:start])
        path.write_bytes(new if others else new + packed)
        if others:
            data.write_bytes(packed)
        with pytest.raises(InputError, match=rf"its compressed data hold {kept}; it is truncated"):
            read_labels(path)
    path.write_bytes(header)
    for place in (start + 500, len(content) - 1):  # a code, and the checksum
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        data.write_bytes(damaged)
        with pytest.raises(InputError, match="its compressed voxels cannot be read, they are damaged"):
            read_labels(path)


def test_a_reason_that_is_none_is_left_out(tmp_path, monkeypatch):
    class Reader(sitk.ImageFileReader):
        def Execute(self):
            raise RuntimeError("itk::ERROR: MetaImageIO(0x1): File cannot be read\nReason: Success\n")

    monkeypatch.setattr(sitk, "ImageFileReader", Reader)
    with pytest.raises(InputError) as raised:
        read_image(tmp_path / "a.mha", "MetaImageIO")
    assert str(raised.value) == "a.mha: it cannot be read, it is damaged or of a kind that ITK does not know"


@pytest.mark.parametrize("name", ["i.nrrd", "i.mha"])
def test_what_itk_keeps_of_a_dicom_file_is_read(tmp_path, name):
    image = sitk.GetImageFromArray(voxels())
    for tag, value in {"0008|0060": "CT", "0028|1050": "300", "0028|1051": "1500"}.items():
        image.SetMetaData(tag, value)
    sitk.WriteImage(image, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert volume.modality == "CT"
    assert volume.windows == (DisplayWindow("of the file (300 ± 750)", -450, 1050),)


def test_the_modality_in_the_keys_of_other_programs(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(tmp_path / "i.nrrd"))
    header, _, rest = (tmp_path / "i.nrrd").read_bytes().partition(b"\n\n")
    (tmp_path / "j.nrrd").write_bytes(header + b"\nDICOM_0008_0060_Modality:=MR\n\n" + rest)
    assert read_volume(tmp_path / "j.nrrd").modality == "MR"
    sitk.WriteImage(sitk.GetImageFromArray(voxels()), str(tmp_path / "i.mha"))
    data = (tmp_path / "i.mha").read_bytes()
    (tmp_path / "j.mha").write_bytes(data.replace(b"NDims = 3", b"NDims = 3\nModality = MET_MOD_CT"))
    assert read_volume(tmp_path / "j.mha").modality == "CT"
    assert read_volume(tmp_path / "i.mha").modality == ""
