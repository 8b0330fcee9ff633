import errno
import os

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import ClassTable, Geometry, InputError
from napari_scribseg.io import is_label_file, label_extensions, read_labels, read_volume, write_labels

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PLACED = [".nii", ".nii.gz", ".nrrd", ".nhdr", ".seg.nrrd", ".mha", ".mhd"]
TIFFS = [".tif", ".ome.tif"]


def sitk_affine(image):
    """Index (x, y, z) to LPS, as SimpleITK says point by point."""
    n = min(image.GetDimension(), 3)
    zero = [0] * image.GetDimension()
    origin = np.array(image.TransformIndexToPhysicalPoint(zero))[:n]
    affine = np.eye(4)
    for axis in range(n):
        one = list(zero)
        one[axis] = 1
        affine[:n, axis] = np.array(image.TransformIndexToPhysicalPoint(one))[:n] - origin
    affine[:n, 3] = origin
    return affine


@pytest.mark.parametrize("extension", PLACED)
def test_round_trip_keeps_every_voxel_and_the_affine(tmp_path, extension, any_affine, geometry_from, labels):
    geometry = geometry_from(any_affine)
    path = tmp_path / f"labels{extension}"
    written = write_labels(path, labels, geometry, ClassTable())
    assert written[0] == path
    assert all(p.is_file() for p in written)
    assert set(tmp_path.iterdir()) == set(written)
    back = read_labels(path)
    np.testing.assert_array_equal(back.array, labels)
    assert back.array.dtype == np.uint16
    np.testing.assert_allclose(back.geometry.affine, geometry.affine, atol=2e-5)
    np.testing.assert_allclose(back.geometry.spacing, geometry.spacing, rtol=1e-6)
    assert back.geometry.unit == "millimeter"


@pytest.mark.parametrize("extension", [".nrrd", ".nhdr", ".seg.nrrd", ".mha", ".mhd"])
def test_simpleitk_reads_the_same_voxels_at_the_same_places(tmp_path, extension, any_affine, geometry_from, labels):
    path = tmp_path / f"labels{extension}"
    write_labels(path, labels, geometry_from(any_affine))
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), labels)
    np.testing.assert_allclose(LPS @ sitk_affine(image), any_affine, atol=1e-9)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_nibabel_and_simpleitk_agree_on_nifti(tmp_path, extension, affine, geometry_from, labels):
    path = tmp_path / f"labels{extension}"
    write_labels(path, labels, geometry_from(affine))
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels)
    np.testing.assert_allclose(image.affine, affine, atol=2e-5)
    np.testing.assert_allclose(image.get_qform(), affine, atol=2e-5)
    other = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(other), labels)
    np.testing.assert_allclose(LPS @ sitk_affine(other), affine, atol=2e-4)


def test_a_sheared_grid_is_never_written_as_a_qform(tmp_path, sheared, geometry_from, labels):
    write_labels(tmp_path / "labels.nii", labels, geometry_from(sheared))
    image = nibabel.load(tmp_path / "labels.nii")
    np.testing.assert_allclose(image.affine, sheared, atol=2e-5)
    assert image.header["sform_code"] == 1
    assert image.header["qform_code"] == 0


@pytest.mark.parametrize("extension", [".nrrd", ".seg.nrrd", ".mha", ".mhd"])
def test_labels_of_a_nifti_image_land_on_it_in_other_formats(tmp_path, extension, affine, labels):
    voxels = np.random.default_rng(0).integers(0, 99, labels.T.shape, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "image.nii.gz")
    image = read_volume(tmp_path / "image.nii.gz")
    write_labels(tmp_path / f"labels{extension}", labels, image.geometry)
    drawn = sitk.ReadImage(str(tmp_path / f"labels{extension}"))
    original = nibabel.load(tmp_path / "image.nii.gz")
    for index in [*np.argwhere(labels.T == 300).tolist(), [0, 0, 0], [6, 5, 4], [6, 0, 2]]:
        point = LPS[:3, :3] @ nibabel.affines.apply_affine(original.affine, index)
        assert list(drawn.TransformPhysicalPointToIndex(point)) == index
        assert drawn[index] == labels.T[tuple(index)]


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr"])
def test_a_time_series_round_trip(tmp_path, extension, affine, geometry_from):
    shape = (3, 4, 5, 6)
    labels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    geometry = geometry_from(affine, shape)
    write_labels(tmp_path / f"l{extension}", labels, geometry)
    back = read_labels(tmp_path / f"l{extension}")
    np.testing.assert_array_equal(back.array, labels)
    np.testing.assert_allclose(back.geometry.affine, geometry.affine, atol=2e-5)
    np.testing.assert_allclose(back.geometry.spacing, geometry.spacing, rtol=1e-6)
    assert back.geometry.axis_names == ("t", "z", "y", "x")
    write_labels(tmp_path / f"one{extension}", labels[1], geometry)  # of one volume of the series
    one = read_labels(tmp_path / f"one{extension}")
    np.testing.assert_array_equal(one.array, labels[1])
    np.testing.assert_allclose(one.geometry.affine, geometry.affine, atol=2e-5)


