import json
import pickle
import warnings

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import open_data_set, open_folder
from napari_scribseg.datasets.folder import read_about


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("imagesTr", "labelsTr"), ("img", "gt"),
                                                ("images", "masks")])  # fmt: skip
def test_two_folders(tmp_path, picture, pair, images, labels):
    for n in range(3):
        image, truth = pair(n)
        picture(tmp_path / images / f"c{n}.png", image)
        picture(tmp_path / labels / f"c{n}.png", truth)
    data = pickle.loads(pickle.dumps(open_data_set(tmp_path)))
    assert data.cases == ("c0", "c1", "c2")
    assert (data.trainable, data.human_strokes, data.licence) == (False, False, "not stated")
    case = data.load("c1")
    np.testing.assert_array_equal(case.image, pair(1)[0])
    np.testing.assert_array_equal(case.truth, pair(1)[1])
    assert (case.ids, case.spacing, case.unit, case.group, case.strokes) == ((0, 1, 2), (1.0, 1.0), "px", "c1", None)


def test_listing_opens_no_image(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"no picture")
    data = open_folder(tmp_path)
    assert data.cases == ("a",)
    with pytest.raises(InputError, match=r"a\.png: it cannot be read as PNG or JPEG"):
        data.load("a")


@pytest.mark.parametrize("end", ["label", "labels", "mask", "seg"])
@pytest.mark.parametrize("image_end", ["_image", ""])
def test_side_by_side(tmp_path, picture, pair, end, image_end):
    image, truth = pair()
    picture(tmp_path / f"x{image_end}.png", image)
    picture(tmp_path / f"x_{end}.png", truth)
    (case,) = open_folder(tmp_path)
    assert case.name == "x"
    np.testing.assert_array_equal(case.image, image)
    np.testing.assert_array_equal(case.truth, truth)


def test_channels_as_nnunet_numbers_them(tmp_path, nifti, pair):
    image, truth = pair(shape=(4, 12, 10))
    nifti(tmp_path / "imagesTr" / "p1_0000.nii.gz", image)
    nifti(tmp_path / "imagesTr" / "p1_0001.nii.gz", 255 - image)
    nifti(tmp_path / "labelsTr" / "p1.nii.gz", truth)
    (tmp_path / "labelsTr" / "._p1.nii.gz").write_bytes(b"of a Mac")
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "liver": 1, "ignore": 2, "whole": [1, 2]}})
    )
    data = open_folder(tmp_path)
    assert data.cases == ("p1",)
    case = data.load("p1")
    assert case.channels
    np.testing.assert_array_equal(case.image, np.stack([image, 255 - image], -1))
    assert (case.truth[truth == 2] == -1).all()
    assert (case.truth[truth != 2] == truth[truth != 2]).all()
    assert case.names == {0: "background", 1: "liver", 2: "ignore"}
    assert case.spacing == pytest.approx((3.0, 0.9, 0.8))
    assert case.unit == "mm"


@pytest.mark.parametrize("layout", ["folder", "suffix"])
def test_strokes_and_description(tmp_path, picture, pair, layout):
    image, truth = pair()
    painted = np.zeros_like(truth)
    painted[3, 4:6], painted[8, 5:8], painted[0, :] = 1, 2, 255
    if layout == "folder":
        picture(tmp_path / "images" / "a.png", image)
        picture(tmp_path / "labels" / "a.png", truth)
        picture(tmp_path / "scribbles" / "a.png", painted)
    else:
        picture(tmp_path / "a_image.png", image)
        picture(tmp_path / "a_label.png", truth)
        picture(tmp_path / "a_scribbles.png", painted)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"background_stroke": 255, "names": {"1": "liver"}, "licence": "CC0", "instances": True,
                    "trainable": True})
    )  # fmt: skip
    data = open_folder(tmp_path)
    assert (data.human_strokes, data.licence, data.trainable) == (True, "CC0", True)
    (case,) = data
    assert case.instances
    assert case.names[1] == "liver"
    assert case.strokes is not None
    assert (case.strokes[0] == 0).all()
    assert (case.strokes[painted == 0] == -1).all()
    drawn = case.strokes != -1
    np.testing.assert_array_equal(case.strokes[drawn], truth[drawn])


