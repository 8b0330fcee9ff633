import errno
import os
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

from napari_scribseg import Session, engine_names, get_engine
from napari_scribseg.core.engine import ENGINE_GROUPS
from napari_scribseg.core.registry import DEFAULT_ENGINE

AFFINE = np.array([[-0.8, 0, 0, 12], [0, -0.9, 0, -7], [0, 0, 3.0, 4], [0, 0, 0, 1]])


@pytest.fixture
def files(tmp_path):
    """A volume of four slices (two grey halves), strokes on two of them, and where the left half is."""
    rng = np.random.default_rng(0)
    values = np.zeros((32, 24, 4), np.int16)  # x, y, z as NIfTI has it
    values[16:] = 300
    values += rng.integers(-20, 20, values.shape, dtype=np.int16)
    strokes = np.zeros(values.shape, np.uint8)
    for z in (1, 2):
        strokes[4, 4:20, z] = 255
        strokes[26, 4:20, z] = 3
    for name, array in (("image", values), ("strokes", strokes)):
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii.gz")
    return tmp_path


def segment(files, *more, out="labels.nii.gz", engine="svcd"):
    chosen = () if engine is None or "--engine" in more else ("--engine", engine)
    image, strokes = files / "image.nii.gz", files / "strokes.nii.gz"
    return ("segment", image, "--scribbles", strokes, "--out", files / out, *chosen, *more)


def test_segment_writes_every_slice_with_strokes_on_the_images_grid(scribseg, files):
    code, out, err = scribseg(*segment(files, "--background", "255", "--picture", files / "picture.png", "--bids"))
    assert code == 0, err
    assert out.split() == [str(files / n) for n in ("labels.nii.gz", "labels_dseg.tsv", "picture.png")]
    saved = nibabel.load(files / "labels.nii.gz")
    np.testing.assert_allclose(saved.affine, AFFINE)
    labels = np.asarray(saved.dataobj)
    assert labels.dtype == np.uint8
    assert not labels[..., [0, 3]].any()
    for z in (1, 2):
        assert (labels[:14, :, z] == 0).mean() > 0.97
        assert (labels[18:, :, z] == 3).mean() > 0.97
    picture = np.asarray(Pillow.open(files / "picture.png"))
    assert picture.ndim == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_without_background_every_id_is_written(scribseg, files):
    assert scribseg(*segment(files))[0] == 0
    labels = np.asarray(nibabel.load(files / "labels.nii.gz").dataobj)
    assert set(np.unique(labels[..., 1])) == {3, 255}


@pytest.mark.parametrize("axis", ["1", "coronal"])
def test_the_axis_can_be_chosen(scribseg, files, axis):
    picture = ("--picture", files / "picture.png")
    assert scribseg(*segment(files, "--axis", axis, "--background", "255", *picture))[0] == 0
    labels = np.asarray(nibabel.load(files / "labels.nii.gz").dataobj)
    assert labels[:, 4:20].any(axis=(0, 2)).all()
    assert not labels[:, [0, 23]].any()


def test_the_engine_is_that_of_the_window_where_none_is_named(scribseg, files):
    code, _, err = scribseg(*segment(files, "--param", "passes=3", engine=None))
    assert code == 2
    assert "passes is 3; expected 1 to 2" in err
    assert get_engine().info.name == DEFAULT_ENGINE == "scribble-net"
    assert signature(Session).parameters["engine"].default == DEFAULT_ENGINE


def test_parameters_reach_the_engine(scribseg, files):
    assert scribseg(*segment(files, "--param", "smoothness=1"))[0] == 0
    code, _, err = scribseg(*segment(files, "--param", "smoothness=much", out="other.nii.gz"))
    assert code == 2
    assert "smoothness is 'much'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine", "svdc"), "did you mean 'svcd'"),
        (("--param", "smoothness"), "name=value is expected"),
        (("--param", "nonsense=1"), "has no parameter 'nonsense'"),
        (("--axis", "3"), "axis 3 was requested; 0 to 2 are expected"),
        (("--axis", "up"), "the axis is 'up'; axial, coronal, sagittal or the number of an axis is expected"),
        (("--background", "77"), "the background id is 77; the scribbles hold [3, 255]"),
    ],
)
def test_bad_options_end_with_status_2_and_one_message(scribseg, files, arguments, words):
    code, out, err = scribseg(*segment(files, *arguments))
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not out
    assert not (files / "labels.nii.gz").exists()


