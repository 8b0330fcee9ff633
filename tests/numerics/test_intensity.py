import numpy as np
import pytest

from napari_scribseg.numerics.intensity import equalize_intensities, scale_intensities


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


def test_an_image_of_two_values_keeps_them_distinct():
    image = np.zeros((1, 100, 100), dtype=np.float32)
    image[0, 50, 50] = 4000
    scaled = scale_intensities(image)
    assert scaled[0, 50, 50] == pytest.approx(255)
    assert scaled[0, 0, 0] == 0


def test_equalizing_spreads_a_narrow_range_of_tissues_beside_air_and_bone():
    rng = np.random.default_rng(0)
    values = np.concatenate([np.full(4000, 2.0), rng.normal(180, 3, 3000), rng.normal(195, 3, 3000), [255.0, 0.0]])
    scaled = values.astype(np.float32)[np.newaxis]
    mapped = equalize_intensities(scaled)
    muscle, liver = mapped[0, 4000:7000].mean(), mapped[0, 7000:10000].mean()
    assert liver - muscle > 2.5 * 15
    order = np.argsort(scaled[0], kind="stable")
    assert (np.diff(mapped[0][order]) >= -1e-3).all()
    np.testing.assert_allclose([mapped.min(), mapped.max()], [0, 255], atol=1e-3)
    slopes = np.diff(mapped[0][order]) / np.maximum(np.diff(scaled[0][order]), 1e-6)
    assert slopes[np.diff(scaled[0][order]) > 0.6].max() <= 4 * 1.2


def test_equalizing_an_even_spread_changes_little_and_leaves_what_lies_beyond():
    scaled = np.linspace(-40, 300, 20000, dtype=np.float32)[np.newaxis]
    mapped = equalize_intensities(scaled)
    np.testing.assert_allclose(mapped, scaled, atol=1.0)
    np.testing.assert_array_equal(mapped[scaled > 255], scaled[scaled > 255])


def test_equalizing_a_constant_or_tiny_image_stays_finite():
    for scaled in (np.zeros((1, 5, 5), np.float32), np.full((1, 1, 1), 300, np.float32)):
        assert np.isfinite(equalize_intensities(scaled)).all()


@pytest.mark.parametrize("value", [-3024, -32768, -np.finfo(np.float32).max])
def test_padding_takes_no_share_of_the_scale(value):
    image = np.random.default_rng(0).normal(-900, 300, (1, 100, 100)).astype(np.float32)
    padded = image.copy()
    padded[:, :30] = value
    inside = scale_intensities(image)[:, 30:]
    np.testing.assert_allclose(scale_intensities(padded)[:, 30:], inside, atol=6)
    assert scale_intensities(padded)[:, :30].max() < 10


@pytest.mark.parametrize("largest", [1e-44, 1e-42, 1e-35, 1e-20, 1.0, 1e20, 1e35, 3.4e38])
@pytest.mark.parametrize("signed", [False, True])
def test_numbers_of_every_size_become_0_to_255(largest, signed):
    share = np.linspace(-1 if signed else 0, 1, 10_000).reshape(1, 100, 100)
    scaled = scale_intensities((share * largest).astype(np.float32))
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(
        scaled, np.linspace(0, 255, 10_000).reshape(1, 100, 100), atol=40 if largest < 1e-43 else 3
    )


def test_one_number_far_beyond_the_others_does_no_harm():
    image = np.random.default_rng(0).uniform(0, 1e-3, (1, 100, 100)).astype(np.float32)
    image[0, 0, 0], image[0, 0, 1] = 3.4e38, -3.4e38
    scaled = scale_intensities(image)
    assert np.isfinite(scaled).all()
    assert np.ptp(scaled[0, 1:]) > 200
