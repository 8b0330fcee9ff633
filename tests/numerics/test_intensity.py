import numpy as np
import pytest

from napari_scribseg.numerics.intensity import scale_intensities


def test_eight_bit_pictures_stay_as_they_are():
    picture = np.random.default_rng(0).integers(0, 256, (3, 20, 20)).astype(np.float32)
    np.testing.assert_array_equal(scale_intensities(picture), picture)


@pytest.mark.parametrize(("low", "high"), [(-1024, 3071), (0, 65535), (0, 1), (1e-6, 2e-6), (-5e8, 5e8)])
def test_any_range_becomes_about_0_to_255(low, high):
    image = np.random.default_rng(0).uniform(low, high, (1, 60, 60)).astype(np.float32)
    scaled = scale_intensities(image)
    assert scaled.dtype == np.float32
    assert np.percentile(scaled, 1) == pytest.approx(1.3, abs=2)
    assert np.percentile(scaled, 99) == pytest.approx(253.7, abs=2)
    order = np.argsort(image.ravel())
    assert (np.diff(scaled.ravel()[order]) >= -1e-3).all()


def test_a_few_extreme_voxels_do_not_flatten_the_rest_nor_become_alike():
    image = np.random.default_rng(0).uniform(-100, 200, (1, 100, 100)).astype(np.float32)
    image[0, 0, :3] = (3000, 20000, 30000)
    scaled = scale_intensities(image)
    assert np.ptp(scaled[0, 1:]) > 200
    assert scaled[0, 0, 0] < scaled[0, 0, 1] < scaled[0, 0, 2] < 1000
    assert scaled[0, 0, 0] > 255


def test_a_constant_image_is_zero():
    assert (scale_intensities(np.full((2, 4, 5), 1234.5, dtype=np.float32)) == 0).all()


def test_an_image_of_two_values_keeps_them_apart():
    image = np.zeros((1, 100, 100), dtype=np.float32)
    image[0, 50, 50] = 4000
    scaled = scale_intensities(image)
    assert scaled[0, 50, 50] == pytest.approx(255)
    assert scaled[0, 0, 0] == 0
