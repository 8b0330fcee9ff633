"""The command ``scribseg edit``, and the table of tools in the documentation."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_scribseg.core import ClassTable, InputError, LabelClass
from napari_scribseg.core.parameters import parameters_of
from napari_scribseg.headless import edit_file, find_class, parse_slices
from napari_scribseg.io import read_labels, write_labels
from napari_scribseg.numerics.editing import TOOLS, Combine, FillHoles, Grow, Scope, Threshold, edit_labels

AFFINE = np.array([[-0.5, 0, 0, 12], [0, -0.5, 0, -7], [0, 0, 2.0, 4], [0, 0, 0, 1]])


@pytest.fixture
def array():
    """Axes z, y, x: a liver with a hole, and a spleen beside it."""
    made = np.zeros((6, 12, 16), np.uint8)
    made[1:5, 2:10, 2:9] = 2
    made[2:4, 5, 5] = 0
    made[1:5, 2:10, 9:12] = 7
    return made


@pytest.fixture
def files(tmp_path, array):
    nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), AFFINE), tmp_path / "plain.nii.gz")
    values = np.random.default_rng(0).integers(0, 100, array.shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), AFFINE), tmp_path / "image.nii.gz")
    classes = ClassTable((LabelClass(2, "liver", (1, 0, 0, 1)), LabelClass(7, "spleen", (0, 0, 1, 1))))
    write_labels(tmp_path / "labels.seg.nrrd", array, read_labels(tmp_path / "plain.nii.gz").geometry, classes)
    return tmp_path


SPACING = (2.0, 0.5, 0.5)


def test_geometry_names_and_colours_are_kept(scribseg, files, array):
    out = files / "filled.seg.nrrd"
    code, printed, err = scribseg("edit", files / "labels.seg.nrrd", "fill-holes", "--class", "liver", "--out", out)
    assert code == 0, err
    assert printed.split() == [str(out)]
    before, after = read_labels(files / "labels.seg.nrrd"), read_labels(out)
    np.testing.assert_array_equal(after.array, edit_labels(array, FillHoles(), 2))
    np.testing.assert_allclose(after.geometry.affine, before.geometry.affine)
    assert after.classes == before.classes


def test_every_option_reaches_the_tool(scribseg, files, array):
    out = files / "grown.seg.nrrd"
    base = ("edit", files / "labels.seg.nrrd", "grow", "--class", "2", "--param", "distance=1.5", "--out", out)
    more = ("--slices", "3:8", "--axis", "coronal", "--each-slice", "--over", "all", "--lock", "spleen")
    assert scribseg(*base, *more)[0] == 0
    scope = Scope(1, 3, 9, each_slice=True)
    expected = edit_labels(array, Grow(1.5), 2, spacing=SPACING, scope=scope, over="all", locked=(7,))
    np.testing.assert_array_equal(read_labels(out).array, expected)
    assert (expected != array).any()
    code, _, err = scribseg(*base)
    assert code == 2
    assert "is there already" in err
    assert scribseg(*base, "--overwrite")[0] == 0
    np.testing.assert_array_equal(read_labels(out).array, edit_labels(array, Grow(1.5), 2, spacing=SPACING))


def test_two_classes_and_an_image(scribseg, files, array):
    out = files / "joined.seg.nrrd"
    base = ("edit", files / "labels.seg.nrrd")
    assert scribseg(*base, "combine", "--class", "liver", "--with", "spleen", "--out", out)[0] == 0
    np.testing.assert_array_equal(read_labels(out).array, edit_labels(array, Combine(other=7), 2))
    out = files / "range.seg.nrrd"
    chosen = ("--param", "low=20", "--param", "high=60", "--image", files / "image.nii.gz")
    assert scribseg(*base, "threshold", "--class", "liver", *chosen, "--out", out)[0] == 0
    values = np.asarray(nibabel.load(files / "image.nii.gz").dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(read_labels(out).array, edit_labels(array, Threshold(20, 60), 2, image=values))


def test_new_classes_are_named(files, array):
    array[0, 0, 0] = 2
    write_labels(files / "b.seg.nrrd", array, read_labels(files / "plain.nii.gz").geometry)
    _, labels, classes = edit_file(files / "b.seg.nrrd", "split", 2, parameters=["neck=0.1"])
    assert [c.name for c in classes] == ["class 2", "class 7", "class 2 2"]
    assert (labels == 1).sum() == 1


def test_each_time_of_a_series_with_the_class_is_edited(tmp_path):
    series = np.zeros((3, 4, 6, 6), np.uint8)
    series[0, 1:3, 2:4, 2:4] = series[2, 2, 2, 2] = 1
    nibabel.save(nibabel.Nifti1Image(series.T, np.eye(4)), tmp_path / "series.nii.gz")
    _, labels, _ = edit_file(tmp_path / "series.nii.gz", "grow", 1, parameters=["distance=1"])
    for time in (0, 2):
        np.testing.assert_array_equal(labels[time], edit_labels(series[time], Grow(1.0), 1))
    assert not labels[1].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("melt", "--class", "2"), "there is no tool 'melt'; expected one of keep-largest"),
        (("grow", "--class", "heart"), "no class is called 'heart'; there are liver (2), spleen (7)"),
        (("grow", "--class", "2", "--param", "width=3"), "'grow' has no parameter 'width'; it has distance"),
        (("grow", "--class", "2", "--param", "distance=far"), "the parameter distance is 'far'; a number is expected"),
        (("grow", "--class", "2", "--param", "distance=999"), "distance is 999.0; expected 0 to 200"),
        (("grow", "--class", "2", "--with", "7"), "grow works on one class; a second one, 7, was given"),
        (("grow", "--class", "2", "--slices", "a"), "the slices are 'a'; a number, or the first and the last"),
        (("grow", "--class", "2", "--slices", "4:9"), "the slices 4 to 9 were requested; expected some from 0 to 5"),
        (("grow", "--class", "2", "--lock", "2"), "the class 2 is locked"),
        (("grow", "--class", "2", "--over", "me"), "what may be overwritten is 'me'; expected background or all"),
        (("threshold", "--class", "2"), "threshold reads values of the image; an image is expected"),
    ],
)
def test_bad_input_is_reported_and_nothing_is_written(scribseg, files, arguments, message):
    out = files / "out.seg.nrrd"
    code, _, err = scribseg("edit", files / "labels.seg.nrrd", *arguments, "--out", out)
    assert code == 2
    assert message in err
    assert not out.exists()


def test_slices_and_classes_that_a_user_types():
    assert parse_slices(None) is None
    assert parse_slices("7") == (7, 7)
    assert parse_slices("3:9") == (3, 9)
    classes = ClassTable(
        (LabelClass(2, "7", (1, 0, 0, 1)), LabelClass(7, "a", (1, 0, 0, 1)), LabelClass(8, "a", (1, 0, 0, 1)))
    )
    assert find_class(classes, "7") == 2
    assert find_class(classes, 8) == 8
    with pytest.raises(InputError, match="several classes are called 'a'"):
        find_class(classes, "a")


def test_the_documentation_lists_every_tool_as_it_is():
    page = (Path(__file__).parents[1] / "docs/editing.md").read_text(encoding="utf-8")
    for name, tool in TOOLS.items():
        texts = [f"`{p.name}={str(p.default).lower()}`" for p in parameters_of(tool)]
        grows = " yes |" if tool.info.grows else " |"
        assert f"| `{name}` | {tool.info.summary} | {', '.join(texts)} |{grows}\n" in page, name
