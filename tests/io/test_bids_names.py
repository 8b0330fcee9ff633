import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scribseg.core import InputError
from napari_scribseg.io.bids_names import build_name, find_images_with_strokes, parse_entities

WORD = st.text("abcXYZ0123456789", min_size=1, max_size=6)


def test_parse():
    entities = parse_entities("/data/sub-01/ses-a/anat/sub-01_ses-a_acq-high_run-2_T1w.nii.gz")
    assert entities == {"sub": "01", "ses": "a", "acq": "high", "run": "2", "suffix": "T1w", "extension": ".nii.gz"}
    assert parse_entities("sub-1_T1w.json")["extension"] == ".json"


def test_build_puts_entities_in_order():
    entities = {"desc": "auto", "run": "2", "zzz": "1", "ses": "a", "sub": "01", "suffix": "dseg"}
    assert build_name(entities) == "sub-01_ses-a_run-2_desc-auto_zzz-1_dseg"


@given(st.dictionaries(st.sampled_from(["ses", "acq", "run", "space", "label", "desc"]), WORD), WORD, WORD)
def test_build_and_parse_are_inverse(pairs, subject, suffix):
    entities = {"sub": subject, **pairs, "suffix": suffix, "extension": ".nii.gz"}
    assert parse_entities(build_name(entities)) == entities


@pytest.mark.parametrize(
    "name",
    ["T1w.nii.gz", "sub-01.nii.gz", "ses-1_T1w.nii", "sub-01_sub-02_T1w.nii", "sub-_T1w.nii", "sub-01_T1w_x.nii"],
)
def test_names_that_are_none(name):
    with pytest.raises(InputError, match="is expected"):
        parse_entities(name)


@pytest.mark.parametrize("entities", [{"sub": "1"}, {"suffix": "T1w"}, {"sub": "a_b", "suffix": "T1w"}])
def test_entities_that_make_no_name(entities):
    with pytest.raises(InputError, match="expected"):
        build_name(entities)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_images_with_strokes(tmp_path):
    images, strokes = [], []
    for place in ("sub-01/ses-a/anat/sub-01_ses-a", "sub-01/ses-b/anat/sub-01_ses-b", "sub-02/anat/sub-02"):
        images.append(touch(tmp_path / f"{place}_T1w.nii.gz"))
        strokes.append(touch(tmp_path / "derivatives" / "drawn" / f"{place}_desc-scribbles_dseg.nii.gz"))
    touch(tmp_path / "derivatives/drawn/sub-02/anat/sub-02_dseg.nii.gz")  # labels are no strokes
    touch(tmp_path / "sub-03/anat/sub-03_T1w.nii.gz")  # nobody drew on it
    touch(tmp_path / "sub-01/ses-a/anat/sub-01_ses-a_T1w.json")
    found = find_images_with_strokes(tmp_path)
    assert [(i, s) for i, s, _ in found] == list(zip(images, strokes, strict=True))
    assert found[0][2] == {"sub": "01", "ses": "a", "suffix": "T1w", "extension": ".nii.gz"}
    assert find_images_with_strokes(tmp_path / "derivatives" / "drawn") == found


def test_strokes_beside_the_image(tmp_path):
    image = touch(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz")
    strokes = touch(tmp_path / "sub-01/anat/sub-01_desc-scribbles_dseg.nii.gz")
    assert [f[:2] for f in find_images_with_strokes(tmp_path)] == [(image, strokes)]


def test_strokes_without_a_clear_image_are_reported(tmp_path):
    touch(tmp_path / "sub-01/anat/sub-01_desc-scribbles_dseg.nii.gz")
    with pytest.warns(UserWarning, match="no image with its entities"):
        assert find_images_with_strokes(tmp_path) == []
    touch(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz")
    t2 = touch(tmp_path / "sub-01/anat/sub-01_T2w.nii.gz")
    with pytest.warns(UserWarning, match=r"sub-01_T1w\.nii\.gz, sub-01_T2w\.nii\.gz have the same entities"):
        assert find_images_with_strokes(tmp_path) == []
    assert [f[0] for f in find_images_with_strokes(tmp_path, suffix="T2w")] == [t2]


def test_missing_tree(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_images_with_strokes(tmp_path / "none")
