import json
import pickle
import zipfile

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import Case, DataSet
from napari_scribseg.train.pack import PackOptions, read_pack, write_pack


def test_labels_and_grey_pictures_come_back_exactly(pack, discs):
    again = read_pack(pack.path)
    assert again.items == pack.items
    assert again.sources == ("cells", "colour", "grey")
    item = next(item for item in again.items if item.name == "grey 2")
    image, labels = again.load(item)
    expected, truth = discs(2)
    np.testing.assert_array_equal(image[..., 0], expected)
    np.testing.assert_array_equal(labels, truth)
    assert (item.licence, item.group, item.background, item.instances) == ("CC0", "grey 2", 0, False)


def test_colour_pictures_nearly_and_unknown_labels(pack, discs):
    colour = next(item for item in pack.items if item.name == "colour 1")
    image, labels = pack.load(colour)
    expected, truth = discs(1, colour=True)
    assert image.shape == (*truth.shape, 3)
    assert np.abs(image.astype(int) - expected).mean() < 8
    np.testing.assert_array_equal(labels, truth)
    cells = next(item for item in pack.items if item.name == "cells 0")
    np.testing.assert_array_equal(pack.load(cells)[1], discs(0, instances=True, unknown=True)[1])
    assert cells.instances


def test_a_pack_travels_to_another_process_without_its_pictures(pack):
    pack.preload(["grey"])
    content = pickle.dumps(pack)
    assert len(content) < 10_000
    other = pickle.loads(content)
    np.testing.assert_array_equal(other.load(other.items[0])[0], pack.load(pack.items[0])[0])


def test_volumes_become_slices_and_large_pictures_tiles(tmp_path):
    rng = np.random.default_rng(0)
    volume = Case("v", rng.normal(size=(20, 30, 40)), np.ones((20, 30, 40), np.int32), (1.0,) * 3, source="v")
    wide = Case("w", rng.random((90, 130)), rng.integers(0, 2, (90, 130), dtype=np.int32), (1.0, 1.0), source="w")
    cases = {"v": volume, "w": wide}
    data = DataSet("d", "d", "CC0", True, False, ("v", "w"), cases.__getitem__)
    packed = write_pack(tmp_path / "a.zip", [data], PackOptions(side=32, slices=2, tiles=3))
    shapes = {}
    for item in packed.items:
        image, labels = packed.load(item)
        assert image.dtype == np.uint8
        assert image.shape[:2] == labels.shape
        assert max(labels.shape) <= 32
        shapes.setdefault(item.source, []).append(labels.shape)
    assert (len(shapes["v"]), len(shapes["w"])) == (6, 3)
    assert set(shapes["w"]) == {(32, 32)}


@pytest.mark.parametrize("cut", [0, 1, 200, -30])
def test_a_cut_file_is_reported(pack, tmp_path, cut):
    path = tmp_path / "cut.pack"
    path.write_bytes(pack.path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"cut\.pack is no packed file, or damaged"):
        read_pack(path)


def changed(pack, path, name, content):
    with zipfile.ZipFile(pack.path) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            if content is not None or entry != name:
                new.writestr(entry, content if entry == name else old.read(entry))
    return path


@pytest.mark.parametrize("index", [b"", b"[]", b"{}", b'{"format": "else", "items": []}', b"[" * 100_000])
def test_a_foreign_index_is_reported(pack, tmp_path, index):
    with pytest.raises(InputError, match="no packed file|is expected"):
        read_pack(changed(pack, tmp_path / "a.pack", "index.json", index))


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_damaged_picture_is_reported(pack, tmp_path, content):
    item = pack.items[1]
    packed = read_pack(changed(pack, tmp_path / "a.pack", item.image, content))
    packed.load(packed.items[0])
    with pytest.raises(InputError, match=f"a.pack is damaged at {item.name}"):
        packed.load(packed.items[1])


def test_flipped_bytes_raise_nothing_else(pack, tmp_path):
    content = pack.path.read_bytes()
    rng = np.random.default_rng(0)
    for turn in range(25):
        broken = bytearray(content)
        for at in rng.integers(0, len(content), 40):
            broken[at] ^= int(rng.integers(1, 256))
        path = tmp_path / f"{turn}.pack"
        path.write_bytes(broken)
        try:
            packed = read_pack(path)
            for item in packed.items:
                image, labels = packed.load(item)
                assert image.shape[:2] == labels.shape
        except InputError:
            pass


def test_labels_beyond_the_picture_and_missing_files(pack, tmp_path, data_set):
    index = json.loads(zipfile.ZipFile(pack.path).read("index.json"))
    index["items"][0]["labels"] = "labels/none"
    packed = read_pack(changed(pack, tmp_path / "a.pack", "index.json", json.dumps(index).encode()))
    with pytest.raises(InputError, match="is damaged at"):
        packed.load(packed.items[0])
    with pytest.raises(InputError, match="there is no such file"):
        read_pack(tmp_path / "none.pack")
    with pytest.raises(InputError, match=r"ends in \.pack or \.zip is expected"):
        write_pack(tmp_path / "a.txt", [data_set("grey", 1)])
    with pytest.raises(InputError, match="there is nothing to pack"):
        write_pack(tmp_path / "b.pack", [])
    with pytest.raises(InputError, match="a side from 16"):
        PackOptions(side=4)


def test_padding_takes_no_share_of_the_scale(tmp_path):
    scan = np.random.default_rng(0).normal(-200, 300, (60, 80)).astype(np.int16)
    padded = scan.copy()
    padded[:, 60:] = -32768
    truth = np.ones(scan.shape, np.int32)
    truth[10:20, 10:20] = 2
    cases = {n: Case(n, image, truth, (1.0, 1.0), source=n) for n, image in (("scan", scan), ("padded", padded))}
    data = DataSet("d", "d", "CC0", True, False, tuple(cases), cases.__getitem__)
    packed = write_pack(tmp_path / "a.zip", [data], PackOptions())
    seen = {item.source: packed.load(item)[0][..., 0].astype(int) for item in packed.items}
    assert np.abs(seen["padded"] - seen["scan"])[:, :60].max() <= 12
    assert np.ptp(seen["padded"][:, :60]) > 240
    assert (seen["padded"][:, 60:] == 0).all()
