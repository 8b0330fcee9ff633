import pickle

import numpy as np
import pytest

from napari_scribseg.core import InputError
from napari_scribseg.datasets import made_ct
from napari_scribseg.io import sample_data


@pytest.fixture(scope="module")
def case():
    return made_ct().load("noise_0")


def test_four_cases_are_listed_without_being_made(monkeypatch):
    monkeypatch.setattr(sample_data, "ct_phantom", lambda *_: pytest.fail("made"))
    data = pickle.loads(pickle.dumps(made_ct()))
    assert (data.name, len(data), data.human_strokes, data.trainable) == ("made_ct", 4, False, False)
    assert data.cases == tuple(f"noise_{i}" for i in range(4))


def test_a_case_is_a_volume_in_millimetres_with_its_organs(case):
    assert case.image.shape == case.truth.shape
    assert case.truth.shape[0] == 40
    assert case.truth.dtype == np.int32
    assert (case.unit, case.spacing, case.background, case.strokes) == ("mm", (3.0, 1.0, 1.0), 0, None)
    assert (case.group, case.source) == ("noise_0", "made_ct")
    assert case.objects == (1, 2, 3, 4)
    assert case.names == {0: "background", 1: "liver", 2: "kidneys", 3: "spine", 4: "spleen"}


def test_labels_are_where_the_intensities_are(case):
    means = [case.image[case.truth == i].mean() for i in case.objects]
    assert len({round(m) for m in means}) == 4
    assert (case.image[case.truth > 0] > -200).mean() > 0.999
    assert case.image[case.truth == 0].min() < -900
    for i, mean in zip(case.objects, means, strict=True):
        assert case.image[case.truth == i].std() < 60, (i, mean)


def test_the_sample_strokes_lie_in_their_organs():
    sample = sample_data.ct_phantom(0)
    painted = (sample.painted > 0) & (sample.painted != 255)
    np.testing.assert_array_equal(sample.truth[painted], sample.painted[painted])
    assert not sample.truth[sample.painted == 255].any()


def test_cases_differ_in_their_noise_alone(case):
    other = made_ct().load("noise_1")
    np.testing.assert_array_equal(other.truth, case.truth)
    assert (other.image != case.image).mean() > 0.5
    assert abs(other.image.astype(float).mean() - case.image.mean()) < 1
    assert other.group != case.group


def test_there_is_no_fifth_case():
    with pytest.raises(InputError, match="has no case 'noise_4'"):
        made_ct().load("noise_4")
