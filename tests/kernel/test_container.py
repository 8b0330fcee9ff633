"""Container files: what is written is read, and nothing else is."""

import json
import zipfile

import numpy as np
import pytest

from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.kernel import ContainerFormat, ContainerWriter
from napari_scribseg.kernel.container import classes_from_json, classes_to_json

KINDS = [ContainerFormat("test box", 2, "box", deflated) for deflated in (False, True)]


@pytest.fixture(params=KINDS, ids=["stored", "deflated"])
def kind(request):
    return request.param


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "ids": np.arange(5), "empty": np.zeros((0, 3), np.float32), "map 1": rng.integers(0, 9, (70, 80)),
        "turned": np.asfortranarray(rng.random((6, 7))), "one": np.array(3.5), "names": np.array(["a", "bc"]),
    }  # fmt: skip


def read(kind, path):
    return kind.read(path, lambda header, arrays: (header, arrays))


def refused(kind, path, words):
    with pytest.raises(InputError, match=words) as caught:
        read(kind, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read(kind, arrays, tmp_path):
    writer, path = ContainerWriter(kind), tmp_path / "a"
    for turn in range(3):
        arrays["ids"] = np.arange(turn + 4)
        writer.write(path, json.dumps({"turn": turn, "words": ["ä", None]}), arrays)
        header, found = read(kind, path)
        assert header == {"format": "test box", "version": 2, "turn": turn, "words": ["ä", None]}
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert (found[name] == array).all()
            assert found[name].flags.writeable
    with np.load(path, allow_pickle=False) as archive:  # any program may read it
        assert (archive["map 1"] == arrays["map 1"]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_other_files_are_refused(kind, arrays, tmp_path):
    path = tmp_path / "a"
    refused(kind, path, "the box .* cannot be read: No such file")
    refused(kind, tmp_path, "cannot be read|folder")
    path.write_text("hello")
    refused(kind, path, "not a box file")
    np.savez(path.open("wb"), a=np.zeros(3))
    refused(kind, path, "not a box file")
    ContainerWriter(ContainerFormat("another", 1, "thing", False)).write(path, "{}", arrays)
    refused(kind, path, "not a box file")
    ContainerWriter(ContainerFormat("test box", 3, "box", False)).write(path, "{}", arrays)
    refused(kind, path, "newer version .format 3.; this one reads up to 2")
    with path.open("wb") as file:
        np.savez(file, header=np.array([{}], object))
    refused(kind, path, "damaged")


def test_a_bomb_takes_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with path.open("wb") as file:
        np.savez_compressed(file, header=np.zeros(10**7, np.uint8))
    refused(KINDS[0], path, "larger than the file")
    monkeypatch.setattr("napari_scribseg.kernel.container.available_memory", lambda: 10**6)
    refused(KINDS[1], path, "needs 9.5 MiB of memory, but 976.6 KiB is free")


@pytest.mark.parametrize("shape", [(10**12,), (2,), (-3, -1)])
def test_an_array_that_lies_about_its_shape_is_refused(kind, tmp_path, shape):
    path = tmp_path / "a"
    ContainerWriter(kind).write(path, "{}", {"x": np.arange(3, dtype=np.uint8)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    members["x.npy"] = b"\x93NUMPY\x01\x00v\x00" + text.encode() + b"abc"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused(kind, path, "damaged")


def test_every_flipped_byte_is_noticed_or_harmless(kind, arrays, tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    ContainerWriter(kind).write(path, "{}", arrays)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[at] ^= 0x41
        other.write_bytes(damaged)
        try:
            _, found = read(kind, other)
        except InputError:
            continue
        assert all((found[name] == arrays[name]).all() for name in found.keys() & arrays.keys())
    for length in rng.integers(0, len(content), 20):
        other.write_bytes(content[:length])
        refused(kind, other, "box")


def test_whatever_the_parser_raises_means_damage(kind, tmp_path):
    path = tmp_path / "a"
    ContainerWriter(kind).write(path, "{}", {})
    with pytest.raises(InputError, match=r"the box .* is damaged: KeyError: 'classes'"):
        kind.read(path, lambda header, arrays: header["classes"])

    def missing(header, arrays):
        raise InputError(f"the image of {path} is gone")

    with pytest.raises(InputError, match="^the image of .* is gone$"):
        kind.read(path, missing)


def test_a_failed_save_leaves_the_old_file(kind, arrays, tmp_path, monkeypatch):
    path, writer = tmp_path / "a", ContainerWriter(kind)
    writer.write(path, "{}", arrays)
    before = path.read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ContainerWriter, "_write", full)
        with pytest.raises(InputError, match="the box cannot be saved to .*: No space left"):
            writer.write(path, "{}", {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_class_tables_survive():
    table = ClassTable(
        (
            LabelClass(3, "Leber", (1.0, 0.5, 0.0, 1.0), locked=True),
            LabelClass(9, "rest", (0, 0, 1, 1), background=True),
        )
    )
    assert classes_from_json(json.loads(json.dumps(classes_to_json(table)))) == table
