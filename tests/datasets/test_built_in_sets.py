"""The real data sets; skipped where they are missing."""

import pickle
from collections import Counter

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import built_in_data_sets, drawn, open_data_set, slices
from napari_scribseg.datasets.picture_sets import slice_licences
from napari_scribseg.io import read_labels, read_volume

NAMES = [data_set.name for data_set in built_in_data_sets()]
# What to count in each folder, and how many files make a case.
FILES = {
    "acdc_scribbles": "*.npz",
    "acdc_scribbles_all": "*.npz",
    "axondeepseg_sem": "*_SEM.png",
    "coco_mval": "gt/*.png",
    "dcmqi_ct_dicom": "*_seg.nrrd",
    "dsb2018_nuclei": "labels/*.png",
    "grabcut_scribbles": "labels/*.png",
    "graz_scribbles": "seeds/*.gt",
    "label_maps": "*/*_label.png",
    "medscribble_all": "*.npz",
    "medscribble_dev": "*.npz",
    "msd_hippocampus": "labelsTr/*.nii.gz",
    "permissive_slices": "*/*_label.png",
    "totalsegmentator": "example_seg*.nii.gz",
    "usiigaci_phase": "*_label.png",
}


@pytest.fixture
def opened(shared_data):
    def open_one(name):
        if not (shared_data / name.partition("/")[0]).is_dir():
            pytest.skip(f"{shared_data} does not hold {name}")
        return open_data_set(name, shared_data)

    return open_one


def some(data, n=6):
    return [data.load(data.cases[i]) for i in sorted({*np.linspace(0, len(data) - 1, n).astype(int)})]


def test_names_need_no_files():
    assert sorted(FILES) == NAMES
    drawn_by_people = {"acdc_scribbles", "acdc_scribbles_all", "grabcut_scribbles", "graz_scribbles", "medscribble_all",
                       "medscribble_dev"}  # fmt: skip
    assert {k.name for k in built_in_data_sets() if k.human_strokes} == drawn_by_people
    measured_on = drawn_by_people | {"dcmqi_ct_dicom", "totalsegmentator"}
    assert {k.name for k in built_in_data_sets() if not k.trainable} == measured_on