@pytest.mark.parametrize("extension", [".nii", ".nrrd", ".mha", ".tif", ".ome.tif"])
def test_a_2d_round_trip(tmp_path, extension, small_labels):
    affine = np.diag([-0.25, -0.5, 1.0, 1.0])[:, [2, 1, 0, 3]]
    geometry = Geometry((6, 7), (0.5, 0.25), affine, "millimeter")
    write_labels(tmp_path / f"l{extension}", small_labels[0], geometry)
    back = read_labels(tmp_path / f"l{extension}")
    np.testing.assert_array_equal(back.array, small_labels[0])
    np.testing.assert_allclose(back.geometry.spacing, (0.5, 0.25))


@pytest.mark.parametrize("extension", [e for e in PLACED if "nii" not in e])
def test_an_oblique_slice_keeps_its_affine_and_stays_2d(tmp_path, extension, geometry_from, small_labels):
    affine = np.eye(4)
    affine[:3, :3] = nibabel.eulerangles.euler2mat(0.3, -0.5, 0.7) * (0.7, 0.9, 1.0)
    affine[:3, 3] = (5, 6, 7)
    geometry = geometry_from(affine, (6, 7))
    write_labels(tmp_path / f"l{extension}", small_labels[0], geometry)
    back = read_labels(tmp_path / f"l{extension}")
    np.testing.assert_array_equal(back.array, small_labels[0])
    np.testing.assert_allclose(back.geometry.affine, geometry.affine, atol=1e-9)
    stored = sitk.ReadImage(str(tmp_path / f"l{extension}"))  # others have no planes outside of height zero
    np.testing.assert_allclose(LPS @ sitk_affine(stored), affine, atol=1e-9)


@pytest.mark.parametrize("extension", PLACED + TIFFS)
@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
def test_the_smallest_sufficient_type(tmp_path, extension, highest, dtype, geometry_from, affine):
    labels = np.zeros((5, 6, 7), np.int32)
    labels[1, 2, 3] = highest
    path = tmp_path / f"l{extension}"
    write_labels(path, labels, geometry_from(affine))
    stored = read_volume(path).array
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, labels)


@pytest.mark.parametrize("extension", TIFFS)
def test_tiff_keeps_voxels_and_their_size(tmp_path, extension, affine, geometry_from, labels):
    geometry = geometry_from(affine)
    write_labels(tmp_path / f"l{extension}", labels, geometry)
    back = read_labels(tmp_path / f"l{extension}")
    np.testing.assert_array_equal(back.array, labels)
    np.testing.assert_allclose(back.geometry.spacing, geometry.spacing, rtol=1e-5)
    assert back.geometry.affine is None


@pytest.mark.parametrize("extension", [*PLACED, ".tif"])
def test_pixels_of_unknown_size(tmp_path, extension, small_labels):
    write_labels(tmp_path / f"l{extension}", small_labels, Geometry((5, 6, 7), (1.0, 1.0, 1.0)))
    back = read_labels(tmp_path / f"l{extension}")
    np.testing.assert_array_equal(back.array, small_labels)
    assert back.geometry.spacing == (1.0, 1.0, 1.0)