def test_labels_turned_round_are_matched_by_position(tmp_path, nifti, pair):
    image, truth = pair(shape=(4, 12, 10))
    truth[0] = 0
    nifti(tmp_path / "images" / "a.nii.gz", image)
    turned = np.diag([-0.8, 0.9, -3.0, 1.0])
    turned[:3, 3] = 9 * 0.8, 0, 3 * 3.0
    nifti(tmp_path / "labels" / "a.nii.gz", truth[::-1, :, ::-1], turned)
    (case,) = open_folder(tmp_path)
    np.testing.assert_array_equal(case.truth, truth)


def test_labels_elsewhere_are_refused(tmp_path, nifti, pair):
    image, truth = pair(shape=(4, 12, 10))
    away = np.diag([0.8, 0.9, 3.0, 1.0])
    away[2, 3] = 3.0
    nifti(tmp_path / "images" / "a.nii.gz", image)
    nifti(tmp_path / "labels" / "a.nii.gz", truth, away)
    with pytest.raises(InputError, match="lie elsewhere than the image"):
        open_folder(tmp_path).load("a")


def test_shapes_differ(tmp_path, picture, pair):
    image, truth = pair()
    picture(tmp_path / "a_image.png", image)
    picture(tmp_path / "a_label.png", truth[1:])
    with pytest.raises(InputError, match=r"a_label\.png: it has the shape \(11, 10\); its image has \(12, 10\)"):
        open_folder(tmp_path).load("a")


def test_folder_missing(tmp_path):
    with pytest.raises(InputError, match="neither a built-in data set nor a folder"):
        open_data_set(tmp_path / "none")
    with pytest.raises(InputError, match="there is no such folder"):
        open_folder(tmp_path / "none")


def test_no_pairs(tmp_path, picture, pair):
    picture(tmp_path / "one.png", pair()[0])
    with pytest.raises(InputError, match=r"no pair of image and labels but one\.png; expected images/"):
        open_folder(tmp_path)


def test_unpaired_files_are_reported(tmp_path, picture, pair):
    image, truth = pair()
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png", image)
    picture(tmp_path / "labels" / "a.png", truth)
    with pytest.warns(UserWarning, match=r"1 image\(s\) without labels are left out: b"):
        assert open_folder(tmp_path).cases == ("a",)


def test_two_labels_of_one_image(tmp_path, picture, pair):
    image, truth = pair()
    picture(tmp_path / "a_image.png", image)
    picture(tmp_path / "a_label.png", truth)
    picture(tmp_path / "a_seg.png", truth)
    with pytest.raises(InputError, match=r"a_label\.png and a_seg\.png are both labels of a"):
        open_folder(tmp_path)


def test_colours_are_no_labels(tmp_path, picture, pair):
    image, truth = pair()
    picture(tmp_path / "a_image.png", image)
    picture(tmp_path / "a_label.png", np.stack([truth, 90 * truth, 0 * truth], -1))
    with pytest.raises(InputError, match="3 channels"):
        open_folder(tmp_path).load("a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "it is no JSON"),
        ("[]", "an object with keys"),
        ('{"names": {"liver": "one"}}', "no name of a label"),
        ('{"instances": "yes"}', "instances is 'yes'"),
        ('{"background_stroke": "255"}', "background_stroke is '255'"),
    ],
)
def test_descriptions_that_cannot_be_understood(tmp_path, text, words):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_about(tmp_path / "dataset.json")


def test_every_id_an_object(tmp_path, picture, pair):
    image, truth = pair()
    picture(tmp_path / "a_image.png", image)
    picture(tmp_path / "a_label.png", truth)
    (tmp_path / "dataset.json").write_text('{"background": null}')
    (case,) = open_folder(tmp_path)
    assert case.background is None
    assert case.objects == (0, 1, 2)


def test_unknown_case(tmp_path, picture, pair):
    image, truth = pair()
    picture(tmp_path / "a_image.png", image)
    picture(tmp_path / "a_label.png", truth)
    with pytest.raises(InputError, match="has no case 'b'"):
        open_folder(tmp_path).load("b")