@pytest.mark.parametrize("name", NAMES)
def test_every_case_is_listed_and_readable(name, opened, shared_data):
    data = pickle.loads(pickle.dumps(opened(name)))
    people = 3 if name.startswith("medscribble") else 1
    assert len(data) == len(set(data.cases)) == people * len(list((shared_data / name).glob(FILES[name])))
    built_in = next(k for k in built_in_data_sets() if k.name == name)
    assert (data.name, data.title, data.licence, data.trainable, data.human_strokes) == (
        built_in.name, built_in.title, built_in.licence, built_in.trainable, built_in.human_strokes)  # fmt: skip
    for case in some(data):
        assert case.name in data.cases
        assert case.group
        assert case.source
        assert len(case.ids) >= 2
        assert case.objects
        assert np.ptp(case.image) > 0
        assert (case.strokes is not None) == data.human_strokes
        if case.names and not case.instances and name not in ("label_maps", "totalsegmentator"):
            assert set(case.ids) <= {*case.names, 0}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_reported(name, tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        open_data_set(name, tmp_path)


def test_the_folder_comes_from_the_environment(monkeypatch, shared_data):
    monkeypatch.setenv("SCRIBSEG_DATA", str(shared_data))
    assert len(open_data_set("usiigaci_phase")) == 50
    monkeypatch.delenv("SCRIBSEG_DATA")
    with pytest.raises(InputError, match="name that folder in SCRIBSEG_DATA"):
        open_data_set("usiigaci_phase")
    with pytest.raises(InputError, match="did you mean 'usiigaci_phase'"):
        open_data_set("usiigaci")


def test_graz(opened):
    data = opened("graz_scribbles")
    agree, total = 0, 0
    for case in data:
        assert case.image.shape == (*case.truth.shape, 3)
        assert case.background is None
        seeds = case.strokes >= 0
        assert set(np.unique(case.strokes[seeds])) == set(case.ids) == set(range(len(case.ids)))
        agree += (case.strokes[seeds] == case.truth[seeds]).sum()
        total += seeds.sum()
    assert agree / total > 0.99
    assert len({c.group for c in data}) == 44


def test_acdc(opened):
    data = opened("acdc_scribbles")
    for case in data:
        assert case.ids == (0, 1, 2, 3)
        assert set(np.unique(case.strokes)) == {-1, 0, 1, 2, 3}
        for identity in case.ids:
            stroke = case.strokes == identity
            assert (case.truth[stroke] == identity).mean() > 0.9
        assert 0.0005 < (case.strokes >= 0).mean() < 0.05
    assert Counter(c.group for c in data) == Counter({c.group: 2 for c in data})


def test_medscribble(opened):
    data = opened("medscribble_dev")
    spill, off = {}, []
    for case in data:
        assert case.image.shape == case.truth.shape == (256, 256)
        on, against = case.strokes == 1, case.strokes == 0
        spill.setdefault(case.source, []).append((on & (case.truth == 0)).sum() / on.sum())
        off.append((against & (case.truth == 1)).sum() / against.sum())
    assert len(spill) == 12
    assert np.mean(spill["OCTA500"]) == pytest.approx(0.53, abs=0.03)
    assert np.mean(spill["STARE"]) == pytest.approx(0.42, abs=0.03)
    assert np.median(off) < 0.01
    assert {c.group for c in data} == {c.name[:-2] for c in data}


def test_label_maps_have_no_image_but_themselves(opened):
    data = opened("label_maps")
    assert data.labels_only
    for case in some(data):
        np.testing.assert_array_equal(case.image, case.truth)
        assert len(case.ids) > 10
    assert len({case.group for case in data}) == 20


def test_acdc_slices_are_those_that_were_drawn_on(opened):
    volume = opened("acdc_scribbles").load("patient005_frame01")
    found = list(slices(volume, strokes_only=True, smallest=0))
    wanted = [z for z, s in enumerate(volume.strokes) if (s == 0).any() and (s > 0).any()]
    assert [int(c.name.rpartition(" ")[2]) for c in found] == wanted
    for case in found:
        assert set(drawn(case).ids) <= set(np.unique(case.strokes)) | {0}


def test_coco(opened):
    for case in some(opened("coco_mval"), 20):
        assert case.ids == (0, 1)
        assert case.group.isdecimal()
        assert not any(sign.isdigit() for sign in case.names[1])
    assert opened("coco_mval").load("airplane00_000000281693").names[1] == "airplane"


@pytest.mark.parametrize("name", ["dsb2018_nuclei", "usiigaci_phase"])
def test_instances(name, opened):
    for case in some(opened(name), 12):
        assert case.instances
        sizes = np.bincount(case.truth.ravel())[1:]
        assert np.median(sizes[sizes > 0]) < case.truth.size / 20


def test_dsb_nuclei_are_brighter_in_fluorescence_and_darker_in_stains(opened):
    found = Counter()
    for case in some(opened("dsb2018_nuclei"), 24):
        grey = case.image.mean(-1)
        inside, outside = grey[case.truth > 0].mean(), grey[case.truth == 0].mean()
        found[case.source, bool(inside > outside)] += 1
    assert found["fluorescence", True] > 5
    assert not found["fluorescence", False]
    assert found["stained", False] > found["stained", True]


def test_axons_are_dark_inside_bright_myelin(opened):
    data = opened("axondeepseg_sem")
    for case in data:
        assert case.ids == (0, 1, 2)
        axon, myelin = (np.median(case.image[case.truth == i]) for i in (1, 2))
        assert myelin > axon
    assert {c.group for c in data} == {"sub-rat1", "sub-rat2", "sub-rat3", "sub-rat4"}


def test_permissive_slices_name_their_source(opened, shared_data):
    data = opened("permissive_slices")
    folders = {p.name for p in (shared_data / "permissive_slices").iterdir()}
    assert {n.partition("/")[0] for n in data.cases} == folders
    licences = slice_licences(shared_data / "permissive_slices")
    assert set(licences) == folders
    assert "not stated" not in licences.values()
    one = opened("permissive_slices/ct_bhsd")
    assert one.licence == licences["ct_bhsd"]
    assert set(one.cases) == {n for n in data.cases if n.startswith("ct_bhsd/")}
    case = one.load(one.cases[0])
    assert (case.source, case.group) == ("ct_bhsd", "ct_bhsd/120")
    spleens = [c.group for c in opened("permissive_slices/ct_spleen_msd")]
    assert Counter(spleens)["ct_spleen_msd/spleen_59"] == 3
    unknown = opened("permissive_slices/ct_ich_physionet")
    assert {c.group for c in unknown} == {"ct_ich_physionet"}  # the names do not tell the patient


def test_hippocampus(opened):
    for case in some(opened("msd_hippocampus"), 20):
        assert case.truth.ndim == 3
        assert (case.spacing, case.unit, case.ids) == ((1.0, 1.0, 1.0), "mm", (0, 1, 2))
        assert 0.01 < (case.truth > 0).mean() < 0.2


def test_totalsegmentator_organs_have_their_density(opened):
    data = opened("totalsegmentator")
    assert data.cases == ("ct", "ct_crop", "mr_crop")
    whole, crop, mr = data
    assert whole.truth.shape == (112, 101, 122)
    assert crop.group == whole.group
    assert mr.group != whole.group
    by_name = {name: identity for identity, name in whole.names.items()}
    density = {n: np.median(whole.image[whole.truth == by_name[n]]) for n in ("liver", "spleen", "left lower lobe")}
    assert 0 < density["liver"] < 200
    assert 0 < density["spleen"] < 250
    assert density["left lower lobe"] < -500
    np.testing.assert_array_equal(crop.image, whole.image[-len(crop.image) :])  # of the same patient: one group


def test_dcmqi_masks_lie_on_their_slices(opened, shared_data):
    """Slices are matched by height, whatever the order of the files, and the tissue fits the mask."""
    folder = shared_data / "dcmqi_ct_dicom"
    data = opened("dcmqi_ct_dicom")
    assert data.cases == ("heart", "liver", "liver_spine", "spine")
    both = data.load("liver_spine")
    np.testing.assert_array_equal(data.load("liver").truth == 1, both.truth == 1)
    np.testing.assert_array_equal(data.load("spine").truth == 2, both.truth == 2)
    labels = read_labels(folder / "liver_spine_seg.nrrd")
    volume = read_volume(folder)
    for file in sorted(folder.glob("*.dcm")):
        single = read_volume(file)
        height = single.geometry.affine[2, 3]
        z = round((height - labels.geometry.affine[2, 3]) / labels.geometry.affine[2, 0])
        index = round((height - volume.geometry.affine[2, 3]) / volume.geometry.affine[2, 0])
        np.testing.assert_array_equal(both.image[index], np.squeeze(single.array))
        np.testing.assert_array_equal(both.truth[index], labels.array[z])
    assert 20 < np.median(both.image[both.truth == 1]) < 200
    assert np.median(both.image[both.truth == 2]) > 100