def test_slicer_finds_names_colours_and_values(tmp_path, geometry_from, affine, small_labels, classes):
    path = tmp_path / "l.seg.nrrd"
    write_labels(path, small_labels, geometry_from(affine), classes)
    image = sitk.ReadImage(str(path))
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Seg")}
    assert metadata["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert metadata["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert metadata["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    assert image.GetMetaData("NRRD_space") == "left-posterior-superior"
    for n, label in enumerate(classes):
        assert metadata[f"Segment{n}_Name"] == label.name
        assert metadata[f"Segment{n}_NameAutoGenerated"] == "0"
        assert metadata[f"Segment{n}_ColorAutoGenerated"] == "0"
        assert metadata[f"Segment{n}_LabelValue"] == str(label.id)
        assert metadata[f"Segment{n}_Layer"] == "0"
        assert metadata[f"Segment{n}_Extent"] == "0 6 0 5 0 4"
        assert tuple(map(float, metadata[f"Segment{n}_Color"].split())) == pytest.approx(label.color[:3])
        assert metadata[f"Segment{n}_Tags"].endswith("|")
    assert len({metadata[f"Segment{n}_ID"] for n in range(3)}) == 3
    assert tuple(read_labels(path).classes) == tuple(classes)


def seg_nrrd(path, layers, fields):
    """A segmentation as Slicer writes it where segments overlap: layers first."""
    sizes = layers.T.shape if layers.ndim == 3 else (layers.shape[3], *layers.shape[2::-1])
    lines = [
        "NRRD0004", "type: unsigned char", f"dimension: {layers.ndim}", "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {'none ' if layers.ndim == 4 else ''}(1,0,0) (0,1,0) (0,0,2)",
        f"kinds: {'list ' if layers.ndim == 4 else ''}domain domain domain", "encoding: raw", "space origin: (0,0,0)",
    ]  # fmt: skip
    lines += [f"{key}:={value}" for key, value in fields.items()]
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + np.ascontiguousarray(layers).tobytes())


def test_overlapping_layers_become_one_volume_with_a_warning(tmp_path):
    layers = np.zeros((3, 4, 5, 2), np.uint8)
    layers[0, ..., 0] = 1
    layers[1, ..., 0] = 2
    layers[0, 0, :, 1] = 1  # overlaps the first segment
    layers[2, ..., 1] = 1
    fields = {}
    for n, (layer, value, name) in enumerate([(0, 1, "organ"), (0, 2, "bone"), (1, 1, "tumour")]):
        fields |= {f"Segment{n}_ID": f"S{n}", f"Segment{n}_Name": name, f"Segment{n}_Layer": layer}
        fields |= {f"Segment{n}_LabelValue": value, f"Segment{n}_Color": "1 0.5 0"}
    seg_nrrd(tmp_path / "a.seg.nrrd", layers, fields)
    with pytest.warns(UserWarning, match="overlap in 5 voxels"):
        back = read_labels(tmp_path / "a.seg.nrrd")
    expected = np.zeros((3, 4, 5))
    expected[0], expected[1], expected[2], expected[0, 0] = 1, 2, 3, 3
    np.testing.assert_array_equal(back.array, expected)
    assert [(c.id, c.name, c.color) for c in back.classes] == [
        (1, "organ", (1, 0.5, 0, 1)),
        (2, "bone", (1, 0.5, 0, 1)),
        (3, "tumour", (1, 0.5, 0, 1)),
    ]
    assert back.geometry.spacing == (2, 1, 1)


def test_segments_of_slicer_4_10_are_components(tmp_path):
    layers = np.zeros((3, 4, 5, 2), np.uint8)
    layers[0, ..., 0] = 1
    layers[2, ..., 1] = 1
    fields = {"Segment0_ID": "a", "Segment0_Name": "organ", "Segment1_ID": "b", "Segment1_Name": "bone"}
    seg_nrrd(tmp_path / "a.seg.nrrd", layers, fields)
    back = read_labels(tmp_path / "a.seg.nrrd")
    assert np.unique(back.array[0]) == 1
    assert not back.array[1].any()
    assert np.unique(back.array[2]) == 2
    assert [c.name for c in back.classes] == ["organ", "bone"]


def test_senseless_segments_are_refused(tmp_path):
    fields = {"Segment0_ID": "a", "Segment0_Layer": 7, "Segment0_LabelValue": 1}
    seg_nrrd(tmp_path / "a.seg.nrrd", np.ones((3, 4, 5), np.uint8), fields)
    with pytest.raises(InputError, match="layer '7' and the value '1'"):
        read_labels(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((5, 6, 7), -1), "reach from -1 to -1"),
        (np.full((5, 6, 7), 65536), "65536; label ids from 0 to 65535"),
        (np.full((5, 6, 7), 0.5), "fractions or NaN"),
        (np.full((5, 6, 7), np.nan), "fractions or NaN"),
        (np.full((5, 6, 7), 1j), "complex128"),
        (np.zeros((5, 6, 8), int), r"shape \(5, 6, 8\); the image has \(5, 6, 7\)"),
    ],
)
def test_what_are_no_labels_of_the_image_is_refused(tmp_path, array, words, geometry_from, affine):
    with pytest.raises(InputError, match=words):
        write_labels(tmp_path / "l.nii.gz", array, geometry_from(affine))
    assert not list(tmp_path.iterdir())


