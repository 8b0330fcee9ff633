import json

import numpy as np
import pytest

from napari_scribseg.batch import read_bids, run_batch
from napari_scribseg.batch.bids_tree import check_derivative, write_description
from napari_scribseg.core import InputError
from napari_scribseg.io import read_labels
from napari_scribseg.io.bids_names import parse_entities


@pytest.fixture
def tree(tmp_path, pair):
    """Two subjects, one with a session; strokes as a derivative, with a name for one class."""
    root = tmp_path / "study"
    strokes = root / "derivatives" / "strokes"
    for folder, name in (("sub-01/anat", "sub-01"), ("sub-02/ses-a/anat", "sub-02_ses-a")):
        image, painted = pair(tmp_path / "made", name)
        (root / folder).mkdir(parents=True)
        (strokes / folder).mkdir(parents=True)
        image.replace(root / folder / f"{name}_T1w.nii.gz")
        painted.replace(strokes / folder / f"{name}_desc-scribbles_dseg.nii.gz")
        (strokes / folder / f"{name}_desc-scribbles_dseg.tsv").write_text("index\tname\n3\tliver\n")
    (root / "dataset_description.json").write_text('{"Name": "study", "BIDSVersion": "1.8.0"}')
    return root


NAMES = [
    "sub-01/anat/sub-01_desc-svcd_dseg.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_desc-svcd_dseg.nii.gz",
]


def test_images_with_strokes_become_jobs_with_names_of_bids(tree):
    jobs = read_bids(tree, background=255)
    assert [job.out for job in jobs] == NAMES
    assert [job.image.name for job in jobs] == ["sub-01_T1w.nii.gz", "sub-02_ses-a_T1w.nii.gz"]
    assert all(job.class_table and job.background == 255 for job in jobs)
    assert read_bids(tree, engine="cnn-reg")[0].out == "sub-01/anat/sub-01_desc-cnnreg_dseg.nii.gz"
    assert read_bids(tree / "derivatives" / "strokes")[0].image == jobs[0].image


def test_labels_are_a_derivative_with_tables_of_the_classes(tree, readable):
    out = tree / "derivatives" / "napari-scribseg"
    report = run_batch(read_bids(tree, background=255), out, workers=0)
    assert report.summary == "2 done of 2 images"
    for outcome, name in zip(report, NAMES, strict=True):
        readable(out / name)
        assert parse_entities(name)["desc"] == "svcd"
        assert outcome.labels == out / name
        table = out / name.replace(".nii.gz", ".tsv")
        assert table.read_text().splitlines()[1].split("\t")[:2] == ["3", "liver"]
    assert read_labels(out / NAMES[0]).classes[3].name == "liver"
    assert np.unique(read_labels(out / NAMES[0]).array).tolist() == [0, 3]
    assert run_batch(read_bids(tree, background=255), out, workers=0).summary == "2 skipped of 2 images"
    (out / NAMES[0].replace(".nii.gz", ".tsv")).unlink()
    assert [o.status for o in run_batch(read_bids(tree, background=255), out, workers=0)] == ["done", "skipped"]


def test_the_description_names_each_engine_with_its_parameters(tree):
    out = tree / "derivatives" / "ours"
    out.mkdir()
    write_description(tree, out, "svcd", {"smoothness": 50.0})
    write_description(tree, out, "pwn", {})
    write_description(tree, out, "svcd", {"smoothness": 100.0})
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["SourceDatasets"] == [{"URL": "../.."}]
    generators = {g["Engine"]: g for g in description["GeneratedBy"]}
    assert set(generators) == {"svcd", "pwn"}
    assert generators["svcd"]["Parameters"] == {"smoothness": 100.0}
    assert all(g["Name"] == "napari-scribseg" and g["Version"] for g in generators.values())


def test_the_data_set_itself_and_other_derivatives_are_not_written_into(tree, tmp_path):
    with pytest.raises(InputError, match="it is the data set itself"):
        check_derivative(tree, tree)
    other = tmp_path / "fmriprep"
    other.mkdir()
    (other / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "fMRIPrep"}]}')
    with pytest.raises(InputError, match="is not by napari-scribseg"):
        check_derivative(tree, other)
    (other / "dataset_description.json").write_text("[1]")
    with pytest.raises(InputError, match="cannot be read as a description"):
        check_derivative(tree, other)


def test_a_tree_without_strokes_is_reported(tmp_path):
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    with pytest.raises(InputError, match="it holds no image with strokes"):
        read_bids(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        read_bids(tmp_path / "none")
