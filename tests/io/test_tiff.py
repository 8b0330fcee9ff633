import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from napari_scribseg.core import InputError
from napari_scribseg.io import read_labels, read_volume
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
def test_the_photometric_interpretation_decides_what_samples_are(tmp_path, n, options, rgb, planar):
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


def test_axes_without_a_name_are_slices(tmp_path):
    with tifffile.TiffWriter(tmp_path / "i.tif") as file:
        for page in voxels((4, 6, 7)):
            file.write(page, contiguous=False)
    np.testing.assert_array_equal(read_volume(tmp_path / "i.tif").array, voxels((4, 6, 7)))
    tifffile.imwrite(tmp_path / "s.tif", voxels((4, 6, 7)), photometric="minisblack")
    assert read_volume(tmp_path / "s.tif").geometry.axis_names == ("z", "y", "x")


@pytest.mark.parametrize("keep", [0, 6, 100, 0.5, 0.95])
def test_truncated_tiffs_are_reported_in_one_message(tmp_path, keep):
    tifffile.imwrite(tmp_path / "i.tif", voxels((20, 30, 40)), photometric="minisblack")
    content = (tmp_path / "i.tif").read_bytes()
    (tmp_path / "i.tif").write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(InputError, match=r"^i\.tif: ") as raised:
        read_volume(tmp_path / "i.tif")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.999])
def test_a_tiff_that_lost_its_last_pages_is_reported(tmp_path, bigtiff, keep):
    with tifffile.TiffWriter(tmp_path / "i.tif", bigtiff=bigtiff) as file:
        for page in voxels((10, 30, 40)):
            file.write(page, contiguous=False, metadata=None)
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
def test_truncated_pictures_are_reported_in_one_message(tmp_path, name, keep):
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


def test_other_images_in_a_tiff_are_reported(tmp_path):
    with tifffile.TiffWriter(tmp_path / "i.tif") as file:
        for shape in ((6, 7), (3, 4), (5, 6, 7)):
            file.write(voxels(shape), photometric="minisblack")
    with pytest.warns(UserWarning, match=r"i\.tif: it holds 3 images; the first, of 6x7, is read, .*\(3x4, 5x6x7\)"):
        volume = read_volume(tmp_path / "i.tif")
    np.testing.assert_array_equal(volume.array, voxels((6, 7)))


def test_a_palette_is_colours_in_an_image_and_ids_in_labels(tmp_path):
    ids = voxels((6, 7), np.uint8) % 5
    colors = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "i.tif", ids, photometric="palette", colormap=colors << 8)
    image = read_volume(tmp_path / "i.tif")
    assert image.channels
    np.testing.assert_array_equal(image.array, colors.T[ids])
    np.testing.assert_array_equal(read_labels(tmp_path / "i.tif").array, ids)