def test_unknown_extensions_and_what_a_format_cannot_hold(tmp_path, geometry_from, affine, small_labels):
    with pytest.raises(InputError, match=r"l\.xyz: labels can be saved as \.nii\.gz"):
        write_labels(tmp_path / "l.xyz", small_labels, geometry_from(affine))
    series = np.zeros((2, 5, 6, 7), int)
    with pytest.raises(InputError, match=r"has 3 axes, the labels 4; use \.nrrd"):
        write_labels(tmp_path / "l.seg.nrrd", series, geometry_from(affine, series.shape))


def test_colours_are_no_labels(tmp_path):
    from PIL import Image as Pillow

    colors = np.zeros((4, 5, 3), np.uint8)
    colors[1, 2] = (0, 1, 0)
    Pillow.fromarray(colors).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match="it has 3 channels; a label volume has one"):
        read_labels(tmp_path / "rgb.png")


@pytest.mark.parametrize("extension", label_extensions())
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fills_up_leaves_the_old_files_and_nothing_else(
    tmp_path, extension, code, monkeypatch, geometry_from, affine, small_labels, classes
):
    path = tmp_path / f"l{extension}"
    geometry = geometry_from(affine)
    write_labels(path, small_labels, geometry, classes, bids_tsv=True, itksnap=True)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}

    def full(_descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot save .*; what was there is unchanged") as raised:
        write_labels(path, small_labels + 1, geometry, classes, bids_tsv=True, itksnap=True)
    assert "\n" not in str(raised.value)
    if code == errno.ENOSPC:
        assert "the disk is full" in str(raised.value)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    monkeypatch.undo()
    write_labels(path, small_labels + 1, geometry, classes, bids_tsv=True, itksnap=True)
    np.testing.assert_array_equal(read_labels(path).array, small_labels + 1)
    assert len(list(tmp_path.iterdir())) == len(before)


@pytest.mark.parametrize("extension", [".nii.gz", ".mhd", ".nhdr"])
def test_a_rename_that_fails_puts_everything_back(
    tmp_path, extension, monkeypatch, geometry_from, affine, small_labels
):
    path = tmp_path / f"l{extension}"
    geometry = geometry_from(affine)
    write_labels(path, small_labels, geometry, bids_tsv=True)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    real = type(path).replace
    done = []

    def refuse_the_last(self, target):
        if self.suffix == ".tmp":
            done.append(self)
            if target == path:
                raise PermissionError(errno.EACCES, "no")
        return real(self, target)

    monkeypatch.setattr(type(path), "replace", refuse_the_last)
    with pytest.raises(InputError, match="may not be written"):
        write_labels(path, small_labels + 1, geometry, bids_tsv=True)
    assert len(done) > 1
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("extension", [".nii.gz", ".mhd", ".nhdr"])
def test_a_first_save_that_fails_leaves_no_table_without_its_volume(
    tmp_path, extension, monkeypatch, geometry_from, affine, small_labels, classes
):
    path = tmp_path / f"l{extension}"
    real = type(path).replace

    def refuse_the_volume(self, target):
        if target == path:
            raise PermissionError(errno.EACCES, "no")
        return real(self, target)

    monkeypatch.setattr(type(path), "replace", refuse_the_volume)
    with pytest.raises(InputError, match="may not be written"):
        write_labels(path, small_labels, geometry_from(affine), classes, bids_tsv=True, itksnap=True)
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_and_a_read_only_file(tmp_path, monkeypatch, geometry_from, affine, small_labels):
    path = tmp_path / "l.nii.gz"
    geometry = geometry_from(affine)
    write_labels(path, small_labels, geometry)
    before = path.read_bytes()
    real = type(path).open

    def refuse(self, mode="r", *arguments, **keywords):  # also for the superuser, whom no mode stops
        if "x" in mode or "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(self, mode, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "open", refuse)
        with pytest.raises(InputError, match="the folder is read-only; what was there is unchanged"):
            write_labels(path, small_labels, geometry)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        with pytest.raises(InputError, match="may not be written; what was there is unchanged"):
            write_labels(path, small_labels, geometry)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_and_folders_in_the_way(tmp_path, geometry_from, affine, small_labels):
    with pytest.raises(InputError, match="the folder does not exist"):
        write_labels(tmp_path / "no" / "l.nrrd", small_labels, geometry_from(affine))
    (tmp_path / "l.nrrd").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write_labels(tmp_path / "l.nrrd", small_labels, geometry_from(affine))
    assert [p.name for p in tmp_path.iterdir()] == ["l.nrrd"]


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path, geometry_from, affine, small_labels):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "l.nrrd"
    write_labels(target, small_labels, geometry_from(affine))
    target.chmod(0o640)
    (tmp_path / "link.nrrd").symlink_to(target)
    write_labels(tmp_path / "link.nrrd", small_labels + 1, geometry_from(affine))
    assert (tmp_path / "link.nrrd").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(read_labels(target).array, small_labels + 1)


