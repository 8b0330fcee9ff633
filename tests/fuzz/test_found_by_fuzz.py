"""Files that once ended a reader, or kept it at work: each in the bounded process, by name."""

import io
import json
import struct
import sys
import zipfile
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from fuzz_formats import LABELS, VOXELS, session_samples
from fuzz_layouts import archive, npy_bytes
from fuzz_reader import Reader
from PIL import Image as Picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bounds are those of Linux")

MHD = "NDims = 3\nDimSize = 7 6 4\nElementType = MET_SHORT\nElementDataFile = {}\n"


@pytest.fixture(scope="module")
def child():
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture
def refused(child, tmp_path):
    """Have the process read some bytes as a file of a format; it refuses them with one message."""

    def read(name, content, form, words):
        path = tmp_path / name
        path.write_bytes(content)
        outcome = child.read(form, path)
        assert (outcome.kind, words in outcome.words) == ("refused", True), outcome

    return read


def nrrd(*lines):
    head = ["NRRD0004", "type: int16", "dimension: 3", "sizes: 7 6 4", "endian: little", "encoding: raw", *lines]
    return "\n".join([*head, "", ""]).encode() + VOXELS.tobytes()


@pytest.mark.parametrize("line", ["x" * 1000 + ": 1", "x" * 1000, "space: " + "1 " * 500, "line skip: " + "y" * 1000])
def test_a_long_line_of_nrrd_overflowed_a_buffer(refused, line):
    refused("i.nrrd", nrrd(line), "NRRD", "1007 characters" if "space" in line else "i.nrrd: ")


@pytest.mark.parametrize("pattern", ["%s 1 3 1", "%n%n%n 1 4 1", "%d%s 1 4 1"])
def test_a_pattern_of_files_was_a_format_string_of_c(refused, pattern):
    refused("i.mhd", MHD.format(pattern).encode(), "MetaImage", "a pattern such as")


def test_two_numbers_of_a_pattern_divided_by_zero(refused, tmp_path):
    for n, slice_values in enumerate(VOXELS, start=1):
        (tmp_path / f"s{n}.raw").write_bytes(slice_values.tobytes())
    refused("i.mhd", MHD.format("s%d.raw 1 4").encode(), "MetaImage", "a pattern such as")


def test_a_scale_of_colours_is_no_matter(child, tmp_path):
    colours = nibabel.Nifti1Image(np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), np.eye(4))
    content = bytearray(colours.to_bytes())
    content[112:116] = struct.pack("<f", 0.5)  # scl_slope
    (tmp_path / "i.nii").write_bytes(content)
    assert child.read("NIfTI", tmp_path / "i.nii").kind == "data"


def test_voxels_at_an_infinite_offset(refused):
    content = bytearray(nibabel.Nifti1Image(VOXELS.T, np.eye(4)).to_bytes())
    content[108:112] = struct.pack("<f", float("inf"))  # vox_offset
    refused("i.nii", bytes(content), "NIfTI", "cannot be read as NIfTI")


def test_a_small_file_of_weights_described_an_endless_network(refused):
    config = json.dumps({"channels": [4096] * 16, "convolutions": 4096})
    card = {"format": "napari-scribseg weights 1", "architecture": "plain-unet", "config": config, "sha256": ""}
    header = json.dumps({"__metadata__": card}).encode()
    refused("w.safetensors", len(header).to_bytes(8, "little") + header, "weights", "more tensors than the 0")


def test_a_small_dicom_requested_gigabytes(refused, tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(LABELS[:1]), str(tmp_path / "i.dcm"))
    content = (tmp_path / "i.dcm").read_bytes()
    for tag in (b"\x28\0\x10\0\2\0\0\0", b"\x28\0\x11\0\2\0\0\0"):  # rows and columns
        place = content.index(tag) + len(tag)
        content = content[:place] + struct.pack("<H", 30000) + content[place + 2 :]
    refused("i.dcm", content, "DICOM", "ends before its pixels do")
    runs = content.replace(b"UI\x12\x001.2.840.10008.1.2\0", b"UI\x14\x001.2.840.10008.1.2.5\0")
    assert runs != content
    refused("j.dcm", runs, "DICOM", "j.dcm")


