"""Units of length and time, as formats and people spell them."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_scribseg.io import read_volume, write_labels
from napari_scribseg.io.units import in_millimetres, in_seconds

LENGTHS = {
    1e-3: ["um", "UM", "µm", "μm", "\\u00B5m", "\\u00b5m", "\\u03BCm", "µ", "micron", "Micron", "MICRONS", "microns",
           "micrometer", "Micrometers", "micrometre", '"um"', " um "],
    1e-6: ["nm", "NM", "nanometer", "Nanometre"], 1e-9: ["pm"], 1e-7: ["Å", "angstrom", "Angstrom"],
    1.0: ["mm", "MM", "millimeter", "Millimetres"], 10.0: ["cm", "CM", "centimetre"], 1000.0: ["m", "meter", "Metres"],
    25.4: ["in", "inch", "Inches"], 25.4e-3: ["thou"], 25.4 / 12: ["li"], 25.4 / 72: ["pt"], 304.8: ["ft"],
}  # fmt: skip
NO_LENGTHS = ["", "pixel", "Pixels", "px", "voxel", "reference frame", "unknown", "foo", "s", "mm^2", "m*m", "9**9**9",
              "__import__('os')", "a" * 1000, "1", "-", "kg"]  # fmt: skip
TIMES = {
    1.0: ["s", "sec", "Sec", "secs", "second", "Seconds"], 1e-3: ["ms", "msec", "milliseconds"],
    1e-6: ["us", "usec", "µs", "\\u00B5s"], 60.0: ["min", "minute", "Minutes"], 3600.0: ["h", "hr", "hour"],
    86400.0: ["d", "day"],
}  # fmt: skip


@pytest.mark.parametrize(("size", "spelt"), [(s, name) for s, names in LENGTHS.items() for name in names])
def test_lengths(size, spelt):
    assert in_millimetres(spelt) == pytest.approx(size, rel=1e-12)


@pytest.mark.parametrize("spelt", NO_LENGTHS)
def test_what_is_no_length(spelt):
    assert in_millimetres(spelt) is None


@pytest.mark.parametrize(("size", "spelt"), [(s, name) for s, names in TIMES.items() for name in names])
def test_times(size, spelt):
    assert in_seconds(spelt) == pytest.approx(size, rel=1e-12)


def test_several_threads_may_convert_first():
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: in_millimetres(("km", "hm", "dm", "dam")[n % 4]), range(64))) == {
            1e6,
            1e5,
            100,
            1e4,
        }


def voxels(shape):
    return (np.arange(np.prod(shape)) % 200).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize(("unit", "size"), [("\\u00B5m", 1e-3), ("Micron", 1e-3), ("micrometer", 1e-3), ("nm", 1e-6),
                                            ("cm", 10.0), ("inch", 25.4), ("mm", 1.0)])  # fmt: skip
def test_imagej(tmp_path, unit, size):
    tifffile.imwrite(
        tmp_path / "i.tif", voxels((2, 5, 6, 7)), imagej=True, resolution=(1 / 0.2, 1 / 0.4),
        metadata={"axes": "TZYX", "spacing": 1.5, "unit": unit, "finterval": 250, "tunit": "ms"},
    )  # fmt: skip
    geometry = read_volume(tmp_path / "i.tif").geometry
    assert geometry.unit == "millimeter"
    assert geometry.spacing == pytest.approx((0.25, 1.5 * size, 0.4 * size, 0.2 * size), rel=1e-6)


def test_imagej_may_have_a_unit_for_each_axis_and_none_for_a_picture(tmp_path, recwarn):
    path = tmp_path / "i.tif"
    units = {"unit": "um", "yunit": "mm", "zunit": "nm"}
    tifffile.imwrite(
        path, voxels((5, 6, 7)), imagej=True, resolution=(5, 0.5), metadata={"axes": "ZYX", "spacing": 3} | units
    )
    assert read_volume(path).geometry.spacing == pytest.approx((3e-6, 2.0, 0.2e-3))
    tifffile.imwrite(path, voxels((6, 7)), imagej=True, resolution=(5, 5), metadata={"axes": "YX", "unit": "pixel"})
    assert read_volume(path).geometry.unit == "pixel"
    assert not recwarn.list
    tifffile.imwrite(path, voxels((6, 7)), imagej=True, resolution=(5, 5), metadata={"axes": "YX", "unit": "blobs"})
    with pytest.warns(UserWarning, match=r"i\.tif: its unit of length 'blobs' is not known; sizes are taken as pixels"):
        assert read_volume(path).geometry.unit == "pixel"


@pytest.mark.parametrize(("unit", "size"), [("nm", 1e-6), ("Å", 1e-7), ("pm", 1e-9), ("mm", 1.0), ("pt", 25.4 / 72),
                                            ("thou", 0.0254), (None, 1e-3)])  # fmt: skip
def test_ome(tmp_path, unit, size):
    sizes = {f"PhysicalSize{a}": s for a, s in zip("ZYX", (1500.0, 400.0, 200.0), strict=True)}
    units = {f"PhysicalSize{a}Unit": unit for a in "ZYX" if unit}
    time = {"TimeIncrement": 3.0, "TimeIncrementUnit": "min"}
    tifffile.imwrite(tmp_path / "i.ome.tif", voxels((2, 5, 6, 7)), metadata={"axes": "TZYX"} | sizes | units | time)
    geometry = read_volume(tmp_path / "i.ome.tif").geometry
    assert geometry.spacing == pytest.approx((180.0, 1500 * size, 400 * size, 200 * size), rel=1e-9)
    assert geometry.unit == "millimeter"


def test_ome_without_a_length_is_in_pixels_and_keeps_its_time(tmp_path):
    units = {f"PhysicalSize{a}Unit": "pixel" for a in "YX"} | {"PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}
    tifffile.imwrite(
        tmp_path / "i.ome.tif", voxels((2, 5, 6, 7)),
        metadata={"axes": "TZYX", "TimeIncrement": 500.0, "TimeIncrementUnit": "ms"} | units,
    )  # fmt: skip
    geometry = read_volume(tmp_path / "i.ome.tif").geometry
    assert (geometry.unit, geometry.spacing) == ("pixel", (0.5, 1.0, 1.0, 1.0))


@pytest.mark.parametrize(("unit", "size"), [("MILLIMETER", 1.0), ("MICROMETER", 1e-3), ("CENTIMETER", 10.0)])
def test_tags_of_tiff(tmp_path, unit, size):
    tifffile.imwrite(tmp_path / "i.tif", voxels((6, 7)), resolution=(4, 2), resolutionunit=unit)
    assert read_volume(tmp_path / "i.tif").geometry.spacing == pytest.approx((0.5 * size, 0.25 * size))


@pytest.mark.parametrize(("space", "size"), [("meter", 1000.0), ("mm", 1.0), ("micron", 1e-3)])
@pytest.mark.parametrize(("time", "step"), [("sec", 1.0), ("msec", 1e-3), ("usec", 1e-6)])
def test_nifti(tmp_path, space, size, time, step):
    image = nibabel.Nifti1Image(voxels((7, 6, 5, 2)), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(space, time)
    image.header.set_zooms((2, 3, 4, 250))
    nibabel.save(image, tmp_path / "i.nii")
    volume = read_volume(tmp_path / "i.nii")
    assert volume.geometry.spacing == pytest.approx((250 * step, 4 * size, 3 * size, 2 * size))
    np.testing.assert_allclose(np.linalg.norm(volume.geometry.affine[:3, :3], axis=0), (4 * size, 3 * size, 2 * size))


METAIMAGE = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 10 20 30
{extra}DimSize = 7 6 5
ElementType = MET_UCHAR
ElementDataFile = LOCAL
"""
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 7 6 5\nencoding: raw\n{extra}\n"
DIRECTIONS = "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\n"


