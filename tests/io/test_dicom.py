import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import InputError
from napari_scribseg.core.windows import DisplayWindow, display_windows
from napari_scribseg.io import list_series, read_volume

SHAPE = (6, 5, 4)  # z, y, x
OBLIQUE = nibabel.eulerangles.euler2mat(0.3, -0.5, 0.7)


def values(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(-1000, 2000, shape).astype(np.int16)


def write_series(
    folder, array, *, directions=OBLIQUE, step=2.5, origin=(10.0, -20.0, 30.0), uid="1.2.3", order=None, shift=None,
    thickness=None, name="abdomen", skip=(), prefix="a", extra=None, positioned=True, pixel=(0.7, 0.9),
):  # fmt: skip
    """Write every plane of an array (z, y, x) as a file; columns of ``directions`` are x, y, z in LPS."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for n in range(len(array)) if order is None else order:
        if n in skip:
            continue
        image = sitk.GetImageFromArray(array[n])
        image.SetSpacing(pixel)
        place = np.array(origin) + directions[:, 2] * step * n + (0 if shift is None else np.array(shift) * n)
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2", "0008|0018": f"{uid}.{n + 1}", "0008|0060": "CT",
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL", "0020|000d": "1.2.9", "0020|000e": uid, "0008|103e": name,
            "0020|0013": str(n + 1), "0018|0050": str(thickness or step),
            "0028|1052": "0", "0028|1053": "1",
        } | (extra(n) if extra else {})  # fmt: skip
        if positioned:
            tags["0020|0032"] = "\\".join(f"{v:.9g}" for v in place)
            tags["0020|0037"] = "\\".join(f"{v:.9g}" for v in directions[:, :2].T.ravel())
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{prefix}{len(list(folder.iterdir())):03d}.dcm"))
        writer.Execute(image)


def expected(directions=OBLIQUE, step=2.5, origin=(10.0, -20.0, 30.0), shift=(0, 0, 0)):
    """Indices (z, y, x) to RAS."""
    lps = np.eye(4)
    lps[:3, :3] = np.stack([directions[:, 2] * step + shift, directions[:, 1] * 0.9, directions[:, 0] * 0.7], axis=1)
    lps[:3, 3] = origin
    return np.diag([-1, -1, 1, 1]) @ lps


@pytest.mark.parametrize("directions", [np.eye(3), OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("order", [range(6), range(5, -1, -1), [3, 0, 5, 1, 4, 2]], ids=["up", "down", "mixed"])
def test_slices_are_put_in_the_order_of_their_positions(tmp_path, directions, order):
    array = values()
    write_series(tmp_path / "d", array, directions=directions, order=order)
    volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype == np.int16
    assert volume.name == "abdomen"
    np.testing.assert_allclose(volume.geometry.affine, expected(directions), atol=1e-6)
    np.testing.assert_allclose(volume.geometry.spacing, (2.5, 0.9, 0.7), atol=1e-6)


def test_the_place_is_that_of_itk(tmp_path):
    write_series(tmp_path / "d", values(), order=[3, 0, 5, 1, 4, 2])
    volume = read_volume(tmp_path / "d")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "d"))
    image = sitk.ReadImage(names)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    for index in [(0, 0, 0), (3, 4, 5), (1, 2, 3)]:
        point = np.array(image.TransformIndexToPhysicalPoint(index)) * (-1, -1, 1)
        np.testing.assert_allclose(volume.geometry.affine @ [*index[::-1], 1], [*point, 1], atol=1e-5)


def test_files_that_run_against_the_normal_are_turned_along_it(tmp_path):
    array = values()
    write_series(tmp_path / "d", array, step=-2.5)  # the last file lies lowest along row x column
    volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, array[::-1])
    lowest = np.array((10.0, -20.0, 30.0)) - OBLIQUE[:, 2] * 2.5 * 5
    np.testing.assert_allclose(volume.geometry.affine, expected(origin=lowest), atol=1e-6)


def test_the_step_is_that_of_the_positions_not_the_thickness(tmp_path):
    write_series(tmp_path / "d", values(), step=5.0, thickness=1.25)
    assert read_volume(tmp_path / "d").geometry.spacing[0] == pytest.approx(5.0)


def test_a_tilted_gantry_is_a_sheared_grid(tmp_path):
    write_series(tmp_path / "d", values(), directions=np.eye(3), shift=(0, 0.8, 0))
    volume = read_volume(tmp_path / "d")
    np.testing.assert_allclose(volume.geometry.affine, expected(np.eye(3), shift=(0, 0.8, 0)), atol=1e-6)


def test_a_gap_splits_a_series_into_pieces_in_their_places(tmp_path):
    array = values((12, 5, 4))
    write_series(tmp_path / "d", array, skip=(7, 8))
    found = list_series(tmp_path / "d")
    assert [(s.identity, s.n_files) for s in found] == [("1.2.3/1", 7), ("1.2.3/2", 3)]
    assert "slices are missing" in found[0].description
    with pytest.raises(InputError, match=r"holds 2 series, name one .*1\.2\.3/1 \(abdomen \(piece at .* mm") as raised:
        read_volume(tmp_path / "d")
    assert "\n" not in str(raised.value)
    volume = read_volume(tmp_path / "d", series="1.2.3/2")
    np.testing.assert_array_equal(volume.array, array[9:])
    origin = np.array((10.0, -20.0, 30.0)) + OBLIQUE[:, 2] * 2.5 * 9
    np.testing.assert_allclose(volume.geometry.affine, expected(origin=origin), atol=1e-6)


def test_irregular_slices_are_refused(tmp_path):
    for n, height in enumerate((0.0, 1.0, 3.0, 3.5, 7.0)):
        write_series(tmp_path / "d", values((1, 5, 4)), origin=(0, 0, height), directions=np.eye(3), prefix=f"s{n}")
    with pytest.raises(InputError, match=r"abdomen: its slices lie 0\.500 to 3\.500 mm apart"):
        read_volume(tmp_path / "d")


def test_several_series_are_listed_and_one_is_read_by_name(tmp_path):
    first, second = values(seed=1), values((3, 5, 4), seed=2)
    write_series(tmp_path / "d", first, uid="1.2.3", name="thin")
    write_series(tmp_path / "d", second, uid="1.2.4", name="thick", step=5.0, prefix="b")
    assert [(s.identity, s.description, s.n_files) for s in list_series(tmp_path / "d")] == [
        ("1.2.3", "thin", 6),
        ("1.2.4", "thick", 3),
    ]
    with pytest.raises(InputError, match=r"2 series, name one of them as series: 1\.2\.3 \(thin, 6 files\); 1\.2\.4"):
        read_volume(tmp_path / "d")
    with pytest.raises(InputError, match=r"there is no '9\.9' among them"):
        read_volume(tmp_path / "d", series="9.9")
    np.testing.assert_array_equal(read_volume(tmp_path / "d", series="1.2.3").array, first)
    np.testing.assert_array_equal(read_volume(tmp_path / "d", series="1.2.4").array, second)


def test_a_localizer_and_foreign_files_are_passed_over(tmp_path, capfd):
    array = values()
    write_series(tmp_path / "d", array)
    write_series(
        tmp_path / "d", values((2, 9, 9)), uid="1.2.8", name="scout", prefix="loc",
        extra=lambda _n: {"0008|0008": "ORIGINAL\\PRIMARY\\LOCALIZER"},
    )  # fmt: skip
    (tmp_path / "d" / "README.txt").write_text("hello")
    (tmp_path / "d" / "Thumbs.db").write_bytes(b"\0" * 500)
    (tmp_path / "d" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"nonsense" * 20)
    (tmp_path / "d" / "empty.dcm").touch()
    np.testing.assert_array_equal(read_volume(tmp_path / "d").array, array)
    assert [s.localizer for s in list_series(tmp_path / "d")] == [False, True]
    assert capfd.readouterr().err == ""


def test_slices_of_two_directions_are_two_volumes(tmp_path):
    write_series(tmp_path / "d", values(), directions=np.eye(3))
    write_series(tmp_path / "d", values(seed=3), directions=np.eye(3)[:, [1, 2, 0]], prefix="b")
    assert [s.identity for s in list_series(tmp_path / "d")] == ["1.2.3/1", "1.2.3/2"]
    np.testing.assert_array_equal(read_volume(tmp_path / "d", series="1.2.3/2").array, values(seed=3))


def test_slope_and_intercept_of_each_slice(tmp_path):
    array = values()
    write_series(tmp_path / "d", array)
    expected_values = array.astype(np.float32)
    for n, slope in ((1, ".5"), (2, "3 "), (4, "-1")):  # the writer would undo them: put them into the files
        path = tmp_path / "d" / f"a{n:03d}.dcm"
        data = path.read_bytes()
        for tag, old, new in ((b"\x28\x00\x52\x10", b"0 ", b"-7"), (b"\x28\x00\x53\x10", b"1 ", slope.encode())):
            place = data.index(tag)
            assert data[place + 8 : place + 10] == old
            data = data[: place + 8] + new + data[place + 10 :]
        path.write_bytes(data)
        expected_values[n] = array[n] * float(slope) - 7
    volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, expected_values)
    assert volume.array.dtype == np.float32


def test_files_at_the_same_places_are_a_time_series(tmp_path):
    frames = [values(seed=n) for n in range(3)]
    for t, frame in enumerate(frames):
        write_series(
            tmp_path / "d", frame, prefix=f"t{2 - t}", extra=lambda n, t=t: {
                "0020|0100": str(t + 1), "0020|0110": "40", "0008|0018": f"1.2.3.{t}.{n}",
            },
        )  # fmt: skip
    volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, np.stack(frames))
    assert volume.geometry.axis_names == ("t", "z", "y", "x")
    assert volume.geometry.spacing == pytest.approx((0.04, 2.5, 0.9, 0.7))
    np.testing.assert_allclose(volume.geometry.affine, expected(), atol=1e-6)
    next(iter((tmp_path / "d").glob("t0*"))).unlink()
    with pytest.raises(InputError, match="2 to 3 slices at the same position"):
        read_volume(tmp_path / "d")


def test_frames_without_positions_stay_in_the_order_of_their_numbers(tmp_path):
    array = values()
    write_series(tmp_path / "d", array, order=[3, 0, 5, 1, 4, 2], positioned=False)
    for path in (tmp_path / "d").iterdir():  # the writer always gives a position: make it a tag that nobody knows
        path.write_bytes(path.read_bytes().replace(b"\x20\x00\x32\x00", b"\x20\x00\x33\x00"))
    np.testing.assert_array_equal(read_volume(tmp_path / "d").array, array)


def test_one_file_alone(tmp_path):
    array = values((1, 5, 4))
    write_series(tmp_path / "d", array)
    (path,) = (tmp_path / "d").iterdir()
    for volume in (read_volume(path), read_volume(tmp_path / "d")):
        np.testing.assert_array_equal(volume.array, array)
        np.testing.assert_allclose(volume.geometry.affine[:, 1:], expected()[:, 1:], atol=1e-6)


def test_folders_below_are_searched_where_the_folder_has_no_images(tmp_path):
    write_series(tmp_path / "d", values())
    assert len(list_series(tmp_path)) == 1


def test_folders_without_images(tmp_path):
    with pytest.raises(InputError, match="there is no DICOM image in it"):
        read_volume(tmp_path)
    with pytest.raises(InputError, match="a folder with DICOM files is expected"):
        list_series(tmp_path / "no")
    (tmp_path / "a.dcm").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.dcm: it cannot be read"):
        read_volume(tmp_path / "a.dcm")


@pytest.mark.parametrize("cut", [3000, 8192])
def test_a_truncated_image_is_reported(tmp_path, cut):
    array = values((4, 64, 64))
    write_series(tmp_path / "d", array)
    path = sorted((tmp_path / "d").iterdir())[3]
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.warns(UserWarning, match=r"1 DICOM image cannot be read .*a003\.dcm"):
        volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, array[:3])
    with pytest.raises(InputError, match=r"a003\.dcm: it cannot be read") as raised:
        read_volume(path)
    assert "\n" not in str(raised.value)


def test_a_real_series_in_reversed_order(shared_data):
    folder = shared_data / "dcmqi_ct_dicom"
    (series,) = list_series(folder)
    assert [p.name for p in series.files] == ["03.dcm", "02.dcm", "01.dcm"]
    volume = read_volume(folder)
    mask = read_volume(folder / "liver_seg.nrrd")
    np.testing.assert_allclose(volume.geometry.affine, mask.geometry.affine, atol=1e-4)
    np.testing.assert_array_equal(volume.array[2], sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "01.dcm")))[0])
    inside = volume.array[mask.array > 0]
    assert 0 < np.median(inside) < 150  # Hounsfield units of a liver


def test_files_without_a_size_are_in_pixels(tmp_path):
    write_series(tmp_path / "d", values(), positioned=False, pixel=(1.0, 1.0))
    assert read_volume(tmp_path / "d").geometry.unit == "millimeter"  # a size of one millimetre is a size
    for path in (tmp_path / "d").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\x28\x00\x30\x00", b"\x28\x00\x32\x00"))
    for volume in (read_volume(tmp_path / "d"), read_volume(next((tmp_path / "d").iterdir()))):
        assert volume.geometry.unit == "pixel"
        assert set(volume.geometry.spacing) == {1.0}


@pytest.mark.parametrize("size", [1e-4, 1e-3, 1.0])
def test_slices_of_microscopes_keep_their_places(tmp_path, size):
    array = values()
    pixel = (0.7 * size, 0.9 * size)
    write_series(tmp_path / "d", array, step=2.5 * size, origin=np.array([10.0, -20.0, 30.0]) * size, pixel=pixel)
    volume = read_volume(tmp_path / "d")
    np.testing.assert_array_equal(volume.array, array)
    wanted = expected()
    wanted[:3] *= size
    np.testing.assert_allclose(volume.geometry.affine, wanted, atol=1e-4 * size)


@pytest.mark.parametrize(("frames", "shape"), [("nan", (1, 5, 4)), ("1", (1, 5, 4)), ("x", (1, 5, 4)), ("2", None)])
def test_numbers_of_frames_that_do_not_fit_the_pixels(tmp_path, frames, shape):
    sitk.WriteImage(sitk.GetImageFromArray(values((1, 5, 4))), str(tmp_path / "a.dcm"))
    content = (tmp_path / "a.dcm").read_bytes()
    place = content.index(b"\x28\x00\x10\x00")  # rows
    text = frames.encode() + b" " * (len(frames) % 2)
    element = b"\x28\x00\x08\x00" + len(text).to_bytes(4, "little") + text
    (tmp_path / "a.dcm").write_bytes(content[:place] + element + content[place:])
    if shape is None:
        with pytest.raises(InputError, match="damaged or truncated"):
            read_volume(tmp_path / "a.dcm")
    else:
        np.testing.assert_array_equal(read_volume(tmp_path / "a.dcm").array, values((1, 5, 4)))


def test_the_windows_of_a_file_come_first(tmp_path):
    array = values()
    tags = {"0028|1050": "40\\-600", "0028|1051": "400\\1500", "0028|1055": "ABDOMEN\\LUNG"}
    write_series(tmp_path / "d", array, extra=lambda _n: tags)
    volume = read_volume(tmp_path / "d")
    assert volume.modality == "CT"
    assert volume.windows == (
        DisplayWindow("ABDOMEN (40 ± 200)", -160, 240),
        DisplayWindow("LUNG (-600 ± 750)", -1350, 150),
    )
    single = read_volume(next((tmp_path / "d").iterdir()))
    assert (single.modality, single.windows) == ("CT", volume.windows)
    assert [w.name for w in display_windows(array, "CT", volume.windows)][:3] == [
        "ABDOMEN (40 ± 200)",
        "LUNG (-600 ± 750)",
        "soft tissue",
    ]
    assert display_windows(array + 5000, "MR", volume.windows)[0].name == "automatic"


@pytest.mark.parametrize("tags", [{"0028|1050": "40"}, {"0028|1050": "x", "0028|1051": "1"}, {"0028|1051": "0"}, {}])
def test_a_file_without_a_window_has_none(tmp_path, tags):
    write_series(tmp_path / "d", values(), extra=lambda _n: tags | {"0008|0060": "MR"})
    volume = read_volume(tmp_path / "d")
    assert (volume.modality, volume.windows) == ("MR", ())