def test_a_transposed_view_is_written_as_it_is_indexed(tmp_path, geometry_from, affine, small_labels):
    view = np.asfortranarray(small_labels)[::-1]
    for extension in (".nii", ".nrrd", ".mha", ".tif"):
        write_labels(tmp_path / f"l{extension}", view, geometry_from(affine))
        np.testing.assert_array_equal(read_labels(tmp_path / f"l{extension}").array, view)


def test_labels_drawn_on_the_dicom_land_on_the_grid_of_its_masks(tmp_path, shared_data):
    folder = shared_data / "dcmqi_ct_dicom"
    image = read_volume(folder)
    mask = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    assert image.array.shape == sitk.GetArrayFromImage(mask).shape
    labels = np.zeros(image.array.shape, np.uint8)
    where = np.argwhere(sitk.GetArrayFromImage(mask))[::400]
    for z, y, x in where:  # by physical position, through the affine of the DICOM
        point = np.array(mask.TransformIndexToPhysicalPoint((int(x), int(y), int(z)))) * (-1, -1, 1)
        index = np.linalg.solve(image.geometry.affine, [*point, 1])[:3]
        labels[tuple(np.rint(index).astype(int))] = 7
    assert labels.sum() == 7 * len(where)
    for name in ("l.nrrd", "l.seg.nrrd", "l.mha", "l.nii.gz"):
        write_labels(tmp_path / name, labels, image.geometry)
        drawn = sitk.ReadImage(str(tmp_path / name))
        np.testing.assert_allclose(sitk_affine(drawn), sitk_affine(mask), atol=1e-4)
        on_mask = sitk.GetArrayFromImage(sitk.Resample(drawn, mask, sitk.Transform(), sitk.sitkNearestNeighbor))
        assert {tuple(i) for i in np.argwhere(on_mask)} == {tuple(i) for i in where}


@pytest.mark.parametrize(
    ("image", "segmentation"),
    [
        ("example_ct", "example_seg_fast_force_split"),
        ("example_ct_sm", "example_seg"),
        ("example_mr_sm", "example_seg_mr"),
    ],
)
def test_labels_on_a_real_image_keep_its_header(tmp_path, shared_data, image, segmentation):
    image_path, seg_path = (shared_data / "totalsegmentator" / f"{name}.nii.gz" for name in (image, segmentation))
    image, seg = read_volume(image_path), read_labels(seg_path)
    write_labels(tmp_path / "l.nii.gz", seg.array, image.geometry, seg.classes)
    new, old = nibabel.load(tmp_path / "l.nii.gz"), nibabel.load(seg_path)
    reference = nibabel.load(image_path).header
    np.testing.assert_array_equal(np.asarray(new.dataobj), np.asarray(old.dataobj))
    for key in ("pixdim", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c",
                "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "xyzt_units", "dim"):  # fmt: skip
        assert new.header[key].tobytes() == reference[key].tobytes(), key
    assert new.header["intent_code"] == 1002
    for extension in (".nrrd", ".mha"):
        write_labels(tmp_path / f"l{extension}", seg.array, image.geometry)
        drawn = sitk.ReadImage(str(tmp_path / f"l{extension}"))
        np.testing.assert_allclose(LPS @ sitk_affine(drawn), old.affine, atol=1e-5)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(drawn), np.asarray(old.dataobj).T)