def test_what_a_tiff_declares_and_is_not_followed_gives_a_warning(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", voxels((6, 7)), photometric="miniswhite")
    with pytest.warns(UserWarning, match="it says that 0 is white; the values are those of the file"):
        volume = read_volume(tmp_path / "w.tif")
    np.testing.assert_array_equal(volume.array, voxels((6, 7)))
    tifffile.imwrite(tmp_path / "o.tif", voxels((6, 7)), extratags=[(274, "H", 1, 6, True)])
    with pytest.warns(UserWarning, match="it says that it is to be turned for display; its pixels stay where they are"):
        read_volume(tmp_path / "o.tif")


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zlib", "jpeg", "zstd"])
def test_usual_compressions_of_tiff(tmp_path, compression):
    smooth = (np.add.outer(np.arange(64), np.arange(80)) // 4 * 4).astype(np.uint8)
    tifffile.imwrite(tmp_path / "i.tif", smooth, compression=compression, photometric="minisblack")
    found = read_volume(tmp_path / "i.tif").array
    np.testing.assert_allclose(found.astype(int), smooth, atol=4 if compression == "jpeg" else 0)


def test_a_compression_whose_package_is_missing_is_named(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "i.tif", voxels((60, 70)), compression="lzw")

    def missing(*_arguments):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", missing)
    with pytest.raises(InputError, match=r"needs the package imagecodecs; pip install imagecodecs"):
        read_volume(tmp_path / "i.tif")


def packed_tiff(path, rows, width, bits):
    """A plain TIFF whose pixels of a few bits lie side by side, each row padded to a whole byte."""
    content = b"".join(rows)
    tags = [(256, width), (257, len(rows)), (258, bits), (259, 1), (262, 1), (273, 8), (278, len(rows)),
            (277, 1), (279, len(content))]  # fmt: skip
    directory = struct.pack("<H", len(tags))
    for tag, value in sorted(tags):
        directory += struct.pack("<HHII", tag, 4, 1, value)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory + bytes(4))


@pytest.mark.parametrize("bits", [1, 4, 12])
@pytest.mark.parametrize("width", [16, 13])
def test_pixels_of_a_few_bits(tmp_path, bits, width):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (40, width))
    digits = [np.array([[v >> b & 1 for b in range(bits)[::-1]] for v in row]).ravel() for row in pixels]
    packed_tiff(tmp_path / "i.tif", [np.packbits(d).tobytes() for d in digits], width, bits)
    np.testing.assert_array_equal(read_volume(tmp_path / "i.tif").array, pixels)
    np.testing.assert_array_equal(read_labels(tmp_path / "i.tif").array, pixels)
    packed_tiff(tmp_path / "i.tif", [np.packbits(d).tobytes() for d in digits], 8 * width, bits)
    with pytest.raises(InputError, match="truncated"):
        read_volume(tmp_path / "i.tif")


@pytest.mark.parametrize("axes", ["ZYX", "Y", ""])
def test_axes_unlike_the_shape_are_reported(tmp_path, axes):
    description = f'{{"shape": [6, 7], "axes": "{axes}"}}'
    tifffile.imwrite(tmp_path / "i.tif", voxels((6, 7)), description=description, metadata=None)
    with pytest.warns(UserWarning, match=r"^i\.tif: shaped series axes do not match shape$"):
        volume = read_volume(tmp_path / "i.tif")
    np.testing.assert_array_equal(volume.array, voxels((6, 7)))


def test_slices_that_an_ome_tiff_lacks_are_reported(tmp_path):
    smooth = np.zeros((2, 3, 60, 70), np.uint8)
    tifffile.imwrite(tmp_path / "i.ome.tif", smooth, ome=True, compression="zlib", metadata={"axes": "ZCYX"})
    content = (tmp_path / "i.ome.tif").read_bytes()
    (tmp_path / "i.ome.tif").write_bytes(content.replace(b'SizeZ="2"', b'SizeZ="9"'))
    with pytest.warns(UserWarning, match=r"^i\.ome\.tif: OME series is missing 21 frames\. Missing data are zeroed"):
        read_volume(tmp_path / "i.ome.tif")


def png(path, size, depth, kind, rows, *, interlaced=False):
    """A PNG file of rows that begin with the number of their filter."""
    head = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlaced)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("kept", [0, 1, 29])
def test_a_png_that_lacks_rows_is_no_picture(tmp_path, kept):
    rows = [bytes([0, *row]) for row in voxels((30, 40), np.uint8)]
    png(tmp_path / "i.png", (40, 30), 8, 0, rows)
    np.testing.assert_array_equal(read_volume(tmp_path / "i.png").array, voxels((30, 40), np.uint8))
    png(tmp_path / "i.png", (40, 30), 8, 0, rows[:kept])
    with pytest.raises(InputError, match=r"i\.png: .*damaged or truncated"):
        read_volume(tmp_path / "i.png")


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (13, 9), (40, 30)])
def test_interlaced_pngs_are_whole(tmp_path, size):
    width, height = size
    content = []  # every pass of the interlacing has its own small picture
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        part = voxels((height, width), np.uint8)[y::dy, x::dx]
        content += [bytes([0, *row]) for row in part if part.size]
    png(tmp_path / "i.png", size, 8, 0, content, interlaced=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "i.png").array, voxels((height, width), np.uint8))
    png(tmp_path / "i.png", size, 8, 0, content[:-1], interlaced=True)
    with pytest.raises(InputError, match="damaged or truncated"):
        read_volume(tmp_path / "i.png")


