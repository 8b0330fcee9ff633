"""A volume cut at once: seeds of any orientation count and stay, a prior stays where nothing contradicts it."""

import numpy as np
import pytest

from napari_scribseg.core import Cancelled, InputError
from napari_scribseg.numerics.volume_cut import cut, cut_volume

SHAPE = (20, 28, 26)


def ball(centre, radius):
    grid = np.indices(SHAPE).transpose(1, 2, 3, 0)
    return ((grid - centre) ** 2).sum(-1) <= radius**2


@pytest.fixture
def truth():
    """Two balls of one brightness, the second one farther along the columns."""
    labels = np.zeros(SHAPE, np.int32)
    labels[ball((10, 13, 8), 5)] = 1
    labels[ball((10, 13, 20), 4)] = 2
    return labels


@pytest.fixture
def image(truth):
    return (100.0 * (truth > 0) + np.random.default_rng(0).normal(0, 8, SHAPE)).astype(np.float32)


@pytest.fixture
def seeds():
    """An axial stroke of the first class, a coronal one of the second, and sagittal ones of the background."""
    painted = np.full(SHAPE, -1, np.int32)
    painted[10, 12:15, 6:11] = 1
    painted[9:12, 13, 18:23] = 2
    painted[2:18, 2:4, 3] = painted[2:18, 24, 22] = painted[2:18, 13, 14] = 0
    return painted


def overlap(found, truth, k):
    both = np.count_nonzero((found == k) & (truth == k))
    return 2 * both / (np.count_nonzero(found == k) + np.count_nonzero(truth == k))


@pytest.mark.parametrize("most", [cut.MOST_VOXELS, 3000])
def test_strokes_of_three_orientations_label_the_volume(image, truth, seeds, monkeypatch, most):
    monkeypatch.setattr(cut, "MOST_VOXELS", most)
    found = cut_volume(image, seeds, 3)
    assert found.labels.dtype == np.uint8
    assert (found.labels[seeds >= 0] == seeds[seeds >= 0]).all()
    for k in (1, 2):
        assert overlap(found.labels, truth, k) > 0.88
    assert found.certainty.min() >= 0
    assert found.certainty.max() <= 1
    right = found.labels == truth
    assert found.certainty[right].mean() > found.certainty[~right].mean() + 0.1


def test_without_its_stroke_of_another_orientation_a_class_is_not_found(image, truth, seeds):
    seeds[seeds == 2] = -1
    found = cut_volume(image, seeds, 3).labels
    assert not (found == 2).any()


@pytest.mark.parametrize("most", [cut.MOST_VOXELS, 8000])
def test_a_prior_stays_where_no_stroke_contradicts_it(image, truth, seeds, monkeypatch, most):
    monkeypatch.setattr(cut, "MOST_VOXELS", most)
    monkeypatch.setattr(cut, "REACH", 2.0)
    prior = truth.copy()
    prior[ball((10, 13, 20), 4)] = 1  # the second ball has the wrong class
    prior[1, 25:27, 1:3] = 2  # and the image does not show why this is one
    corrections = np.where(seeds == 2, seeds, -1)
    found = cut_volume(image, corrections, 3, prior=prior).labels
    assert overlap(found, truth, 2) > 0.75
    far = ~ball((10, 13, 20), 10)
    assert np.count_nonzero(found[far] != prior[far]) <= 60  # of 10925, on borders
    assert (found[ball((10, 13, 8), 3)] == 1).all()


def test_a_prior_without_certainty_is_no_more_than_its_seeds(image, truth, seeds):
    wrong = np.full(SHAPE, 1, np.int32)
    found = cut_volume(image, seeds, 3, prior=wrong, certainty=np.zeros(SHAPE)).labels
    assert (found == cut_volume(image, seeds, 3).labels).mean() > 0.999


def test_the_distance_between_slices_counts():
    image = np.zeros((9, 12, 12), np.float32)
    seeds = np.full(image.shape, -1, np.int32)
    seeds[0], seeds[:, 0], seeds[:, 11] = 1, 0, 0
    near = cut_volume(image, seeds, 2, (1.0, 1.0, 1.0)).labels
    far = cut_volume(image, seeds, 2, (4.0, 1.0, 1.0)).labels
    assert np.count_nonzero(far[1:] == 1) < np.count_nonzero(near[1:] == 1)


def test_the_channels_count_by_their_mean(image, seeds):
    channels = np.stack([image - 20, image + 20])
    assert (cut_volume(channels, seeds, 3).labels == cut_volume(image, seeds, 3).labels).mean() > 0.999


@pytest.mark.parametrize("most", [cut.MOST_VOXELS, 3000])
def test_what_a_report_raises_ends_the_work(image, seeds, monkeypatch, most):
    monkeypatch.setattr(cut, "MOST_VOXELS", most)
    shares = []
    cut_volume(image, seeds, 3, report=lambda share, preview=None: shares.append(share))
    assert (np.diff(shares) > -1e-9).all()
    assert shares[-1] == 1
    for stop in shares[1:-1:4]:

        def report(share, preview=None, stop=stop):
            if share >= stop:
                raise Cancelled

        with pytest.raises(Cancelled):
            cut_volume(image, seeds, 3, report=report)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((3, 4, 5))}, "shape"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing"),
        ({"n_classes": 2}, "classes from -1 to 2; -1 to 1"),
        ({"prior": np.zeros((2, 2, 2), int)}, "prior has shape"),
        ({"seeds": np.full(SHAPE, -1)}, "fewer than two classes"),
    ],
)
def test_what_cannot_be_cut_is_named(image, seeds, change, words):
    given = {"image": image, "seeds": seeds, "n_classes": 3, **change}
    with pytest.raises(InputError, match=words):
        cut_volume(given.pop("image"), given.pop("seeds"), given.pop("n_classes"), **given)
