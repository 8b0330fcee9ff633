"""Archives from elsewhere: read by name, refused where they lead out, unpack to too much or are damaged."""

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile

import pytest

from napari_scribseg.core import InputError
from napari_scribseg.io.archives import open_archive

LIMIT = 1 << 20


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def make_tar(path, files):
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


MAKERS = pytest.mark.parametrize("make", [make_zip, make_tar])


@MAKERS
def test_files_are_read_by_name_with_their_checksums(tmp_path, make):
    path = make(tmp_path / "a", {"top/b.txt": b"bb", "top/c.txt": b"ccc", "top/d.png": b"d"})
    with open_archive(path, limit=LIMIT) as archive:
        matches = archive.select(r"top/(\w)\.txt")
        assert {name: match[1] for name, match in matches.items()} == {"top/b.txt": "b", "top/c.txt": "c"}
        assert archive.read("top/c.txt") == b"ccc"
        assert archive.digests == {"top/c.txt": hashlib.sha256(b"ccc").hexdigest()}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@MAKERS
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\\..\\x", "C:/x", "a/.."])
def test_names_that_lead_out_are_refused(tmp_path, make, name):
    path = make(tmp_path / "a", {"fine": b"f", name: b"x"})
    with (
        pytest.raises(InputError, match="a file in it is called .*; a name within it is expected"),
        open_archive(path, limit=LIMIT),
    ):
        pass


@MAKERS
def test_the_sum_of_the_sizes_is_checked_before_anything_is_read(tmp_path, make):
    files = {f"{i}.txt": bytes(300_000) for i in range(4)}
    path = make(tmp_path / "a", files)
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match=r"unpack.*1\.0 MiB"), open_archive(path, limit=LIMIT) as archive:
        archive.select(r"\d\.txt")
    with open_archive(path, limit=2 * LIMIT) as archive:
        assert len(archive.select(r"\d\.txt")) == 4
        assert not archive.digests


def test_links_are_not_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with open_archive(path, limit=LIMIT) as archive, pytest.raises(InputError, match="is a link or a device"):
        archive.select(r".*\.txt")
    path = tmp_path / "a.tgz"
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with tarfile.open(path, "w:gz") as file:
            info = tarfile.TarInfo("link.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
        with open_archive(path, limit=LIMIT) as archive, pytest.raises(InputError, match="is a link or a device"):
            archive.select(r".*\.txt")


def test_a_tar_unpacks_to_no_more_than_the_limit_whatever_it_declares(tmp_path):
    path = tmp_path / "a.tgz"
    with gzip.open(path, "wb") as file:
        info = tarfile.TarInfo("a.txt")
        info.size = 1 << 50
        file.write(info.tobuf() + bytes(100))
    with pytest.raises(InputError, match=r"unpack"), open_archive(path, limit=LIMIT) as archive:
        archive.read(next(iter(archive.select("a.txt"))))
    with gzip.open(path, "wb") as file:
        file.write(tarfile.TarInfo("a.txt").tobuf() + bytes(3 * LIMIT))
    with pytest.raises(InputError, match=r"unpacks to more than 1\.0 MiB"), open_archive(path, limit=LIMIT):
        pass


def test_names_are_expected_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a", "2")
    with pytest.raises(InputError, match="it holds 'a' twice"), open_archive(tmp_path / "a", limit=LIMIT):
        pass


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06", gzip.compress(b"no tar" * 200, mtime=0)])
def test_what_is_no_archive_is_reported(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with (
        pytest.raises(InputError, match="a: it cannot be read as zip or tar.gz, it is damaged"),
        open_archive(tmp_path / "a", limit=LIMIT),
    ):
        pass


@MAKERS
def test_every_cut_is_reported(tmp_path, make):
    whole = make(tmp_path / "whole", {f"{i}.txt": bytes(range(i, 200)) * 30 for i in range(5)}).read_bytes()
    (tmp_path / "a").write_bytes(whole)

    def read():
        with open_archive(tmp_path / "a", limit=LIMIT) as archive:
            return [archive.read(name) for name in archive.select(r"\d\.txt")]

    assert len(read()) == 5
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / "a").write_bytes(whole[:length])
        with pytest.raises(InputError, match="it is damaged"):
            read()


def test_damaged_content_is_reported(tmp_path):
    path = make_zip(tmp_path / "a", {"a.txt": bytes(range(256)) * 8})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with open_archive(path, limit=LIMIT) as archive, pytest.raises(InputError, match="it is damaged"):
        archive.read(next(iter(archive.select("a.txt"))))