def test_a_file_that_is_marked_as_labels(tmp_path, geometry_from, affine, small_labels):
    geometry = geometry_from(affine)
    write_labels(tmp_path / "a.nii.gz", small_labels, geometry)
    write_labels(tmp_path / "b.seg.nrrd", small_labels, geometry)
    write_labels(tmp_path / "c.mha", small_labels, geometry, bids_tsv=True)
    write_labels(tmp_path / "d.tif", small_labels, geometry, itksnap=True)
    write_labels(tmp_path / "e.nrrd", small_labels, geometry)
    nibabel.save(nibabel.Nifti1Image(small_labels.astype(np.uint8), affine), tmp_path / "f.nii")
    marked = {name: is_label_file(tmp_path / name) for name in ("a.nii.gz", "b.seg.nrrd", "c.mha", "d.tif", "e.nrrd")}
    assert all(marked.values()), marked
    assert not any(is_label_file(tmp_path / name) for name in ("f.nii", "missing.nii"))


@pytest.mark.parametrize("extension", label_extensions())
def test_names_and_colours_are_kept_by_default_and_the_file_is_marked_as_labels(
    tmp_path, extension, geometry_from, affine, small_labels, classes
):
    path = tmp_path / f"l{extension}"
    written = write_labels(path, small_labels, geometry_from(affine), classes)
    assert set(tmp_path.iterdir()) == set(written)
    assert (tmp_path / "l_dseg.tsv" in written) == (extension != ".seg.nrrd")
    back = read_labels(path).classes
    assert [(c.id, c.name) for c in back] == [(c.id, c.name) for c in classes]
    np.testing.assert_allclose([c.color for c in back], [c.color for c in classes], atol=1 / 255)
    write_labels(path, small_labels, geometry_from(affine))  # a table of former names would be taken for those of now
    assert [c.name for c in read_labels(path).classes] == ["class 1", "class 2", "class 3"]
    (tmp_path / "l_dseg.tsv").unlink(missing_ok=True)
    assert is_label_file(path)
    write_labels(path, small_labels, geometry_from(affine))
    assert not (tmp_path / "l_dseg.tsv").exists()
    write_labels(path, small_labels, geometry_from(affine), classes, bids_tsv=False)
    assert not (tmp_path / "l_dseg.tsv").exists()


def test_a_table_is_never_that_of_another_volume(tmp_path, geometry_from, affine, small_labels, classes):
    geometry = geometry_from(affine)
    write_labels(tmp_path / "x_dseg.nii.gz", small_labels, geometry, classes)
    named = write_labels(tmp_path / "x.nii.gz", small_labels, geometry, ClassTable.from_ids([]).with_class(classes[3]))
    assert named[1] == tmp_path / "x_labels.txt"
    assert read_labels(tmp_path / "x.nii.gz").classes[3].name == "tumour"
    assert read_labels(tmp_path / "x_dseg.nii.gz").classes[2].name == "left kidney"
    nibabel.save(nibabel.Nifti1Image(small_labels.astype(np.uint8), affine), tmp_path / "cell.nii")
    write_labels(tmp_path / "cell.tif", small_labels, geometry, classes)
    assert is_label_file(tmp_path / "cell.tif")
    assert not is_label_file(tmp_path / "cell.nii")  # the image that was labelled


