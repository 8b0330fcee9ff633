"""Data sets from their authors' archives, served by a server of our own: all of a set as it is expected, or nothing."""

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile
from contextlib import ExitStack

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture
from web_server import web_server

from napari_scribseg.core import InputError
from napari_scribseg.datasets import built_in_data_sets, fetch_data_set, open_data_set
from napari_scribseg.datasets.published import PUBLISHED
from napari_scribseg.datasets.unpacking import unpack_acdc, unpack_grabcut, unpack_medscribble
from napari_scribseg.io.archives import open_archive

DEV = sorted(PUBLISHED["medscribble_dev"].only)
FETCHED = sorted(name for name, one in PUBLISHED.items() if one.files)


@pytest.fixture
def web():
    with web_server() as server:
        yield server


@pytest.fixture
def serve(web, monkeypatch):
    """Serves archives in place of those of a data set."""

    def run(name, *archives, **changes):
        one = PUBLISHED[name]
        files = tuple(
            dataclasses.replace(file, url=web.put(f"{name}-{i}", content))
            for i, (file, content) in enumerate(zip(one.files, archives, strict=True))
        )
        monkeypatch.setitem(PUBLISHED, name, dataclasses.replace(one, files=files, **changes))

    return run


@pytest.fixture
def fetch(tmp_path):
    """Fetches into a folder; returns the lines that were shown."""

    def run(name):
        lines = []
        fetch_data_set(name, tmp_path, announce=lines.append)
        return lines

    return run


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return stream.getvalue()


def tarred(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png(array, kind="PNG"):
    stream = io.BytesIO()
    Picture.fromarray(np.asarray(array, np.uint8)).save(stream, kind)
    return stream.getvalue()


def gz_nifti(array):
    """A volume given as (z, y, x)."""
    image = nib.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), np.diag([1.5, 1.5, 10, 1]))
    return gzip.compress(image.to_bytes())


def medscribble(images=DEV[:2], top="ScribblePrompt-0/", value=1.0):
    files = {f"{top}README.md": b"read", f"{top}MedScribble/README.md": b"read"}
    for image in images:
        folder = f"{top}MedScribble/{image.replace('__', '/')}"
        seg = np.zeros((8, 8))
        seg[2:5, 2:5] = 1
        on_off = np.zeros((3, 2, 8, 8))
        on_off[:, 0, 3, 3], on_off[:, 1, 7, :4] = value, 1
        files |= {f"{folder}/img.npy": npy(seg / 2), f"{folder}/seg.npy": npy(seg)}
        files |= {f"{folder}/scribble_{i}.npy": npy(on_off[i]) for i in range(3)}
    return files


def acdc(patient="patient005", frames=("01", "13"), named=("frame01", "frame13")):
    images = {f"database/training/{patient}/Info.cfg": f"ED: {int(frames[0])}\nES: {int(frames[1])}\n".encode()}
    drawn = {"__MACOSX/x/._" + f"{patient}_frame01_scribble.nii.gz": b"junk"}
    label = np.zeros((2, 10, 12), np.uint8)
    label[:, 3:6, 3:6], label[:, 6:8, 3:6] = 3, 2
    scribble = np.full_like(label, 4)
    scribble[:, 4, 4], scribble[:, 0, 2:9] = 3, 0
    image = np.random.default_rng(0).integers(0, 200, label.shape).astype(np.int16) + 100 * label
    image[0, 0, 0] = 30000
    for frame, name in zip(frames, named, strict=True):
        folder = f"database/training/{patient}/{patient}_frame{frame}"
        images |= {f"{folder}.nii.gz": gz_nifti(image), f"{folder}_gt.nii.gz": gz_nifti(label)}
        drawn[f"acdc_scribbles/{patient}/{patient}_{name}_scribble.nii.gz"] = gz_nifti(scribble)
    return images, drawn, image, label, scribble


