import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from napari_scribseg.core import InputError
from napari_scribseg.io import read_volume
from napari_scribseg.io.napari_hooks import get_reader


def voxels(shape, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "axes", "expected", "names", "channels"),
    [
        ((5, 6, 7), "ZYX", (5, 6, 7), "zyx", False),
        ((5, 6, 7), "TYX", (5, 1, 6, 7), "tzyx", False),
        ((3, 5, 6, 7), "TZYX", (3, 5, 6, 7), "tzyx", False),
        ((2, 6, 7), "CYX", (6, 7, 2), "yx", True),
        ((5, 2, 6, 7), "ZCYX", (5, 6, 7, 2), "zyx", True),
        ((3, 5, 2, 6, 7), "TZCYX", (3, 5, 6, 7, 2), "tzyx", True),
        ((6, 7), "YX", (6, 7), "yx", False),
    ],
)
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_axes_of_stacks(tmp_path, shape, axes, expected, names, channels, kind):
    path = tmp_path / ("i.ome.tif" if kind == "ome" else "i.tif")
    tifffile.imwrite(path, voxels(shape), **{kind: True}, photometric="minisblack", metadata={"axes": axes})
    volume = read_volume(path)
    assert volume.array.shape == expected
    assert volume.channels == channels
    assert volume.geometry.axis_names == tuple(names)
    assert volume.name == "i"
    wanted = [a for a in "TZYXC" if a in axes]
    np.testing.assert_array_equal(
        volume.array, voxels(shape).transpose([axes.index(a) for a in wanted]).reshape(expected)
    )


def test_pixel_sizes_of_imagej_and_ome(tmp_path):
    tifffile.imwrite(
        tmp_path / "i.tif", voxels((5, 6, 7)), imagej=True, resolution=(1 / 0.2, 1 / 0.4),
        metadata={"axes": "ZYX", "spacing": 1.5, "unit": "um"},
    )  # fmt: skip
    volume = read_volume(tmp_path / "i.tif")
    assert volume.geometry.unit == "millimeter"
    assert volume.geometry.spacing == pytest.approx((1.5e-3, 0.4e-3, 0.2e-3))
    sizes = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (1500, 400, 200), strict=True)}
    units = {f"PhysicalSize{a}Unit": "nm" for a in "ZYX"}
    tifffile.imwrite(tmp_path / "i.ome.tif", voxels((5, 6, 7)), metadata={"axes": "ZYX"} | sizes | units)
    assert read_volume(tmp_path / "i.ome.tif").geometry.spacing == pytest.approx((1.5e-3, 0.4e-3, 0.2e-3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 6, 7), "CYX"), ((4, 6, 7), "CYX"), ((5, 3, 6, 7), "ZCYX"), ((5, 4, 6, 7), "ZCYX")]
)
def test_stains_are_channels_not_colours(tmp_path, shape, axes, kind, dtype):
    path = tmp_path / ("i.ome.tif" if kind == "ome" else "i.tif")
    data = voxels(shape, dtype)
    data[..., -1, :, :] //= 100  # a dark last channel must not make the others transparent
    tifffile.imwrite(path, data, **{kind: True}, photometric="minisblack", metadata={"axes": axes})
    volume = read_volume(path)
    assert (volume.channels, volume.rgb) == (True, False)
    ((shown, kwargs, _),) = get_reader(str(path))(str(path))
    assert not kwargs["rgb"]
    assert kwargs["axis_labels"][0] == "channel"
    np.testing.assert_array_equal(shown, np.moveaxis(data, axes.index("C"), 0))