def test_a_valid_picture_is_read_however_large(tmp_path):
    packer = zlib.compressobj(1)  # Pillow by itself refuses more than 179 million pixels
    packed = b"".join(packer.compress(bytes(14001)) for _ in range(14000)) + packer.flush()
    head = struct.pack(">IIBBBBB", 14000, 14000, 8, 0, 0, 0, 0)
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
             for k, d in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))]  # fmt: skip
    (tmp_path / "i.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    limit = Pillow.MAX_IMAGE_PIXELS
    volume = read_volume(tmp_path / "i.png")
    assert volume.array.shape == (14000, 14000)
    assert not volume.array.any()
    assert limit == Pillow.MAX_IMAGE_PIXELS


def test_sixteen_bits_of_colour_stay_sixteen(tmp_path):
    colors = (voxels((6, 7, 3)) * 200).astype(np.uint16)
    png(tmp_path / "i.png", (7, 6), 16, 2, [b"\0" + row.astype(">u2").tobytes() for row in colors])
    np.testing.assert_array_equal(read_volume(tmp_path / "i.png").array, colors)


def test_ids_in_pictures_of_every_mode(tmp_path):
    ids = voxels((6, 7), np.uint8) % 9
    grey = Pillow.fromarray(ids)
    palette = grey.copy()
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    pictures = {
        "L": grey,
        "P": palette,
        "RGB": Pillow.merge("RGB", [grey] * 3),
        "I;16": Pillow.fromarray(ids * np.uint16(257)),
    }
    pictures |= {"LA": Pillow.merge("LA", [grey, grey.point(lambda _: 255)])}
    pictures |= {"RGBA": Pillow.merge("RGBA", [grey] * 3 + [grey.point(lambda _: 255)])}
    for mode, picture in pictures.items():
        picture.save(tmp_path / "i.png")
        found = read_labels(tmp_path / "i.png").array
        np.testing.assert_array_equal(found, ids.astype(int) * (257 if mode == "I;16" else 1), err_msg=mode)
    Pillow.fromarray((ids > 3).astype(np.uint8) * 255).convert("1").save(tmp_path / "i.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "i.png").array, ids > 3)
    for bits in (1, 2, 4):
        few = ids[:, :6] % 2**bits
        digits = [np.packbits([[v >> b & 1 for b in range(bits)[::-1]] for v in row]).tobytes() for row in few.tolist()]
        png(tmp_path / "i.png", (6, 6), bits, 0, [b"\0" + d for d in digits])
        np.testing.assert_array_equal(read_labels(tmp_path / "i.png").array, few, err_msg=f"{bits} bits")


def warnings_of(path, read=read_volume):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path)
    return [str(w.message) for w in caught]


def test_what_a_picture_declares_and_is_not_followed_gives_a_warning(tmp_path):
    pixels = voxels((6, 7, 4), np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "i.png")
    assert "it is transparent in parts" in warnings_of(tmp_path / "i.png")[0]
    pixels[..., 3] = 255
    Pillow.fromarray(pixels).save(tmp_path / "i.png")
    assert not warnings_of(tmp_path / "i.png")
    frames = [Pillow.fromarray(pixels[..., :3] // n) for n in (1, 2, 3)]
    frames[0].save(tmp_path / "i.png", save_all=True, append_images=frames[1:])
    assert "it holds 3 pictures; the first is read" in warnings_of(tmp_path / "i.png")[0]
    exif = Pillow.Exif()
    exif[0x0112] = 6
    frames[0].save(tmp_path / "i.jpg", exif=exif)
    assert "it says that it is to be turned for display" in warnings_of(tmp_path / "i.jpg")[0]
    Pillow.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / "l.jpg")
    assert "ids may be wrong" in warnings_of(tmp_path / "l.jpg", read_labels)[0]