def grabcut(names=("llama", "2007_000033"), kind="JPEG", end="jpg", stroke=1):
    truth = np.zeros((20, 24), np.uint8)
    truth[5:15, 5:15], truth[5, 5:15] = 255, 128
    painted = np.zeros_like(truth)
    painted[8, 7:12], painted[18, 2:20] = stroke, 2
    picture = np.stack([truth] * 3, axis=-1)
    return (
        {f"images/{name}.{end}": png(picture, kind) for name in names},
        {f"images-gt/{name}.png": png(truth) for name in names},
        {f"./images-labels/{name}-anno.png": png(painted) for name in names},
    )


def test_every_set_with_an_address_is_built_in_and_shows_a_licence():
    names = {one.name for one in built_in_data_sets()}
    assert FETCHED == [
        "acdc_scribbles", "acdc_scribbles_all", "grabcut_scribbles", "medscribble_all", "medscribble_dev"]  # fmt: skip
    assert set(PUBLISHED) <= names
    for one in PUBLISHED.values():
        assert one.licence
        assert one.about.startswith("http")
        assert all(file.url.startswith("https://") and file.limit < 1 << 33 for file in one.files)
    assert len(PUBLISHED["medscribble_dev"].only) == 12
    assert len(PUBLISHED["grabcut_scribbles"].only) == 50


def test_the_subsets_are_those_of_the_development_data(shared_data):
    folder = shared_data / "medscribble_dev"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    assert {path.stem for path in folder.glob("*.npz")} == set(DEV)
    patients = {path.name.partition("_")[0] for path in (shared_data / "acdc_scribbles").glob("*.npz")}
    assert patients == set(PUBLISHED["acdc_scribbles"].only)


def test_medscribble(serve, fetch, tmp_path, web):
    other = "WBC__CV__999_axis0_midslice"
    files = medscribble([*DEV[:2], other])
    files |= {"ScribblePrompt-0/MedScribble/AbdominalUS/Real/h27/scribble_0.npy": npy(np.zeros((2, 8, 8)))}
    serve("medscribble_dev", zipped(files))
    serve("medscribble_all", zipped(files))
    lines = fetch("medscribble_dev")
    data = open_data_set("medscribble_dev", tmp_path)
    assert data.cases == tuple(f"{image} {person}" for image in DEV[:2] for person in range(3))
    case = data.load(data.cases[0])
    assert case.ids == (0, 1)
    assert case.source == "ACDC"
    assert {i: int((case.strokes == i).sum()) for i in (0, 1)} == {0: 4, 1: 1}
    licence, address = (next(i for i, line in enumerate(lines) if word in line) for word in ("licence", web.address))
    assert licence < address
    assert "Apache-2.0" in lines[licence]
    fetch("medscribble_all")
    assert len(open_data_set("medscribble_all", tmp_path)) == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "medscribble_all", "medscribble_all.sha256", "medscribble_dev", "medscribble_dev.sha256"]  # fmt: skip
    assert "licence: strokes Apache-2.0" in (tmp_path / "medscribble_dev" / "SOURCE.txt").read_text()


@pytest.mark.parametrize("named", [("frame01", "frame13"), ("frame_ED", "frame_ES")])
def test_acdc(serve, fetch, tmp_path, named):
    images, drawn, image, label, scribble = acdc(named=named)
    strange = acdc("patient006")
    serve("acdc_scribbles", zipped(images | strange[0]), zipped(drawn | strange[1]))
    fetch("acdc_scribbles")
    data = open_data_set("acdc_scribbles", tmp_path)
    assert data.cases == ("patient005_frame01", "patient005_frame13")
    case = data.load("patient005_frame13")
    np.testing.assert_array_equal(case.truth, label)
    np.testing.assert_array_equal(case.strokes, np.where(scribble == 4, -1, scribble.astype(int)))
    assert case.image.dtype == np.float32
    assert (case.image.min(), case.image.max()) == (0, 1)
    least, most = image.min(), np.sort(image.ravel())[int(np.ceil(0.99 * image.size)) - 1]
    expected = (np.clip(image, least, most) - least) / (most - least)
    np.testing.assert_allclose(case.image, expected, atol=1e-6)  # clipped at the 99th percentile
    assert not list((tmp_path / "acdc_scribbles").glob("*.nii.gz"))


