import pytest

from napari_scribseg.batch import read_table
from napari_scribseg.batch.batch_jobs import BatchJob, check_jobs
from napari_scribseg.core import InputError


@pytest.fixture
def table(tmp_path):
    def write(text, name="cohort.csv", encoding="utf-8"):
        (tmp_path / name).write_text(text, encoding=encoding)
        return tmp_path / name

    return write


def test_paths_are_relative_to_the_tables_folder(table, tmp_path):
    jobs = read_table(table("image,scribbles\na.nii.gz,s/a.nii.gz\n/else/b.mha,../b_s.mha\n"))
    assert [j.image for j in jobs] == [tmp_path / "a.nii.gz", tmp_path.__class__("/else/b.mha")]
    assert [j.scribbles for j in jobs] == [tmp_path / "s" / "a.nii.gz", tmp_path.parent / "b_s.mha"]
    assert [j.out for j in jobs] == ["a_labels.nii.gz", "b_labels.nii.gz"]
    assert [j.where for j in jobs] == ["cohort.csv, line 2", "cohort.csv, line 3"]


def test_outputs_mirror_the_folders_and_pictures_become_tiff(table):
    jobs = read_table(table("image,scribbles\nsub-1/T1.nii.gz,x.nii.gz\nsub-2/T1.nii.gz,x.nii.gz\ncells/c.png,c.tif\n"))
    assert [j.out for j in jobs] == ["sub-1/T1_labels.nii.gz", "sub-2/T1_labels.nii.gz", "cells/c_labels.tif"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_optional_columns_in_any_order_and_others_passed_over(table, separator):
    rows = [
        ["Axis", "age", "image", "OUT", "background", "scribbles"],
        ["2", "61", "a.nii", "x/a.seg.nrrd", "255", "s.nii"],
        ["", "", "b.nii", "", "n/a", "t.nii"],
    ]
    rows.append(["Coronal", "", "c.nii", "", "", "t.nii"])
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    first, second, third = read_table(table(text, encoding="utf-8-sig"), background=4, axis=1)
    assert (first.axis, first.background, first.out) == (2, 255, "x/a.seg.nrrd")
    assert (second.axis, second.background, second.out) == (1, 4, "b_labels.nii.gz")
    assert third.axis == "coronal"


def test_quoted_names_may_hold_the_separator(table):
    (job,) = read_table(table('image,scribbles\n"a, b.nii.gz","c ""d"".nii.gz"\n'))
    assert (job.image.name, job.scribbles.name) == ("a, b.nii.gz", 'c "d".nii.gz')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there is no column 'image'"),
        ("image;strokes\na;b\n", "line 1: there is no column 'scribbles' among image, strokes"),
        ("image,scribbles,image\na,b,c\n", "line 1: the column 'image' is there twice"),
        ("image,scribbles,backgrnd\na,b,1\n", "line 1: the column 'backgrnd' is not known; is 'background' meant"),
        ("image,scribbles\n", "it has no row"),
        ("image,scribbles\na.nii,\n", "line 2: the cell 'scribbles' is empty"),
        ("image,scribbles\na.nii,b.nii\n\nc.nii\n", "line 4: the cell 'scribbles' is empty"),
        ("image,scribbles\na.nii,b.nii,c.nii\n", "line 2: it has 3 cells; 2 are expected"),
        ("image,scribbles,background\na.nii,b.nii,0\n", "line 2: background is '0'; a whole number from 1"),
        ("image,scribbles,axis\na.nii,b.nii,z\n", "line 2: the axis is 'z'; axial, coronal, sagittal or the number"),
        ('image,scribbles\n"a.nii,b.nii\n', "it cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_understood_is_reported_with_its_line(table, text, message):
    with pytest.raises(InputError, match=r"^cohort\.csv") as error:
        read_table(table(text))
    assert message in str(error.value)


def test_other_encodings_and_missing_tables(table, tmp_path):
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        read_table(table("image,scribbles\nä.nii,b.nii\n", encoding="latin-1"))
    with pytest.raises(InputError, match=r"there is no file .*missing\.csv"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("outs", "message"),
    [
        (("a.nii.gz", "A.nii.gz"), "line 0 and line 1 would both write A.nii.gz"),
        (("x/a.nii.gz", "x/a.mha"), "line 0 and line 1 would both write x/a.mha"),
        (("a.nii.gz", "../a.nii.gz"), "line 1: the output is '../a.nii.gz'; a path inside"),
        (("a.nii.gz", "/a.nii.gz"), "line 1: the output is '/a.nii.gz'; a path inside"),
        (("a.nii.gz", ".scribseg/a.nii.gz"), "line 1: the output is '.scribseg/a.nii.gz'; a path inside"),
        (("a.nii.gz", "b.png"), "line 1: the output 'b.png' has no extension of a label file"),
        (("a.nii.gz", "image.nii.gz"), "line 1: the output 'image.nii.gz' is an input"),
    ],
)
def test_outputs_that_would_do_harm_are_refused_before_any_work(tmp_path, outs, message):
    jobs = [
        BatchJob(tmp_path / "image.nii.gz", tmp_path / "s.nii.gz", o, where=f"line {i}") for i, o in enumerate(outs)
    ]
    with pytest.raises(InputError) as error:
        check_jobs(jobs, tmp_path)
    assert str(error.value).startswith(message)
