"""From an image and strokes on a few slices to a whole label volume."""

import nibabel
import numpy as np
import pytest

from napari_scribseg.core import ClassTable, InputError, get_engine
from napari_scribseg.core.source import Source
from napari_scribseg.headless import segment_strokes

AFFINE = np.array([[-0.8, 0, 0, 12], [0, -0.9, 0, -7], [0, 0, 3.0, 4], [0, 0, 0, 1]])
N = 12


@pytest.fixture(scope="module")
def cone():
    """A cone of which slice z has the radius 8 + z / 2; shape (x, y, z)."""
    x, y, z = np.ogrid[:48, :40, :N]
    return (x - 22) ** 2 + (y - 20) ** 2 < (8 + z / 2) ** 2


@pytest.fixture
def files(tmp_path, cone):
    """The image, and strokes on slices 2 and 9."""
    noise = np.random.default_rng(0).integers(-20, 20, cone.shape)
    strokes = np.zeros(cone.shape, np.uint8)
    strokes[4:44, 2, 2::7] = 1
    strokes[18:26, 20, 2::7] = 2
    for name, array in (("image", np.where(cone, 300, 0) + noise), ("strokes", strokes)):
        nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), AFFINE), tmp_path / f"{name}.nii.gz")
    return tmp_path


def fill(files, *more):
    image, strokes, out = (files / f"{name}.nii.gz" for name in ("image", "strokes", "labels"))
    return ("fill", image, "--strokes", strokes, "--out", out, "--background", "1", "--engine", "svcd", *more)


def read(files, name="labels"):
    saved = nibabel.load(files / f"{name}.nii.gz")
    np.testing.assert_allclose(saved.affine, AFFINE)
    return np.asarray(saved.dataobj)


def test_slices_without_strokes_are_filled(scribseg, files, cone):
    code, out, err = scribseg(*fill(files))
    assert code == 0, err
    assert out.split()[0] == str(files / "labels.nii.gz")
    labels = read(files)
    assert ((labels[..., 2:10] == 2) != cone[..., 2:10]).mean() < 0.02


def test_only_the_slices_that_are_named_are_filled(scribseg, files):
    code, _out, err = scribseg(*fill(files, "--slices", "4:6"))
    assert code == 0, err
    assert np.flatnonzero(read(files).any(axis=(0, 1))).tolist() == [2, 4, 5, 6, 9]


def test_labels_of_a_file_are_filled_from_too_and_keep_their_names(scribseg, files, cone):
    finished = np.zeros(cone.shape, np.uint8)
    finished[..., 11] = np.where(cone[..., 11], 2, 0)
    nibabel.save(nibabel.Nifti1Image(finished, AFFINE), files / "finished.nii.gz")
    (files / "finished_dseg.tsv").write_text("index\tname\n2\tcone\n")
    code, _out, err = scribseg(*fill(files, "--labels", files / "finished.nii.gz", "--slices", "9:11"))
    assert code == 0, err
    labels = read(files)
    assert (labels[..., 11] == finished[..., 11]).all()
    assert ((labels[..., 10] == 2) != cone[..., 10]).mean() < 0.02


def test_what_it_refuses(scribseg, files):
    code, _out, err = scribseg(*fill(files, "--slices", "4:99"))
    assert code == 2
    assert "index 99 along axis 0 was requested" in err
    code, _out, err = scribseg(*fill(files, "--labels", files / "missing.nii.gz"))
    assert code == 2
    assert "missing.nii.gz" in err


def volume(mask):
    return Source.from_array(np.where(mask, 300.0, 0.0).astype(np.float32))


def test_strokes_of_one_class_correct_the_filled_labels(cone):
    mask = np.moveaxis(cone, 2, 0)
    painted = np.zeros(mask.shape, np.uint8)
    painted[2::7, 4:44, 2] = 1
    painted[2::7, 18:26, 20] = 2
    painted[5, 40:46, 34:38] = 2
    classes = ClassTable.from_ids([1, 2], background=1)
    seen, fractions = [], []
    labels = segment_strokes(
        volume(mask),
        painted,
        get_engine("svcd"),
        classes=classes,
        progress=seen.append,
        fill=True,
        slices=(2, 9),
        report=lambda fraction, _preview=None: fractions.append(fraction),
    )
    assert (labels[5, 40:46, 34:38] == 2).all()
    assert ((labels[5] == 2) != mask[5]).mean() < 0.1
    assert [step.slice_index.position[0] for step in seen] == [2, 9, 5]
    assert fractions[-1] == 1
    with pytest.raises(InputError, match="of one class only"):
        segment_strokes(volume(mask), painted, get_engine("svcd"), classes=classes)


def test_times_without_strokes_are_filled_from_their_neighbours(cone):
    mask = np.stack([np.roll(np.moveaxis(cone, 2, 0), shift, axis=1) for shift in range(4)])
    painted = np.zeros(mask.shape, np.uint8)
    for time in (0, 2):
        painted[time, 2::7, 4:44, 2] = 1
        painted[time, 2::7, 18:26, 20] = 2
    labels = segment_strokes(
        volume(mask), painted, get_engine("svcd"), classes=ClassTable.from_ids([1, 2], background=1), fill=True
    )
    for time in range(4):
        assert ((labels[time, 2:10] == 2) != mask[time, 2:10]).mean() < 0.03


def test_what_cannot_be_filled(cone):
    mask = np.moveaxis(cone, 2, 0)
    painted = np.zeros(mask.shape, np.uint8)
    painted[2, 18:26, 20] = 2
    with pytest.raises(InputError, match="no slice has strokes of two classes or labels"):
        segment_strokes(volume(mask), painted, get_engine("svcd"), fill=True)
    with pytest.raises(InputError, match="one slice only"):
        segment_strokes(volume(mask[2]), painted[2] + 1, get_engine("svcd"), fill=True)