@pytest.mark.parametrize(("kind", "end"), [("JPEG", "jpg"), ("BMP", "bmp"), ("PNG", "png")])
def test_grabcut(serve, fetch, tmp_path, kind, end):
    serve("grabcut_scribbles", *map(tarred, grabcut(kind=kind, end=end)))
    fetch("grabcut_scribbles")
    data = open_data_set("grabcut_scribbles", tmp_path)
    assert data.cases == ("llama",)
    assert data.human_strokes
    case = data.load("llama")
    assert case.image.shape == (20, 24, 3)
    assert case.ids == (0, 255)
    assert case.names[255] == "object"
    assert int((case.truth == -1).sum()) == 10
    assert {i: int((case.strokes == i).sum()) for i in (0, 255)} == {0: 18, 255: 5}
    assert (case.truth[case.strokes == 255] == 255).all()


def test_the_first_download_is_recorded_and_later_ones_are_compared(serve, fetch, tmp_path):
    files = medscribble()
    serve("medscribble_dev", zipped(files))
    fetch("medscribble_dev")
    record = tmp_path / "medscribble_dev.sha256"
    name = sorted(n for n in files if n.endswith("seg.npy"))[0]
    assert f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" in record.read_text()
    assert len(record.read_text().splitlines()) == 10
    before = record.read_bytes()

    (tmp_path / "medscribble_dev").rename(tmp_path / "moved")
    serve("medscribble_dev", zipped(dict(reversed(files.items()))))  # packed anew, with the same content
    fetch("medscribble_dev")
    assert len(open_data_set("medscribble_dev", tmp_path)) == 6

    (tmp_path / "medscribble_dev").rename(tmp_path / "moved again")
    serve("medscribble_dev", zipped(files | {name: npy(np.ones((8, 8)))}))
    with pytest.raises(InputError) as raised:
        fetch("medscribble_dev")
    former, now = (hashlib.sha256(c).hexdigest() for c in (files[name], npy(np.ones((8, 8)))))
    assert f"{name} had the SHA-256 {former} at the first download, and has {now} now" in str(raised.value)
    assert record.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["medscribble_dev.sha256", "moved", "moved again"]

    serve("medscribble_dev", zipped(medscribble(DEV[:3])))
    with pytest.raises(InputError, match="had the SHA-256 of no file at the first download"):
        fetch("medscribble_dev")
    record.unlink()
    fetch("medscribble_dev")
    assert len(open_data_set("medscribble_dev", tmp_path)) == 9


def test_a_folder_that_is_there_is_kept_and_nothing_is_fetched(serve, fetch, tmp_path, web):
    serve("medscribble_dev", zipped(medscribble()))
    fetch("medscribble_dev")
    requested = len(web.requested)
    content = {p: p.read_bytes() for p in (tmp_path / "medscribble_dev").iterdir()}
    assert fetch("medscribble_dev") == [
        f"medscribble_dev: it is in {tmp_path / 'medscribble_dev'} already; nothing is fetched"]  # fmt: skip
    (tmp_path / "acdc_scribbles").mkdir()
    (tmp_path / "acdc_scribbles" / "mine.txt").write_text("of the user")
    with pytest.raises(InputError, match="is there, but is not the data set acdc_scribbles .*move it away"):
        fetch("acdc_scribbles")
    assert (tmp_path / "acdc_scribbles" / "mine.txt").read_text() == "of the user"
    assert content == {p: p.read_bytes() for p in (tmp_path / "medscribble_dev").iterdir()}
    assert len(web.requested) == requested


