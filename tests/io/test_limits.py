import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from napari_scribseg.core import InputError
from napari_scribseg.io import limits, read_volume
from napari_scribseg.io.limits import available_memory, check_declared, human_size, read_text, unpacked_size

PATH = Path("i.nii")


@pytest.mark.parametrize(
    ("shape", "enough", "encoding"),
    [((2, 3, 4), 48, "raw"), ((100, 100, 100), 1938, "deflate"), ((2, 3, 4), 1, "other"), ((2, 3, 4), 96, "hex")],
)
def test_the_file_must_hold_what_its_header_declares(shape, enough, encoding):
    check_declared(PATH, shape, 2, enough, encoding=encoding)
    with pytest.raises(InputError, match=f"declares {'x'.join(map(str, shape))} voxels"):
        check_declared(PATH, shape, 2, enough - 1, encoding=encoding)


@pytest.mark.parametrize(
    ("shape", "stored", "encoding", "words"),
    [
        ((2, 3, 4), 47, "raw", "declares 2x3x4 voxels .48 bytes., but the file holds 47 bytes"),
        ((200, 300, 400), 10000, "deflate", "can at most hold 9.8 MiB"),
        ((2, 0, 4), 100, "raw", "every axis needs at least one voxel"),
        ((), 100, "raw", "every axis needs at least one voxel"),
        ((10**6, 10**6, 10**6), 100, "raw", "TiB"),
    ],
)
def test_what_cannot_be_is_reported(shape, stored, encoding, words):
    with pytest.raises(InputError, match=words):
        check_declared(PATH, shape, 2, stored, encoding=encoding)


def test_memory_is_checked_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    check_declared(PATH, (10, 10), 10, 1000)
    check_declared(PATH, (10, 10), 20, 2000, copies=0)
    with pytest.raises(InputError, match=r"needs 2\.0 KiB of memory \(10x10 voxels\), but 1000 bytes is free"):
        check_declared(PATH, (10, 10), 10, 1000, copies=2)


@pytest.mark.parametrize("name", ["i.nrrd", "i.mha", "i.tif", "i.png", "i.nii.gz"])
def test_every_reader_checks_the_memory(tmp_path, name, monkeypatch):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((64, 64), np.uint8)), str(tmp_path / name))
    read_volume(tmp_path / name)
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match="of memory"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("stored", [np.float64, ">i2", "scaled"])
def test_memory_for_converted_values_is_checked_although_the_file_is_mapped(tmp_path, monkeypatch, stored):
    header = nibabel.Nifti1Header(endianness=">" if stored == ">i2" else "<")
    values = np.ones((64, 64), {"scaled": np.uint8, ">i2": np.int16}.get(stored, stored))
    image = nibabel.Nifti1Image(values, np.eye(4), header)
    image.set_data_dtype(values.dtype)  # the header given says float32
    if stored == "scaled":
        image.header.set_slope_inter(0.5, 1)
    nibabel.save(image, tmp_path / "i.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((64, 64), np.int16), np.eye(4)), tmp_path / "mapped.nii")
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    read_volume(tmp_path / "mapped.nii")
    with pytest.raises(InputError, match="of memory"):
        read_volume(tmp_path / "i.nii")


def test_a_single_dicom_file_checks_the_memory(shared_data, monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    path = next(p for p in sorted((shared_data / "dcmqi_ct_dicom").iterdir()) if p.suffix == ".dcm")
    with pytest.raises(InputError, match="of memory"):
        read_volume(path)


def test_a_dicom_series_checks_the_memory(shared_data, monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match="of memory"):
        read_volume(shared_data / "dcmqi_ct_dicom")


def test_sizes_for_people():
    assert [human_size(n) for n in (0, 1023, 1536, 5 << 20, 3 << 40, 5000 << 40)] == [
        "0 bytes", "1023 bytes", "1.5 KiB", "5.0 MiB", "3.0 TiB", "5000.0 TiB",
    ]  # fmt: skip
    assert available_memory() > 0


def test_a_text_has_a_bounded_size(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(tmp_path / "a.txt", 6, "table") == "abc"  # without its byte order mark
    with pytest.raises(InputError, match=r"a\.txt: it has 6 bytes; that is no table"):
        read_text(tmp_path / "a.txt", 5, "table")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path, 1 << 20, "table")


@pytest.mark.parametrize("bits", [zlib.MAX_WBITS, 16 + zlib.MAX_WBITS], ids=["zlib", "gzip"])
def test_unpacked_bytes_are_counted_to_the_number_needed(bits):
    packer = zlib.compressobj(wbits=bits)
    stream = packer.compress(bytes(5 << 20)) + packer.flush()
    parts = [stream[start : start + 100] for start in range(0, len(stream), 100)]
    assert unpacked_size(parts, 6 << 20) == 5 << 20
    assert 2 << 20 <= unpacked_size(parts, 2 << 20) <= 3 << 20
    assert unpacked_size(parts[:-2], 6 << 20) < 5 << 20