def test_ten_thousand_segments_are_merged_at_once(child, tmp_path):
    head = ["NRRD0004", "type: uint16", "dimension: 4", "sizes: 2 128 128 128", "kinds: list domain domain domain"]
    head += ["endian: little", "encoding: raw"]
    for n in range(10_000):
        head += [f"Segment{n}_{key}:={value}" for key, value in (("Layer", n % 2), ("LabelValue", 1 + n // 2))]
    voxels = np.ones((128, 128, 128, 2), np.uint16)
    (tmp_path / "i.seg.nrrd").write_bytes("\n".join([*head, "Segment0_Name:=s", "", ""]).encode() + voxels.tobytes())
    assert child.read("3D Slicer segmentation", tmp_path / "i.seg.nrrd").kind == "data"


def test_an_empty_character_in_a_cohort_is_reported(refused):
    refused("cohort.csv", b"image,scribbles\na\0b.nii,s.nii\n", "cohort", "the character NUL")


def test_a_table_with_the_same_id_many_times_is_reported_at_once(refused):
    rows = "".join(f"{n}\tc{n}\n" for n in (*range(1, 65536), *range(1, 60000)))
    refused("x_dseg.tsv", f"index\tname\n{rows}".encode(), "class table", "more than once")


@pytest.mark.parametrize("text", ["(", "{'descr': '|u1', 'shape': (", "[" * 300])
def test_the_header_of_an_array_that_is_no_python_is_reported(refused, text):
    array = npy_bytes(b"{}")
    broken = array[:8] + len(text + "\n").to_bytes(2, "little") + text.encode() + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("header.npy", broken)
        file.writestr("pieces.npy", array)
    refused("a.scribseg", out.getvalue(), "session", "a.scribseg")
    refused("a.npz", out.getvalue(), "workspace", "a.npz")


def test_a_session_with_a_spacing_of_another_image(refused, tmp_path):
    (path, _) = session_samples(tmp_path / "valid")
    (part, *_) = [p for p in archive(path.read_bytes()) if p.plain[:1] == b"{"]
    changed = part.plain.replace(b'"spacing": [1.0, 1.0, 1.0]', b'"spacing": [1.0, 1.0]')
    assert changed != part.plain
    refused("a.scribseg", part.close(changed), "session", "the spacing [1.0, 1.0]")


def test_a_name_in_a_cohort_that_is_too_long_for_a_file(refused):
    rows = f"image,scribbles,out\na.nii,{'s' * 300}.nii,o.nii\n"
    refused("c.csv", rows.encode(), "cohort", "File name too long")


def test_a_large_png_of_one_row_is_refused_before_memory_is_taken(refused):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 13000, 13000, 8, 2, 0, 0, 0))
    row = chunk(b"IDAT", zlib.compress(bytes(13000 * 3 + 1)))
    refused("i.png", b"\x89PNG\r\n\x1a\n" + head + row + chunk(b"IEND", b""), "PNG", "declares 13000x13000")


def test_a_chunk_of_a_png_that_is_longer_than_the_file(refused, tmp_path):
    Picture.fromarray(LABELS[0]).save(tmp_path / "i.png")
    content = bytearray((tmp_path / "i.png").read_bytes())
    place = content.index(b"IDAT") - 4
    content[place : place + 4] = b"\x7f\xff\xff\xff"
    refused("i.png", bytes(content), "PNG", "i.png: ")


def test_a_large_jpeg_without_its_blocks_is_refused_before_memory_is_taken(refused, tmp_path):
    Picture.fromarray(LABELS[0]).save(tmp_path / "i.jpg")
    content = bytearray((tmp_path / "i.jpg").read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 60000, 60000)
    refused("i.jpg", bytes(content), "JPEG", "declares 60000x60000")


def test_pages_in_a_circle(refused, tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((2, 5, 6), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "i.tif") as file:
        place = file.pages[1].offset + 2 + 12 * len(file.pages[1].tags)
        first = file.pages[0].offset
    content = bytearray((tmp_path / "i.tif").read_bytes())
    assert content[place : place + 4] == bytes(4)
    content[place : place + 4] = struct.pack("<I", first)
    refused("i.tif", bytes(content), "TIFF", "in circles")


def test_a_large_tiff_of_one_strip_is_refused_before_memory_is_taken(refused, tmp_path):
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((30000, 1), np.uint16), compression="zlib", rowsperstrip=30000)
    content = (tmp_path / "i.tif").read_bytes()
    width = content.index(struct.pack("<HHII", 256, 4, 1, 1)) if struct.pack("<HHII", 256, 4, 1, 1) in content else None
    width = width or content.index(struct.pack("<HHI", 256, 3, 1))
    refused(
        "i.tif", content[: width + 8] + struct.pack("<I", 60000) + content[width + 12 :], "TIFF", "can at most hold"
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_STORED])
def test_a_pack_whose_parts_request_any_memory(refused, method):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        file.writestr("index.json", json.dumps({"format": "napari-scribseg training pack 1", "items": []}))
    changed = bytearray(content.getvalue())
    if method == zipfile.ZIP_LZMA:
        place = changed.index(struct.pack("<HB", 5, 0x5D)) + 3  # properties: their size, a byte, the dictionary
    else:
        place = changed.index(b"PK\x01\x02") + 20  # the compressed size in the directory
    changed[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    refused("a.pack", bytes(changed), "train pack", "is compressed, or its size is damaged")