def damaged(name):
    """Archives of a data set with one fault, and what is said of it."""
    images, drawn, *_ = acdc()
    photographs, truths, strokes = grabcut()
    seg = f"ScribblePrompt-0/MedScribble/{DEV[0].replace('__', '/')}/seg.npy"
    return {
        "no archive": ("medscribble_dev", [b"<html>"], "it cannot be read as zip or tar.gz"),
        "cut off": ("medscribble_dev", [zipped(medscribble())[:-30]], "it cannot be read as zip or tar.gz"),
        "leads out": ("medscribble_dev", [zipped(medscribble() | {"../../x": b"x"})], "a name within it is expected"),
        "empty": ("medscribble_dev", [zipped({"README.md": b""})], "no image with its strokes was found"),
        "others only": ("medscribble_dev", [zipped(medscribble(["A__B__c"]))], "no image with its strokes was found"),
        "objects": (
            "medscribble_dev", [zipped(medscribble() | {seg: npy(np.array([{}], dtype=object))})], "cannot be read as"),
        "too short": ("medscribble_dev", [zipped(medscribble() | {seg: npy(np.zeros((8, 8)))[:-9]})], "truncated"),
        "no array": ("medscribble_dev", [zipped(medscribble() | {seg: b"no"})], "cannot be read as npy"),
        "no strokes": ("acdc_scribbles", [zipped(images), zipped({"a": b""})], "no image with its strokes was found"),
        "no labels": (
            "acdc_scribbles", [zipped({n: c for n, c in images.items() if "_gt" not in n}), zipped(drawn)],
            "no image with its strokes was found"),
        "no volume": ("acdc_scribbles", [zipped(images), zipped(dict.fromkeys(drawn, b"no"))], "patient005_frame01"),
        "other shape": (
            "acdc_scribbles", [zipped(images), zipped({n: gz_nifti(np.zeros((1, 9, 9), np.uint8)) for n in drawn})],
            "it has the shape"),
        "other labels": (
            "acdc_scribbles", [zipped(images), zipped({n: gz_nifti(np.full((2, 10, 12), 5, np.uint8)) for n in drawn})],
            "it holds other values than the labels 0 to 4"),
        "flat": (
            "acdc_scribbles",
            [zipped({n: gz_nifti(np.zeros((2, 10, 12), np.int16)) if n[-8] in "13" else c for n, c in images.items()}),
             zipped(drawn)], "one with contrast is expected"),
        "no picture": (
            "grabcut_scribbles", [tarred(dict.fromkeys(photographs, b"no")), tarred(truths), tarred(strokes)],
            "cannot be read as a picture"),
        "other values": ("grabcut_scribbles", [tarred(f) for f in grabcut(stroke=7)], r"it holds the values \[7\]"),
        "a link": (
            "grabcut_scribbles", [link_tar("images/llama.jpg"), tarred(truths), tarred(strokes)], "a link or a device"),
    }[name]  # fmt: skip


