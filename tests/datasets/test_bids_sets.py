import json
import pickle

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import open_bids, open_data_set


@pytest.fixture
def tree(tmp_path, nifti, pair):
    """Two subjects, one of them with two sessions, labels by one pipeline, strokes on one image."""
    root = tmp_path / "study"
    manual = root / "derivatives" / "manual"
    for n, place in enumerate(
        ("sub-01/ses-a/anat/sub-01_ses-a", "sub-01/ses-b/anat/sub-01_ses-b", "sub-02/anat/sub-02")
    ):
        image, truth = pair(n, (4, 12, 10))
        nifti(root / f"{place}_T1w.nii.gz", image)
        nifti(manual / f"{place}_desc-manual_dseg.nii.gz", truth)
        (manual / f"{place}_desc-manual_dseg.tsv").write_text("index\tname\n1\tliver\n2\tspleen\n")
    painted = np.zeros((4, 12, 10), np.uint8)
    painted[1, 3, 4:6], painted[1, 0] = 1, 255
    nifti(manual / "sub-02/anat/sub-02_desc-scribbles_dseg.nii.gz", painted)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "A study", "License": "CC0"}))
    (manual / "dataset.json").write_text('{"background_stroke": 255}')
    (root / "dataset.json").write_text('{"background_stroke": 255}')
    return root


def test_cases_of_a_raw_data_set(tree, pair):
    data = pickle.loads(pickle.dumps(open_data_set(tree)))
    assert data.cases == ("sub-01_ses-a_desc-manual_dseg", "sub-01_ses-b_desc-manual_dseg", "sub-02_desc-manual_dseg")
    assert (data.title, data.licence, data.human_strokes) == ("A study", "CC0", True)
    for n, case in enumerate(data):
        np.testing.assert_array_equal(case.image, pair(n, (4, 12, 10))[0])
        np.testing.assert_array_equal(case.truth, pair(n, (4, 12, 10))[1])
        assert case.names == {1: "liver", 2: "spleen"}
        assert case.source == "study"
    assert [c.group for c in data] == ["sub-01", "sub-01", "sub-02"]
    assert [c.strokes is not None for c in data] == [False, False, True]
    strokes = data.load("sub-02_desc-manual_dseg").strokes
    assert set(np.unique(strokes)) == {-1, 0, 1}
    assert (strokes[1, 0] == 0).all()


def test_a_folder_of_derivatives_finds_its_raw_data_set(tree):
    whole = open_data_set(tree)
    part = open_data_set(tree / "derivatives" / "manual")
    assert part.cases == whole.cases
    assert part.load("sub-02_desc-manual_dseg").source == "study"


def test_a_folder_of_derivatives_elsewhere_needs_the_raw_one(tree, tmp_path):
    moved = tmp_path / "elsewhere"
    (tree / "derivatives" / "manual").rename(moved)
    with pytest.raises(InputError, match="the raw data set is expected there"):
        open_bids(moved)
    assert len(open_bids(moved, raw=tree)) == 3


def test_several_pipelines_name_their_cases(tree, nifti, pair):
    nifti(tree / "derivatives/auto/sub-02/anat/sub-02_desc-manual_dseg.nii.gz", pair(5, (4, 12, 10))[1])
    data = open_bids(tree)
    assert data.cases[0] == "auto/sub-02_desc-manual_dseg"
    assert data.cases[1] == "manual/sub-01_ses-a_desc-manual_dseg"
    assert data.load("auto/sub-02_desc-manual_dseg").strokes is not None


def test_labels_in_another_space_take_the_image_of_that_space(tree, nifti, pair):
    other = pair(9, (5, 12, 10))
    place = tree / "derivatives/manual/sub-02/anat"
    nifti(place / "sub-02_space-MNI_desc-preproc_T1w.nii.gz", other[0])
    nifti(place / "sub-02_space-MNI_desc-manual_dseg.nii.gz", other[1])
    case = open_bids(tree).load("sub-02_space-MNI_desc-manual_dseg")
    np.testing.assert_array_equal(case.image, other[0])
    assert case.strokes is None


def test_two_images_of_the_same_entities_need_a_suffix(tree, nifti, pair):
    nifti(tree / "sub-02/anat/sub-02_T2w.nii.gz", pair(7, (4, 12, 10))[0])
    with pytest.raises(InputError, match="have the same entities; one image is expected"):
        open_bids(tree)
    case = open_bids(tree, suffix="T1w").load("sub-02_desc-manual_dseg")
    np.testing.assert_array_equal(case.image, pair(2, (4, 12, 10))[0])


def test_no_labels(tmp_path):
    (tmp_path / "sub-01").mkdir()
    with pytest.raises(InputError, match="it holds no labels"):
        open_data_set(tmp_path)


def test_description_that_is_no_json(tree):
    (tree / "dataset_description.json").write_text("{")
    with pytest.raises(InputError, match="dataset_description.json: it is no JSON"):
        open_bids(tree)