@pytest.mark.parametrize(
    ("option", "path", "words"),
    [
        ("--out", "labels.docx", "labels can be saved as"),
        ("--out", "missing/labels.nii.gz", "the folder does not exist"),
        ("--out", "folder.nii", "it is a folder"),
        ("--picture", "picture.gif", "a picture can be saved as .png or .jpg"),
        ("--picture", "missing/picture.png", "the folder does not exist"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_computed(scribseg, files, monkeypatch, option, path, words):
    monkeypatch.setattr("napari_scribseg.headless.segment_strokes", lambda *_args, **_options: pytest.fail("computed"))
    (files / "folder.nii").mkdir()
    code, _, err = scribseg(*segment(files, option, files / path))
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_scribbles_elsewhere_in_space_are_refused_unless_allowed(scribseg, files):
    moved = nibabel.load(files / "strokes.nii.gz")
    affine = AFFINE.copy()
    affine[2, 3] += 3
    nibabel.save(nibabel.Nifti1Image(np.asarray(moved.dataobj), affine), files / "strokes.nii.gz")
    code, _, err = scribseg(*segment(files))
    assert code == 2
    assert "lies elsewhere in space" in err
    assert scribseg(*segment(files, "--ignore-geometry"))[0] == 0


def test_scribbles_of_another_shape_or_without_strokes_are_refused(scribseg, files):
    nibabel.save(nibabel.Nifti1Image(np.zeros((32, 24, 4), np.uint8), AFFINE), files / "strokes.nii.gz")
    assert "hold no stroke" in scribseg(*segment(files))[2]
    nibabel.save(nibabel.Nifti1Image(np.ones((31, 24, 4), np.uint8), AFFINE), files / "strokes.nii.gz")
    code, _, err = scribseg(*segment(files))
    assert code == 2
    assert "(4, 24, 31)" in err
    assert "(4, 24, 32)" in err


def test_missing_and_foreign_files_end_with_status_2(scribseg, files):
    (files / "image.nii.gz").write_bytes(b"no image")
    assert scribseg(*segment(files))[0] == 2
    (files / "image.nii.gz").unlink()
    code, _, err = scribseg(*segment(files))
    assert code == 2
    assert "image.nii.gz" in err


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def in_other_formats(files):
    """The same files as .mhd with .raw, the strokes as .nhdr with .raw and with a table of names."""
    for name, kind in (("image", "MET_SHORT"), ("strokes", "MET_UCHAR")):
        array = np.asarray(nibabel.load(files / f"{name}.nii.gz").dataobj)
        (files / f"{name}.raw").write_bytes(array.tobytes(order="F"))
        head = f"ObjectType = Image\nNDims = 3\nDimSize = 32 24 4\nElementType = {kind}\nElementDataFile = {name}.raw\n"
        (files / f"{name}.mhd").write_text(head)
    (files / "table_dseg.tsv").write_text("index\tname\n3\tliver\n")
    return files


@pytest.mark.parametrize("linked", ["itself", "symbolic", "hard"])
@pytest.mark.parametrize(
    ("target", "name", "image", "strokes"),
    [
        ("image.nii.gz", "out.nii.gz", "image.nii.gz", "strokes.nii.gz"),
        ("strokes.nii.gz", "out.nii.gz", "image.nii.gz", "strokes.nii.gz"),
        ("image.mhd", "out.mhd", "image.mhd", "strokes.nii.gz"),
        ("image.raw", "out.nii.gz", "image.mhd", "strokes.nii.gz"),
        ("strokes.raw", "out.tif", "image.nii.gz", "strokes.mhd"),
    ],
)
def test_what_is_read_is_never_written_over(scribseg, in_other_formats, linked, target, name, image, strokes):
    folder = in_other_formats
    out = folder / target
    if linked != "itself":
        out = folder / name
        (out.symlink_to if linked == "symbolic" else out.hardlink_to)(folder / target)
    elif target.endswith(".raw"):
        pytest.skip("labels are never saved as .raw")
    before = contents(folder)
    code, _, err = scribseg("segment", folder / image, "--scribbles", folder / strokes, "--out", out, "--overwrite")
    assert code == 2
    assert "would be written over the input" in err
    assert len(err.strip().splitlines()) == 1
    assert contents(folder) == before


def test_neither_is_the_table_of_the_strokes(scribseg, in_other_formats):
    folder = in_other_formats
    (folder / "strokes.nii.gz").rename(folder / "table.nii.gz")
    before = contents(folder)
    command = ("segment", folder / "image.nii.gz", "--scribbles", folder / "table.nii.gz", "--overwrite")
    code, _, err = scribseg(*command, "--out", folder / "table.tif")
    assert (code, "table_dseg.tsv would be written over the input" in err) == (2, True)
    (folder / "picture.png").symlink_to(folder / "image.nii.gz")
    before = contents(folder)
    code, _, err = scribseg(*command, "--out", folder / "l.tif", "--picture", folder / "picture.png")
    assert (code, "picture.png would be written over the input" in err) == (2, True)
    assert contents(folder) == before


def test_existing_files_are_replaced_with_overwrite_only(scribseg, files):
    first = segment(files, "--background", "255", "--picture", files / "p.png", "--itksnap", "--bids")
    assert scribseg(*first)[0] == 0
    written = contents(files)
    for name in ("labels.nii.gz", "labels_dseg.tsv", "labels_labels.txt", "p.png"):
        for path in written:
            if path.name in ("labels.nii.gz", "labels_dseg.tsv", "labels_labels.txt", "p.png"):
                path.unlink(missing_ok=True)
        (files / name).write_bytes(b"of the user")
        code, _, err = scribseg(*first)
        assert (code, f"{name} is there already; --overwrite replaces it" in err) == (2, True)
        assert (files / name).read_bytes() == b"of the user"
        assert scribseg(*first, "--overwrite")[0] == 0
        assert contents(files) == written


def test_names_are_kept_by_default(scribseg, files):
    (files / "strokes_dseg.tsv").write_text("index\tname\tcolor\n3\tliver\t#ff0000\n255\toutside\t#101010\n")
    code, out, err = scribseg(*segment(files, "--background", "255"))
    assert code == 0, err
    assert out.split() == [str(files / "labels.nii.gz"), str(files / "labels_dseg.tsv")]
    assert "3\tliver\t#ff0000" in (files / "labels_dseg.tsv").read_text()
    code, out, _ = scribseg(*segment(files, "--no-bids", out="bare.nii.gz"))
    assert out.split() == [str(files / "bare.nii.gz")]


def test_the_demo_keeps_to_a_folder_of_its_own(scribseg, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "image.nii.gz").write_bytes(b"of the user")
    code, _, err = scribseg("demo", "--out", tmp_path / "own")
    assert code == 2
    assert "image.nii.gz is there already" in err
    assert (tmp_path / "own" / "image.nii.gz").read_bytes() == b"of the user"
    assert len(list((tmp_path / "own").iterdir())) == 1
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        code, _, err = scribseg("demo", "--out", tmp_path / "empty")
        assert code == 0, err


def test_paths_that_name_nothing_give_one_message(scribseg, files):
    for arguments in (("info", "~nobody-of-this-name/x.nii"), segment(files, "--out", "~nobody-of-this-name/x.nii")):
        code, _, err = scribseg(*arguments)
        assert code == 2
        assert "the home folder of this user is not known" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_an_output_on_a_full_disk_ends_with_status_2():
    with Path("/dev/full").open("w") as full:
        code = "from napari_scribseg.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code, "engines"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "scribseg: the output cannot be written: the disk is full\n"


@pytest.mark.parametrize("where", ["run.json", "rows.csv", "report.md"])
def test_a_disk_that_fills_up_while_a_benchmark_runs(scribseg, tmp_path, monkeypatch, where):
    for kind, values in (("images", np.add.outer(np.arange(40), np.arange(40))), ("labels", np.eye(40) * 0 + 1)):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        values = np.where(np.arange(40) > 20, values, 0).astype(np.uint8)
        Pillow.fromarray(values).save(tmp_path / "pairs" / kind / "a.png")
    real = os.fsync

    def full(descriptor):
        if where in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = scribseg(
        "bench", "--out", tmp_path / "out", "--data", tmp_path / "pairs", "--engine", "watershed", "--peers", "none",
        "--protocol", "strokes", "--corrections", "1",
    )  # fmt: skip
    assert code == 2, err
    assert "the disk is full" in err.splitlines()[-1]


def test_a_failing_engine_ends_with_status_1(scribseg, files, monkeypatch):
    from napari_scribseg.engines.svcd import SVCD

    def fail(self, *_arguments, **_keywords):
        raise RuntimeError("the engine broke")

    monkeypatch.setattr(SVCD, "segment", fail)
    code, _, err = scribseg(*segment(files))
    assert code == 1
    assert "the engine broke" in err
    assert "Traceback" not in err


def test_engines_and_info(scribseg, files):
    code, out, _ = scribseg("engines")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "Start here"
    names = {line.split()[0] for line in lines if line.startswith("  ")}
    assert names == set(engine_names())
    assert {line for line in lines if not line.startswith("  ")} >= set(ENGINE_GROUPS)
    code, out, _ = scribseg("info", files / "image.nii.gz")
    assert code == 0
    assert "z 4, y 24, x 32" in out
    assert "3 x 0.9 x 0.8 mm" in out
    assert "int16" in out


def test_demo_leaves_a_label_volume_and_a_picture(scribseg, tmp_path):
    code, _, err = scribseg("demo", "--out", tmp_path / "demo")
    assert code == 0, err
    image = nibabel.load(next((tmp_path / "demo").glob("image.nii*")))
    labels = nibabel.load(tmp_path / "demo" / "labels.nii.gz")
    assert labels.shape == image.shape[:3]
    np.testing.assert_allclose(labels.affine, image.affine, atol=1e-5)
    strokes = np.asarray(nibabel.load(tmp_path / "demo" / "scribbles.nii.gz").dataobj)
    values = np.asarray(labels.dataobj)
    painted = (strokes != 0) & (strokes != 255)
    np.testing.assert_array_equal(values[painted], strokes[painted])
    assert (np.asarray(Pillow.open(tmp_path / "demo" / "labels.png")).std(axis=(0, 1)) > 10).all()


def test_the_command_itself_loads_no_torch_to_list_engines():
    code = (
        "import sys\nsys.argv = ['scribseg', 'engines']\nfrom napari_scribseg.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numba', 'napari', 'qtpy', 'SimpleITK', 'nibabel'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_inside_a_finalizer_is_not_lost():
    code = """
import os, signal, threading
from napari_scribseg import Session, cli, engine_names, get_engine
from napari_scribseg.core.engine import ENGINE_GROUPS
from napari_scribseg.core.registry import DEFAULT_ENGINE

class Kept:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

@cli.app.command()
def work():
    kept = Kept()
    del kept  # Python raises KeyboardInterrupt in there, and drops it
    threading.Event().wait(120)

cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr


def test_what_a_user_is_to_know_takes_one_line(scribseg, tmp_path):
    image = nibabel.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    nibabel.save(image, tmp_path / "i.nii")
    content = bytearray((tmp_path / "i.nii").read_bytes())
    content[252:256] = np.array([0, 1], "<i2").tobytes()
    content[280:328] = bytes(48)  # all rows of the sform
    (tmp_path / "i.nii").write_bytes(content)
    code, out, err = scribseg("info", tmp_path / "i.nii")
    assert code == 0
    assert "spacing" in out
    assert err == "scribseg: i.nii: its affine is singular; only the voxel size is used\n"


@pytest.fixture
def measured(files):
    """A label volume with two classes on the grid of the image."""
    labels = np.zeros((32, 24, 4), np.uint8)
    labels[16:, :, 1:3], labels[:4, :4, 0] = 3, 7
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), files / "labels_dseg.nii.gz")
    return files / "labels_dseg.nii.gz", np.asarray(nibabel.load(files / "image.nii.gz").dataobj), labels


def test_measure_shows_a_table_or_writes_it(scribseg, files, measured):
    path, image, labels = measured
    code, out, _ = scribseg("measure", path, "--image", files / "image.nii.gz")
    assert code == 0
    header, first, second = (re.split(r"\s{2,}", line) for line in out.splitlines())
    row = dict(zip(header, first, strict=True))
    assert (row["id"], row["voxels"]) == ("3", str(16 * 24 * 2))
    assert float(row["ml"]) == pytest.approx(16 * 24 * 2 * 0.8 * 0.9 * 3 / 1000, rel=1e-3)
    assert float(row["mean"]) == pytest.approx(image[labels == 3].mean(), rel=1e-3)
    assert second[0] == "7"

    code, out, _ = scribseg("measure", path, "--out", files / "t.csv", "--per-slice", "--axis", "sagittal")
    assert (code, out.strip()) == (0, str(files / "t.csv"))
    lines = (files / "t.csv").read_text().splitlines()
    assert len(lines) == 1 + (1 + 16) + (1 + 4)
    assert ",sagittal," in lines[2]
    assert scribseg("measure", path, "--out", files / "t.csv")[0] == 2
    assert scribseg("measure", path, "--out", files / "t.csv", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--axis", "axial"), "the axis axial was given without slices"),
        (("--per-slice", "--axis", "z"), "the axis is 'z'; axial, coronal, sagittal or the number"),
        (("--per-slice", "--axis", "5"), "axis 5 was requested; 0 to 2 are expected"),
        (("--out", "t.xlsx"), "t.xlsx: a table of measures is saved as .csv"),
        (("--image", "moved.nii.gz"), "moved.nii.gz lies elsewhere in space"),
        (("--image", "small.nii.gz"), "small.nii.gz has the shape (3, 24, 32)"),
    ],
)
def test_measure_refuses_with_one_message(scribseg, files, measured, arguments, words):
    image = np.zeros((32, 24, 4), np.int16)
    moved = AFFINE.copy()
    moved[0, 3] += 5
    nibabel.save(nibabel.Nifti1Image(image, moved), files / "moved.nii.gz")
    nibabel.save(nibabel.Nifti1Image(image[..., :3], AFFINE), files / "small.nii.gz")
    arguments = [files / a if "." in a else a for a in arguments]
    code, out, err = scribseg("measure", measured[0], *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