@pytest.mark.parametrize("extension", [".mhd", ".nhdr"])
def test_whenever_a_writer_dies_a_header_has_its_own_voxels(
    tmp_path, extension, monkeypatch, geometry_from, affine, small_labels
):
    class Killed(BaseException):
        pass

    path, other = tmp_path / f"l{extension}", tmp_path / f"copy{extension}"
    geometry = geometry_from(affine)
    for dies_at in range(20):
        write_labels(path, small_labels, geometry)
        calls = iter(range(dies_at + 1))

        def last(real, calls=calls):
            def call(*arguments, **options):
                if next(calls, None) is None:
                    raise Killed
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "hardlink_to"):
                patch.setattr(type(path), name, last(getattr(type(path), name)))
            try:
                write_labels(path, small_labels + 1, geometry)
                break
            except Killed:
                pass
        found = read_labels(path).array
        assert np.array_equal(found, small_labels) or np.array_equal(found, small_labels + 1)
    else:
        pytest.fail("never written whole")
    assert dies_at >= 3
    np.testing.assert_array_equal(read_labels(path).array, small_labels + 1)
    assert len([p for p in tmp_path.iterdir() if p.suffix not in (".tmp", ".old")]) == 2  # nothing of former versions
    other.write_bytes(path.read_bytes())  # a header that someone copied names the same data
    write_labels(path, small_labels, geometry)
    np.testing.assert_array_equal(read_labels(other).array, small_labels + 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork a process to be killed")
@pytest.mark.parametrize("extension", [".nii.gz", ".mhd", ".tif"])
def test_whenever_a_writer_dies_labels_have_their_names(tmp_path, extension, geometry_from, affine, classes):
    path, geometry = tmp_path / f"l{extension}", geometry_from(affine)
    liver, kidney = (np.full(geometry.shape, i, np.uint8) for i in (1, 2))
    for dies_at in range(30):
        write_labels(path, liver, geometry, classes.without(2).without(3))
        calls = iter(range(dies_at + 1))

        def last(real, calls=calls):
            def call(*arguments, **options):
                if next(calls, None) is None:
                    os._exit(0)
                return real(*arguments, **options)

            return call

        process = os.fork()
        if not process:  # nothing is put back after a kill
            for name in ("replace", "unlink", "hardlink_to"):
                setattr(type(path), name, last(getattr(type(path), name)))
            write_labels(path, kidney, geometry, classes.without(1).without(3))
            os._exit(7)
        _, status = os.waitpid(process, 0)
        back = read_labels(path)
        (identity,) = np.unique(back.array)
        assert back.classes[identity].name == classes[identity].name
        if os.WEXITSTATUS(status) == 7:
            break
    assert dies_at >= 3
    assert identity == 2
    assert back.classes.ids == (2,)  # nothing of the former table stays


@pytest.mark.parametrize("extension", label_extensions())
@pytest.mark.parametrize(
    "shape", [(6, 7), (6, 1), (1, 7), (5, 6, 7), (6, 7, 1), (1, 6, 7), (6, 1, 7), (6, 7, 3), (1, 1, 1)]
)
def test_every_shape_comes_back(tmp_path, extension, shape):
    labels = np.random.default_rng(0).integers(0, 9, shape)
    write_labels(
        tmp_path / f"l{extension}", labels, Geometry(shape, (0.5, 0.25, 2.0)[-len(shape) :], unit="millimeter")
    )
    back = read_labels(tmp_path / f"l{extension}")
    assert back.array.shape == shape
    np.testing.assert_array_equal(back.array, labels)


@pytest.mark.parametrize("extension", [e for e in label_extensions() if e != ".seg.nrrd"])
@pytest.mark.parametrize("shape", [(3, 5, 6, 7), (1, 5, 6, 7), (3, 1, 6, 7), (3, 6, 7, 1), (1, 1, 1, 2), (2, 1, 1, 1)])
def test_every_shape_of_a_series_comes_back(tmp_path, extension, shape):
    labels = np.random.default_rng(0).integers(0, 9, shape)
    write_labels(tmp_path / f"l{extension}", labels, Geometry(shape, (2.0, 0.5, 0.25, 4.0), unit="millimeter"))
    back = read_labels(tmp_path / f"l{extension}")
    assert back.array.shape == shape
    np.testing.assert_array_equal(back.array, labels)
    np.testing.assert_allclose(back.geometry.spacing, (2.0, 0.5, 0.25, 4.0))


@pytest.mark.parametrize("extension", [e for e in label_extensions() if "tif" not in e])
@pytest.mark.parametrize("height", [0.0, 12.5])
def test_a_slice_at_any_height_stays_2d(tmp_path, extension, height, small_labels):
    affine = np.diag([-0.25, -0.5, 1.0, 1.0])[:, [2, 1, 0, 3]]
    affine[:3, 3] = (3.0, -4.0, height)
    geometry = Geometry((6, 7), (0.5, 0.25), affine, "millimeter")
    write_labels(tmp_path / f"l{extension}", small_labels[0], geometry)
    back = read_labels(tmp_path / f"l{extension}")
    assert back.array.shape == (6, 7)
    np.testing.assert_allclose(back.geometry.affine, affine, atol=1e-6)


def test_a_name_too_long_for_the_disk_is_reported(tmp_path):
    with pytest.raises(InputError, match="the name is longer than 230 bytes"):
        write_labels(tmp_path / ("n" * 300 + ".nii"), np.zeros((4, 5), int), Geometry((4, 5), (1.0, 1.0)))
