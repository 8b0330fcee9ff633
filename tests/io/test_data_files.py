"""Headers that name other files: what they may name, and what becomes a format string in C."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_scribseg.core import Image, InputError
from napari_scribseg.headless import describe
from napari_scribseg.io import read_labels, read_volume
from napari_scribseg.io.data_files import superseded
from napari_scribseg.io.outputs import files_of

VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
NHDR = """NRRD0004
type: int16
dimension: 3
sizes: 7 6 5
endian: little
encoding: raw
data file: {}
"""
MHD = """NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
DimSize = 7 6 5
ElementType = MET_SHORT
ElementDataFile = {}
"""


@pytest.fixture(params=["nhdr", "mhd"])
def header(request, tmp_path):
    """Write a header that names a data file, in a folder of its own."""
    folder = tmp_path / "case"
    folder.mkdir()

    def write(data):
        path = folder / f"i.{request.param}"
        path.write_text({"nhdr": NHDR, "mhd": MHD}[request.param].format(data.rstrip()))
        return path

    return write


def refused(path, words, **keywords):
    with pytest.raises(InputError, match=words) as raised:
        read_volume(path, **keywords)
    assert "\n" not in str(raised.value)


def test_slices_by_number_and_by_list(header):
    path = header("s%03d.raw 1 5 1")
    for n, values in enumerate(VOXELS, start=1):
        (path.parent / f"s{n:03d}.raw").write_bytes(values.tobytes())
    np.testing.assert_array_equal(read_volume(path).array, VOXELS)
    header("s%03d.raw 5 1 -1" if path.suffix == ".nhdr" else "s%03d.raw")
    np.testing.assert_array_equal(read_volume(path).array, VOXELS[::-1] if path.suffix == ".nhdr" else VOXELS)
    header("LIST\n" + "".join(f"s{n:03d}.raw\n" for n in (2, 1, 3, 4, 5)))
    np.testing.assert_array_equal(read_volume(path).array, VOXELS[[1, 0, 2, 3, 4]])


@pytest.mark.parametrize(
    "pattern",
    ["%s 1 3 1", "%d%n 1 5 1", "%d%d 1 5 1", "%n", "%*d 1 5 1", "%99d 1 5 1", "%010d 1 5 1", "%5d 1 5 1", "%ld 1 5 1",
     "%x 1 5 1", "100%.raw", "%%d 1 5 1", "s%d.raw 1 5 x", "s%d.raw 1 99999999999 1"],
)  # fmt: skip
def test_a_format_string_of_another_kind_is_refused(header, pattern):
    refused(header(pattern), "a pattern such as")


@pytest.mark.parametrize("suffix", [" 1 5", " 1 5 "])
def test_two_numbers_without_a_step_are_refused(header, suffix):
    refused(header(f"s%d.raw{suffix}"), "a pattern such as")


def test_metaimage_does_not_count_backwards(header):
    path = header("s%d.raw 5 1 -1")
    if path.suffix == ".mhd":
        refused(path, "in steps of")


@pytest.mark.parametrize("numbers", ["1 5 0", "5 1 1", "1 200000000 1"])
def test_numbers_that_make_no_list_of_files_are_refused(header, numbers):
    refused(header(f"s%d.raw {numbers}"), "in steps of")


def test_a_folder_with_a_percent_sign_is_no_part_of_a_format_string(header):
    path = header("s%d.raw 1 5 1")
    folder = path.parent.with_name("50%n")
    path.parent.rename(folder)
    refused(folder / path.name, "no % elsewhere in the path")


@pytest.mark.parametrize("name", ["/etc/passwd", "/dev/zero", "../outside.raw", "LIST\n../outside.raw", "link.raw"])
def test_files_outside_of_the_folder_are_read_only_where_it_is_allowed(header, name):
    path = header(name)
    outside = path.parent.parent / "outside.raw"
    outside.write_bytes(VOXELS.tobytes())
    (path.parent / "link.raw").symlink_to(outside)
    refused(path, r"lies outside of its folder; copy it there, or allow it .--allow-outside")
    if name in ("../outside.raw", "link.raw"):
        np.testing.assert_array_equal(read_volume(path, allow_outside=True).array, VOXELS)
        np.testing.assert_array_equal(read_labels(path, allow_outside=True).array, VOXELS)
        assert Image.read(path, allow_outside=True).shape == VOXELS.shape
        assert any("int16" in line for line in describe(path, allow_outside=True))
    elif name != "/etc/passwd":
        words = {
            "/dev/zero": "not a regular file",
            ".nhdr": "expected 5 filenames",
            ".mhd": "names 1 data files; 5 are",
        }
        refused(path, words[name if name in words else path.suffix], allow_outside=True)


def test_a_header_and_its_data_may_both_be_links_into_one_store(header):
    path = header("i.raw")
    (path.parent / "i.raw").write_bytes(VOXELS.tobytes())
    linked = path.parent.parent / "linked"
    linked.mkdir()
    for file in (path.name, "i.raw"):
        (linked / file).symlink_to(path.parent / file)
    np.testing.assert_array_equal(read_volume(linked / path.name).array, VOXELS)


@pytest.mark.parametrize("name", ["pipe", "LIST\npipe\n", "pipe%d 1 1 1", "folder"])
def test_pipes_and_folders_are_no_data_files(header, name):
    path = header(name)
    os.mkfifo(path.parent / "pipe")
    os.mkfifo(path.parent / "pipe1")
    (path.parent / "folder").mkdir()
    refused(path, "not a regular file")


@pytest.mark.parametrize("name", ["~/x.raw", "a:x.raw", "LIST\n~root/x.raw"])
def test_names_that_itk_resolves_elsewhere_are_refused(header, name):
    refused(header(name), "a plain file name is expected")


@pytest.mark.parametrize("names", ["s%d.raw 1 4 1", "s%d.raw 1 6 1", "LIST\ns1.raw", "LIST 1\n" + "s1.raw\n" * 5])
def test_fewer_and_more_data_files_than_slices_are_refused(header, names):
    path = header(names)
    for n in range(1, 7):
        (path.parent / f"s{n}.raw").write_bytes(VOXELS[0].tobytes())
    refused(
        path,
        r"expected \d+ filenames|names \d data files; \d+ are expected|the file holds|couldn't parse|cannot be read",
    )


def test_a_slice_that_is_too_short_is_reported(header):
    path = header("s%d.raw 1 5 1")
    for n in range(1, 6):
        (path.parent / f"s{n}.raw").write_bytes(VOXELS[0].tobytes()[: 10 if n == 3 else None])
    refused(path, "the file holds|cannot be read")


def test_an_empty_list_is_refused(header):
    refused(header("LIST\n"), "its list of data files is empty")


@pytest.mark.parametrize("name", ["i.nii", "i.nii.gz", "i.nrrd", "i.mha", "i.tif", "i.png", "i.dcm"])
def test_a_pipe_is_no_image(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "a regular file is expected")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x" * 1000 + ": 1", "is no field of NRRD"),
        ("x" * 1000, "is no field of NRRD"),
        ("space: " + "1 " * 500, "has 1007 characters"),
        ("space directions: " + '"' * 1000, "has 1018 characters"),
        ("line skip: " + "y" * 1000, "has 1011 characters"),
        ("line skip: y", "the line skip 'y'"),
        ("sizes: 7 6 5", "the field 'sizes' twice"),
        ("datafile: a\ndata file: b", "the field 'data file' twice"),
        ("content: a\rsizes: 70000 70000 70000", "control characters"),
        ("space: a\0b", "control characters"),
    ],
)
def test_lines_that_the_library_cannot_take_are_reported(tmp_path, line, words):
    lines = ["NRRD0004", "type: int16", "dimension: 3", "sizes: 7 6 5", "endian: little", line, "encoding: raw"]
    (tmp_path / "i.nrrd").write_bytes("\n".join([*lines, "", ""]).encode() + VOXELS.tobytes())
    refused(tmp_path / "i.nrrd", words)


def test_long_texts_of_a_header_are_no_harm(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(tmp_path / "i.nrrd"))
    head, blank, data = (tmp_path / "i.nrrd").read_bytes().partition(b"\n\n")
    lines = [head, b"content: " + b"c" * 5000, b"# " + b"d" * 5000, b"Segment0_Tags:=" + b"t" * 5000]
    (tmp_path / "i.nrrd").write_bytes(b"\n".join(lines) + blank + data)
    np.testing.assert_array_equal(read_volume(tmp_path / "i.nrrd").array, VOXELS)


@pytest.mark.parametrize("channels", ["-1", "0", "x"])
def test_senseless_numbers_of_metaimage_are_reported(tmp_path, channels):
    text = MHD.format("LOCAL").replace("ElementType", f"ElementNumberOfChannels = {channels}\nElementType")
    (tmp_path / "i.mha").write_bytes(text.encode() + VOXELS.tobytes())
    refused(tmp_path / "i.mha", "a whole number from 1 is expected")


OME = """<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels
 ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="7" SizeY="6" SizeC="1" SizeT="1" SizeZ="2"><Channel ID="c:0"/>
