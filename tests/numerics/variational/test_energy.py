import numpy as np
import pytest

from napari_scribseg.core import Scribbles
from napari_scribseg.numerics.seeds import thin_seeds
from napari_scribseg.numerics.variational import energy
from napari_scribseg.testing import two_discs


def features(image):
    return energy.ImageFeatures.of(image.data, (1.0, 1.0))


def test_intensities_that_separate_the_strokes_are_reliable_and_noise_is_not():
    image, scribbles, _ = two_discs((96, 96))
    good = energy.colour_reliability(features(image), scribbles.seeds, 3, [8.0])[0]
    assert good > 0.65
    noise = type(image)(np.random.default_rng(0).normal(0, 50, image.data.shape).astype(np.float32), (1.0, 1.0))
    assert energy.colour_reliability(features(noise), scribbles.seeds, 3, [8.0])[0] < 0.4


def test_the_notes_name_the_chosen_weights():
    image, scribbles, _ = two_discs((96, 96))
    weights, notes = energy.choose_weights(features(image), scribbles.seeds, 3)
    assert weights.local_density > 0
    assert any("reliability" in note for note in notes)
    picture = two_discs((96, 96), channels=3)[0]
    picture = type(picture)(np.clip(np.rint(picture.data), 0, 255), (1.0, 1.0))
    colours, colour_notes = energy.choose_weights(features(picture), scribbles.seeds, 3)
    assert colours.geodesic == 0
    assert "colour picture" in colour_notes[0]


@pytest.mark.parametrize(("ids", "expected"), [((0, 4, 5), 0), ((4, 0, 5), 1), ((4, 5, 6), 2), ((), 0)])
def test_the_background_is_the_class_0_or_the_one_around_the_others(ids, expected):
    seeds = np.full((20, 20), -1, dtype=np.int32)
    seeds[8, 8], seeds[11, 11] = 0, 1
    seeds[2, 2:18] = seeds[17, 2:18] = 2
    assert energy.background_label(Scribbles(seeds, 3, ids)) == expected


def test_without_a_class_around_the_others_there_is_no_background():
    seeds = np.full((20, 20), -1, dtype=np.int32)
    seeds[3:6, 3], seeds[10:15, 12] = 0, 1
    assert energy.background_label(Scribbles(seeds, 2, (3, 4))) is None


def test_thinned_seeds_are_few_and_true():
    seeds = np.full((60, 60), -1, dtype=np.int32)
    seeds[:20], seeds[40, 5:8] = 0, 1
    thin = thin_seeds(seeds, 2)
    kept = thin >= 0
    np.testing.assert_array_equal(thin[kept], seeds[kept])
    assert 0 < (thin == 0).sum() <= 128
    assert (thin == 1).sum() == 3
    assert np.ptp(np.nonzero(thin == 0)[0]) >= 18