@pytest.mark.parametrize(
    ("n", "options", "rgb"),
    [
        (3, {"photometric": "rgb"}, True),
        (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, True),
        (4, {"photometric": "rgb", "extrasamples": ["unspecified"]}, False),
        (3, {"photometric": "minisblack"}, False),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_photometric_interpretation_says_what_samples_are(tmp_path, n, options, rgb, planar):
    data = voxels((6, 7, n), np.uint8)
    stored = data if planar == "contig" else np.moveaxis(data, -1, 0)
    tifffile.imwrite(tmp_path / "i.tif", stored, planarconfig=planar, **options)
    volume = read_volume(tmp_path / "i.tif")
    assert (volume.channels, volume.rgb) == (True, rgb)
    np.testing.assert_array_equal(volume.array, data)


def test_centimetres_are_sizes_and_dots_per_inch_are_not(tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", voxels((6, 7)), resolution=(100, 50), resolutionunit="CENTIMETER")
    assert read_volume(tmp_path / "i.tif").geometry.spacing == pytest.approx((0.2, 0.1))
    tifffile.imwrite(tmp_path / "i.tif", voxels((6, 7)), resolution=(72, 72), resolutionunit="INCH")
    geometry = read_volume(tmp_path / "i.tif").geometry
    assert (geometry.spacing, geometry.unit, geometry.affine) == ((1.0, 1.0), "pixel", None)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_and_compressions(tmp_path, compression):
    tifffile.imwrite(tmp_path / "i.tif", voxels((6, 7, 3), np.uint8), photometric="rgb", compression=compression)
    volume = read_volume(tmp_path / "i.tif")
    assert volume.channels
    np.testing.assert_array_equal(volume.array, voxels((6, 7, 3)))


def test_planes_without_a_name_are_planes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "i.tif") as file:
        for plane in voxels((4, 6, 7)):
            file.write(plane, contiguous=False)
    volume = read_volume(tmp_path / "i.tif")
    assert volume.array.shape in ((4, 6, 7), (6, 7))
    tifffile.imwrite(tmp_path / "s.tif", voxels((4, 6, 7)), photometric="minisblack")
    assert read_volume(tmp_path / "s.tif").geometry.axis_names == ("z", "y", "x")


@pytest.mark.parametrize("keep", [0, 6, 100, 0.5, 0.95])
def test_truncated_tiffs_are_told_in_one_sentence(tmp_path, keep):
    tifffile.imwrite(tmp_path / "i.tif", voxels((20, 30, 40)), photometric="minisblack")
    content = (tmp_path / "i.tif").read_bytes()
    (tmp_path / "i.tif").write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match=r"^i\.tif: ") as told:
        read_volume(tmp_path / "i.tif")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.999])
def test_a_tiff_that_lost_its_last_pages_is_told(tmp_path, bigtiff, keep):
    with tifffile.TiffWriter(tmp_path / "i.tif", bigtiff=bigtiff) as file:
        for plane in voxels((10, 30, 40)):
            file.write(plane, contiguous=False, metadata=None)
    content = (tmp_path / "i.tif").read_bytes()
    assert read_volume(tmp_path / "i.tif").array.shape == (10, 30, 40)
    (tmp_path / "i.tif").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"i\.tif: .*truncated"):
        read_volume(tmp_path / "i.tif")


def test_complex_and_strange_axes_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", np.ones((6, 7), np.complex64))
    with pytest.raises(InputError, match="complex64"):
        read_volume(tmp_path / "i.tif")
    tifffile.imwrite(tmp_path / "i.tif", voxels((2, 3, 4, 6, 7)), photometric="minisblack", metadata={"axes": "AHZYX"})
    with pytest.raises(InputError, match=r"the axes AHZYX"):
        read_volume(tmp_path / "i.tif")


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [("L", (6, 7), np.uint8), ("RGB", (6, 7, 3), np.uint8), ("I;16", (6, 7), np.uint16)],
)
def test_pictures(tmp_path, mode, shape, dtype):
    pixels = voxels(shape, dtype) * (200 if mode == "I;16" else 1)
    Pillow.fromarray(pixels).save(tmp_path / "i.png")
    volume = read_volume(tmp_path / "i.png")
    np.testing.assert_array_equal(volume.array, pixels)
    assert volume.array.dtype == dtype
    assert volume.channels == (mode == "RGB")
    assert volume.geometry.unit == "pixel"


def test_palettes_transparency_and_masks(tmp_path):
    pixels = voxels((6, 7, 4), np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "rgba.png").array, pixels[..., :3])
    grey = Pillow.fromarray(pixels[..., 0])
    Pillow.merge("LA", [grey, grey]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "la.png").array, pixels[..., 0])
    grey.point(lambda v: 255 * (v > 100)).convert("1").save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "bits.png").array, pixels[..., 0] > 100)
    Pillow.fromarray(pixels[..., :3] // 200 * 200).quantize(8).save(tmp_path / "p.png")
    assert read_volume(tmp_path / "p.png").array.shape == (6, 7, 3)


@pytest.mark.parametrize("name", ["i.png", "i.jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.6])
def test_truncated_pictures_are_told_in_one_sentence(tmp_path, name, keep):
    Pillow.fromarray(voxels((60, 70, 3), np.uint8)).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(tmp_path / name)


def test_real_pictures(shared_data):
    photograph = read_volume(next((shared_data / "coco_mval" / "img").glob("*.jpg")))
    assert photograph.channels
    assert photograph.array.shape[-1] == 3
    microscope = read_volume(next((shared_data / "axondeepseg_sem").glob("*_SEM.png")))
    assert not microscope.channels