<TiffData FirstZ="0" PlaneCount="1"><UUID FileName="one.ome.tif">urn:uuid:1</UUID></TiffData>
<TiffData FirstZ="1" PlaneCount="1"><UUID FileName="{}">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>"""


@pytest.fixture
def several_files(tmp_path):
    """Write an OME-TIFF of two planes, the second of them in a file that it names."""
    folder = tmp_path / "case"
    folder.mkdir()

    def write(name, other):
        path = folder / "one.ome.tif"
        tifffile.imwrite(path, VOXELS[0].astype(np.uint8), description=OME.format(name), metadata=None)
        tifffile.imwrite(other, VOXELS[1].astype(np.uint8), metadata=None)
        return path

    return write


def test_an_ome_tiff_of_several_files(several_files, tmp_path):
    path = several_files("two.ome.tif", tmp_path / "case" / "two.ome.tif")
    np.testing.assert_array_equal(read_volume(path).array, VOXELS[:2].astype(np.uint8))


@pytest.mark.parametrize("name", ["../two.ome.tif", "{}/two.ome.tif", "&#46;&#46;/two.ome.tif"])
def test_other_files_of_an_ome_tiff_lie_in_its_folder_too(several_files, tmp_path, name):
    path = several_files(name.format(tmp_path), tmp_path / "two.ome.tif")
    refused(path, "lies outside of its folder")
    np.testing.assert_array_equal(read_volume(path, allow_outside=True).array, VOXELS[:2].astype(np.uint8))


def test_an_ome_tiff_that_names_a_pipe(several_files, tmp_path):
    path = several_files("pipe", tmp_path / "two.ome.tif")
    os.mkfifo(path.parent / "pipe")
    refused(path, "not a regular file")


@pytest.mark.parametrize("name", ["b.mhd", "b.nhdr"])
def test_former_data_stay_where_another_header_cannot_be_understood(tmp_path, name):
    header = tmp_path / f"a{Path(name).suffix}"
    ending = {".mhd": "zraw", ".nhdr": "raw.gz"}[header.suffix]
    former = tmp_path / f"a.0123456789.{ending}"
    former.write_bytes(b"voxels")
    assert superseded(header) == [former]
    other = tmp_path / name
    other.write_text({".mhd": MHD, ".nhdr": NHDR}[header.suffix].format(former.name))
    assert superseded(header) == []
    other.write_bytes(b"\x00 no header \x00\n")
    assert superseded(header) == []


@pytest.mark.parametrize("named", ["s001.raw", "LIST\ns001.raw\ns002.raw", "s%03d.raw 1 2 1"])
def test_the_data_of_a_header_are_files_of_it(header, named):
    path = header(named)
    names = ["s001.raw", "s002.raw"][: 1 if named == "s001.raw" else 2]
    for name in ("s001.raw", "s002.raw"):
        (path.parent / name).write_bytes(b"")
    assert files_of(path) == [path, *(path.parent / name for name in names)]
    path.write_bytes(b"\x00")
    assert files_of(path) == [path]
