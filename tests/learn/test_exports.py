"""Projects as data sets of other programs, and back."""

import json
import warnings

import nibabel
import numpy as np
import pytest
from learn_cases import ball, label, write_volume
from PIL import Image as Pillow

from napari_scribseg.core import InputError
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.io import read_labels, read_volume, write_labels
from napari_scribseg.learn import Project
from napari_scribseg.learn.coco import decode_counts, decode_mask, encode_mask


def finish(project, name, labels):
    session = project.annotate(name)
    for index, values in enumerate(labels):
        session.edit(values.astype(np.uint8), index)
    project.finish(session)
    session.close()


@pytest.fixture
def done(project):
    """Two finished cases, and one with a single accepted slice."""
    finish(project, "patient0", ball(0))
    finish(project, "patient1", 2 * ball(1))
    session = project.annotate("patient2")
    label(session, 2)
    session.edit(2 * ball(0)[1].astype(np.uint8), 1)
    session.close()
    return project


def verified(folder):
    """Run nnU-Net's own check where it is installed (``tox run -e exports``)."""
    module = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")
    module.verify_dataset_integrity(str(folder), num_processes=1)


def squares(folder, count=2, color=False):
    """Small pictures with bright squares; returns the paths and the masks."""
    folder.mkdir(parents=True)
    paths, masks = [], []
    for number in range(count):
        values = np.full((20, 30), 40, np.uint8)
        mask = np.zeros((20, 30), bool)
        mask[2 + number : 7, 3:9] = mask[12:18, 15 + number : 25] = True
        values[mask] = 200
        path = folder / f"cells{number}.png"
        Pillow.fromarray(np.stack([values, values // 2, values // 3], axis=-1) if color else values).save(path)
        paths.append(path)
        masks.append(mask)
    return paths, masks


@pytest.fixture
def pictures(tmp_path):
    """A project of two finished pictures with cells."""
    project = Project.create(tmp_path / "cells", ["cell", "other"], engine="svcd", annotator="anna")
    paths, masks = squares(tmp_path / "pictures")
    for path, mask in zip(paths, masks, strict=True):
        session = project.annotate(project.add_image(path))
        session.edit(mask.astype(np.uint8))
        project.finish(session)
        session.close()
    return project, masks


def test_finished_cases_as_a_data_set_of_nnunet(done, tmp_path):
    folder = tmp_path / "Dataset001_Ball"
    files = done.export("nnunet", folder)
    assert sorted(path.relative_to(folder).as_posix() for path in files) == [
        "dataset.json",
        "imagesTr/patient0_0000.nii.gz", "imagesTr/patient1_0000.nii.gz",
        "labelsTr/patient0.nii.gz", "labelsTr/patient1.nii.gz",
    ]  # fmt: skip
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "ball": 1, "rim": 2}
    assert (content["numTraining"], content["file_ending"]) == (2, ".nii.gz")
    assert content["channel_names"] == {"0": "image"}
    for name in ("patient0", "patient1"):
        image, original = (nibabel.load(path) for path in (
            folder / "imagesTr" / f"{name}_0000.nii.gz", tmp_path / "images" / f"{name}.nii.gz",
        ))  # fmt: skip
        labels = nibabel.load(folder / "labelsTr" / f"{name}.nii.gz")
        np.testing.assert_array_equal(image.get_fdata(), original.get_fdata())
        for each in (image, labels):
            np.testing.assert_allclose(each.affine, original.affine)
            np.testing.assert_allclose(each.header.get_zooms(), original.header.get_zooms())
        assert image.header["intent_code"] == 0
    np.testing.assert_array_equal(labels.get_fdata().T, 2 * ball(1))


def test_nnunet_accepts_the_data_set(done, tmp_path):
    for only in ("finished", "accepted", "all"):
        done.export("nnunet", tmp_path / only, only=only)
        verified(tmp_path / only)


def test_slices_that_nobody_accepted_are_ignored(done, tmp_path):
    done.export("nnunet", tmp_path / "a", only="accepted")
    content = json.loads((tmp_path / "a" / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "ball": 1, "rim": 2, "ignore": 3}
    assert content["numTraining"] == 3
    found = read_labels(tmp_path / "a" / "labelsTr" / "patient2.nii.gz").array
    assert (found[[0, 1, 3, 4]] == 3).all()
    np.testing.assert_array_equal(found[2], ball(0)[2])
    done.export("nnunet", tmp_path / "b", only="all")
    found = read_labels(tmp_path / "b" / "labelsTr" / "patient2.nii.gz").array
    np.testing.assert_array_equal(found[1], 2 * ball(0)[1])
    assert "ignore" not in json.loads((tmp_path / "b" / "dataset.json").read_text())["labels"]


def test_pictures_as_a_data_set_of_nnunet(pictures, tmp_path):
    project, masks = pictures
    folder = tmp_path / "Dataset002_Cells"
    project.export("nnunet", folder)
    assert json.loads((folder / "dataset.json").read_text())["file_ending"] == ".png"
    np.testing.assert_array_equal(np.array(Pillow.open(folder / "labelsTr" / "cells1.png")), masks[1])
    assert np.array(Pillow.open(folder / "imagesTr" / "cells1_0000.png")).max() == 200


def test_nnunet_accepts_pictures(pictures, tmp_path):
    pictures[0].export("nnunet", tmp_path / "Dataset002_Cells")
    verified(tmp_path / "Dataset002_Cells")


def test_colours_are_the_channels_of_one_picture(tmp_path):
    project = Project.create(tmp_path / "p", ["cell"], engine="svcd")
    paths, masks = squares(tmp_path / "pictures", color=True)
    for path, mask in zip(paths, masks, strict=True):
        session = project.annotate(project.add_image(path))
        session.edit(mask.astype(np.uint8))
        project.finish(session)
        session.close()
    project.export("nnunet", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert np.array(Pillow.open(tmp_path / "out" / "imagesTr" / "cells0_0000.png")).shape == (20, 30, 3)
    again = Project.create(tmp_path / "again", ["x"], engine="svcd")
    assert again.add(tmp_path / "out").labelled == ("cells0", "cells1")
    assert again.read_image("cells0").channels


def test_a_data_set_of_nnunet_is_read(done, tmp_path):
    done.export("nnunet", tmp_path / "out", only="accepted")
    again = Project.create(tmp_path / "again", ["rim"], engine="svcd", annotator="ben")
    added = again.add(tmp_path / "out")
    assert added.cases == added.labelled == ("patient0", "patient1", "patient2")
    assert added.skipped == ()
    names = {c.name: c.id for c in again.classes}
    session = again.annotate("patient1")
    np.testing.assert_array_equal(session.labels, names["rim"] * ball(1))
    assert again.case("patient1").state == "finished"
    session.close()
    session = again.annotate("patient2")
    assert session.accepted == {SliceIndex((1, 2), (2,))}
    np.testing.assert_array_equal(session.slice_labels(2), names["ball"] * ball(0)[2])
    assert not session.slice_labels(1).any()
    session.close()


def test_channels_in_files_of_their_own_are_one_image(done, tmp_path):
    done.export("nnunet", tmp_path / "out")
    for name in ("patient0", "patient1"):
        values = nibabel.load(tmp_path / "out" / "imagesTr" / f"{name}_0000.nii.gz")
        nibabel.save(nibabel.Nifti1Image(values.get_fdata() + 1, values.affine, values.header),
                     tmp_path / "out" / "imagesTr" / f"{name}_0001.nii.gz")  # fmt: skip
    again = Project.create(tmp_path / "again", ["rim"], engine="svcd", annotator="ben")
    again.add(tmp_path / "out")
    image = again.read_image("patient0")
    assert image.array.shape == (5, 12, 16, 2)
    np.testing.assert_allclose(image.array[..., 0] + 1, image.array[..., 1], atol=0.01)
    again.export("nnunet", tmp_path / "out2")
    assert len(list((tmp_path / "out2" / "imagesTr").iterdir())) == 4
    verified_names = json.loads((tmp_path / "out2" / "dataset.json").read_text())["channel_names"]
    assert verified_names == {"0": "channel 0", "1": "channel 1"}


def test_a_data_list_of_monai(done, tmp_path):
    done.export("monai", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "datalist.json").read_text())
    assert content["labels"] == {"0": "background", "1": "ball", "2": "rim"}
    assert content["training"][0] == {"image": "../images/patient0.nii.gz", "label": "labels/patient0.nii.gz"}
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labels" / "patient1.nii.gz").array, 2 * ball(1))
    again = Project.create(tmp_path / "again", ["ball"], engine="svcd")
    assert again.add(tmp_path / "out" / "datalist.json").labelled == ("patient0", "patient1")


def test_monai_reads_the_list(done, tmp_path):
    pytest.importorskip("monai")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.data import load_decathlon_datalist
        from monai.transforms import LoadImaged

    done.export("monai", tmp_path / "out")
    rows = load_decathlon_datalist(str(tmp_path / "out" / "datalist.json"), data_list_key="training")
    loaded = LoadImaged(keys=["image", "label"])(rows[1])
    assert loaded["image"].shape == loaded["label"].shape == (16, 12, 5)
    np.testing.assert_allclose(loaded["image"].affine, loaded["label"].affine)
    assert int(loaded["label"].max()) == 2


def test_instances_of_coco(pictures, tmp_path):
    project, masks = pictures
    project.export("coco", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["images/cells0.png", "images/cells1.png"]
    assert (tmp_path / "out" / "images" / "cells0.png").is_file()
    assert [category["name"] for category in content["categories"]] == ["cell", "other"]
    assert len(content["annotations"]) == 4
    for image_id, mask in enumerate(masks, start=1):
        own = [each for each in content["annotations"] if each["image_id"] == image_id]
        parts = [decode_mask(each["segmentation"], mask.shape) for each in own]
        np.testing.assert_array_equal(np.any(parts, axis=0), mask)
        assert sum(each["area"] for each in own) == mask.sum()
        for part, each in zip(parts, own, strict=True):
            x, y, width, height = each["bbox"]
            assert part[y : y + height, x : x + width].sum() == part.sum()
    again = Project.create(tmp_path / "again", ["other"], engine="svcd")
    assert again.add(tmp_path / "out" / "annotations.json").labelled == ("cells0", "cells1")
    names = {c.name: c.id for c in again.classes}
    session = again.annotate("cells0")
    np.testing.assert_array_equal(session.labels, names["cell"] * masks[0])
    session.close()


def test_pycocotools_reads_the_instances(pictures, tmp_path):
    module = pytest.importorskip("pycocotools.coco")
    project, masks = pictures
    project.export("coco", tmp_path / "out")
    coco = module.COCO(str(tmp_path / "out" / "annotations.json"))
    for image_id, mask in enumerate(masks, start=1):
        own = coco.loadAnns(coco.getAnnIds(imgIds=image_id))
        np.testing.assert_array_equal(np.any([coco.annToMask(each) for each in own], axis=0), mask)


def test_masks_of_coco_are_decoded():
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:5] = True
    mask[0, 0] = True
    np.testing.assert_array_equal(decode_mask(encode_mask(mask)["segmentation"], (5, 7)), mask)
    mask = np.zeros((40, 30), bool)
    mask[3:9, 2:20] = mask[20:33, 5:12] = mask[0, 0] = True
    encoded = "01b25`N00000YO7OI17OI17OI17OI17OI17OI17OIh00000000000000]<"  # by pycocotools 2.0
    assert decode_counts(encoded) == encode_mask(mask)["segmentation"]["counts"]
    np.testing.assert_array_equal(decode_mask({"size": [40, 30], "counts": encoded}, (40, 30)), mask)
    polygon = [[2, 1, 4, 1, 4, 3, 2, 3]]
    expected = np.zeros((5, 7), bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(decode_mask(polygon, (5, 7)), expected)
    for counts in ([5, 2], [-1, 36], "~", [1.5, "a"]):
        with pytest.raises(ValueError, match=r"\w"):
            decode_mask({"size": [5, 7], "counts": counts}, (5, 7))


def test_bad_input_is_refused(project, done, pictures, tmp_path):
    def refused(words, call, *arguments, **options):
        with pytest.raises(InputError, match=words) as caught:
            call(*arguments, **options)
        assert "\n" not in str(caught.value)

    refused("the kind of export is 'x'; expected one of nnunet", done.export, "x", tmp_path / "new")
    refused("the choice of labels is 'some'", done.export, "nnunet", tmp_path / "new", only="some")
    refused("is a volume of shape .* 2D images only", done.export, "coco", tmp_path / "new")
    refused("holds files already", done.export, "nnunet", project.folder)
    empty = Project.create(tmp_path / "empty", ["a"], engine="svcd")
    refused("no case of .* is finished", empty.export, "nnunet", tmp_path / "new")
    write_volume(tmp_path / "one.nii.gz", 9)
    refused("no file or folder", empty.add, tmp_path / "one.nii.gz", tmp_path / "nothing")
    refused("has shape .* is expected", empty.add, tmp_path / "one.nii.gz", tmp_path / "pictures" / "cells0.png")
    (tmp_path / "x.json").write_text('{"a": 1}')
    refused("neither COCO annotations", empty.add, tmp_path / "x.json")
    refused("it holds no image", empty.add, tmp_path / "empty")
    assert not (tmp_path / "new").exists()


def test_labels_beside_images_begin_a_case(project, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(3):
        path = write_volume(tmp_path / "others" / f"b{number}.nii.gz", 20 + number)
        image = nibabel.load(path)
        labels = (ball(20 + number) * 3).astype(np.uint8).T
        nibabel.save(nibabel.Nifti1Image(labels, image.affine), folder / f"b{number}_seg.nii.gz")
    (folder / "b2_seg.nii.gz").unlink()
    added = project.add(tmp_path / "others", folder)
    assert (added.cases, added.labelled) == (("b0", "b1", "b2"), ("b0", "b1"))
    assert project.case("b0").state == "finished"
    assert project.case("b2").state == "new"
    assert [c.name for c in project.classes if c.id == 3] == ["class 3"]
    again = project.add(tmp_path / "others")
    assert again.cases == ()
    assert len(again.skipped) == 3
    assert read_volume(tmp_path / "others" / "b0.nii.gz").shape == (5, 12, 16)


def test_labels_without_names_are_found_by_their_ids(project, tmp_path):
    path = write_volume(tmp_path / "c.nii.gz", 60)
    write_labels(tmp_path / "labels.nii.gz", 2 * ball(60).astype(np.uint8), read_volume(path).geometry, bids_tsv=False)
    project.add(path, tmp_path / "labels.nii.gz")
    assert [(c.id, c.name) for c in project.classes if not c.background] == [(1, "ball"), (2, "rim")]
    session = project.annotate("c")
    np.testing.assert_array_equal(session.labels, 2 * ball(60))
    session.close()


def test_label_files_beside_images_are_no_cases(project, tmp_path):
    write_volume(tmp_path / "mixed" / "a.nii.gz", 30)
    write_volume(tmp_path / "mixed" / "a_mask.nii.gz", 31)
    geometry = read_volume(tmp_path / "mixed" / "a.nii.gz").geometry
    write_labels(tmp_path / "mixed" / "b.nrrd", ball(1).astype(np.uint8), geometry)
    assert project.add(tmp_path / "mixed").cases == ("a",)


def test_series_of_dicom_are_found_by_their_uid(project, shared_data, tmp_path):
    added = project.add(shared_data / "dcmqi_ct_dicom")
    (name,) = added.cases
    case = project.case(name)
    assert case.image.series.count(".") > 3
    assert project.read_image(case).modality == "CT"
    session = project.annotate(case)
    session.edit((np.asarray(session.volume.array[1]) > 300).astype(np.uint8), 1)
    project.finish(session)
    session.close()
    project.export("nnunet", tmp_path / "out")
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "CT"}
    image, labels = (read_volume(next((tmp_path / "out" / part).iterdir())) for part in ("imagesTr", "labelsTr"))
    original = project.read_image(case)
    np.testing.assert_array_equal(image.array, original.array)
    for each in (image, labels):
        np.testing.assert_allclose(each.geometry.affine, original.geometry.affine, atol=1e-4)


def test_a_bids_data_set(project, tmp_path):
    for subject in ("01", "02"):
        write_volume(tmp_path / "study" / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz", 40 + int(subject))
    write_volume(tmp_path / "study" / "sub-01" / "anat" / "sub-01_dseg.nii.gz", 50)
    assert project.add(tmp_path / "study").cases == ("sub-01_T1w", "sub-02_T1w")


def test_numbered_instances_become_one_class(tmp_path):
    paths, masks = squares(tmp_path / "pictures", 1)
    numbered = np.where(masks[0], 1 + np.arange(30)[None] // 12, 0).astype(np.uint8)
    (tmp_path / "masks").mkdir()
    Pillow.fromarray(numbered).save(tmp_path / "masks" / "cells0.png")
    project = Project.create(tmp_path / "p", ["dirt"], engine="svcd")
    assert project.add(paths, tmp_path / "masks", as_class="nucleus").labelled == ("cells0",)
    names = {c.name: c.id for c in project.classes if not c.background}
    assert set(names) == {"dirt", "nucleus"}
    session = project.annotate("cells0")
    np.testing.assert_array_equal(session.labels, names["nucleus"] * masks[0])
    session.close()
    with pytest.raises(InputError, match="no label files were given"):
        project.add(paths, as_class="nucleus")