@pytest.mark.parametrize(
    ("name", "header", "size"),
    [
        ("i.mha", METAIMAGE.format(extra="DistanceUnits = um\nElementSpacing = 2 3 4\n"), 1e-3),
        ("i.mha", METAIMAGE.format(extra="DistanceUnits = cm\nElementSpacing = 2 3 4\n"), 10.0),
        ("i.mha", METAIMAGE.format(extra="DistanceUnits = ?\nElementSpacing = 2 3 4\n"), 1.0),
        (
            "i.nrrd",
            NRRD.format(extra=f'space: left-posterior-superior\nspace units: "Micron" "um" "µm"\n{DIRECTIONS}'),
            1e-3,
        ),
        ("i.nrrd", NRRD.format(extra='spacings: 2 3 4\nunits: "nm" "nm" "nm"\n'), 1e-6),
    ],
)
def test_metaimage_and_nrrd_and_labels_land_there_for_programs_without_units(tmp_path, name, header, size):
    (tmp_path / name).write_bytes(header.encode() + voxels((5, 6, 7)).tobytes())
    volume = read_volume(tmp_path / name)
    assert volume.geometry.unit == "millimeter"
    assert volume.geometry.spacing == pytest.approx((4 * size, 3 * size, 2 * size))
    assert np.linalg.norm(volume.geometry.affine[:3, 0]) == pytest.approx(4 * size)
    for extension in (".seg.nrrd", ".nrrd", name[1:]):
        write_labels(tmp_path / f"l{extension}", np.ones((5, 6, 7), np.uint8), volume.geometry)
        back = read_volume(tmp_path / f"l{extension}").geometry
        np.testing.assert_allclose(back.affine, volume.geometry.affine, rtol=1e-9)
        image, labels = (sitk.ReadImage(str(tmp_path / n)) for n in (name, f"l{extension}"))
        for index in itertools.product((0, 6), (0, 5), (0, 4)):
            np.testing.assert_allclose(
                labels.TransformIndexToPhysicalPoint(index), image.TransformIndexToPhysicalPoint(index), rtol=1e-9
            )


@pytest.mark.parametrize(("name", "header"), [("i.mha", METAIMAGE.format(extra="")), ("i.nrrd", NRRD.format(extra=""))])
def test_a_file_without_sizes_is_in_pixels(tmp_path, name, header):
    (tmp_path / name).write_bytes(header.encode() + voxels((5, 6, 7)).tobytes())
    geometry = read_volume(tmp_path / name).geometry
    assert (geometry.unit, geometry.spacing) == ("pixel", (1.0, 1.0, 1.0))