def link_tar(name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as file:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize(
    "fault",
    ["no archive", "cut off", "leads out", "empty", "others only", "objects", "too short", "no array", "no strokes",
     "no labels", "no volume", "other labels", "other shape", "flat", "no picture", "other values", "a link"],
)  # fmt: skip
def test_a_fault_leaves_nothing_behind(serve, fetch, tmp_path, fault):
    name, archives, message = damaged(fault)
    serve(name, *archives)
    with pytest.raises(InputError, match=message) as raised:
        fetch(name)
    assert len(str(raised.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "most", "message"),
    [("limit", 1000, "has more than 1000 bytes"), ("unpacked", 900, "at most are expected")],
)
def test_what_is_too_large_is_not_kept(serve, fetch, tmp_path, monkeypatch, field, most, message):
    serve("medscribble_dev", zipped(medscribble()))
    one = PUBLISHED["medscribble_dev"]
    files = (dataclasses.replace(one.files[0], **{field: most}),)
    monkeypatch.setitem(PUBLISHED, "medscribble_dev", dataclasses.replace(one, files=files))
    with pytest.raises(InputError, match=message):
        fetch("medscribble_dev")
    assert not list(tmp_path.iterdir())


def test_labels_stored_as_real_numbers_are_read(serve, fetch, tmp_path):
    images, drawn, *_, scribble = acdc()
    serve(
        "acdc_scribbles",
        zipped(images),
        zipped({n: gz_nifti(scribble.astype(np.float64)) for n in drawn if "._" not in n}),
    )
    fetch("acdc_scribbles")
    case = open_data_set("acdc_scribbles", tmp_path).load("patient005_frame01")
    assert (case.strokes == 0).sum() == (scribble == 0).sum()


def test_a_root_that_cannot_be_written_is_reported(serve, tmp_path):
    serve("medscribble_dev", zipped(medscribble()))
    (tmp_path / "file").write_text("of the user")
    with pytest.raises(InputError, match="medscribble_dev cannot be written"):
        fetch_data_set("medscribble_dev", tmp_path / "file", announce=lambda _: None)
    assert (tmp_path / "file").read_text() == "of the user"


@pytest.mark.parametrize("seed", range(3))
def test_damaged_archives_are_messages(tmp_path, seed):
    """Bytes changed at random, inside of tar files, too: the content is read, or there is one message."""
    rng = np.random.default_rng(seed)
    images, drawn, *_ = acdc()
    sets = (
        (unpack_medscribble, [zipped(medscribble())]),
        (unpack_acdc, [zipped(images), zipped(drawn)]),
        (unpack_grabcut, [tarred(files) for files in grabcut()]),
    )
    refused = 0
    for number in range(60):
        unpack, archives = sets[number % 3]
        which = rng.integers(len(archives))
        data = bytearray(gzip.decompress(archives[which]) if unpack is unpack_grabcut else archives[which])
        for _ in range(4):
            data[-rng.integers(1, len(data) + 1)] = rng.integers(256)
        damaged_one = gzip.compress(bytes(data)) if unpack is unpack_grabcut else bytes(data)
        folder = tmp_path / str(number)
        folder.mkdir()
        with ExitStack() as stack:
            try:
                opened = []
                for i, content in enumerate([*archives[:which], damaged_one, *archives[which + 1 :]]):
                    (tmp_path / f"{i}.archive").write_bytes(content)
                    opened.append(stack.enter_context(open_archive(tmp_path / f"{i}.archive", limit=1 << 24)))
                assert unpack(opened, folder, None) > 0
            except InputError:
                refused += 1
    assert refused > 20


def test_a_second_archive_that_is_missing_leaves_nothing(serve, fetch, tmp_path, web):
    images, drawn, *_ = acdc()
    serve("acdc_scribbles", zipped(images), zipped(drawn))
    del web.responses["/acdc_scribbles-1"]
    with pytest.raises(InputError, match=r"acdc_scribbles-1 cannot be fetched \(HTTP Error 404.*; read https://www\."):
        fetch("acdc_scribbles")
    assert not list(tmp_path.iterdir())


def test_without_an_address_the_message_names_a_page_about_the_data_set(fetch, tmp_path):
    with pytest.raises(InputError, match="no address is known at which the authors of graz_scribbles.*tu-graz"):
        fetch("graz_scribbles")
    with pytest.raises(InputError, match="the data set msd_hippocampus is not fetched; those that can be are acdc_"):
        fetch("msd_hippocampus")
    with pytest.raises(InputError, match="'grazz' is no built-in data set"):
        fetch("grazz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FETCHED)
def test_nothing_is_fetched_without_a_request(name, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *_, **__: pytest.fail("the network was asked"))
    message = f"there is no such folder; scribseg bench --data {name} --download shows the licence"
    with pytest.raises(InputError, match=message):
        open_data_set(name, tmp_path)


@pytest.mark.parametrize("text", ["no checksum", "abc  name", ""])
def test_a_record_that_is_none_is_reported(serve, fetch, tmp_path, text):
    serve("medscribble_dev", zipped(medscribble()))
    (tmp_path / "medscribble_dev.sha256").write_text(text + "\n")
    with pytest.raises(InputError, match="is no checksum with a name; delete the file to begin anew"):
        fetch("medscribble_dev")
    assert [p.name for p in tmp_path.iterdir()] == ["medscribble_dev.sha256"]
